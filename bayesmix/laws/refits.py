"""One normal model fitted to many responses: only the sums that hold the response change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.conditional import split_by_group
from bayesmix.gaussian.coordinates import UNIFORM, Coordinates, correlation_matrices, unpack_theta
from bayesmix.gaussian.density import profiled_deviance, profiled_variance
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.many_responses import CONVERGED, moments_of_many, search_many
from bayesmix.gaussian.patterns import sum_responses
from bayesmix.inference.centred import centred
from bayesmix.inference.cost import seconds_of_evaluation
from bayesmix.inference.empirical import correlated_starts, log_units, maximise, start_point
from bayesmix.inference.kernel_cache import announce_compilation
from bayesmix.inference.response_columns import response_columns
from bayesmix.inference.search import LARGEST_CORRELATION, ZERO, Search
from bayesmix.laws.refit import Refit, effects_given

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.statement.stated import StatedModel

__all__ = ["Refits"]

_DIFFERENCE = 1e-4
_ZERO = -29.0
_FAR = 2.5  # in atanh: 0.987
_EVALUATIONS = 30  # of a search, about
_AGAIN_SECONDS = 0.3  # of further searches from a boundary, as a fit has them
_PIECE_SECONDS = 0.1  # of searches at a time: an interruption waits for it
_NUMBERS = 2_000_000  # covariances of group and fixed effects at a time


class Estimates(NamedTuple):
    """Ends of the searches from several responses.

    Attributes
    ----------
    X : ndarray, shape (B, n_x)
        Relative coordinates.
    values : ndarray, shape (B,)
        The criterion, in working units.
    variances : ndarray, shape (B,)
        Residual variances, in working units.
    converged : ndarray of bool, shape (B,)
    """

    X: np.ndarray
    values: np.ndarray
    variances: np.ndarray
    converged: np.ndarray


class FixedEffects(NamedTuple):
    """Fixed effects at these, on the formula's scale.

    Attributes
    ----------
    factor : ndarray, shape (B,)
        What standard deviations are relative to.
    X : ndarray, shape (B, n_x)
        Absolute coordinates.
    beta : ndarray, shape (B, p)
    beta_cov : ndarray, shape (B, p, p)
    cross : dict of str to ndarray, shape (B, G, q, p)
        Covariances of group and fixed effects.
    """

    factor: np.ndarray
    X: np.ndarray
    beta: np.ndarray
    beta_cov: np.ndarray
    cross: dict[str, np.ndarray]


class Refits:
    """A normal model ready to be fitted to other responses of its rows.

    Sums of products of columns stay as they are; those with the response are taken of all
    responses at once. The searches of many responses are one call of compiled code, which
    starts at the model's own estimates; where one does not converge, the search that fits
    models takes over.

    Parameters
    ----------
    law : NormalLaw
        By REML or ML.
    """

    def __init__(self, law: NormalLaw) -> None:
        model, problem = law.model, law.problem
        self.law, self.model, self.problem, self.reml = law, model, problem, law.method == "reml"
        self.known = problem.known_precision
        self.coordinates: Coordinates = problem.relative_coordinates()
        self.absolute = problem.absolute_coordinates()
        self.unit = log_units(self.coordinates)
        self._columns, self.positions = response_columns(model.design.mu, problem)
        unit = problem.scaling.y_scale if self.known else 1.0
        self.centre = centred(problem, self.coordinates, unit)
        # Where the search goes: among the effects of centred columns, as that of a fit does.
        self.searched = self.coordinates if self.centre is None else self.centre.coordinates
        self._searched_unit = log_units(self.searched)
        announce_compilation(normal=True, many=True)
        self._first = self._near()
        self._start = start_point(problem, self.searched)
        more = correlated_starts(self.searched, self._start)
        self._more = np.reshape(more, (len(more), self.searched.n_x))
        self._inverse = self._curvature()
        seconds = seconds_of_evaluation(problem) * _EVALUATIONS
        self._n_others = int(_AGAIN_SECONDS / seconds) if seconds < _AGAIN_SECONDS else 0
        n_b = sum(g.n_levels * g.n_effects for g in problem.groups)
        room = _NUMBERS // max(1, n_b * problem.n_fixed)
        self.piece = max(1, min(int(_PIECE_SECONDS / seconds), room))
        parts = {group.name: covariance_of(group) for group in problem.groups}
        self.has_correlations = {name: not c.is_diagonal for name, c in parts.items()}
        self.has_structures = any(
            part.named_parameters() for c in parts.values() for part in c.with_coordinates
        )

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

    def estimates(self, equations: Equations, products: np.ndarray, yy: np.ndarray) -> Estimates:
        """Search for the best coordinates of each of some responses.

        Parameters
        ----------
        equations : Equations
            From `equations`; they are overwritten.
        products : ndarray, shape (B, n_products)
        yy : ndarray, shape (B,)

        Returns
        -------
        Estimates
        """
        co, n = self.searched, len(yy)
        X, values, variances = np.empty((n, co.n_x)), np.empty(n), np.empty(n)
        ends = np.zeros(n, dtype=np.int64)
        may_be_zero = (co.prior_kind[: co.n_sd] != UNIFORM).astype(np.int64)
        search_many(
            equations.ints, equations.floats, co.ints, co.floats, self._no_prior, int(self.reml),
            self.known, self._searched_unit, may_be_zero, self._inverse, self._first, self._start,
            len(self._more), self._more, self._n_others, products.shape[1], self.positions, n,
            products, yy, X, values, variances, ends,
        )  # fmt: skip
        # Along correlations near -1 and 1 the criterion hardly bends: the last digits are Newton's.
        far = (np.abs(X[:, co.n_sd :]) > _FAR).any(axis=1) & (ends == CONVERGED)
        for k in np.flatnonzero(far).tolist():
            self._write(equations, products[k], float(yy[k]))
            point = self._search_on(equations).run(X[k])
            if point.converged and point.criterion < values[k]:
                X[k], values[k] = point.x, point.criterion
                variances[k] = profiled_variance(equations, co, point.x, self.reml)
        if self.centre is not None:
            zero = ZERO + self.unit
            X = np.stack([self.centre.back(x, zero, LARGEST_CORRELATION) for x in X])
        converged = ends == CONVERGED
        for k in np.flatnonzero(~converged).tolist():
            self._write(equations, products[k], float(yy[k]))
            best = maximise(replace(self.problem, equations=equations), self.law.method)
            X[k], values[k], converged[k] = best.x, best.criterion, best.converged
            variances[k] = profiled_variance(equations, self.coordinates, best.x, self.reml)
        return Estimates(X, values, variances, converged)

    def fixed_effects(
        self, equations: Equations, found: Estimates, products: np.ndarray, yy: np.ndarray
    ) -> FixedEffects:
        """Absolute coordinates of estimates, and the fixed effects there.

        Parameters
        ----------
        equations : Equations
        found : Estimates
        products, yy
            The responses that they were found from.

        Returns
        -------
        FixedEffects
        """
        problem, co = self.problem, self.absolute
        eq, n, p = equations, len(yy), problem.n_fixed
        n_b = int((eq.q * eq.n_levels).sum())
        factor = np.ones(n)
        if not problem.sigma_is_known:
            factor = np.sqrt(np.maximum(found.variances, 1e-300)) * problem.scaling.y_scale
        X = np.empty((n, co.n_x))
        X[:, : found.X.shape[1]] = found.X
        if co.n_sigma:
            X[:, : co.n_sd] += np.log(factor)[:, None]
            X[:, -1] = np.log(factor)
        beta, beta_cov, cross = np.empty((n, p)), np.empty((n, p, p)), np.empty((n, n_b, p))
        if not moments_of_many(
            eq.ints, eq.floats, co.ints, co.floats, self._no_prior, self.known, products.shape[1],
            self.positions, n, products, yy, co.n_x, X, n_b, beta, beta_cov, cross,
        ):  # fmt: skip
            raise FloatingPointError("the equations could not be factored at a refit's estimates")
        scaling = problem.scaling
        back = np.linalg.inv(scaling.TX) * scaling.y_scale
        by_group = split_by_group(problem, np.moveaxis(cross, 2, 1))
        return FixedEffects(
            factor=factor,
            X=X,
            beta=(beta + scaling.beta_0) @ back.T,
            beta_cov=back @ beta_cov @ back.T,
            cross={name: np.moveaxis(v, 1, -1) @ back.T for name, v in by_group.items()},
        )

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
        return found.worker(range(1)).fit(0, np.random.default_rng(0))

    # -- inside ---------------------------------------------------------------

    def _write(self, equations: Equations, products: np.ndarray, yy: float) -> None:
        """Put one response into equations."""
        equations.floats[self.positions] = products
        equations.yy[0] = yy
        sum_responses(equations)

    def _search_on(self, equations: Equations) -> Search:
        """The search of a fit, among the coordinates of the compiled one."""
        co = self.searched

        def criterion(x: np.ndarray, gradient: np.ndarray) -> float:
            return profiled_deviance(equations, co, x, self.reml, self.known, gradient)

        return Search(
            criterion, co.n_x, co.n_sd, co.n_structure, co.prior_kind[: co.n_sd] != UNIFORM,
            self._searched_unit,
        )  # fmt: skip

    @property
    def _no_prior(self) -> np.ndarray:
        """Precision and mean of the flat prior of the fixed effects."""
        p = self.problem.n_fixed
        return np.zeros(p * p + p)

    def _near(self) -> np.ndarray:
        """The model's own estimates, away from any boundary."""
        optimum, co = self.law.optimum, self.searched
        x = optimum.x
        if self.centre is not None and optimum.centred is not None:
            there, x = optimum.centred
            if there.n_sigma:
                x = x[:-1] - np.where(np.arange(co.n_x) < co.n_sd, x[-1], 0.0)
        x = x[: co.n_x].copy()
        x[: co.n_sd] = np.maximum(x[: co.n_sd], self._searched_unit + np.log(0.3))
        x[co.n_sd :] = np.clip(x[co.n_sd :], -3.0, 3.0)
        return x

    def _curvature(self) -> np.ndarray:
        """Inverse second derivatives of the criterion of the model's own response."""
        x = self._first
        up, down, H = np.empty(len(x)), np.empty(len(x)), np.empty((len(x), len(x)))
        for k in range(len(x)):
            step = np.zeros(len(x))
            step[k] = _DIFFERENCE
            for gradient, at in ((up, x + step), (down, x - step)):
                profiled_deviance(
                    self.problem.equations, self.searched, at, self.reml, self.known, gradient
                )
            H[k] = (up - down) / (2 * _DIFFERENCE)
        values, vectors = np.linalg.eigh((H + H.T) / 2)
        return np.ascontiguousarray((vectors / np.maximum(np.abs(values), 0.1)) @ vectors.T)


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

    def worker(self, own: range) -> SomeResponses:
        """Return a worker with equations of its own."""
        return SomeResponses(self, own)


