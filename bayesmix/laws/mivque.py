"""MIVQUE(0): variance parameters from quadratic forms of the residuals, without iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from bayesmix.covariance import covariance_of
from bayesmix.errors import DataError, NotSupportedError
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.theta import pack_theta
from bayesmix.inference.empirical import Optimum, log_units
from bayesmix.inference.search import ZERO
from bayesmix.laws.linear_parameters import linear_entries

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.statement.stated import StatedModel

__all__ = ["mivque0_optimum"]

_WORDS = ('method="mivque0"', '"reml"')
_TINY = 1e-10  # of the residual variance


@dataclass(frozen=True, slots=True)
class _Form:
    """Z_a Z_b' of one grouping factor's effects a and b: a parameter is a sum of these."""

    left: sparse.csr_array
    right: sparse.csr_array


def mivque0_optimum(model: StatedModel, problem: Problem) -> Optimum:
    """Estimate the variance parameters by MIVQUE(0).

    With V = sum_k theta_k V_k, and M the projection off the fixed effects, theta solves
    sum_l tr(M V_k M V_l) theta_l = y' M V_k M y: the estimate of least variance where all
    variances but the residual's are zero. All traces are sums over levels.

    Parameters
    ----------
    model : StatedModel
    problem : Problem

    Returns
    -------
    Optimum
        With negative variances at zero, and covariances of correlated effects that are none
        replaced by the nearest that are.

    Raises
    ------
    NotSupportedError
        If a covariance is not linear in its parameters.
    DataError
        If the estimate of the residual variance is not above zero, or the data do not tell the
        parameters apart.

    References
    ----------
    Rao, C. R. (1972). Estimation of variance and covariance components in linear models. Journal
    of the American Statistical Association 67, 112-115; Goodnight, J. H. (1978). Computing
    MIVQUE0 estimates of variance components. SAS Technical Report R-105.
    """
    if problem.phi:
        raise NotSupportedError(
            'method="mivque0" takes covariances that are linear in their parameters, and those of '
            'the residuals here are not; take "reml"'
        )
    mu = model.design.mu
    w = _row_weights(model)
    y = model.y if mu.offset is None else model.y - mu.offset
    Q = np.linalg.qr(w[:, None] * mu.X)[0] if mu.X.shape[1] else np.zeros((len(y), 0))
    y = w * y
    residual = y - Q @ (Q.T @ y)
    entries = [(g, pairs) for g in mu.groups for pairs in linear_entries(g, *_WORDS)]
    forms = [_forms(g, pairs, w) for g, pairs in entries]
    known = problem.sigma_is_known
    n_rest = len(y) - Q.shape[1]
    n = len(forms) + 1
    S, q = np.zeros((n, n)), np.zeros(n)
    for k, own in enumerate(forms):
        S[k, -1] = S[-1, k] = sum(_trace(form, Q) for form in own)
        q[k] = sum(float((f.left.T @ residual) @ (f.right.T @ residual)) for f in own)
        for m in range(k + 1):
            S[k, m] = S[m, k] = sum(_product(a, b, Q) for a in own for b in forms[m])
    S[-1, -1], q[-1] = n_rest, float(residual @ residual)
    if known:  # the residual variance is 1 in these units
        q = q[:-1] - S[:-1, -1]
        S = S[:-1, :-1]
    scale = np.sqrt(np.diag(S))
    if (scale <= 0).any() or np.linalg.matrix_rank(S / np.outer(scale, scale), 1e-9) < len(S):
        raise DataError("the data do not tell the variance parameters of MIVQUE(0) apart")
    theta = np.linalg.solve(S / np.outer(scale, scale), q / scale) / scale
    sigma2 = 1.0 if known else float(theta[-1])
    if sigma2 <= 0:
        raise DataError(
            f"MIVQUE(0) estimates a residual variance of {sigma2:g}, which none is; take "
            'method="reml"'
        )
    return _optimum(problem, entries, theta, sigma2)


def _row_weights(model: StatedModel) -> np.ndarray:
    """Square roots of the residuals' precision, up to sigma."""
    design = model.design
    if design.known_se is not None:
        return 1.0 / design.known_se
    if design.weights is not None:
        return np.sqrt(design.weights)
    return np.ones(len(model.y))


