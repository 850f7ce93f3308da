"""Log density of groups of rows with their own group effects integrated out, draw by draw.

Given the parameters of a draw, the rows of a unit share effects that no other row has. Their
density is an integral over the normal distribution of those effects, which is taken around
the mode of the integrand: by adaptive Gauss-Hermite quadrature for up to three effects, by
importance sampling for more. It needs the log density of a row only, so that every family
has it, censored and truncated responses included; those that have a compiled one take that.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from bayesmix.families import Family
from bayesmix.families.observation import is_plain
from bayesmix.results.levels import name_key
from bayesmix.results.linear import LinearDraws, ParameterDraws
from bayesmix.results.rows import Rows

__all__ = ["expected_seconds", "integrated_log_density", "levels_of_one_unit"]

_NODES = {1: 21, 2: 7, 3: 5}  # per effect of a unit
_PAIRS = 32  # of importance samples, each with its mirror image
_TAIL = 8.0  # degrees of freedom of their distribution
_AT_ONCE = 131_072  # numbers: 1 MB, which caches hold
# Differences that stand for derivatives, over the standard deviation of the effects' part of a
# row: the mode need not be exact. A density with a kink has no curvature but over a distance.
_STEP = 0.02
_LONG_STEP = 0.5
_KINKED = ("laplace",)
_MOST_STEPS = 50
_CLOSE = 0.1  # standard deviations that the last Newton step may have been long

LogProb = Callable[[np.ndarray, np.ndarray | slice], np.ndarray]


def levels_of_one_unit(index: np.ndarray, member: np.ndarray, n_levels: int) -> np.ndarray:
    """Which levels of a grouping factor have all of their rows in one unit.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        Level of each row.
    member : ndarray of int, shape (n,)
        Unit of each row.
    n_levels : int

    Returns
    -------
    ndarray of bool, shape (n_levels,)
    """
    low = np.full(n_levels, np.iinfo(np.int64).max)
    high = np.full(n_levels, -1, dtype=np.int64)
    np.minimum.at(low, index, member)
    np.maximum.at(high, index, member)
    found: np.ndarray = low == high
    return found


def expected_seconds(
    family: Family,
    own: Mapping[str, np.ndarray],
    n_effects: Mapping[str, int],
    member: np.ndarray,
    n_draws: int,
) -> float:
    """Return about how long `integrated_log_density` takes.

    Parameters
    ----------
    family : Family
    own : mapping of str to ndarray of int, shape (n,)
    n_effects : mapping of str to int
        Of one level, by grouping factor.
    member : ndarray of int, shape (n,)
    n_draws : int
    """
    width = np.zeros(int(member.max()) + 1)
    for name, label in own.items():
        mine = label >= 0
        pairs = np.unique(np.stack([member[mine], label[mine]]), axis=1)
        np.add.at(width, pairs[0], n_effects[name])
    points = np.full(len(width), 2.0 * _PAIRS)
    for d, nodes in _NODES.items():
        points[width == d] = nodes**d
    evaluations = np.where(width == 0, 1.0, points + 12.0)
    total = float((evaluations * np.bincount(member)).sum()) * n_draws
    from bayesmix.glmm.rows import ROW_KERNELS

    return total * (2e-8 if family.name in ROW_KERNELS else 6e-8) / (os.cpu_count() or 1)


def integrated_log_density(
    family: Family,
    parameters: ParameterDraws,
    rows: Rows,
    y: np.ndarray,
    member: np.ndarray,
    own: Mapping[str, np.ndarray],
    seed: int,
) -> np.ndarray:
    """Log density of the rows of each unit at each draw, its own effects integrated out.

    Parameters
    ----------
    family : Family
    parameters : ParameterDraws
    rows : Rows
    y : ndarray, shape (n,)
    member : ndarray of int, shape (n,)
        Unit of each row, from 0 without gaps.
    own : mapping of str to ndarray of int, shape (n,)
        By grouping factor, a number for the level of each row whose effects belong to
        its unit alone; -1 for rows whose level's effects are those of the draw.
    seed : int
        Of importance samples.

    Returns
    -------
    ndarray, shape (S, units)

    References
    ----------
    Pinheiro, J. C. and Bates, D. M. (1995). Approximations to the log-likelihood
    function in the nonlinear mixed-effects model. Journal of Computational and
    Graphical Statistics 4(1), 12-35.

    Merkle, E. C., Furr, D. and Rabe-Hesketh, S. (2019). Bayesian comparison of latent
    variable models: conditional versus marginal likelihoods. Psychometrika 84, 802-829.
    """
    order = np.argsort(member, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(member))])
    given = _in_order(_without_own(rows, own), order)
    linear = LinearDraws(parameters, given, seed)
    labels = {name: label[order] for name, label in own.items() if (label >= 0).any()}
    Z = {name: rows.Z[name][order] for name in labels}
    family_parameters = parameters.family_columns()
    y = y[order]
    compiled = _compiled_rows(family, y, given.per_row)
    out = np.empty((parameters.n_draws, len(ends) - 1))

    def one_unit(unit: int) -> None:
        at = slice(int(ends[unit]), int(ends[unit + 1]))
        columns = _columns({name: (labels[name][at], Z[name][at]) for name in labels})
        n_effects = sum(part.n_columns for part in columns)
        per_row = {name: values[at] for name, values in given.per_row.items()}
        words = [seed, name_key("integrated effects"), unit]
        rng = np.random.default_rng(np.random.SeedSequence(words))
        eta = linear.block(at).T
        pilot = None
        size = max(1, _AT_ONCE // (eta.shape[1] * max(1, n_effects)))
        for start in range(0, len(eta), size):
            draws = np.arange(start, min(start + size, len(eta)))
            values = {name: v[draws] for name, v in family_parameters.items()}

            def log_prob(
                predictor: np.ndarray,
                some: np.ndarray | slice,
                values: Mapping[str, np.ndarray] = values,
            ) -> np.ndarray:
                chosen = {name: v[some] for name, v in values.items()}
                return family.log_prob(y[at], predictor, chosen, per_row)

            A = np.zeros((len(draws), eta.shape[1], n_effects))
            for part in columns:
                part.fill(A, parameters.scales[part.group].root[draws])
            if not n_effects:
                out[draws, unit] = log_prob(eta[draws], slice(None)).sum(axis=1)
                continue
            if compiled is not None and n_effects in _NODES:
                phi = {name: v[draws] for name, v in parameters.family.items()}
                out[draws, unit], pilot = compiled.log_integral(at, eta[draws], A, phi, pilot)
                continue
            step = _LONG_STEP if family.name in _KINKED else _STEP
            problem = _Unit(log_prob=log_prob, eta=eta[draws], A=A, step=step)
            out[draws, unit], pilot = problem.log_integral(pilot, rng)

    units = range(len(ends) - 1)
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(one_unit, units):
            pass
    return out


def _without_own(rows: Rows, own: Mapping[str, np.ndarray]) -> Rows:
    """Leave effects that are integrated out at zero."""
    mixed = {}
    for name, index in rows.index.items():
        mine = own[name] >= 0 if name in own else np.zeros(len(index), dtype=bool)
        if not mine.all():
            Z = np.where(mine[:, None], 0.0, rows.Z[name])
            # Any level that has draws will do where its effects count for nothing.
            known = index[~mine & (index >= 0)]
            stand_in = known[0] if known.size else -1
            mixed[name] = (Z, np.where(mine, stand_in, index))
    return replace(
        rows,
        Z={name: Z for name, (Z, _) in mixed.items()},
        index={name: index for name, (_, index) in mixed.items()},
    )


def _in_order(rows: Rows, order: np.ndarray) -> Rows:
    new_levels = {}
    for name, index in rows.index.items():
        labels = np.full(len(index), None, dtype=object)
        was_new = rows.index[name] < 0
        if len(rows.new_levels[name]) == was_new.sum():
            labels[was_new] = rows.new_levels[name]
        new_levels[name] = labels[order][was_new[order]]
    return replace(
        rows,
        X=rows.X[order],
        offset=None if rows.offset is None else rows.offset[order],
        Z={name: Z[order] for name, Z in rows.Z.items()},
        index={name: index[order] for name, index in rows.index.items()},
        new_levels=new_levels,
        labels=rows.labels[order],
        positions=rows.positions[order],
        per_row={name: values[order] for name, values in rows.per_row.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns of one level's effects among those of its unit."""

    group: str
    rows: np.ndarray
    Z: np.ndarray
    start: int

    @property
    def n_columns(self) -> int:
        return self.Z.shape[1]

    def fill(self, A: np.ndarray, root: np.ndarray) -> None:
        """Write z' root of each row, so that the effects are standard normals."""
        columns = np.arange(self.start, self.start + self.n_columns)
        A[:, self.rows[:, None], columns] = np.einsum("nk,skj->snj", self.Z, root)