class SomeResponses:
    """A thread's responses, searched a piece at a time.

    Parameters
    ----------
    of : OfResponses
    own : range
        Which of the responses are asked for, in order.
    """

    def __init__(self, of: OfResponses, own: range) -> None:
        self._of, self._own, self._equations = of, own, of.refits.equations()
        self._piece, self._fixed_piece = range(0), range(0)

    def fit(self, k: int, rng: np.random.Generator | None) -> Refit:
        """Fit to the k-th response; `rng` is for the effects."""
        refits, i = self._of.refits, self._at(k)
        problem, co, found = refits.problem, refits.coordinates, self._found
        if self._fixed_piece != self._piece:
            self._fix()
        fixed, x = self._fixed, self._found.X[i]
        zero = (x[: co.n_sd] <= refits.unit + _ZERO)[co.effect_sd]
        sds = np.where(zero, 0.0, self._sds[i, :-1] * fixed.factor[i])
        structure: dict[str, dict[str, np.ndarray]] = {group.name: {} for group in problem.groups}
        if refits.has_structures:
            structure = refits.law.structure_at(refits.absolute, fixed.X[i])
        sd, corr, first = {}, {}, 0
        for group, R in zip(problem.groups, self._corr, strict=True):
            sd[group.name] = sds[first : first + group.n_effects]
            first += group.n_effects
            if refits.has_correlations[group.name]:
                corr[group.name] = R[i]
        beta = fixed.beta[i]
        cross = {name: values[i] for name, values in fixed.cross.items()}
        return Refit(
            beta=beta,
            sd=sd,
            corr=corr,
            structure=structure,
            parameters=self._own_parameters(float(self._sds[i, -1]) * float(fixed.factor[i])),
            effects=effects_given(
                problem, refits.absolute, refits.known, fixed.X[i], beta, fixed.beta_cov[i], cross,
                rng,
            ),
            deviance=self.deviance(k)[0],
            converged=bool(found.converged[i]),
        )  # fmt: skip

    def deviance(self, k: int) -> tuple[float, bool]:
        """The criterion at the estimates from the k-th, and whether the search converged."""
        i, refits = self._at(k), self._of.refits
        offset = refits.problem.criterion_offset(reml=refits.reml)
        return float(self._found.values[i]) + offset, bool(self._found.converged[i])

    # -- inside ---------------------------------------------------------------

    def _at(self, k: int) -> int:
        """Place of the k-th response in the piece that is at hand, or is made now."""
        if k not in self._piece:
            of = self._of
            self._piece = range(k, min(k + of.refits.piece, max(self._own.stop, k + 1)))
            here = slice(self._piece.start, self._piece.stop)
            self._products, self._yy = of.products[here], of.yy[here]
            self._found = of.refits.estimates(self._equations, self._products, self._yy)
        return k - self._piece.start

    def _fix(self) -> None:
        """Take the piece's fixed effects, standard deviations and correlations."""
        refits = self._of.refits
        self._fixed = refits.fixed_effects(self._equations, self._found, self._products, self._yy)
        self._sds, C = unpack_theta(refits.coordinates, self._found.X)
        self._corr = correlation_matrices(refits.coordinates, C)
        self._fixed_piece = self._piece

    def _own_parameters(self, sigma: float) -> dict[str, np.ndarray]:
        return {} if self._of.refits.problem.sigma_is_known else {"sigma": np.asarray(sigma)}


def _row_weights(model: StatedModel) -> np.ndarray | None:
    design = model.design
    return design.known_se**-2.0 if design.known_se is not None else design.weights
