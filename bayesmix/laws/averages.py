"""Averages of predictions over rows, draw by draw, without all draws of all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import sparse

from bayesmix.inference.announce import announce
from bayesmix.laws.in_order import InOrder
from bayesmix.laws.linear import for_each_block
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.predictor import Predictor, row_summaries, without_infinite_means
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows, levels_of
from bayesmix.memory import check_memory

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["Cells", "DrawSource", "Source", "Transform"]

# Takes one array of cells by draws for predictions, two for comparisons: high and low.
Transform = Callable[..., np.ndarray]

_SLOW = 100_000_000  # numbers predicted; longer than a few seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Which rows are averaged, and what is made of the averages.

    Attributes
    ----------
    parts : tuple of Rows
        The same rows once, or in a high and a low version.
    weight : ndarray, shape (n,)
        Weight of each row in the average of its cell.
    cell : ndarray of int, shape (n,), or None
        The cell of each row; None where each row is a cell.
    n_cells : int
    transform : callable
        What is made of the averages of the parts.
    name : str
        Name of the transform: "identity", "difference", "ratio", ...
    """

    parts: tuple[Rows, ...]
    weight: np.ndarray
    cell: np.ndarray | None
    n_cells: int
    transform: Transform
    name: str


class Source(Protocol):
    """What summarises cells: draws, or the moments of a normal distribution."""

    def summaries(self, cells: Cells, request: PredictionRequest) -> np.ndarray:
        """Return estimate, sd, lower and upper of each cell, shape (4, cells)."""


class DrawSource:
    """Averages over draws of the parameters.

    Parameters
    ----------
    model : Model
    parameters : callable
        From the levels that are needed, by grouping factor, to `ParameterDraws`.
    seed : int
        Seed of the effects of new groups.
    """

    def __init__(
        self,
        model: StatedModel,
        parameters: Callable[[Mapping[str, np.ndarray]], ParameterDraws],
        seed: int,
    ) -> None:
        self._model = model
        self._parameters = parameters
        self._seed = seed
        self._last: tuple[dict[str, np.ndarray], ParameterDraws] | None = None

    def summaries(self, cells: Cells, request: PredictionRequest) -> np.ndarray:
        """Return estimate, sd, lower and upper of each cell, shape (4, cells)."""
        found = self._found(levels_of(*cells.parts))
        # Differences of what ran away may stay: they are asked, and not their terms.
        gone = found if found.gone and request.kind == "linear" else None
        found = replace(found, gone=()) if gone else found
        predictors = [
            Predictor(self._model, found, rows, request, self._seed) for rows in cells.parts
        ]
        n_draws, n = found.n_draws, len(cells.weight)
        if n * n_draws * len(predictors) > _SLOW:
            announce(f"Predicting {n} rows x {n_draws} draws ...", progress=True)
        if cells.cell is None:
            out = _by_row(predictors, cells, n_draws, request.ci_prob, gone)
            return without_infinite_means(out) if self._has_gone else out
        check_memory(
            f"{cells.n_cells} averages x {n_draws} draws",
            2 * cells.n_cells * n_draws,
            "use fewer draws with draws=",
        )
        averages = [_averages(predictor, cells, cells.cell, n_draws) for predictor in predictors]
        with np.errstate(all="ignore"):
            values = cells.transform(*averages)
        if gone:
            X = [_averages_of(rows.X, cells, cells.cell) for rows in cells.parts]
            values = _in_the_limit(values, cells, X, gone)
        out = np.stack(row_summaries(values, request.ci_prob))
        return without_infinite_means(out) if self._has_gone else out

    @property
    def _has_gone(self) -> bool:
        return self._last is not None and bool(self._last[1].gone)

    def _found(self, levels: dict[str, np.ndarray]) -> ParameterDraws:
        """The draws for some levels; those of the last call where they are the same."""
        if self._last is None or not _same(self._last[0], levels):
            self._last = levels, self._parameters(levels)
        return self._last[1]


def _same(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _by_row(
    predictors: Sequence[Predictor], cells: Cells, n_draws: int, ci_prob: float,
    gone: ParameterDraws | None = None,
) -> np.ndarray:  # fmt: skip
    out = np.empty((4, len(cells.weight)))

    def summarise(number: int, rows: slice) -> None:
        weight = cells.weight[rows, None]
        with np.errstate(all="ignore"):
            values = cells.transform(*(p.block(number, rows) * weight for p in predictors))
        if gone:
            X = [part.X[rows] * weight for part in cells.parts]
            values = _in_the_limit(values, cells, X, gone)
        out[:, rows] = row_summaries(values, ci_prob)

    for_each_block(len(cells.weight), n_draws, summarise)
    return out


def _in_the_limit(
    values: np.ndarray, cells: Cells, X: Sequence[np.ndarray], gone: ParameterDraws
) -> np.ndarray:
    """Values on the scale of the link that are infinite, or not known, where they ran away."""
    if cells.name in {"identity", "difference"}:
        beyond = gone.beyond(X[0] - X[1] if len(X) == 2 else X[0])
        return values if beyond is None else values + beyond
    for own in X:
        beyond = gone.beyond(own)
        if beyond is not None:
            values = np.where(beyond == 0, values, np.nan)
    return values


def _averages_of(X: np.ndarray, cells: Cells, cell: np.ndarray) -> np.ndarray:
    """Averages of the rows of the design, shape (cells, p)."""
    places = (cell, np.arange(len(cell)))
    A = sparse.csr_matrix((cells.weight, places), shape=(cells.n_cells, len(cell)))
    return np.asarray(A @ X)


def _averages(predictor: Predictor, cells: Cells, cell: np.ndarray, n_draws: int) -> np.ndarray:
    """Weighted sums of the rows of each cell, shape (cells, S)."""
    out = np.zeros((cells.n_cells, n_draws))
    order = InOrder()

    def add(number: int, rows: slice) -> None:
        used, sums = np.zeros(0, dtype=np.intp), np.zeros((0, n_draws))
        try:
            draws = predictor.block(number, rows)
            used, position = np.unique(cell[rows], return_inverse=True)
            places = (position.reshape(-1), np.arange(len(draws)))
            weights = sparse.csr_matrix((cells.weight[rows], places), shape=(len(used), len(draws)))
            sums = weights @ draws
        finally:
            with order.turn(number):
                out[used] += sums

    for_each_block(len(cell), n_draws, add)
    return out
