"""Laplace's law of all linear predictors' coefficients and effects together."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from scipy import linalg

from bayesmix.design import LinearPredictor
from bayesmix.families.functions import NUMPY
from bayesmix.gaussian.coordinates import factors_at
from bayesmix.gaussian.density import flat_prior
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.glmm.stack import Stack, stacked
from bayesmix.inference.determined import Determined
from bayesmix.inference.laplace import LaplaceOptimum, inner_mode
from bayesmix.inference.laplace_determined import mode_of, own_weights
from bayesmix.inference.laplace_error import Shift
from bayesmix.inference.problems import glmm_problem
from bayesmix.inference.separation import null_space
from bayesmix.inference.stored_limits import Rises
from bayesmix.laws.base import Asked, Columns
from bayesmix.laws.effect_points import effect_points, one_partition
from bayesmix.laws.laplace import LaplaceLaw
from bayesmix.laws.limits import unheard_in_words
from bayesmix.laws.parameters import ParameterDraws, repeated
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.ridge import ridge_of
from bayesmix.laws.rows import Rows
from bayesmix.laws.threshold_draws import with_thresholds
from bayesmix.laws.values import Values, by_name
from bayesmix.statement.stated import StatedModel

__all__ = ["WholeLaplace"]

_STEP = 1e-4
_LEANS = 1e-5
_HARDLY = 1e-4  # of the largest move of a row
_SHARP = 6.0  # log of a multiplier of 400
_HELD = 1e-6  # curvature of a row that is not certain yet
_FLAT = 1e-4  # information on a linear predictor: a standard error of 100


class WholeLaplace(LaplaceLaw):
    """The law of a model whose one predictor has the columns of all.

    Parameters
    ----------
    model : StatedModel
        With several linear predictors.
    method : {"ml", "map"}
    """

    _wider: Stack | None

    def __init__(self, model: StatedModel, method: Literal["ml", "map"]) -> None:
        self._stated, self._wider = model, None
        whole = glmm_problem(model).stack.whole
        stacked = model.with_parts(design=replace(model.design, predictors={"mu": whole}))
        super().__init__(stacked, method)

    def _glmm_problem(self) -> GlmmProblem:
        return glmm_problem(self._stated)

    def again(self, model: StatedModel, method: Any) -> Self:
        """Fit another model of the same rows and family in the same way."""
        return type(self)(model, method)

    # -- what is not known of several predictors ------------------------------

    def _rises_of(self, y: np.ndarray) -> np.ndarray:
        return np.zeros(len(y))

    def _separated_by(
        self, gp: GlmmProblem, found: LaplaceOptimum, rises: np.ndarray | Rises
    ) -> np.ndarray:
        """Directions of predictors that the rows say nothing of where the search has ended.

        Rows without zeros separate in zi, and so do those whose zeros are as the counts have
        them: zi falls for ever towards 0. A linear predictor that could move by a hundred on
        the scale of a link with a limit is nothing that is estimated. Log odds of categories
        are asked together: a reference that a level lacks moves all of them at once.
        """
        n = gp.rows.n_obs
        flat = [np.zeros((self.problem.n_fixed, 0))]
        if not np.isfinite(found.x).all():
            return flat[0]
        weights = mode_of(gp, self.co, found).weights
        if self._stated.family.is_nominal:
            return self._directions_of_odds(gp, weights)
        W = own_weights(gp, np.abs(weights))
        for k, (name, at) in enumerate(gp.stack.columns.items()):
            X = gp.rows.X[at]
            if self._stated.links[name].is_identity or not len(X) or not np.isfinite(W[k]).all():
                continue
            information = (X * W[k]) @ X.T
            if self.method == "map":
                information = information + self.prior.precision[at, at]
            values, vectors = linalg.eigh(information, X @ X.T / n)
            own = np.zeros((self.problem.n_fixed, int((values < _FLAT).sum())))
            own[at] = _exactly(_flat_basis(values, vectors), X.T)
            flat.append(own)
        return np.concatenate(flat, axis=1)

    @functools.cached_property
    def silent(self) -> np.ndarray:
        """Directions of each predictor in which no row moves that says anything of it.

        Rows of zeros say nothing of the counts above a hurdle.
        """
        gp, p = self.gp, self.problem.n_fixed
        out = [np.zeros((p, 0))]
        if self.method == "map" or self._stated.family.is_nominal:
            return out[0]
        if not np.isfinite(self.laplace.x).all():
            return out[0]
        W = own_weights(gp, np.abs(mode_of(gp, self.co, self.laplace).weights))
        for k, at in enumerate(gp.stack.columns.values()):
            X = gp.rows.X[at]
            if len(X) and not (W[k] != 0).all():
                own = np.zeros((p, null_space(X.T[W[k] != 0], len(X)).shape[1]))
                own[at] = null_space(X.T[W[k] != 0], len(X))
                out.append(own)
        return np.concatenate(out, axis=1)

    def _directions_of_odds(self, gp: GlmmProblem, weights: np.ndarray) -> np.ndarray:
        rows = gp.rows
        n, p = rows.n_obs, self.problem.n_fixed
        lower = np.where(np.isfinite(weights), weights, 0.0).reshape(-1, n)
        information, size = np.zeros((p, p)), np.zeros((p, p))
        for j in range(rows.n_predictors):
            own = np.flatnonzero(rows.X_of == j)
            size[np.ix_(own, own)] = rows.X[own] @ rows.X[own].T / n
            for k in range(j + 1):
                other = np.flatnonzero(rows.X_of == k)
                block = (rows.X[own] * lower[j * (j + 1) // 2 + k]) @ rows.X[other].T
                information[np.ix_(own, other)] = block
                information[np.ix_(other, own)] = block.T
        if self.method == "map":
            information = information + self.prior.precision
        flat = _flat_basis(*linalg.eigh(information, size))
        if not flat.shape[1]:
            return flat
        every = []
        for j in range(rows.n_predictors):
            moves = np.zeros((n, p))
            moves[:, rows.X_of == j] = rows.X[rows.X_of == j].T
            every.append(moves)
        return _exactly(flat, np.concatenate(every))

    @functools.cached_property
    def determined(self) -> Determined:
        """What is known of all outer coordinates.

        Where what multiplies the distances from thresholds grows for ever in some rows, single
        rows may hold a threshold between them: it has no normal distribution. A search hardly
        comes to an end there, and where it did not, nothing is known.
        """
        found = self._beside_thresholds
        at = np.arange(self.co.n_x, self.n_outer)
        if not self._sharpens:
            return found
        if not self.optimum.converged:
            at = np.arange(len(found.flat))
        covariance, n = found.covariance.copy(), len(found.flat)
        covariance[at], covariance[:, at] = 0.0, 0.0
        return Determined(
            covariance=covariance,
            flat=np.concatenate([found.flat, np.eye(n)[:, at]], axis=1),
            floor=np.append(found.floor, np.full(len(at), 1e-12)),
            silent=found.silent,
        )

    @functools.cached_property
    def _beside_thresholds(self) -> Determined:
        """The same without a look at what holds thresholds."""
        return super().determined

    @functools.cached_property
    def runaway(self) -> list[str]:
        """Names of the coefficients without a finite estimate."""
        if not self._sharpens or self.separated.shape[1]:
            return super().runaway
        p = len(self.model.design.mu.fixed_effects)
        lost = self._known_fixed.lost(np.eye(p))
        names = self.model.design.mu.fixed_effects
        return [name for name, is_lost in zip(names, lost, strict=True) if is_lost]

    @property
    def _known_fixed(self) -> Determined:
        """What is known of the coefficients, on the scale of the formula, beside thresholds."""
        found = self._beside_thresholds.part(slice(self.n_outer, None))
        return found.moved(np.linalg.inv(self.problem.scaling.TX))

    @functools.cached_property
    def _sharpens(self) -> bool:
        """Whether a multiplier has run away upwards in rows that then hold a threshold.

        Rows in the middle between thresholds have the likelihood 1, and hold none.
        """
        known = self._known_fixed
        beta = np.linalg.solve(self.problem.scaling.TX, self.laplace.x[self.n_outer :])
        for name in self._stated.family.optional_parameters:
            own = self._stated.design.predictors.get(name)
            if own is not None:
                X = np.zeros((own.n_obs, len(beta)))
                X[:, self.gp.stack.columns[name]] = own.X
                sharp = known.lost(X) & (X @ beta > _SHARP)
                if sharp.any() and self._pull_of_rows[sharp].max() > _HELD:
                    return True
        return False

    @functools.cached_property
    def _pull_of_rows(self) -> np.ndarray:
        """How strongly each row of the data bends the likelihood in its mean, shape (n,)."""
        gp = self.gp_by_row
        return own_weights(gp, np.abs(mode_of(gp, self.co, self.laplace).weights))[0]

    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""
        names, columns = super().own_parameters(asked)
        lost = self.determined.lost(np.eye(len(self.laplace.x)))[self.co.n_x : self.n_outer]
        if lost.any():
            for name in ("sd", "lower", "upper"):
                columns[name] = np.where(lost, np.nan, columns[name])
        return names, columns

    @property
    def separation(self) -> str:
        """Coefficients that run away, in words; empty if none does."""
        unheard, names = self.unheard, [n for n in self.runaway if n not in self.unheard]
        if not names:
            return unheard_in_words(unheard)
        one = len(names) == 1
        beside = (
            "; thresholds, which single rows then hold between them, have none either"
            if self._sharpens
            else ""
        )
        if self._sharpens and not self.optimum.converged:
            beside += ", nor has any other estimate, as the search found no end"
        return (
            f"the likelihood sets no bound to {', '.join(names)}: the estimate"
            f"{'' if one else 's'} ran away and {'has' if one else 'have'} no standard error"
            f"{beside}; take "
            f'method="map" or fit(), whose priors hold {"it" if one else "them"}, or a shorter '
            "formula for that parameter" + (f"; {unheard_in_words(unheard)}" if unheard else "")
        )

    @functools.cached_property
    def _shifts(self) -> list[Shift]:
        return []

    @property
    def residual_on_link(self) -> np.ndarray:
        """There is none that is a number."""
        return np.asarray(np.nan)

    @property
    def singular(self) -> str:
        """Which component is at its boundary, in words; empty if none is."""
        words = self._stated.family.limit_in_words(self._stated.y, self.family_values)
        return "; ".join(filter(None, (super(LaplaceLaw, self).singular, words)))

    @property
    def mean_branch(self) -> str:
        """Nothing is said of the mean's branches."""
        return ""

    @property
    def notes(self) -> list[str]:
        """On which scale effects are, and where the estimates say less than they seem to."""
        family = self._stated.family
        if family.is_nominal:
            found = [f"Effects are on {family.scale_in_words}."]
        else:
            links = ", ".join(f"{name}: {link.name}" for name, link in self._stated.links.items())
            found = [f"Effects are on the scale of the link of their parameter ({links})."]
        if self.separation:
            found.append(f"Separation: {self.separation}.")
        if self.flat_in_words:
            found.append(f"Flat: {self.flat_in_words}.")
        return found

    # -- parameters -----------------------------------------------------------

    def split(self, values: Values) -> Values:
        """Values of all predictors together as mu's, with those of the others beside it."""
        parts: dict[str, Values] = {}
        for name, own in self._stated.design.predictors.items():
            prefix = "" if name == "mu" else f"{name}: "
            names = {g.name: prefix + g.name for g in own.groups}

            def some(given: Mapping[str, Any], names: Mapping[str, str] = names) -> dict[str, Any]:
                return {g: given[there] for g, there in names.items() if there in given}

            parts[name] = Values(
                beta=values.beta[..., self.gp.stack.columns[name]], sd=some(values.sd),
                corr=some(values.corr), structure=some(values.structure),
                parameters=values.parameters if name == "mu" else {},
            )  # fmt: skip
        mu = parts.pop("mu")
        return replace(mu, others=parts)

    def _named(self, values: Values) -> dict[str, np.ndarray]:
        return by_name(self._stated, self.split(values))

    def reaching_in_all(self, model: StatedModel) -> Self:
        """The law of a model whose effects are at further positions, in whichever predictors.

        Parameters
        ----------
        model : StatedModel
            That of the fit, with a design that has them.
        """
        stack = stacked({name: model.design.predictors[name] for name in self._stack.predictors})
        design = replace(self.model.design, predictors={"mu": stack.whole})
        found = self._reaching(self.model.with_parts(design=design))
        for name in ("variance_given_fixed", "effect_points"):
            vars(found).pop(name, None)
        found._stated, found._wider = model, stack
        return found

    @property
    def _stack(self) -> Stack:
        """The linear predictors, with the positions that the law reaches."""
        return self.gp.stack if self._wider is None else self._wider

    # -- moments --------------------------------------------------------------

    def _moves(self, beta_cov: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """How the mode of the working effects moves with working beta, by differences."""
        gp, x, p = self.gp, self.laplace.x, self.problem.n_fixed
        L, start = factors_at(self.co, x).L, gp.rows.u_start
        phi, beta = gp.phi.values(self.phi), x[len(x) - p :]
        out = np.empty(cross.shape)
        for j in range(p):
            sides = []
            for sign in (1.0, -1.0):
                moved = beta.copy()
                moved[j] += sign * _STEP
                mode = inner_mode(
                    gp, L, phi, flat_prior(p), beta=moved, u=self.laplace.u, with_fixed=False
                )
                sides.append(mode.u)
            out[:, j] = (sides[0] - sides[1]) / (2 * _STEP)
        for f, q in enumerate(self.problem.equations.q.tolist()):
            at = int(self.problem.equations.L_start[f])
            block = L[at : at + q * q].reshape(q, q)
            own = slice(int(start[f]), int(start[f + 1]))
            out[own] = np.einsum("ij,gjp->gip", block, out[own].reshape(-1, q, p)).reshape(-1, p)
        return out

    @functools.cached_property
    def row_variance(self) -> RowVariance:
        """The factored precision of all effects, with what is known of the fixed ones."""
        pieces, weights = self._pieces
        return row_variance(pieces, self.roots, weights, ridge_of(pieces.X, weights)).with_fixed(
            self.determined_fixed.covariance
        )

    @functools.cached_property
    def variance_given_fixed(self) -> RowVariance:
        """The same of the group effects alone, the coefficients being known."""
        pieces, weights = self._pieces
        known = replace(pieces, X=np.zeros((len(weights), 0)))
        return row_variance(known, self.roots, weights, np.zeros((0, 0)))

    @functools.cached_property
    def row_weights(self) -> np.ndarray:
        """Curvature of each row's log density in its linear predictors, shape (n, m, m)."""
        rows = self.gp.rows
        n, m = rows.n_obs, rows.n_predictors
        lower = mode_of(self.gp, self.co, self.laplace).weights.reshape(-1, n)
        W = np.empty((n, m, m))
        for j in range(m):
            for k in range(j + 1):
                W[:, j, k] = W[:, k, j] = lower[j * (j + 1) // 2 + k]
        return W

    @property
    def _pieces(self) -> tuple[LinearPredictor, np.ndarray]:
        """Rows of one predictor in the place of rows of several, and their weights.

        A row's matrix of weights is a sum over its eigenvectors: each is a row whose columns
        are those of the predictors, times the vector's entries.
        """
        whole, m = self.model.design.mu, self.gp.rows.n_predictors
        values, vectors = np.linalg.eigh(self.row_weights)
        of = self.gp.stack.X_of
        X = np.concatenate([whole.X * vectors[:, of, e] for e in range(m)])
        groups = []
        for g, own in zip(whole.groups, self._stack.columns_of, strict=True):
            Z = np.concatenate([g.Z * vectors[:, own, e] for e in range(m)])
            groups.append(replace(g, Z=Z, index=np.tile(g.index, m)))
        return replace(whole, X=X, groups=tuple(groups)), values.T.ravel()

    # -- effects given the data ------------------------------------------------

    @functools.cached_property
    def effect_points(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Points of the standardised effects of each level, and their probabilities.

        None where factors have other levels than each other, or are too many.
        """
        groups, stack, model = self.model.design.mu.groups, self._stack, self._stated
        if not one_partition(groups):
            return None
        names = list(model.design.predictors)
        roots = [np.linalg.pinv(self.roots[g.name], rcond=1e-10) for g in groups]
        modes = [self.conditional.b[g.name] @ r.T for g, r in zip(groups, roots, strict=True)]
        columns = [
            np.stack([(g.Z * (of == j)) @ self.roots[g.name] for j in range(len(names))])
            for g, of in zip(groups, stack.columns_of, strict=True)
        ]
        fixed = []
        for j, own in enumerate(model.design.predictors.values()):
            at = stack.X_of == j
            eta = self.model.design.mu.X[:, at] @ self.conditional.beta[at]
            fixed.append(eta if own.offset is None else eta + own.offset)

        def log_density(eta: np.ndarray) -> np.ndarray:
            values: dict[str, Any] = dict(self.family_values)
            for name, own in zip(names[1:], eta[1:], strict=True):
                values[name] = model.links[name].inverse(NUMPY, own)
            with np.errstate(all="ignore"):
                found = model.family.log_prob(model.y, eta[0], values, model.rows)
            return np.asarray(found, dtype=np.float64).reshape(-1)

        return effect_points(
            log_density, np.stack(fixed), np.concatenate(columns, axis=2), groups[0].index,
            np.concatenate(modes, axis=1), self.row_weights,
        )  # fmt: skip

    # -- rows -----------------------------------------------------------------

    def draw_all(self, levels: Mapping[str, np.ndarray], n_draws: int, seed: int) -> ParameterDraws:
        """Draw beta, shape (p, S), b by grouping factor, shape (q, levels, S), and thresholds."""
        beta, b = self._draw_effects(levels, n_draws, seed, "linear")
        drawn = ParameterDraws(
            beta=beta, b=b, level_rows={}, scales={},
            family=repeated(self.family_values, n_draws), n_draws=n_draws,
        )  # fmt: skip
        return with_thresholds(self, drawn, levels, seed) if self.gp.phi.has_vectors else drawn

    def linear_moments(
        self, rows: Rows, request: PredictionRequest
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each row's linear predictor, shape (n,) each."""
        asked = replace(request, kind="linear", parameter="")
        mean, variance, size = self._moments_of(rows, asked)
        with np.errstate(invalid="ignore"):
            sd = size * np.sqrt(variance)
        return mean, np.where(self.determined_fixed.lost(rows.X), np.nan, sd)


def _flat_basis(values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the directions without information.

    Where the search has ended there is still some, by which they lean a little on the others.
    """
    flat = np.linalg.qr(vectors[:, values < _FLAT])[0]
    flat[np.abs(flat) < _LEANS * np.abs(flat).max(axis=0, initial=0.0)] = 0.0
    return np.asarray(flat)


def _exactly(flat: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Turn directions so that they do not move the rows at all that they hardly move.

    Parameters
    ----------
    flat : ndarray, shape (p, k)
        An orthonormal basis.
    rows : ndarray, shape (n, p)

    Returns
    -------
    ndarray, shape (p, k)
    """
    if not flat.shape[1]:
        return flat
    moved = np.abs(rows @ flat).max(axis=1)
    free = null_space(rows[moved < _HARDLY * moved.max(initial=0.0)], len(flat))
    found = np.linalg.qr(free @ (free.T @ flat))[0]
    near = free.shape[1] >= flat.shape[1] and np.abs(found.T @ flat).max(axis=0).min() > 0.5
    return found if near else flat