def _columns(own: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[_Columns]:
    found, start = [], 0
    for name, (label, Z) in own.items():
        for level in np.unique(label[label >= 0]):
            rows = np.flatnonzero(label == level)
            found.append(_Columns(group=name, rows=rows, Z=Z[rows], start=start))
            start += Z.shape[1]
    return found


def _compiled_rows(
    family: Family, y: np.ndarray, per_row: Mapping[str, np.ndarray]
) -> _CompiledRows | None:
    """Rows of a family that has a kernel; None for another, or an observation that is not plain."""
    from bayesmix.glmm.rows import LINKS, ROW_KERNELS, constant

    if family.name not in ROW_KERNELS or family.link not in LINKS or not is_plain(per_row):
        return None
    return _CompiledRows(
        family=family,
        address=ROW_KERNELS[family.name].load().address,
        link=LINKS[family.link],
        y=y,
        trials=per_row.get("trials", np.ones(len(y))),
        constant=constant(family.name, y, per_row),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CompiledRows:
    """All rows, as the compiled integral reads them."""

    family: Family
    address: int
    link: int
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
        columns = [phi[name] for name in names] or [np.ones(n_draws)]
        sizes = [n_draws, n, d, len(nodes), len(names), self.link]
        u = np.zeros(d) if u is None else u
        out = np.empty(n_draws)
        integrate_effects(
            self.address, np.asarray(sizes, dtype=np.int64), self.y[at], self.trials[at],
            np.ascontiguousarray(eta), A, np.stack(columns, axis=1), nodes, log_weights, u, out,
        )  # fmt: skip
        return out + self.constant[at].sum(), u


def _product_rule(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, shape (m, d), and the logarithms of their weights over the normal density."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES[d])
    log_weights = np.log(weights) + nodes**2 / 2 - 0.5 * np.log(2 * np.pi)
    at = np.asarray(list(itertools.product(range(_NODES[d]), repeat=d)))
    return nodes[at], log_weights[at].sum(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
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
        Of differences, in standard deviations of a row's part.
    """

    log_prob: LogProb
    eta: np.ndarray
    A: np.ndarray
    step: float

    def log_integral(
        self, pilot: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithm of the integral, shape (S,), and a start for other draws."""
        n_draws, _, d = self.A.shape
        if pilot is None:
            middle = slice(n_draws // 2, n_draws // 2 + 1)
            one = _Unit(
                log_prob=lambda eta, _: self.log_prob(eta, middle),
                eta=self.eta[middle],
                A=self.A[middle],
                step=self.step,
            )
            pilot = one.mode(np.zeros((1, d)))[0][0]
        u, H = self.mode(np.broadcast_to(pilot, (n_draws, d)).copy())
        root = np.linalg.cholesky(np.linalg.inv(H))
        log_scale = np.log(np.einsum("sii->si", root)).sum(axis=1)
        terms = self._quadrature(u, root) if d in _NODES else self._importance(u, root, rng)
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
            up = self.log_prob(eta + h, every)
            down = self.log_prob(eta - h, every)
            with np.errstate(invalid="ignore"):
                first = _finite((up - down) / (2 * h))
                weight = np.maximum(_finite((2 * row - up - down) / h**2), 0.0)
            gradient = (first[:, None, :] @ self.A)[:, 0] - u
            H = np.swapaxes(self.A, 1, 2) @ (weight[:, :, None] * self.A) + np.eye(d)
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
        terms = np.empty((2 * _PAIRS, n_draws))
        for k in range(_PAIRS):
            z = rng.standard_normal((n_draws, d))
            z *= np.sqrt(_TAIL / rng.chisquare(_TAIL, n_draws))[:, None]
            log_q = constant - 0.5 * (_TAIL + d) * np.log1p((z**2).sum(axis=1) / _TAIL)
            move = (root @ z[:, :, None])[:, :, 0]
            for j, point in enumerate((u + move, u - move)):
                _, row = self._at(point, slice(None))
                terms[2 * k + j] = self._objective(row, point) - log_q
        return terms - np.log(2 * _PAIRS) - 0.5 * d * np.log(2 * np.pi)


def _finite(values: np.ndarray) -> np.ndarray:
    """Zero in place of what is not a number."""
    return np.where(np.isfinite(values), values, 0.0)
