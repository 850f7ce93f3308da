"""A search for theta among the effects of centred columns, and its end on the formula's scale.

For a predictor far from zero (a year, a mean of 1e6), intercept and slope of a level are
correlated at all but 1 on the formula's scale. REML and ML do not mind which columns the
effects belong to, so theirs are searched for where the columns are centred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.covariance.vine import lower_factor, partials_of_factor
from bayesmix.gaussian.coordinates import Coordinates, unpack_theta
from bayesmix.gaussian.problem import Problem

__all__ = ["Centred", "centred", "column_change", "working_factors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Centred:
    """Coordinates among the effects of centred columns.

    Attributes
    ----------
    problem : Problem
    coordinates : Coordinates
        Those of the effects of the centred columns.
    formula : Coordinates
        The same of the columns that the formula writes.
    factors : tuple of bool
        Whether a grouping factor has other columns here.
    """

    problem: Problem
    coordinates: Coordinates
    formula: Coordinates
    factors: tuple[bool, ...]

    def factors_of_sds(self) -> np.ndarray:
        """What a standard deviation of a centred column is of the formula's, shape (n_sd,).

        NaN for an effect that is another one: the intercept at the means.
        """
        out = []
        for f, other in enumerate(self.factors):
            T = column_change(self.problem, f)
            alone = (T != 0).sum(axis=1) == 1
            own = np.abs(np.diag(T))
            out.append(np.where(alone, own, np.nan) if other else np.ones(len(T)))
        return np.concatenate(out)[self.coordinates.effect_of_sd]

    def factors_at(self, x: np.ndarray, factor: float) -> list[np.ndarray]:
        """Lower Cholesky factors of the covariance of the centred columns' effects.

        Parameters
        ----------
        x : ndarray
        factor : float
            What the standard deviations are relative to.

        Returns
        -------
        list of ndarray, shape (q, q)
        """
        co = self.coordinates
        sd, C = unpack_theta(co, x)
        first = co.sd_start
        own = [sd[first[f] : first[f] + co.q[f]] * factor for f in range(len(co.q))]
        flat = [
            C[co.L_start[f] :][: co.q[f] ** 2].reshape(len(own[f]), -1) for f in range(len(own))
        ]
        return [
            own[f][:, None] * flat[f]
            if other
            else lower_factor(column_change(self.problem, f) @ (own[f][:, None] * flat[f]))
            for f, other in enumerate(self.factors)
        ]

    def absolute(self, x: np.ndarray, factor: float) -> tuple[Coordinates, np.ndarray]:
        """The same theta in units of the response, with sigma where it is estimated.

        Parameters
        ----------
        x : ndarray
        factor : float
            sigma, to which the standard deviations are relative; 1 where it is known.

        Returns
        -------
        Coordinates
        ndarray
        """
        if self.problem.sigma_is_known:
            return self.coordinates, x
        n_x = self.coordinates.n_x
        out = np.concatenate([x[:n_x], [np.log(factor)], x[n_x:]])
        out[: self.coordinates.n_sd] += np.log(factor)
        return self.coordinates.with_sigma(), out

    def back(self, x: np.ndarray, zero: np.ndarray, limit: float) -> np.ndarray:
        """Bring a point to the formula's coordinates.

        Parameters
        ----------
        x : ndarray
        zero : ndarray, shape (n_sd,)
            Logarithms of the formula's standard deviations that stand for zero; those
            of the centred columns are all -30.
        limit : float
            Largest inverse hyperbolic tangent of a partial correlation.

        Returns
        -------
        ndarray
        """
        co, out = self.formula, x.copy()
        sd, C = unpack_theta(self.coordinates, x)
        for f, other in enumerate(self.factors):
            if not other:
                continue
            q, at, first = int(co.q[f]), int(co.L_start[f]), int(co.sd_start[f])
            here = slice(first, first + q)
            F = (
                C[at : at + q * q].reshape(q, q)
                * np.where(x[co.effect_sd[here]] > -29.0, sd[here], 0.0)[:, None]
            )
            # Columns of different sizes only look ill-conditioned: SciPy's solver would warn.
            F = np.linalg.solve(column_change(self.problem, f), F)
            size = np.sqrt((F**2).sum(axis=1))
            at_sd = co.effect_sd[here]  # shared ones are written more than once, with one value
            out[at_sd] = np.where(size > 0, np.log(np.where(size > 0, size, 1.0)), zero[at_sd])
            for block in np.flatnonzero(co.block_factor == f).tolist():
                if co.structures[block].any_columns:
                    start = int(co.block_first[block])
                    rows = slice(start, start + int(co.block_size[block]))
                    own = partials_of_factor(F[rows, rows], limit)
                    out[co.coordinates_of_block(block)] = own
        return out


def centred(problem: Problem, co: Coordinates, unit: float) -> Centred | None:
    """Take the effects of centred columns in place of those that the formula writes.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
        On the formula's scale, without priors.
    unit : float
        Unit of the response that the standard deviations have.

    Returns
    -------
    Centred or None
        None where no column is shifted, or where it has no correlation with the
        constant: what is uncorrelated on one scale is correlated on the other.
    """
    T, factors = co.T.copy(), []
    for f, group in enumerate(problem.groups):
        matrix = column_change(problem, f)
        mixed = [(i, j) for i, j in np.argwhere(matrix).tolist() if i != j]
        blocks = [(p.start, p.stop) for p in covariance_of(group).parts if p.covariance.any_columns]
        within = all(any(a <= i < z and a <= j < z for a, z in blocks) for i, j in mixed)
        factors.append(bool(mixed) and within)
        if factors[-1]:
            T[co.L_start[f] : co.L_start[f] + co.q[f] ** 2] = (np.eye(len(matrix)) / unit).ravel()
    if not any(factors):
        return None
    return Centred(problem=problem, coordinates=co.replace(T=T), formula=co, factors=tuple(factors))


def working_factors(problem: Problem, sd: np.ndarray, C: list[np.ndarray]) -> list[np.ndarray]:
    """Lower Cholesky factors of the covariance of the working columns' effects.

    Parameters
    ----------
    problem : Problem
    sd : ndarray, shape (n_effects,)
    C : list of ndarray, shape (q, q)
        Cholesky factors of the correlation matrices.

    Returns
    -------
    list of ndarray, shape (q, q)
    """
    own = np.split(sd, np.cumsum([len(factor) for factor in C]))
    return [
        lower_factor(column_change(problem, f) @ (own[f][:, None] * factor))
        for f, factor in enumerate(C)
    ]


def column_change(problem: Problem, f: int) -> np.ndarray:
    """T of a factor: effects of the centred columns are T times the formula's."""
    order = (*problem.plan.chain, *problem.plan.rest)
    return problem.scaling.TZ[order[f]]
