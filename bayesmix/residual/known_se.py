"""Independent residuals whose standard errors are known, as in meta-analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.residual.base import Rows
from bayesmix.residual.independent import Independent
from bayesmix.residual.pairs import PairClasses
from bayesmix.summed import Summed

__all__ = ["KnownStandardErrors"]


@dataclass(frozen=True, slots=True)
class KnownStandardErrors(Independent):
    """Known standard errors: the variance of a row is se^2, and there is no sigma."""

    name: ClassVar[str] = "known standard errors"
    needs: ClassVar[tuple[str, ...]] = ("known_se",)
    estimates_sigma: ClassVar[bool] = False

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Each row with itself, by its precision."""
        return PairClasses(weights=rows["known_se"] ** -2.0)

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """The known standard error."""
        return rows["known_se"]

    def mean_variance(self, parameters: Mapping[str, Any], rows: Rows) -> np.ndarray:
        """The mean over the rows."""
        known = rows["known_se"]
        if isinstance(known, Summed):
            return np.asarray(known.mean_square())
        return np.asarray(np.mean(np.square(known)))

    @property
    def in_words(self) -> str:
        """Say that they are known."""
        return "known standard errors"
