"""One normal model fitted to many responses: only the sums that hold the response change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.conditional import (
    Conditional,
    conditional_moments,
    split_by_group,
)
from bayesmix.gaussian.coordinates import Coordinates, correlation_matrices, unpack_theta
from bayesmix.gaussian.crossproducts import first_positions
from bayesmix.gaussian.density import flat_prior, profiled_deviance, profiled_variance
from bayesmix.gaussian.effect_draws import draw_effects
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.patterns import sum_responses
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.empirical import log_units, maximise
from bayesmix.inference.search import LARGEST_CORRELATION

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.statement.stated import StatedModel

__all__ = ["Refit", "Refits"]

_STEPS = 40
_GAIN = 1e-9  # of the criterion that a further step may promise
_NEAR_ZERO = np.log(0.05)  # of a standard deviation's unit, where the search for zero takes over
_DIFFERENCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """Estimates from one response.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    sd : dict of str to ndarray, shape (q,)
        By grouping factor.
    corr : dict of str to ndarray, shape (q, q)
        For grouping factors whose effects are correlated.
    structure : dict of str to dict of str to ndarray
        By grouping factor, parameters of its covariance structures.
    sigma : float
    effects : dict of str to ndarray, shape (G, q)
        Drawn given these estimates and the response that was seen.
    deviance : float
        The REML criterion, or minus twice the log-likelihood.
    converged : bool
    """

    beta: np.ndarray
    sd: dict[str, np.ndarray]
    corr: dict[str, np.ndarray]
    structure: dict[str, dict[str, np.ndarray]]
    sigma: float
    effects: dict[str, np.ndarray]
    deviance: float
    converged: bool


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
        self, equations: Equations, products: np.ndarray, yy: float, rng: np.random.Generator
    ) -> Refit:
        """Fit to one response.

        Parameters
        ----------
        equations : Equations
            From `equations`; they are overwritten.
        products, yy
            One of those of `products`.
        rng : Generator
            For the effects.

        Returns
        -------
        Refit
        """
        equations.floats[self._positions] = products
        equations.yy[0] = yy
        sum_responses(equations)
        x, deviance, converged = self._search(equations)
        co, problem = self.coordinates, self.problem
        factor = 1.0
        if not problem.sigma_is_known:
            variance = profiled_variance(equations, co, x, self.reml)
            factor = float(np.sqrt(max(variance, 1e-300))) * problem.scaling.y_scale
        sds, C = unpack_theta(co, x)
        zero = (x[: co.n_sd] <= self._unit + _ZERO)[co.effect_sd]
        sds[:-1] = np.where(zero, 0.0, sds[:-1] * factor)
        absolute = problem.absolute_coordinates()
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
            sigma=float(sds[-1]) * factor,
            effects=self._drawn(absolute, at, moments, rng),
            deviance=deviance + problem.criterion_offset(reml=self.reml),
            converged=converged,
        )

    def of(self, y: np.ndarray) -> Refit:
        """Fit to one response, such as that which was seen.

        Parameters
        ----------
        y : ndarray, shape (n,)

        Returns
        -------
        Refit
        """
        products, yy = self.products(np.asarray(y, dtype=np.float64)[:, None])
        return self.fit(self.equations(), products[0], float(yy[0]), np.random.default_rng(0))

    def _drawn(
        self, co: Coordinates, at: np.ndarray, moments: Conditional, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Draw the effects given a refit's estimates, its beta among them, and the data.

        Drawn with the fixed effects and then moved along their regression on these.
        """
        problem = self.problem
        eq = problem.equations
        beta, b = (
            rng.normal(size=(1, problem.n_fixed)),
            rng.normal(size=(1, int((eq.q * eq.n_levels).sum()))),
        )
        prior = flat_prior(problem.n_fixed)
        if not draw_effects(eq, co, self.known, prior, at[None], beta, b):
            raise FloatingPointError("the equations could not be factored at a refit's estimates")
        back = np.linalg.inv(problem.scaling.TX) * problem.scaling.y_scale
        drawn = back @ (beta[0] + problem.scaling.beta_0)
        found = split_by_group(problem, b[0])
        if not problem.n_fixed:
            return found
        moved = np.linalg.solve(moments.beta_cov, moments.beta - drawn)
        return {name: values + moments.cross[name] @ moved for name, values in found.items()}

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
