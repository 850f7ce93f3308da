"""What a level with whole series of correlated residuals takes with it when it is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bayesmix.design import GroupingFactor, LinearPredictor
from bayesmix.gaussian.combine import add_up
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_values
from bayesmix.gaussian.scaling import Scaling
from bayesmix.gaussian.structure import Elimination
from bayesmix.gaussian.structured_problem import structured_equations
from bayesmix.residual import Correlated, Rows

__all__ = ["SeriesLeftOut", "groups_hold_series", "without_rows"]


def groups_hold_series(problem: Problem, rows: Rows, member: np.ndarray) -> bool:
    """Whether no two rows whose residuals are correlated lie in different groups.

    Parameters
    ----------
    problem : Problem
    rows : mapping of str to ndarray, shape (n,)
    member : ndarray of int, shape (n,)
        Group of each row.
    """
    structure = problem.residual
    if structure is None:
        return True
    if structure.parameters and not isinstance(structure, Correlated):
        return False  # what its determinant is for some of the rows is not known
    pairs = structure.pairs(rows, len(member))
    return np.array_equal(member[pairs.first], member[pairs.second])


class SeriesLeftOut:
    """Products of each level's own rows, of all rows, and determinants of its R, at any phi.

    Parameters
    ----------
    problem : Problem
        With one grouping factor, whose levels hold whole series.
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    rows : mapping of str to ndarray, shape (n,)
    """

    def __init__(
        self, problem: Problem, predictor: LinearPredictor, y: np.ndarray, rows: Rows
    ) -> None:
        structure, scaling, p = problem.residual, problem.scaling, problem.n_fixed
        assert structure is not None  # noqa: S101
        self._problem, self._rows = problem, rows
        self._co = problem.absolute_coordinates()
        X = (predictor.X - scaling.X_shift) / scaling.X_scale
        own = np.column_stack([X, y / scaling.y_scale - X @ scaling.beta_0])
        # [X, y] in the place of effects: what belongs to a level are its own rows' products.
        self._own = structured_equations(
            _columns_by_level(predictor, own), np.zeros(len(y)), structure, rows,
            structure.pairs(rows, len(y)), problem.scale, _as_they_are(p + 1), _ONE_FACTOR,
        )  # fmt: skip
        self._at_own = self._own.empty_like()
        self._at_all = problem.equations.empty_like()

    def products(self, x: np.ndarray) -> tuple[np.ndarray, Equations]:
        """Return the products at one value of theta.

        Parameters
        ----------
        x : ndarray, shape (n_all,)

        Returns
        -------
        own : ndarray, shape (G, p + 1, p + 1)
            Those of [X, y], over each level's rows.
        of_all : Equations
            The model's, overwritten by the next call.
        """
        add_up(self._own, self._co, x, self._at_own)
        add_up(self._problem.equations, self._co, x, self._at_all)
        m = self._problem.n_fixed + 1
        return self._at_own.K.reshape(-1, m, m), self._at_all

    def log_determinants(self, X: np.ndarray) -> np.ndarray:
        """Return log|R^-1| of each level's rows, weights and sigma left out, shape (S, G).

        Parameters
        ----------
        X : ndarray, shape (S, n_all)
        """
        problem, n_x = self._problem, self._co.n_x
        group, scale, structure = problem.groups[0], problem.scale, problem.residual
        n_beta = 0 if scale is None else len(scale.parameters)
        log_sd = None
        if scale is not None:
            log_sd = scale.offset + X[:, n_x : n_x + n_beta] @ scale.X.T
        assert structure is not None  # noqa: S101
        known = structure.known_variances(self._rows)
        parameters = structure.variables(phi_values(structure.parameters, X[:, n_x + n_beta :]))
        if known is not None:
            assert log_sd is not None  # noqa: S101
            assert scale is not None  # noqa: S101
            own_sd = np.exp(log_sd)[:, scale.stratum]
            return self._beside_known(parameters, own_sd, known)
        found = np.zeros((len(X), group.n_levels))
        if scale is not None and log_sd is not None:
            n_strata = len(scale.X)
            cells = group.index.astype(np.int64) * n_strata + scale.stratum
            counts = np.bincount(cells, minlength=group.n_levels * n_strata)
            found -= 2.0 * log_sd @ counts.reshape(group.n_levels, n_strata).T
        if not isinstance(structure, Correlated):
            return found
        series = structure.series(self._rows)
        level = group.index[series.order[series.start[:-1]]]
        for k, times in enumerate(series.of_pattern):
            count = np.bincount(level[series.pattern == k], minlength=group.n_levels)
            own = structure.log_determinants(parameters, times)
            found -= np.broadcast_to(own, (len(X),))[:, None] * count
        return found

    def _beside_known(
        self, parameters: Mapping[str, np.ndarray], own_sd: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        """The same where each series has known variances of its own."""
        group, structure = self._problem.groups[0], self._problem.residual
        found = np.zeros((len(own_sd), group.n_levels))
        if not isinstance(structure, Correlated):
            of_rows = np.log(own_sd**2 + known)
            for s, values in enumerate(of_rows):
                found[s] = -np.bincount(group.index, values, minlength=group.n_levels)
            return found
        own = {
            name: np.reshape(values, (len(own_sd), 1, 1, *np.shape(values)[1:]))
            for name, values in parameters.items()
        }
        series = structure.series(self._rows)
        for k, times in enumerate(series.of_pattern):
            at = series.rows_of_pattern(k)[0]
            V = structure.matrix(own, times) * own_sd[:, at, None] * own_sd[:, None, at]
            V[:, range(len(at)), range(len(at))] += known[at]
            L = np.linalg.cholesky(V)
            half = np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(axis=-1)
            found[:, group.index[at[0]]] -= 2.0 * half
        return found


def without_rows(
    problem: Problem, predictor: LinearPredictor, y: np.ndarray, rows: Rows, gone: np.ndarray
) -> Equations:
    """Equations of the rows that stay, where R has parameters: theirs is its part.

    Parameters
    ----------
    problem : Problem
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    rows : mapping of str to ndarray, shape (n,)
    gone : ndarray of bool, shape (n,)
    """
    structure, scale = problem.residual, problem.scale
    assert structure is not None  # noqa: S101
    at = np.flatnonzero(~gone)
    kept = {name: values[at] for name, values in rows.items()}
    if scale is not None:
        scale = replace(scale, stratum=scale.stratum[at])
    return structured_equations(
        _of_rows(predictor, at), y[at], structure, kept, structure.pairs(kept, len(at)), scale,
        problem.scaling, problem.plan,
    )  # fmt: skip


def _of_rows(predictor: LinearPredictor, at: np.ndarray) -> LinearPredictor:
    """Some rows of a predictor, whose factors keep all of their levels."""

    def some(group: GroupingFactor) -> GroupingFactor:
        return replace(group, index=group.index[at], Z=group.Z[at])

    return replace(
        predictor,
        X=predictor.X[at],
        learned_means=predictor.means,
        offset=None if predictor.offset is None else predictor.offset[at],
        groups=tuple(some(group) for group in predictor.groups),
    )


_ONE_FACTOR = Elimination(chain=(0,), rest=(), parents=())


def _columns_by_level(predictor: LinearPredictor, columns: np.ndarray) -> LinearPredictor:
    """A predictor without fixed effects, whose one factor has these columns."""
    m = columns.shape[1]
    group = replace(
        predictor.groups[0], Z=columns, effects=tuple(map(str, range(m))), fixed_column=(None,) * m
    )
    return replace(
        predictor, X=np.zeros((len(columns), 0)), fixed_effects=(), aliased=(), terms={},
        learned_means=np.zeros(0), offset=None, groups=(group,),
    )  # fmt: skip


def _as_they_are(m: int) -> Scaling:
    none = np.zeros(0)
    return Scaling(
        TX=np.zeros((0, 0)), TZ=(np.eye(m),), X_shift=none, X_scale=none, Z_shift=(np.zeros(m),),
        Z_scale=(np.ones(m),), beta_0=none, y_scale=1.0,
    )  # fmt: skip
