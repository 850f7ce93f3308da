"""`Quantities`: means or contrasts with their joint law, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesmix.laws.jointly import DrawnJointly, Jointly
from bayesmix.results.means.adjustment import Adjust
from bayesmix.results.means.estimable import Estimable
from bayesmix.results.means.judged import Judging, Rope, judged
from bayesmix.results.means.scale import Scale

__all__ = ["Quantities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantities:
    """K quantities, what they are called, and how they are judged.

    Attributes
    ----------
    jointly : Jointly
    estimable : Estimable
    keys : DataFrame, K rows
        What they are called: the columns of `factors`, then those of `by`.
    factors, by : tuple of str
        Columns whose levels are compared, and within which they are.
    scale : Scale
    judging : Judging
    ci_prob : float
    what : str
        "Marginal means", "Contrasts" or "Trends of x".
    adjust : str or None
    rope : tuple of float, or None
    signs : bool
        Whether the probability to be above zero is of interest.
    n_means : int
        Number of means of which they are the differences, for Tukey's method.
    notes : tuple of str
    """

    jointly: Jointly
    estimable: Estimable
    keys: pd.DataFrame
    factors: tuple[str, ...]
    by: tuple[str, ...]
    scale: Scale
    judging: Judging
    ci_prob: float
    what: str
    adjust: Adjust | None = None
    rope: Rope | None = None
    signs: bool = False
    n_means: int = 0
    notes: tuple[str, ...] = ()

    @property
    def drawn(self) -> bool:
        """Whether they have draws."""
        return isinstance(self.jointly, DrawnJointly)

    def families(self, by: Sequence[str]) -> Iterator[np.ndarray]:
        """Positions of the quantities that are compared with each other."""
        if not by:
            yield np.arange(len(self.keys))
            return
        cell = self.keys.groupby(list(by), sort=False, dropna=False, observed=True).ngroup()
        for number in range(int(cell.max()) + 1):
            yield np.flatnonzero(cell.to_numpy() == number)

    def table(self) -> pd.DataFrame:
        """Keys, then numbers; NaN where there is no estimate."""
        parts = []
        unknown = self.estimable.unknown
        for at in self.families(self.by):
            kept = at[~unknown[at]]
            found = judged(
                self.jointly.combined(np.eye(len(self.keys))[kept]), self.judging, self.scale,
                ci_prob=self.ci_prob, adjust=self.adjust, n_means=self.n_means or len(kept),
                rope=self.rope, signs=self.signs,
            )  # fmt: skip
            parts.append(pd.DataFrame(found, index=kept))
        numbers = pd.concat(parts).reindex(range(len(self.keys)))
        return pd.concat([self.keys, numbers], axis=1)