def _forms(group: GroupingFactor, pairs: tuple[tuple[int, int], ...], w: np.ndarray) -> list[_Form]:
    def columns(k: int) -> sparse.csr_array:
        n = len(group.index)
        Z = sparse.csr_array(
            (w * group.Z[:, k], (np.arange(n), group.index)), shape=(n, group.n_levels)
        )
        return Z if group.between is None else sparse.csr_array(Z @ group.between.root)

    out = []
    for a, b in pairs:
        one, other = columns(a), columns(b)
        out.append(_Form(one, other))
        if a != b:
            out.append(_Form(other, one))
    return out


def _trace(form: _Form, Q: np.ndarray) -> float:
    """tr(M Z_a Z_b')."""
    rows = float(form.left.multiply(form.right).sum())
    return rows - float(((Q.T @ form.left) * (Q.T @ form.right)).sum())


def _product(one: _Form, other: _Form, Q: np.ndarray) -> float:
    """tr(M Z_a Z_b' M Z_c Z_d'), the sum of products of Z_b' M Z_c and Z_a' M Z_d.

    Each of the two is a sparse matrix less one of low rank.
    """
    bc, ad = one.right.T @ other.left, one.left.T @ other.right
    a, b, c, d = (Z.T @ Q for Z in (one.left, one.right, other.left, other.right))
    total = float(bc.multiply(ad).sum()) + float(((b.T @ a) * (c.T @ d)).sum())
    return total - float(((bc @ d) * a).sum()) - float(((ad @ c) * b).sum())


def _optimum(
    problem: Problem,
    entries: list[tuple[GroupingFactor, tuple[tuple[int, int], ...]]],
    theta: np.ndarray,
    sigma2: float,
) -> Optimum:
    """What was estimated, as the search for a maximum says it."""
    covariances = {g.name: np.zeros((g.n_effects, g.n_effects)) for g in problem.groups}
    for (group, pairs), value in zip(entries, theta, strict=False):
        for a, b in pairs:
            covariances[group.name][a, b] = covariances[group.name][b, a] = value
    sigma = float(np.sqrt(sigma2))
    below = []
    sd, corr, at_zero = {}, {}, []
    for group in problem.groups:
        own, changed = _nearest(covariances[group.name], _TINY * sigma2)
        if changed:
            below.append(group.name)
        sd[group.name] = np.sqrt(np.diag(own))
        zero = sd[group.name] == 0
        at_zero.append(zero)
        size = np.where(zero, 1.0, sd[group.name])
        corr[group.name] = own / np.outer(size, size) + np.diag(zero.astype(float))
    co = problem.relative_coordinates()
    unit = log_units(co)
    known = problem.sigma_is_known
    x = pack_theta(
        problem,
        {name: (values / sigma)[None] for name, values in sd.items()},
        {g.name: _inside(corr[g.name])[None] for g in problem.groups
         if not covariance_of(g).is_diagonal},
        None if known else np.ones(1),
    )[0][: co.n_x]  # fmt: skip
    x[: co.n_sd] = np.maximum(x[: co.n_sd], ZERO + unit)
    message = "MIVQUE(0), which takes no steps"
    if below:
        names = ", ".join(below)
        message += f"; its estimates of {names} are no covariance, the nearest stands here"
    everything = np.concatenate([np.zeros(0, bool), *at_zero])
    return Optimum(
        x=x, coordinates=co, criterion=np.nan,
        sd=np.concatenate([np.zeros(0), *(sd[g.name] for g in problem.groups)]),
        sigma=sigma, corr=[corr[g.name] for g in problem.groups], converged=True, gradient=0.0,
        evaluations=0, starts=0, seconds=0.0, message=message, at_zero=everything,
        dependent=np.zeros(len(everything), dtype=bool),
    )  # fmt: skip


def _nearest(covariance: np.ndarray, tiny: float) -> tuple[np.ndarray, bool]:
    """The nearest matrix without negative eigenvalues, and whether that is another."""
    values, vectors = np.linalg.eigh(covariance)
    if values.min(initial=0.0) >= 0:
        return covariance, False
    found = (vectors * np.maximum(values, 0.0)) @ vectors.T
    gone = np.diag(found) <= tiny
    found[gone], found[:, gone] = 0.0, 0.0
    return found, True


def _inside(R: np.ndarray) -> np.ndarray:
    """A correlation matrix that has a root."""
    smallest = float(np.linalg.eigvalsh(R).min())
    if smallest > 1e-9:
        return R
    amount = 1e-9 - smallest
    return np.asarray((R + amount * np.eye(len(R))) / (1 + amount))
