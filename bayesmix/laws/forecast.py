"""New rows of known series, whose residuals continue from those that were observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.families.functions import NUMPY
from bayesmix.laws.levels import name_key
from bayesmix.laws.linear import LinearDraws
from bayesmix.laws.rows import Rows, rows_of_fit
from bayesmix.residual import Correlated
from bayesmix.residual.series import SERIES, coordinate_names

if TYPE_CHECKING:
    from bayesmix.laws.parameters import ParameterDraws
    from bayesmix.laws.request import PredictionRequest
    from bayesmix.statement.stated import StatedModel

__all__ = ["Forecast", "check_forecast", "observed_rows"]


def check_forecast(model: StatedModel, request: PredictionRequest) -> None:
    """Refuse forecasts where there is nothing to continue from.

    Raises
    ------
    NotSupportedError, ArgumentError
    """
    if not isinstance(model.residual, Correlated):
        raise NotSupportedError(
            "forecast=True continues the residuals of a series, and the rows of this model are "
            "independent given its effects; leave it out"
        )
    if not request.uses_levels or request.kind not in {"mean", "response"}:
        raise ArgumentError(
            'forecast=True is of kind="mean" or "response" with groups="conditional": what was '
            "observed of a series is seen around the effects of its groups"
        )


def observed_rows(model: StatedModel, rows: Rows) -> tuple[np.ndarray, Rows]:
    """Find the rows of the fit that are in series of new rows.

    Parameters
    ----------
    model : StatedModel
    rows : Rows
        New rows, with their series.

    Returns
    -------
    ndarray of int64
        Positions among the rows of the fit.
    Rows

    Raises
    ------
    DataError
        If the new rows do not say where they are in their series, or one is where a row
        was observed.
    """
    structure = model.residual
    assert isinstance(structure, Correlated)  # noqa: S101
    lacking = [name for name in structure.needs if name not in rows.per_row]
    if lacking:
        given = model.design.residual
        assert given is not None  # noqa: S101
        columns = [*given.levels.columns, *given.coordinates]
        raise DataError(
            f"forecast=True needs the columns {', '.join(f'`{c}`' for c in columns)} of each row, "
            "and one row at each place of a series"
        )
    whole = rows_of_fit(model, "response")
    at = np.flatnonzero(np.isin(whole.per_row[SERIES], rows.per_row[SERIES]))
    places = (SERIES, *coordinate_names(structure.n_coordinates))
    if structure.n_coordinates:
        seen = {tuple(v) for v in np.column_stack([whole.per_row[n][at] for n in places]).tolist()}
        for i, v in enumerate(np.column_stack([rows.per_row[n] for n in places]).tolist()):
            if tuple(v) in seen:
                raise DataError(
                    f"row {rows.labels[i]} is where a row of its series was observed: "
                    "forecast=True is of other places (fitted() has what is known there)"
                )
    return at, _some(whole, at)


def _some(rows: Rows, at: np.ndarray) -> Rows:
    return replace(
        rows,
        X=rows.X[at],
        offset=None if rows.offset is None else rows.offset[at],
        Z={name: values[at] for name, values in rows.Z.items()},
        index={name: values[at] for name, values in rows.index.items()},
        labels=rows.labels[at],
        positions=rows.positions[at],
        per_row={name: values[at] for name, values in rows.per_row.items()},
        others={name: _some(own, at) for name, own in rows.others.items()},
    )


class Forecast:
    """Law of new rows' residuals of unit variance given what was observed, at each draw.

    Parameters
    ----------
    model : StatedModel
    parameters : ParameterDraws
        With the effects of the levels of both new and observed rows.
    rows : Rows
        New rows.
    seed : int
    """

    def __init__(
        self, model: StatedModel, parameters: ParameterDraws, rows: Rows, seed: int
    ) -> None:
        structure = model.residual
        assert isinstance(structure, Correlated)  # noqa: S101
        at, known = observed_rows(model, rows)
        n_draws = parameters.n_draws
        family = _family(model, parameters, known, seed)
        share = new_share = None
        if structure.beside_known:
            share = structure.shares(family, known.per_row, len(at))
            ahead = _family(model, parameters, rows, seed)
            new_share = structure.shares(ahead, rows.per_row, rows.n_rows)
        left = model.y[at] - LinearDraws(parameters, known, seed).block(slice(None)).T
        scaled = left / np.asarray(structure.row_sd(family, known.per_row))
        own_parameters = {
            name: np.reshape(values, (n_draws, 1, 1, *np.shape(values)[2:]))
            for name, values in family.items()
            if name in structure.dims
        }
        self.mean = np.zeros((n_draws, rows.n_rows))
        self.noise = np.empty((n_draws, rows.n_rows))
        series, new = known.per_row[SERIES], rows.per_row[SERIES]
        for number in np.unique(new).tolist():
            before, here = np.flatnonzero(series == number), np.flatnonzero(new == number)
            words = [seed, name_key("forecast"), int(number)]
            rng = np.random.default_rng(np.random.SeedSequence(words))
            self.mean[:, here], self.noise[:, here] = _continued(
                structure, own_parameters, _places(structure, known.per_row, before),
                _places(structure, rows.per_row, here), scaled[:, before], rng,
                None if share is None or new_share is None
                else _beside(share[:, before], new_share[:, here]),
            )  # fmt: skip


def _family(
    model: StatedModel, parameters: ParameterDraws, rows: Rows, seed: int
) -> dict[str, np.ndarray]:
    """The family's parameters at each draw and row."""
    found = parameters.family_columns()
    for name, own in parameters.others.items():
        linear = LinearDraws(own, rows.others[name], seed).block(slice(None))
        found[name] = model.family.parameter_link(name).inverse(NUMPY, linear.T)
    return found


def _beside(share: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Shares of known rows and of new ones beside each other, shape (S, known + new)."""
    n_draws = max(len(share), len(new))
    both = [np.broadcast_to(one, (n_draws, one.shape[1])) for one in (share, new)]
    return np.concatenate(both, axis=1)


def _places(structure: Correlated, rows: Mapping[str, Any], at: np.ndarray) -> np.ndarray:
    columns = [rows[name][at] for name in coordinate_names(structure.n_coordinates)]
    return np.column_stack(columns) if columns else np.zeros((len(at), 0))


def _continued(
    structure: Correlated, parameters: Mapping[str, Any], known: np.ndarray, new: np.ndarray,
    residuals: np.ndarray, rng: np.random.Generator, share: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Mean and a draw around it of the new rows of one series, shape (S, new) each."""
    m, k, n_draws = len(known), len(new), len(residuals)
    R = structure.shared(parameters, np.concatenate([known, new]), share)
    R = np.broadcast_to(R, (n_draws, m + k, m + k))
    z = rng.standard_normal((n_draws, k))
    if not m:
        return np.zeros((n_draws, k)), np.einsum("sij,sj->si", np.linalg.cholesky(R), z)
    gain = np.swapaxes(np.linalg.solve(R[:, :m, :m], R[:, :m, m:]), 1, 2)
    left = R[:, m:, m:] - gain @ R[:, :m, m:]
    mean = np.einsum("sij,sj->si", gain, residuals)
    return mean, np.einsum("sij,sj->si", np.linalg.cholesky(left), z)
