"""One regression without group effects, by least squares or maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import linalg, optimize, sparse, special

from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.families.base import Rows
from bayesmix.inference.separation import rising_directions

__all__ = ["Regression", "Values", "check_regression", "fit_regression", "is_least_squares"]

_STEPS = 200
_RUNAWAY = 1e3  # standard error of a coefficient of a column of size one, in units of the link
_FAR = 15.0  # of a coefficient of a column of size one, in the same units
_STENCIL = np.asarray([-2.0, -1.0, 0.0, 1.0, 2.0])
_LIMIT = 12.0  # logarithms of the family's parameters, which may have no finite estimate
_IN_UNITS = {"sigma", "lam"}  # parameters in units of the response

Values = Mapping[str, np.ndarray | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """Estimates of one regression.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        NaN where there is no finite estimate.
    unscaled : ndarray, shape (p, p)
        Their covariance; for least squares without the residual variance.
    rss : float
        Weighted residual sum of squares; NaN beyond least squares.
    df : float
        Residual degrees of freedom; infinite beyond least squares.
    parameters : mapping of str to float or ndarray
        The family's own.
    note : str
        Why there is no estimate; empty where there is one.
    """

    beta: np.ndarray
    unscaled: np.ndarray
    rss: float = np.nan
    df: float = np.inf
    parameters: Values = field(default_factory=dict)
    note: str = ""


def check_regression(family: Family, rows: Rows) -> None:
    """Refuse a likelihood whose maximum is not found here.

    Raises
    ------
    NotSupportedError
    """
    if family.has_corner and (rows or not family.link_functions.is_identity):
        raise NotSupportedError(
            f"the likelihood of {family} has corners, and with "
            + (", ".join(rows) or "this link")
            + " it is not maximised here; take the student_t family"
        )


def is_least_squares(family: Family, rows: Rows) -> bool:
    """Whether maximum likelihood is (weighted) least squares."""
    return family.is_linear_normal and not set(rows) - {"weights", "known_se"}


def fit_regression(
    family: Family,
    y: np.ndarray,
    X: np.ndarray,
    offset: np.ndarray | None,
    rows: Rows,
    *,
    start: Values | None = None,
    held: Values | None = None,
) -> Regression:
    """Regress y on X under a family.

    A normal response on the identity link is fitted by least squares, anything else
    by Newton's method with derivatives by differences of the rows' log densities.

    Parameters
    ----------
    family : Family
    y : ndarray, shape (n,)
    X : ndarray, shape (n, p)
    offset : ndarray, shape (n,), optional
    rows : mapping of str to ndarray, shape (n,)
    start : mapping, optional
        Where the search of the family's parameters begins.
    held : mapping, optional
        Parameters of the family that are known.

    Returns
    -------
    Regression
    """
    n, p = X.shape
    nothing = np.full(p, np.nan), np.full((p, p), np.nan)
    scale = np.sqrt(np.mean(X**2, axis=0)) if n else np.ones(p)
    scale[scale == 0] = 1.0
    root = np.sqrt(_precision(rows, n))[:, None] if is_least_squares(family, rows) else 1.0
    W = X / scale * root
    if n < p or np.linalg.matrix_rank(W, tol=1e-10 * np.sqrt(max(n, 1)) * np.max(root)) < p:
        few = f"{n} row{'s' * (n != 1)} for {p} coefficient{'s' * (p != 1)}"
        note = f"too few rows: {few}" if n < p else "the rows do not determine the coefficients"
        return Regression(beta=nothing[0], unscaled=nothing[1], note=note)
    Q, R = np.linalg.qr(W)
    back = linalg.solve_triangular(R, np.eye(p)) / scale[:, None]
    off = np.zeros(n) if offset is None else offset
    if isinstance(root, np.ndarray):
        z = root[:, 0] * (y - off)
        gamma = Q.T @ z
        return Regression(
            beta=back @ gamma,
            unscaled=back @ back.T,
            rss=float(np.sum((z - Q @ gamma) ** 2)),
            df=np.inf if "known_se" in rows else float(n - p),
        )
    known = dict(held or {})
    if family.has_corner:
        return _median_regression(y - off, Q * np.sqrt(n), back * np.sqrt(n))
    free = [name for name in family.parameters if name not in known]
    if free and n <= p:
        note = f"too few rows: {n} for {p} coefficients and {', '.join(free)}"
        return Regression(beta=nothing[0], unscaled=nothing[1], note=note)
    search = _Newton(family, y, Q * np.sqrt(n), off, rows, start or {}, known)
    note = search.run()
    if note:
        return Regression(beta=nothing[0], unscaled=nothing[1], note=note)
    back = back * np.sqrt(n) * search.unit
    rises = np.where(np.asarray(rows.get("trials", np.ones(n))) > 0, family.rises(y, rows), np.nan)
    says = ~np.isnan(rises)
    flat = rising_directions(Q[says] * np.sqrt(n), rises[says])
    beta, cov = back @ search.x[:p], back @ search.covariance(flat)[:p, :p] @ back.T
    if (rises[says] != 0).any():
        moves = np.abs(back @ flat).max(axis=1, initial=0.0) * scale
        lost = moves > 1e-7 * moves.max(initial=0.0)
    else:  # the family does not say which way its likelihood rises
        size, unit = np.sqrt(np.diag(cov)) * scale, search.unit
        lost = (size > _RUNAWAY * unit) | (
            (np.abs(beta) * scale > _FAR * unit) & (size > 50 * unit)
        )
    if lost.any():
        note = "separation: the data are fitted best by an infinite coefficient"
        beta[lost] = np.nan
        cov[lost] = np.nan
        cov[:, lost] = np.nan
    return Regression(beta=beta, unscaled=cov, parameters=search.parameters(), note=note)


def _precision(rows: Rows, n: int) -> np.ndarray:
    if "known_se" in rows:
        return 1.0 / np.asarray(rows["known_se"]) ** 2
    return np.asarray(rows.get("weights", np.ones(n)))


def _median_regression(z: np.ndarray, Q: np.ndarray, back: np.ndarray) -> Regression:
    """Least absolute deviations: maximum likelihood under Laplace's distribution.

    The covariance is the inverse of the Fisher information, Q'Q / b^2.
    """
    n, p = Q.shape
    size = float(np.abs(z).max()) or 1.0
    one = sparse.identity(n, format="csr")
    found = optimize.linprog(
        np.append(np.zeros(p), np.ones(2 * n)),
        A_eq=sparse.hstack([sparse.csr_matrix(Q), one, -one], format="csr"),
        b_eq=z / size,
        bounds=[(None, None)] * p + [(0, None)] * (2 * n),
        method="highs",
    )
    if found.x is None:
        nothing = np.full(p, np.nan), np.full((p, p), np.nan)
        return Regression(beta=nothing[0], unscaled=nothing[1], note=str(found.message))
    b = size * float(np.abs(z / size - Q @ found.x[:p]).mean())
    return Regression(
        beta=back @ (size * found.x[:p]),
        unscaled=back @ back.T * b**2 / n,
        parameters={"sigma": b},
    )


class _Newton:
    """Newton's method for (gamma, psi): eta = Q gamma, and the parameters without bounds."""

    def __init__(
        self, family: Family, y: np.ndarray, Q: np.ndarray, offset: np.ndarray, rows: Rows,
        start: Values, held: Values,
    ) -> None:  # fmt: skip
        self.family, self.y, self.offset, self.rows = family, y, offset, rows
        self.held = held
        self.p = Q.shape[1]
        known = family.response_scale(y, None, rows)
        self.unit = float(known.sd)
        self.Q = Q = Q * self.unit  # gamma without units, as psi is
        self.step = 1e-3 * self.unit
        # The intercept that gives the mean response, in the columns there are.
        center = np.full(len(y), float(known.center)) - offset
        gamma = np.linalg.lstsq(Q, center, rcond=None)[0]
        self.free: dict[str, int] = {}
        for name in family.parameters:
            if name in held:
                continue
            self.free[name] = int(y.max()) - 1 if name in family.vector_parameters else 1
        self.x = np.concatenate([gamma, np.zeros(sum(self.free.values()))])
        self.spread = float(np.log(max(known.response_sd, 1e-300)))
        self._set_start(start)

    # -- the parameters ---------------------------------------------------------

    def parameters(self, psi: np.ndarray | None = None) -> dict[str, np.ndarray | float]:
        psi = self.x[self.p :] if psi is None else psi
        found: dict[str, np.ndarray | float] = dict(self.held)
        at = 0
        for name, size in self.free.items():
            part = psi[at : at + size]
            at += size
            support = self.family.parameters[name].support
            if support == "ordered":
                found[name] = np.cumsum(np.append(part[:1], np.exp(part[1:])))
            elif name in self.family.vector_parameters:
                found[name] = part.copy()
            elif support == "unit":
                found[name] = float(special.expit(part[0]))
            else:
                found[name] = float(part[0] if support == "real" else np.exp(part[0]))
        return found

    def _set_start(self, start: Values) -> None:
        at = self.p
        for name, size in self.free.items():
            if name in self.family.vector_parameters:
                if self.family.parameters[name].support != "ordered":
                    self.x[at : at + size] = self.family.thresholds_start(self.y, size)
                    at += size
                    continue
                below = [np.mean(self.y <= k) for k in range(1, size + 1)]
                cut = self.family.link_function(np.clip(below, 1e-3, 1 - 1e-3))
                gaps = np.log(np.maximum(np.diff(cut), 1e-3))
                self.x[at : at + size] = np.append(cut[:1], gaps)
            elif name in start:
                value, support = float(start[name]), self.family.parameters[name].support
                unit = support == "unit"
                bounded = special.logit(value) if unit else value
                self.x[at] = np.log(value) if support == "positive" else bounded
            at += size
        grid = np.linspace(-3.0, 5.0, 9)
        for _ in range(2):
            at = self.p
            for name, size in self.free.items():
                if size == 1 and name not in start and name not in self.family.vector_parameters:
                    unit = name in self.family.unit_parameters
                    tried = grid - 1 if unit else np.append(grid, grid + self.spread)
                    values = []
                    for value in tried:
                        x = self.x.copy()
                        x[at] = value
                        values.append(self._loglik(x))
                    self.x[at] = tried[int(np.argmax(values))]
                at += size

    # -- the likelihood ---------------------------------------------------------

    def _rows(self, eta: np.ndarray, psi: np.ndarray) -> np.ndarray:
        return self.family.log_prob(self.y, eta, self.parameters(psi), self.rows)

    def _loglik(self, x: np.ndarray) -> float:
        value = float(self._rows(self.offset + self.Q @ x[: self.p], x[self.p :]).sum())
        return value if np.isfinite(value) else -np.inf

    def _derivatives(self) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and minus the Hessian at x."""
        p, x, h = self.p, self.x, self.step
        eta, psi = self.offset + self.Q @ x[:p], x[p:]
        f = self._rows(eta + h * _STENCIL[:, None], psi)
        first = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h)
        second = (-f[0] + 16 * f[1] - 30 * f[2] + 16 * f[3] - f[4]) / (12 * h * h)
        g, H = np.zeros(len(x)), np.zeros((len(x), len(x)))
        g[:p] = self.Q.T @ first
        H[:p, :p] = (self.Q.T * second) @ self.Q
        d = 1e-3
        middle = f[2].sum()
        for j in range(len(psi)):
            step = np.zeros(len(psi))
            step[j] = d
            up = self._rows(eta + h * _STENCIL[1:4, None], psi + step)
            down = self._rows(eta + h * _STENCIL[1:4, None], psi - step)
            g[p + j] = (up[1].sum() - down[1].sum()) / (2 * d)
            H[p + j, p + j] = (up[1].sum() - 2 * middle + down[1].sum()) / d**2
            cross = self.Q.T @ ((up[2] - up[0]) - (down[2] - down[0])) / (4 * h * d)
            H[:p, p + j] = H[p + j, :p] = cross
            for m in range(j):
                other = np.zeros(len(psi))
                other[m] = d
                corners = [
                    sign * self._rows(eta, psi + a * step + b * other).sum()
                    for sign, a, b in ((1, 1, 1), (-1, 1, -1), (-1, -1, 1), (1, -1, -1))
                ]
                H[p + j, p + m] = H[p + m, p + j] = sum(corners) / (4 * d * d)
        curvature = float(np.mean(np.maximum(-second, 0.0)))
        if np.isfinite(curvature) and curvature > 0:
            self.step = min(1e-3 * self.unit, 1e-2 / np.sqrt(curvature))
        return g, -H

    def run(self) -> str:
        """Climb to the maximum; return why not, or an empty string."""
        value = self._loglik(self.x)
        if not np.isfinite(value):
            return "the likelihood is zero at the start"
        for _ in range(_STEPS):
            g, H = self._derivatives()
            if not (np.isfinite(g).all() and np.isfinite(H).all()):
                return "the likelihood has no derivatives where the search went"
            low, high = self._at_bounds()
            stuck = (low & (g < 0)) | (high & (g > 0))
            g[stuck] = 0.0
            H[stuck] = 0.0
            H[:, stuck] = 0.0
            values, vectors = np.linalg.eigh(H)
            floor = 1e-12 * max(float(np.abs(values).max()), 1e-300)
            step = vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), floor))
            gain = float(g @ step)
            step /= max(1.0, np.abs(self.Q @ step[: self.p]).max(initial=0.0) / (5 * self.unit),
                        np.abs(step[self.p :]).max(initial=0.0) / 2.0)  # fmt: skip
            t = 1.0
            while t > 1e-8:
                x = self.x + t * step
                x[self.p :] = np.clip(x[self.p :], *self._bounds())
                new = self._loglik(x)
                if new >= value - 1e-12 * abs(value):
                    break
                t /= 2
            else:
                return "" if gain < 1e-4 else "the likelihood was not maximised"
            moved, self.x = new - value, x
            value = new
            if gain < 1e-12 or (gain < 1e-6 and abs(moved) < 1e-12 * (1 + abs(value))):
                return ""
            if abs(moved) < 1e-10 and gain < 1e-8:
                return ""
        return "the likelihood was not maximised" if gain > 1e-4 else ""

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the range of psi."""
        middle = np.concatenate(
            [np.full(n, self.spread * (name in _IN_UNITS)) for name, n in self.free.items()]
            or [np.zeros(0)]
        )
        return middle - _LIMIT, middle + _LIMIT

    def _at_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Which coordinates are at the lower, and which at the upper end."""
        inside = np.zeros(self.p, dtype=bool)
        (low, high), psi = self._bounds(), self.x[self.p :]
        return np.append(inside, psi < low + 1e-3), np.append(inside, psi > high - 1e-3)

    def covariance(self, flat: np.ndarray) -> np.ndarray:
        """Inverse of the observed information, without flat directions of gamma, shape (p, k)."""
        _, H = self._derivatives()
        low, high = self._at_bounds()
        free = np.eye(len(H))[:, ~(low | high)]
        if flat.shape[1]:
            left = np.linalg.svd(flat, full_matrices=True)[0][:, flat.shape[1] :]
            free = linalg.block_diag(left, free[self.p :, self.p :])
        values, vectors = np.linalg.eigh(free.T @ H @ free)
        half = free @ vectors
        return np.asarray((half / np.maximum(values, 1e-14)) @ half.T)
