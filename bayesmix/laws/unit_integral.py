"""The integral of the density of some rows over the effects that they alone have.

Around the mode of the integrand: by adaptive Gauss-Hermite quadrature for up to three effects,
in compiled code where the family has a row kernel, and by importance sampling for more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayesmix.families import Family
from bayesmix.families.observation import is_plain

__all__ = ["NODES", "PAIRS", "CompiledRows", "EffectsIntegral", "compiled_rows", "difference_step"]

NODES = {1: 21, 2: 7, 3: 5}  # per effect of a unit
PAIRS = 32  # of importance samples, each with its mirror image
_TAIL = 8.0  # degrees of freedom of their distribution
# Differences that stand for derivatives, over the standard deviation of the effects' part of a
# row: the mode need not be exact. A density with a kink has no curvature but over a distance.
_STEP = 0.02
_LONG_STEP = 0.5
_MOST_STEPS = 50
_CLOSE = 0.1  # standard deviations that the last Newton step may have been long

LogProb = Callable[[np.ndarray, np.ndarray | slice], np.ndarray]


def difference_step(family: Family) -> float:
    """Return the step of differences that suits a family, in standard deviations."""
    return _LONG_STEP if family.has_corner else _STEP


def compiled_rows(
    family: Family, y: np.ndarray, per_row: Mapping[str, np.ndarray], n_thresholds: int = 0
) -> CompiledRows | None:
    """Rows of a family that has a kernel; None for another."""
    from bayesmix.glmm.problem import kernel_trials
    from bayesmix.glmm.rows import LINKS, OBSERVED_KERNELS, ROW_KERNELS, constant

    if not family.row_kernel:
        return None
    if family.vector_parameters:
        per_row = {**per_row, "trials": np.full(len(y), 1.0 + n_thresholds)}
    rows, link, plain = ROW_KERNELS[family.row_kernel], LINKS[family.link], is_plain(per_row)
    kernel = rows.kernel if plain else OBSERVED_KERNELS[family.row_kernel]
    return CompiledRows(
        family=family,
        address=kernel.load().address,
        link=link,
        is_fast=plain and link == rows.fast_link,
        y=y.sum(axis=1) if family.has_counts else y,
        trials=kernel_trials(family, y, per_row),
        constant=constant(family.row_kernel, y, per_row),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRows:
    """All rows, as the compiled integral reads them."""

    family: Family
    address: int
    link: int
    is_fast: bool
    y: np.ndarray
    trials: np.ndarray
    constant: np.ndarray

    def log_integral(
        self, at: slice, eta: np.ndarray, A: np.ndarray, phi: Mapping[str, np.ndarray],
        u: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Return the logarithm of the integral at S draws, and a start for other draws."""
        from bayesmix.glmm.integral import integrate_effects

        n_draws, n, d = A.shape
        nodes, log_weights = _product_rule(d)
        names = self.family.parameters
        of_each = [phi[name].reshape(n_draws, -1) for name in names] or [np.ones((n_draws, 1))]
        columns = np.concatenate(of_each, axis=1)
        n_phi = columns.shape[1] if names else 0
        sizes = [n_draws, n, d, len(nodes), n_phi, self.link, int(self.is_fast)]
        u = np.zeros(d) if u is None else u
        out = np.empty(n_draws)
        integrate_effects(
            self.address, np.asarray(sizes, dtype=np.int64), self.y[at], self.trials[at],
            np.ascontiguousarray(eta), A, np.ascontiguousarray(columns), nodes, log_weights, u, out,
        )  # fmt: skip
        return out + self.constant[at].sum(), u


