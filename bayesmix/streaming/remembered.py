"""`Remembered`: what is known of rows that were read before and are not there any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from bayesmix.design.design import Design
from bayesmix.errors import NotSupportedError
from bayesmix.sources import Source

__all__ = ["Remembered", "few_rows"]

_LEAST = 60  # rows of which terms are built again


class Remembered(Source):
    """Labels, states and sums of rows; of these there are none.

    Parameters
    ----------
    name : str
        Where the rows were.
    formula : str
        What the sums are of.
    beside : mapping of str to str
        Columns of "weights" and "known_se".
    frame : DataFrame
        As `few_rows` makes it.
    states : mapping of str to mapping
        What transforms have learned, by their text.
    arrays : mapping of str to ndarray
        The sums, as `Sums.arrays` returns them.
    products : ndarray
        The cross-products, as the algebra lays them out.
    n_given, n_obs : int
        Rows, and complete rows.
    """

    def __init__(
        self,
        name: str,
        *,
        formula: str,
        beside: Mapping[str, str],
        frame: pd.DataFrame,
        states: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        products: np.ndarray,
        n_given: int,
        n_obs: int,
    ) -> None:
        super().__init__(name, None)  # columns are the frame's
        self.formula, self.beside, self.frame = formula, dict(beside), frame
        self.states, self.arrays, self.products = states, arrays, products
        self.n_given, self.n_obs = n_given, n_obs

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.frame.columns]

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Refuse: there are no rows."""
        self._refuse("this reads the rows")

    def check(self, formula: str, beside: Mapping[str, str]) -> None:
        """Refuse what the sums are not of.

        Raises
        ------
        NotSupportedError
        """
        if formula != self.formula or dict(beside) != self.beside:
            self._refuse(f"the sums are those of `{self.formula}`")

    def _refuse(self, what: str) -> NoReturn:
        raise NotSupportedError(
            f"{what}, and of {self.name} the file has sums and no rows: give the rows by "
            "model.update(..., data=...), as a path, a query or a table"
        )


def few_rows(design: Design, beside: Mapping[str, str]) -> pd.DataFrame:
    """Rows that hold every label and no number of the data, of which terms are built again.

    Each level of each factor and grouping factor is in them, in a combination that the data
    have. In the place of other numbers stand random ones between the least and the largest.

    Parameters
    ----------
    design : Design
        Built from a sample with all labels.
    beside : mapping of str to str
        Columns of "weights" and "known_se".

    Returns
    -------
    DataFrame
    """
    frame = design.frame.reset_index(drop=True)
    grouping = [group.levels.columns for group in design.mu.groups if group.levels.columns]
    labels = {name for own in grouping for name in own} | set(design.formula.categorical)
    labels |= {
        str(name) for name in frame.columns
        if frame[name].dtype.kind not in "iuf" or isinstance(frame[name].dtype, pd.CategoricalDtype)
    }  # fmt: skip
    keep = [
        np.flatnonzero(~frame.duplicated(subset=list(own)).to_numpy())
        for own in [*grouping, *((name,) for name in labels)]
    ]
    at = np.unique(np.concatenate([np.zeros(1, dtype=np.int64), *keep]))
    at = np.tile(at, -(-_LEAST // len(at)))
    found, rng = frame.iloc[at].reset_index(drop=True), np.random.default_rng(0)
    for name in frame.columns:
        if name not in labels:
            found[name] = _between(frame[name].to_numpy(), len(at), rng)
    return found.assign(**{name: 1.0 for name in beside.values() if name not in found})


def _between(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Random numbers between the ends of others, the ends among them."""
    low, high = values.min(), values.max()
    made = float(low) + (float(high) - float(low)) * rng.random(n)
    if values.dtype.kind in "iu" or (values == np.floor(values)).all():  # counts stay counts
        made = np.floor(made)
    made = made.astype(values.dtype)
    made[0], made[-1] = low, high
    return np.clip(made, low, high)
