"""MIVQUE(0): variance parameters from quadratic forms of the residuals."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

from bayesmix.covariance import Part, covariance_of
from bayesmix.errors import DataError, NotSupportedError
from bayesmix.gaussian.coordinates import unpack_theta
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_values
from bayesmix.gaussian.theta import pack_theta
from bayesmix.inference.empirical import Optimum, log_units
from bayesmix.inference.search import ZERO
from bayesmix.inference.theta_draws import residual_variables
from bayesmix.laws.mivque_residual import ResidualForms
from bayesmix.laws.quadratic_forms import Form, Moments, entry_forms, root_form, stacked_columns

if TYPE_CHECKING:
    from scipy import sparse

    from bayesmix.design import GroupingFactor
    from bayesmix.statement.stated import StatedModel

__all__ = ["mivque0_optimum"]

_NONE = 10.0  # what is left where a matrix has no root
_TINY = 1e-10  # of the residual variance
_FAR = 12.0  # coordinates of correlations, ranges and ratios of standard deviations
_SMALL = 6  # effects, all entries of whose covariance are kept
_STARTS = (0.0, 1.5, -1.5)


def mivque0_optimum(model: StatedModel, problem: Problem) -> Optimum:
    """Estimate the variance parameters by MIVQUE(0).

    With V = sum_k theta_k V_k, and M the projection off the fixed effects, theta solves
    sum_l tr(M V_k M V_l) theta_l = y' M V_k M y: the estimate of least variance where all
    variances but the residual's are zero. All traces are sums over levels. These are the
    equations of least squares of M y y' M by M V M, and so they are what is minimised over
    parameters in which V is not linear, such as the rho of ``ar1``: there by a search, with the
    variances solved for at each step.

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
        If the model knows no rows, only sums of them.
    DataError
        If the estimate of the residual variance is not above zero, or the data do not tell the
        parameters apart.

    References
    ----------
    Rao, C. R. (1972). Estimation of variance and covariance components in linear models. Journal
    of the American Statistical Association 67, 112-115; Goodnight, J. H. (1978). Computing
    MIVQUE0 estimates of variance components. SAS Technical Report R-105.
    """
    if model.design.streamed is not None:
        raise NotSupportedError(
            'method="mivque0" takes quadratic forms of rows, and of data in batches there are '
            'sums only; take "reml"'
        )
    structure = model.residual
    if structure is not None and structure.known_variances(model.rows) is not None:
        raise NotSupportedError(
            f'method="mivque0" takes residuals that one variance multiplies, and there are two '
            f'({structure.in_words}); take "reml"'
        )
    began, mu = time.perf_counter(), model.design.mu
    w = _row_weights(model)
    y = model.y if mu.offset is None else model.y - mu.offset
    Q = np.linalg.qr(w[:, None] * mu.X)[0] if mu.X.shape[1] else np.zeros((len(y), 0))
    y = w * y
    moments = Moments(Q=Q, residual=y - Q @ (Q.T @ y))
    pieces = [_piece(g, part, w) for g in mu.groups for part in covariance_of(g).parts]
    fit = _LeastSquares(problem, moments, pieces, ResidualForms(model, problem))
    found = _optimum(problem, fit, fit.best())
    return replace(found, seconds=time.perf_counter() - began)


def _row_weights(model: StatedModel) -> np.ndarray:
    """Square roots of the residuals' precision, up to sigma."""
    design = model.design
    if design.known_se is not None:
        return 1.0 / design.known_se
    if design.weights is not None:
        return np.sqrt(design.weights)
    return np.ones(len(model.y))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """One block of a grouping factor's effects.

    Attributes
    ----------
    group : GroupingFactor
    part : Part
    columns : sparse array
        Those of its effects, effect behind effect.
    forms : list of list of Form
        Those that its covariance is a combination of, whatever the parameters; none where these
        would be too many.
    is_linear : bool
        Whether each is a parameter.
    """

    group: GroupingFactor
    part: Part
    columns: sparse.csr_array
    forms: list[list[Form]]
    is_linear: bool

    @property
    def n_parameters(self) -> int:
        """Number of parameters that least squares solves for."""
        return len(self.forms) if self.is_linear else 1

    @property
    def n_ratios(self) -> int:
        """Standard deviations relative to the first, where the search has to find them."""
        return 0 if self.is_linear else self.part.covariance.n_sd - 1

    @property
    def start(self) -> np.ndarray:
        """Coordinates of ratios and of what the structure has beside."""
        if self.is_linear:
            return np.zeros(0)
        return np.concatenate([np.zeros(self.n_ratios), self.part.covariance.start()])

    def values(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters of the structure at coordinates, each of shape (1,)."""
        return self.part.covariance.values_at(x[None, self.n_ratios :])

    def covariance(self, theta: np.ndarray, root: np.ndarray) -> np.ndarray:
        """Covariance of a level's effects at the parameters."""
        size = self.part.size
        if not self.is_linear:
            return np.asarray(max(theta[0], 0.0) * root @ root.T)
        if self.part.covariance.free_correlations:
            out = np.zeros((size, size))
            out[np.triu_indices(size)] = theta
            return out + np.triu(out, 1).T
        return np.diag(np.broadcast_to(np.asarray(theta), (size,)))


def _piece(group: GroupingFactor, part: Part, w: np.ndarray) -> _Piece:
    columns, own = stacked_columns(group, part.effects, w), part.covariance
    forms: list[list[Form]] = []
    if not own.n_coordinates:
        n = columns.shape[1] // part.size
        forms = [[Form(columns, columns)]] if own.tied else [
            [root_form(columns[:, k * n : (k + 1) * n], np.ones((1, 1)))] for k in range(part.size)
        ]  # fmt: skip
    elif own.free_correlations or part.size <= _SMALL:
        forms = entry_forms(columns, part.size)
    return _Piece(group=group, part=part, columns=columns, forms=forms,
                  is_linear=own.free_correlations or not own.n_coordinates)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solution:
    """Parameters at one place of the search.

    Attributes
    ----------
    x : ndarray
        Coordinates of what V is not linear in.
    theta : ndarray
        Parameters of V, those of the residuals last.
    loss : float
        What least squares leaves of M y y' M, a share.
    """

    x: np.ndarray
    theta: np.ndarray
    loss: float
    converged: bool = True
    evaluations: int = 0


class _LeastSquares:
    """Least squares of M y y' M by M V M."""

    def __init__(
        self, problem: Problem, moments: Moments, pieces: list[_Piece], residual: ResidualForms
    ) -> None:
        self.moments, self.pieces, self.residual = moments, pieces, residual
        self.co = problem.absolute_coordinates()
        self.factors = {group.name: f for f, group in enumerate(problem.groups)}
        self.first: dict[tuple[str, int], tuple[int, int]] = {}  # coordinates by block
        at_sd, at = 0, self.co.n_sd
        for group in problem.groups:
            covariance = covariance_of(group)
            for part in covariance.parts:
                self.first[group.name, part.start] = at_sd + part.sd_start, at
                at += part.covariance.n_coordinates
            at_sd += covariance.n_sd
        self.fixed = [own for piece in pieces for own in piece.forms] + residual.entries
        self.S, self.q = self._with(np.zeros((0, 0)), np.zeros(0), self.fixed, [])
        self.whole = float(moments.residual @ moments.residual) ** 2

    def _with(
        self, S: np.ndarray, q: np.ndarray, more: list[list[Form]], before: list[list[Form]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Traces and quadratic forms of some more forms behind those before."""
        forms, known = [*before, *more], len(before)
        out, right = np.zeros((len(forms), len(forms))), np.zeros(len(forms))
        out[:known, :known], right[:known] = S, q
        for k in range(known, len(forms)):
            right[k] = self.moments.square(forms[k])
            for m in range(k + 1):
                out[k, m] = out[m, k] = self.moments.product(forms[k], forms[m])
        return out, right

    def roots(self, x: list[np.ndarray]) -> list[np.ndarray]:
        """Root of each piece's covariance in units of its first standard deviation."""
        co, place = self.co, np.zeros(self.co.n_x)
        for piece, own in zip(self.pieces, x, strict=True):
            if not piece.is_linear:
                first, at = self.first[piece.group.name, piece.part.start]
                place[first + 1 : first + 1 + piece.n_ratios] = own[: piece.n_ratios]
                place[at : at + len(own) - piece.n_ratios] = own[piece.n_ratios :]
        sd, C = unpack_theta(co, place)
        out = []
        for piece in self.pieces:
            f, here = self.factors[piece.group.name], piece.part.effects
            q, at = int(co.q[f]), int(co.L_start[f])
            size = sd[co.sd_start[f] :][here]
            out.append(size[:, None] * C[at : at + q * q].reshape(q, q)[here, here])
        return out

    @property
    def starts(self) -> list[np.ndarray]:
        """Coordinates of each piece, then those of the residuals."""
        return [*(piece.start for piece in self.pieces), self.residual.start]

    def divided(self, x: np.ndarray) -> list[np.ndarray]:
        """Coordinates by piece, those of the residuals last."""
        return np.split(x, np.cumsum([len(own) for own in self.starts])[:-1])

    def best(self) -> _Solution:
        """Search over what V is not linear in."""
        start = np.concatenate(self.starts)
        if not len(start):
            return self.at(start)
        found: Any = None
        evaluations = 0
        # Where a matrix is made and multiplied anew at each step one search has to do.
        costly = any(not piece.forms for piece in self.pieces)
        for shift in _STARTS[: 1 if costly else len(_STARTS)]:
            place = optimize.minimize(
                lambda x: self.at(x, checked=False).loss, start + shift, method="L-BFGS-B",
                jac="3-point", bounds=[(-_FAR, _FAR)] * len(start),
                options={"ftol": 1e-13, "gtol": 1e-9, "maxiter": 100},
            )  # fmt: skip
            evaluations += int(place.nfev)
            if found is None or place.fun < found.fun - 1e-12:
                found = place
        inside = np.abs(found.x) < _FAR
        steep = np.abs(found.jac[inside]).max(initial=0.0)
        at = self.at(found.x)
        return _Solution(x=at.x, theta=at.theta, loss=at.loss, converged=bool(steep < 1e-5),
                         evaluations=evaluations)  # fmt: skip

    def at(self, x: np.ndarray, *, checked: bool = True) -> _Solution:
        """Solve for the parameters that V is linear in.

        Raises
        ------
        DataError
            If `checked`, and the data do not tell them apart.
        """
        *own, phi = self.divided(x)
        moved: list[list[Form]] = []
        weights: list[dict[int, float]] = []
        positive: list[int] = []
        at, behind = 0, len(self.fixed)
        for piece, root in zip(self.pieces, self.roots(own), strict=True):
            n = len(piece.forms)
            if piece.is_linear:
                weights += [{at + k: 1.0} for k in range(n)]
            else:
                positive.append(len(weights))
                if n:
                    entries = (root @ root.T)[np.triu_indices(piece.part.size)]
                    weights.append(dict(zip(range(at, at + n), entries.tolist(), strict=True)))
                else:
                    weights.append({behind + len(moved): 1.0})
                    moved.append([root_form(piece.columns, root)])
            at += n
        if self.residual.is_free:
            weights += [{k: 1.0} for k in range(at, behind)]
        elif self.residual.entries:
            shares = self.residual.shares(phi).tolist()
            weights.append(dict(zip(range(at, behind), shares, strict=True)))
        else:
            weights.append({behind + len(moved): 1.0})
            moved.append(self.residual.form(phi))
        S, q = self._with(self.S, self.q, moved, self.fixed)
        A = np.zeros((len(weights), len(q)))
        for row, found in zip(A, weights, strict=True):
            row[list(found)] = list(found.values())
        S, q = A @ S @ A.T, A @ q
        lost = self.whole
        if self.residual.is_known:  # its variance is 1 in these units
            lost += S[-1, -1] - 2 * q[-1]
            q, S = q[:-1] - S[:-1, -1], S[:-1, :-1]
        theta = _solved(S, q, positive, checked=checked)
        loss = float((lost - 2 * q @ theta + theta @ S @ theta) / self.whole)
        return _Solution(x=x, theta=theta, loss=loss if np.isfinite(loss) else _NONE)


def _solved(S: np.ndarray, q: np.ndarray, positive: list[int], *, checked: bool) -> np.ndarray:
    """Solve S theta = q; what is to be positive and is not, is zero, and others are solved for."""
    theta, free = np.zeros(len(q)), np.ones(len(q), dtype=bool)
    if not (np.isfinite(S).all() and np.isfinite(q).all()):
        return np.full(len(q), np.nan)
    scale = np.sqrt(np.maximum(np.diag(S), 0.0))
    if checked and (
        (scale <= 0).any() or np.linalg.matrix_rank(S / np.outer(scale, scale), 1e-9) < len(S)
    ):
        raise DataError("the data do not tell the variance parameters of MIVQUE(0) apart")
    scale[scale <= 0] = 1.0
    while free.any():
        relative = S[np.ix_(free, free)] / np.outer(scale[free], scale[free])
        theta[:] = 0.0
        theta[free] = np.linalg.lstsq(relative, q[free] / scale[free], rcond=1e-12)[0] / scale[free]
        below = [k for k in positive if theta[k] < 0]
        if not below:
            break
        free[below] = False
    return theta


def _optimum(problem: Problem, fit: _LeastSquares, at: _Solution) -> Optimum:
    """What was estimated, as the search for a maximum says it."""
    residual, (*own, phi) = fit.residual, fit.divided(at.x)
    n_residual = 0 if residual.is_known else residual.n_parameters
    rest = at.theta[len(at.theta) - n_residual :]
    if residual.n_parameters == 1 and n_residual and rest[0] <= 0:
        raise DataError(
            f"MIVQUE(0) estimates a residual variance of {rest[0]:g}, which none is; take "
            'method="reml"'
        )
    sigma2, phi = residual.estimates(rest, phi)
    covariances = {g.name: np.zeros((g.n_effects, g.n_effects)) for g in problem.groups}
    parameters: dict[str, dict[str, np.ndarray]] = {g.name: {} for g in problem.groups}
    below: list[str] = []
    place = 0
    for piece, x, root in zip(fit.pieces, own, fit.roots(own), strict=True):
        theta = at.theta[place : place + piece.n_parameters]
        place += piece.n_parameters
        name, part = piece.group.name, piece.part
        found = piece.covariance(theta, root)
        if not piece.is_linear:
            labels = {p.name: label for label, p in part.named_parameters().items()}
            parameters[name] |= {labels[p]: v for p, v in piece.values(x).items()}
            changed = theta[0] <= 0
        else:
            found, changed = _nearest(found, _TINY * sigma2)
        if changed and name not in below:
            below.append(name)
        covariances[name][part.effects, part.effects] = found
    sigma = float(np.sqrt(sigma2))
    sd, corr, at_zero = {}, {}, []
    for group in problem.groups:
        Sigma = covariances[group.name]
        sd[group.name] = np.sqrt(np.diag(Sigma))
        zero = sd[group.name] == 0
        at_zero.append(zero)
        size = np.where(zero, 1.0, sd[group.name])
        corr[group.name] = Sigma / np.outer(size, size) + np.diag(zero.astype(float))
    co = problem.relative_coordinates()
    unit = log_units(co)
    values = residual_variables(problem, phi[None]) if problem.phi else None
    packed = pack_theta(
        problem,
        {name: (values / sigma)[None] for name, values in sd.items()},
        {g.name: _inside(corr[g.name])[None] for g in problem.groups
         if covariance_of(g).has_correlations},
        None if problem.sigma_is_known else np.ones(1),
        parameters,
        values,
    )[0]  # fmt: skip
    x = np.concatenate([packed[: co.n_x], phi])
    x[: co.n_sd] = np.maximum(x[: co.n_sd], ZERO + unit)
    message = "MIVQUE(0), which takes no steps"
    if len(at.x):
        message = "MIVQUE(0), by a search over what the covariance is not linear in"
    if below:
        names = ", ".join(below)
        message += f"; its estimates of {names} are no covariance, the nearest stands here"
    everything = np.concatenate([np.zeros(0, bool), *at_zero])
    return Optimum(
        x=x, coordinates=co, criterion=np.nan,
        sd=np.concatenate([np.zeros(0), *(sd[g.name] for g in problem.groups)]),
        sigma=sigma, corr=[corr[g.name] for g in problem.groups], converged=at.converged,
        gradient=0.0, evaluations=at.evaluations, starts=0, seconds=0.0, message=message,
        at_zero=everything, dependent=np.zeros(len(everything), dtype=bool),
        phi={k: float(v) for k, v in phi_values(problem.phi, phi).items()},
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
