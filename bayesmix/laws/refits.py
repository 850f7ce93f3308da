"""One normal model fitted to many responses: only the sums that hold the response change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.conditional import conditional_moments
from bayesmix.gaussian.coordinates import Coordinates, correlation_matrices, unpack_theta
from bayesmix.gaussian.crossproducts import first_positions
from bayesmix.gaussian.density import flat_prior, profiled_deviance, profiled_variance
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.patterns import sum_responses
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.empirical import log_units, maximise
from bayesmix.inference.search import LARGEST_CORRELATION
from bayesmix.laws.refit import Refit, effects_given

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.statement.stated import StatedModel

__all__ = ["Refits"]

_STEPS = 40
_GAIN = 1e-9  # of the criterion that a further step may promise
_NEAR_ZERO = np.log(0.05)  # of a standard deviation's unit, where the search for zero takes over
_DIFFERENCE = 1e-4


class Refits:
    """A normal model ready to be fitted to other responses of its rows.

    Sums of products of columns stay as they are; those with the response are taken of all
    responses at once. The search starts at the model's own estimates, in steps that their
    curvature scales, and is left to the full one where a variance goes to zero.

    Parameters
    ----------
    law : NormalLaw
        By REML or ML.
    """

    def __init__(self, law: NormalLaw) -> None:
        model, problem = law.model, law.problem
        self.law, self.model, self.problem, self.reml = law, model, problem, law.method == "reml"
        near = law.optimum.x
        self.known = problem.known_precision
        self.coordinates: Coordinates = problem.relative_coordinates()
        self._absolute = problem.absolute_coordinates()
        self._columns, self._positions = _columns(model, problem)
        unit = log_units(self.coordinates)
        start = near.copy()
        n_sd = self.coordinates.n_sd
        start[:n_sd] = np.maximum(start[:n_sd], unit + np.log(0.3))
        start[n_sd:] = np.clip(start[n_sd:], -3.0, 3.0)
        self._start, self._unit = start, unit
        self._inverse = self._curvature(problem.equations)

    def products(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of products with each of many responses.

        Parameters
        ----------
        Y : ndarray, shape (n, B)

        Returns
        -------
        ndarray, shape (B, n_products)
        ndarray, shape (B,)
            y'Wy.
        """
        mu, scaling = self.model.design.mu, self.problem.scaling
        z = Y if mu.offset is None else Y - mu.offset[:, None]
        X = (mu.X - scaling.X_shift) / scaling.X_scale
        rest = z / scaling.y_scale - (X @ scaling.beta_0)[:, None]
        weights = _row_weights(self.model)
        weighted = rest if weights is None else weights[:, None] * rest
        products = np.asarray(self._columns.T @ weighted)
        return np.ascontiguousarray(products.T), np.einsum("ib,ib->b", rest, weighted)

    def equations(self) -> Equations:
        """Return equations of one's own, to be filled by one response after the other."""
        return self.problem.equations.replace()

    def fit(
        self, equations: Equations, products: np.ndarray, yy: float, rng: np.random.Generator | None
    ) -> Refit:
        """Fit to one response.

        Parameters
        ----------
        equations : Equations
            From `equations`; they are overwritten.
        products, yy
            One of those of `products`.
        rng : Generator or None
            For the effects, which without it are at their means.

        Returns
        -------
        Refit
        """
        x, deviance, converged = self.estimate(equations, products, yy)
        co, problem = self.coordinates, self.problem
        factor = 1.0
        if not problem.sigma_is_known:
            variance = profiled_variance(equations, co, x, self.reml)
            factor = float(np.sqrt(max(variance, 1e-300))) * problem.scaling.y_scale
        sds, C = unpack_theta(co, x)
        zero = (x[: co.n_sd] <= self._unit + _ZERO)[co.effect_sd]
        sds[:-1] = np.where(zero, 0.0, sds[:-1] * factor)
        absolute = self._absolute
        at = np.empty(absolute.n_x)
        at[: len(x)] = x
        if absolute.n_sigma:
            at[: co.n_sd] += np.log(factor)
            at[-1] = np.log(factor)
        prior = flat_prior(problem.n_fixed)
        there = replace(problem, equations=equations)
        moments = conditional_moments(there, absolute, at, prior, known=self.known)
        sd, corr, first = {}, {}, 0
        for group, R in zip(problem.groups, correlation_matrices(co, C), strict=True):
            sd[group.name] = sds[first : first + group.n_effects]
            first += group.n_effects
            if not covariance_of(group).is_diagonal:
                corr[group.name] = R
        return Refit(
            beta=moments.beta,
            sd=sd,
            corr=corr,
            structure=self.law.structure_at(absolute, at),
            parameters=self._own(float(sds[-1]) * factor),
            effects=effects_given(problem, absolute, self.known, at, moments.beta, moments, rng),
            deviance=deviance + problem.criterion_offset(reml=self.reml),
            converged=converged,
        )

    def estimate(
        self, equations: Equations, products: np.ndarray, yy: float
    ) -> tuple[np.ndarray, float, bool]:
        """Coordinates of the best fit to one response, its criterion, and whether it is one."""
        equations.floats[self._positions] = products
        equations.yy[0] = yy
        sum_responses(equations)
        return self._search(equations)

    def refitting(self, Y: np.ndarray) -> OfResponses:
        """Take the sums of many responses.

        Parameters
        ----------
        Y : ndarray, shape (n, B)

        Returns
        -------
        OfResponses
        """
        return OfResponses(self, *self.products(Y))

    def of(self, y: np.ndarray) -> Refit:
        """Fit to one response, such as that which was seen.

        Parameters
        ----------
        y : ndarray, shape (n,)

        Returns
        -------
        Refit
        """
        found = self.refitting(np.asarray(y, dtype=np.float64)[:, None])
        return found.worker().fit(0, np.random.default_rng(0))

    def _own(self, sigma: float) -> dict[str, np.ndarray]:
        return {} if self.problem.sigma_is_known else {"sigma": np.asarray(sigma)}

    def _value(self, equations: Equations, x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty(len(x))
        value = profiled_deviance(
            equations, self.coordinates, np.ascontiguousarray(x), self.reml, self.known, gradient
        )
        return value, gradient

    def _curvature(self, equations: Equations) -> np.ndarray:
        """Inverse second derivatives of the criterion of the model's own response."""
        x = self._start
        H = np.empty((len(x), len(x)))
        for k in range(len(x)):
            step = np.zeros(len(x))
            step[k] = _DIFFERENCE
            up, down = (self._value(equations, x + s * step)[1] for s in (1, -1))
            H[k] = (up - down) / (2 * _DIFFERENCE)
        values, vectors = np.linalg.eigh((H + H.T) / 2)
        return np.asarray((vectors / np.maximum(np.abs(values), 0.1)) @ vectors.T)

    def _search(self, equations: Equations) -> tuple[np.ndarray, float, bool]:
        found = self._quasi_newton(equations)
        if found is not None:
            return *found, True
        best = maximise(replace(self.problem, equations=equations), self.law.method)
        return best.x, best.criterion, best.converged

    def _quasi_newton(self, equations: Equations) -> tuple[np.ndarray, float] | None:
        """Steps of BFGS from the model's own estimates; None where they lead to a boundary."""
        x, inverse, n_sd = self._start.copy(), self._inverse.copy(), self.coordinates.n_sd
        value, gradient = self._value(equations, x)
        for _ in range(_STEPS):
            step = -inverse @ gradient
            promised = -float(gradient @ step)
            if promised < _GAIN:
                return x, value
            scale = min(1.0, 1.5 / float(np.abs(step).max()))
            for _ in range(8):
                new = x + scale * step
                new_value, new_gradient = self._value(equations, new)
                if new_value <= value - 1e-4 * scale * promised:
                    break
                scale *= 0.4
            else:
                return None
            moved, changed = new - x, new_gradient - gradient
            x, value, gradient = new, new_value, new_gradient
            if (x[:n_sd] < self._unit + _NEAR_ZERO).any() or (
                np.abs(x[n_sd:]) > LARGEST_CORRELATION / 3
            ).any():
                return None
            along = float(moved @ changed)
            if along > 1e-12:
                part = np.eye(len(x)) - np.outer(moved, changed) / along
                inverse = part @ inverse @ part.T + np.outer(moved, moved) / along
        return None


_ZERO = -29.0


class OfResponses:
    """Sums of products with many responses, each of which a model can be fitted to.

    Parameters
    ----------
    refits : Refits
    products : ndarray, shape (B, n_products)
    yy : ndarray, shape (B,)
    """

    def __init__(self, refits: Refits, products: np.ndarray, yy: np.ndarray) -> None:
        self.refits, self.products, self.yy = refits, products, yy

    def worker(self) -> OneResponse:
        """Return a worker with equations of its own."""
        return OneResponse(self, self.refits.equations())


class OneResponse:
    """A thread's equations, filled by one response after the other.

    Parameters
    ----------
    of : OfResponses
    equations : Equations
    """

    def __init__(self, of: OfResponses, equations: Equations) -> None:
        self._of, self._equations = of, equations

    def fit(self, k: int, rng: np.random.Generator | None) -> Refit:
        """Fit to the k-th response; `rng` is for the effects."""
        of = self._of
        return of.refits.fit(self._equations, of.products[k], float(of.yy[k]), rng)

    def deviance(self, k: int) -> tuple[float, bool]:
        """The criterion at the estimates from the k-th, and whether the search converged."""
        of = self._of
        _, found, converged = of.refits.estimate(self._equations, of.products[k], float(of.yy[k]))
        return found + of.refits.problem.criterion_offset(reml=of.refits.reml), converged


def _row_weights(model: StatedModel) -> np.ndarray | None:
    design = model.design
    return design.known_se**-2.0 if design.known_se is not None else design.weights


def _columns(model: StatedModel, problem: Problem) -> tuple[sparse.csr_array, np.ndarray]:
    """Working columns of effects and fixed effects, and where their products with y stand."""
    mu, eq, scaling = model.design.mu, problem.equations, problem.scaling
    order: Sequence[int] = (*problem.plan.chain, *problem.plan.rest)
    n, n_chain = mu.n_obs, eq.n_chain
    panel, root_y = (
        (a.ctypes.data - eq.floats.ctypes.data) // eq.floats.itemsize for a in (eq.panel, eq.root_y)
    )
    first = first_positions(eq)
    parts, positions = [], []
    rows = np.arange(n)
    for f, k in enumerate(order):
        group = mu.groups[k]
        q = group.n_effects
        Z = (group.Z - scaling.Z_shift[k]) / scaling.Z_scale[k]
        at = (group.index[:, None].astype(np.int64) * q + np.arange(q)).ravel()
        parts.append(
            sparse.csr_array((Z.ravel(), (np.repeat(rows, q), at)), shape=(n, group.n_levels * q))
        )
        place = first[f] + np.arange(group.n_levels)
        if f < n_chain:
            start, width = eq.panel_start[place], eq.width[place]
            where = start[:, None] + np.arange(q) * width[:, None] + width[:, None] - 1 + panel
        else:
            where = eq.block_column[place][:, None] + np.arange(q) + root_y
        positions.append(where.ravel())
    X = (mu.X - scaling.X_shift) / scaling.X_scale
    parts.append(sparse.csr_array(X))
    positions.append(root_y + len(eq.root_y) - X.shape[1] + np.arange(X.shape[1]))
    return sparse.csr_array(sparse.hstack(parts)), np.concatenate(positions)
