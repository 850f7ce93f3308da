"""Independent residuals with precision weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bayesmix.residual.base import Rows
from bayesmix.residual.independent import Independent
from bayesmix.residual.pairs import PairClasses

__all__ = ["Weighted"]


@dataclass(frozen=True, slots=True)
class Weighted(Independent):
    """Precision weights: the variance of a row is sigma^2 / w."""

    name: ClassVar[str] = "weighted"
    needs: ClassVar[tuple[str, ...]] = ("weights",)

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Each row with itself, by its weight."""
        return PairClasses(weights=rows["weights"])

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Sigma over the root of the weight."""
        return parameters["sigma"] / rows["weights"] ** 0.5

    def latex(self, likelihood: str) -> str:
        """Sigma over the root of the weight."""
        return re.sub(r"\\sigma(_i)?", lambda found: rf"{found[0]} / \sqrt{{w_i}}", likelihood)

    @property
    def in_words(self) -> str:
        """Say that there are weights."""
        return "weighted"