def _product_rule(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, shape (m, d), and the logarithms of their weights over the normal density."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES[d])
    log_weights = np.log(weights) + nodes**2 / 2 - 0.5 * np.log(2 * np.pi)
    at = np.asarray(list(itertools.product(range(NODES[d]), repeat=d)))
    return nodes[at], log_weights[at].sum(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectsIntegral:
    """The integrand of one unit at some draws: rows' density times standard normals.

    Attributes
    ----------
    log_prob : callable
        Log density of each row, of the linear predictor and the draws it is for.
    eta : ndarray, shape (S, n)
        Linear predictor without the effects.
    A : ndarray, shape (S, n, d)
        Derivative of the linear predictor by the effects.
    step : float
        Step of differences, in standard deviations of a row's part.
    n_predictors : int
        Number m of linear predictors of a row, which `eta` and `A` then have one behind the
        other: n is m times the number of rows.
    """

    log_prob: LogProb
    eta: np.ndarray
    A: np.ndarray
    step: float
    n_predictors: int = 1

    def log_integral(
        self, pilot: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithm of the integral, shape (S,), and a start for other draws."""
        n_draws, _, d = self.A.shape
        if pilot is None:
            middle = slice(n_draws // 2, n_draws // 2 + 1)
            one = EffectsIntegral(
                log_prob=lambda eta, _: self.log_prob(eta, middle),
                eta=self.eta[middle],
                A=self.A[middle],
                step=self.step,
                n_predictors=self.n_predictors,
            )
            pilot = one.mode(np.zeros((1, d)))[0][0]
        u, H = self.mode(np.broadcast_to(pilot, (n_draws, d)).copy())
        root = np.linalg.cholesky(np.linalg.inv(H))
        log_scale = np.log(np.einsum("sii->si", root)).sum(axis=1)
        terms = self._quadrature(u, root) if d in NODES else self._importance(u, root, rng)
        top = terms.max(axis=0)
        with np.errstate(invalid="ignore"):
            total = top + np.log(np.exp(terms - top).sum(axis=0)) + log_scale
        return np.where(np.isneginf(top), -np.inf, total), pilot

    def mode(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the mode of the integrand nearly, and minus its Hessian there.

        Newton's method with step halving. Where a row's log density is not concave its
        curvature counts as zero.
        """
        every = slice(None)
        n_draws, _, d = self.A.shape
        eta, row = self._at(u, every)
        value = self._objective(row, u)
        h = self.step * np.sqrt(np.einsum("snd,snd->sn", self.A, self.A))
        h = np.where(h > 0, h, 1.0)
        for _ in range(_MOST_STEPS):
            gradient, H = self._derivatives(eta, row, h)
            gradient, H = gradient - u, H + np.eye(d)
            step = np.linalg.solve(H, gradient[:, :, None])[:, :, 0]
            length = np.sqrt(np.maximum(np.einsum("sd,sd->s", step, gradient), 0.0))
            size = np.ones(n_draws)
            for _ in range(20):
                trial = u + size[:, None] * step
                new_eta, new_row = self._at(trial, every)
                new_value = self._objective(new_row, trial)
                worse = ~(new_value >= value - 1e-9 * (1 + np.abs(value)))
                if not worse.any():
                    break
                size[worse] *= 0.5
            worse &= np.isfinite(value)  # no step was small enough: it is there already
            keep = worse[:, None]
            u, eta = np.where(keep, u, trial), np.where(keep, eta, new_eta)
            row, value = np.where(keep, row, new_row), np.where(worse, value, new_value)
            if (length[~worse] < _CLOSE).all():
                break
        return u, H

    def _derivatives(
        self, eta: np.ndarray, row: np.ndarray, h: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient of the log density by the effects, and minus its Hessian, by differences."""
        every, m = slice(None), self.n_predictors
        if m == 1:
            up = self.log_prob(eta + h, every)
            down = self.log_prob(eta - h, every)
            with np.errstate(invalid="ignore"):
                first = _finite((up - down) / (2 * h))
                weight = np.maximum(_finite((2 * row - up - down) / h**2), 0.0)
            gradient = (first[:, None, :] @ self.A)[:, 0]
            return gradient, np.swapaxes(self.A, 1, 2) @ (weight[:, :, None] * self.A)
        n_draws, n = row.shape
        moves = h.reshape(n_draws, m, n)
        first, W = np.empty((n_draws, m, n)), np.empty((n_draws, n, m, m))

        def moved(*steps: tuple[int, float]) -> np.ndarray:
            at = eta.reshape(n_draws, m, n).copy()
            for j, sign in steps:
                at[:, j] += sign * moves[:, j]
            return self.log_prob(at.reshape(n_draws, m * n), every)

        with np.errstate(invalid="ignore"):
            for j in range(m):
                up, down = moved((j, 1.0)), moved((j, -1.0))
                first[:, j] = _finite((up - down) / (2 * moves[:, j]))
                W[..., j, j] = _finite((2 * row - up - down) / moves[:, j] ** 2)
                for k in range(j):
                    alike = moved((j, 1.0), (k, 1.0)) + moved((j, -1.0), (k, -1.0))
                    apart = moved((j, 1.0), (k, -1.0)) + moved((j, -1.0), (k, 1.0))
                    mixed = _finite((apart - alike) / (4 * moves[:, j] * moves[:, k]))
                    W[..., j, k] = W[..., k, j] = mixed
        values, vectors = np.linalg.eigh(W)
        W = np.einsum("snie,sne,snje->snij", vectors, np.maximum(values, 0.0), vectors)
        A = self.A.reshape(n_draws, m, n, -1)
        gradient = np.einsum("sjn,sjnd->sd", first, A)
        return gradient, np.einsum("sjnd,snjk,skne->sde", A, W, A, optimize=True)

    def _at(self, u: np.ndarray, some: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Linear predictor with effects u, and the rows' log densities."""
        if u.shape[1] == 1:
            eta = self.eta + self.A[:, :, 0] * u
        else:
            eta = self.eta + (self.A @ u[:, :, None])[:, :, 0]
        return eta, self.log_prob(eta, some)

    def _objective(self, row: np.ndarray, u: np.ndarray) -> np.ndarray:
        total: np.ndarray = row.sum(axis=1) - 0.5 * np.einsum("sd,sd->s", u, u)
        return total

    def _quadrature(self, u: np.ndarray, root: np.ndarray) -> np.ndarray:
        """Logarithms of the terms of the product rule, shape (terms, S)."""
        nodes, log_weights = _product_rule(u.shape[1])
        terms = np.empty((len(nodes), len(u)))
        for k, node in enumerate(nodes):
            point = u + root @ node
            _, row = self._at(point, slice(None))
            terms[k] = self._objective(row, point) + log_weights[k]
        return terms

    def _importance(self, u: np.ndarray, root: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Logarithms of importance ratios over their number, shape (samples, S).

        From Student's t around the mode, in pairs that mirror each other, anew for each
        draw, so that their errors average out over draws.
        """
        n_draws, d = u.shape
        from scipy.special import gammaln

        constant = gammaln((_TAIL + d) / 2) - gammaln(_TAIL / 2) - 0.5 * d * np.log(_TAIL * np.pi)
        terms = np.empty((2 * PAIRS, n_draws))
        for k in range(PAIRS):
            z = rng.standard_normal((n_draws, d))
            z *= np.sqrt(_TAIL / rng.chisquare(_TAIL, n_draws))[:, None]
            log_q = constant - 0.5 * (_TAIL + d) * np.log1p((z**2).sum(axis=1) / _TAIL)
            move = (root @ z[:, :, None])[:, :, 0]
            for j, point in enumerate((u + move, u - move)):
                _, row = self._at(point, slice(None))
                terms[2 * k + j] = self._objective(row, point) - log_q
        return terms - np.log(2 * PAIRS) - 0.5 * d * np.log(2 * np.pi)


def _finite(values: np.ndarray) -> np.ndarray:
    """Zero in place of what is not a number."""
    return np.where(np.isfinite(values), values, 0.0)
