"""Independence Metropolis on the collapsed density: many steps a call, effects at each draw.

A step evaluates the density at a point that was drawn beforehand, and keeps the factor of
the equations there beside that of the chain's present point. Where the point is accepted the
two change places, so that (beta, b) of every draw come from a factor that is at hand.

Where a value is dear, approximate weights decide first which points are worth one.

References
----------
Christen, J. A. and Fox, C. (2005). Markov chain Monte Carlo using an approximation. Journal of
Computational and Graphical Statistics 14(4), 795-810.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import carray

from bayesmix.gaussian.coordinates import Coordinates, theta_at
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.effect_draws import draw_levels
from bayesmix.gaussian.effects import effects
from bayesmix.gaussian.equations import Equations, equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.pages import lazy_zeros
from bayesmix.gaussian.patterns import draw_by_pattern
from bayesmix.gaussian.residual_classes import classes_at
from bayesmix.gaussian.triangular import add_half_solved, backward_solve
from bayesmix.gaussian.value import LEVELS, PATTERNS, WHOLE, factored_value, state_at

__all__ = ["Chain", "ValueDensity"]

_value, _backward = factored_value.external, backward_solve.external
_HEAD = (INTS, FLOATS, INTS, FLOATS, i8, INTS, FLOATS, INTS, FLOATS, f8, FLOATS, FLOATS, i8)
_LARGE = 1000  # columns of a root
_MOST_SHORT = 2  # effects of a level that one pass over the levels takes


@kernel(i8, *_HEAD, i8, i8, FLOATS, FLOATS, FLOATS, needs=(factored_value,))
def values_at(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, class_ints, class_floats, address, phi_ints, phi_floats, co_ints,
    co_floats, known, prior_precision, prior_mean, how, n, d, X, values, room,
):  # fmt: skip
    """Log density at each of n points, each of d coordinates."""
    for s in range(n):
        values[s] = _value(
            eq_ints, eq_floats, class_ints, class_floats, address, phi_ints, phi_floats, co_ints,
            co_floats, known, prior_precision, prior_mean, how, shifted(X, s * d), room,
        )  # fmt: skip
    return n


@inner
def _draw(eq_ints, floats, how, state, n_b, beta, b, values, u):  # type: ignore[no-untyped-def]
    """Draw working (beta, b) from the factor at one theta; both hold standard normals.

    `values` and `u` are room to work in, as many numbers as the root and as all effects.
    """
    eq = equations_at(eq_ints, floats)
    r, p, n = eq.sizes[3], eq.sizes[4], eq.n_root
    if how != WHOLE or n_b == 0:
        # The last rows of the root's factor are those of beta alone.
        for i in range(p - 1, -1, -1):
            s = state.root_y[r + i] + beta[i]
            for j in range(i + 1, p):
                s -= state.root[(r + j) * n + r + i] * beta[j]
            beta[i] = s / state.root[(r + i) * n + r + i]
    if n_b == 0:
        return True
    if how == PATTERNS:
        q = eq.q[0]
        square, room, A = np.empty(q * q), np.empty(q * q), np.empty((eq.n_patterns, q * q + q))
        return draw_by_pattern(
            eq, state.L, state.precision[0], carray(beta, (p,)), square, A, room,
            carray(b, (n_b,)),
        )  # fmt: skip
    if how == LEVELS:
        draw_levels(eq, state.L, state.precision[0], beta, b)
        return True
    n_nodes = n_b - r
    for i in range(r):
        values[i] = state.root_y[i] + b[n_nodes + i]
    for i in range(p):
        values[r + i] = state.root_y[r + i] + beta[i]
    for i in range(n_nodes):
        u[i] = b[i]
    add_half_solved(eq, state.panels, u)
    _backward(eq_ints, floats, state.K, state.panels, state.root, 1, pointer(u), pointer(values))
    for i in range(r):
        u[n_nodes + i] = values[i]
    effects(eq, state.L, u, b)
    for i in range(p):
        beta[i] = values[r + i]
    return True


@kernel(
    i8, *_HEAD, i8, i8, i8, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS,
    i8, FLOATS, FLOATS, i8, INTS, i8, FLOATS, FLOATS, needs=(factored_value, backward_solve),
)  # fmt: skip
def metropolis_steps(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, class_ints, class_floats, address, phi_ints, phi_floats, co_ints,
    co_floats, known, prior_precision, prior_mean, how, n, each, d, X, log_q, log_u, log_w,
    n_draws, kept, lp, accepted, beta, n_b, b, room, size, at, screens, log_s, log_v,
):  # fmt: skip
    """Take n steps, and keep the place after every `each`.

    Parameters
    ----------
    eq_ints, eq_floats, class_ints, class_floats, address, phi_ints, phi_floats, co_ints,
    co_floats, known, prior_precision, prior_mean, how
        As of `factored_value`.
    n, each, d : int
        Steps, steps from one draw to the next, and number of coordinates.
    X : ndarray, shape (n, d)
        Points that are proposed.
    log_q, log_u : ndarray, shape (n,)
        Their log density under the proposal, and logarithms of uniform numbers.
    log_w : ndarray, shape (n + 1,)
        Receives the log weights of the points. The last element is that of the chain's place.
    n_draws : int
        Draws to keep: n / each, or 0.
    kept : ndarray, shape (n_draws + 1, d)
        Receives the draws; the last row holds the chain's place.
    lp : ndarray, shape (n_draws + 1,)
        Receives the log density at each draw; the last element is that of the chain's place.
    accepted : ndarray, shape (n_draws,)
        Receives the mean probability of acceptance on the way to each draw.
    beta : ndarray, shape (n_draws, p)
        Standard normals, in whose place come the draws in working units.
    n_b : int
        Number of group effects, or 0 where they are not wanted.
    b : ndarray, shape (n_draws, n_b)
        As beta.
    room : ndarray, shape (2, size)
        Room for the states of two points.
    size : int
    at : ndarray of int64, shape (1,)
        Which of the two is the chain's place; 2 where there is none yet.
    screens : int
        Steps that are taken by approximate weights before the point they lead to is evaluated,
        if it is another one (Christen & Fox 2005); 0 where there are no such weights. Divides
        `each`.
    log_s : ndarray, shape (n + 1,)
        Logarithms of these weights. The last element is that of the chain's place.
    log_v : ndarray, shape (n,)
        Logarithms of uniform numbers for them.

    Returns
    -------
    int
        Number of accepted points; -1 if effects could not be drawn.
    """
    own, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    p, n_L = own.sizes[4], co.L_size
    n_products = 0
    if address != 0:
        n_products = classes_at(class_ints, class_floats).sizes[2]
    values, u = np.empty(own.n_root), np.empty(n_b)
    place = shifted(kept, n_draws * d)
    present, n_accepted, total, draw = log_w[n], 0, 0.0, 0
    candidate, by_screen, there, group, n_ends = -1, 0.0, log_s[n], max(screens, 1), 0
    for s in range(n):
        log_w[s] = np.nan
        if screens == 0 or at[0] == 2:
            candidate = s
        elif log_v[s] < log_s[s] - there:
            candidate, there = s, log_s[s]
        ends = (s + 1) % group == 0 or at[0] == 2
        if ends and candidate >= 0:
            other = 0 if at[0] != 0 else 1
            value = _value(
                eq_ints, eq_floats, class_ints, class_floats, address, phi_ints, phi_floats,
                co_ints, co_floats, known, prior_precision, prior_mean, how,
                shifted(X, candidate * d), shifted(room, other * size),
            )  # fmt: skip
            if screens != 0:
                by_screen = log_s[candidate]
            # By the screen alone chains would have the law q times its weights.
            weight = value - log_q[candidate] - by_screen
            log_w[candidate] = weight
            change = weight - present
            if at[0] == 2:
                change = 0.0 if np.isfinite(weight) else -np.inf
            total += np.exp(min(change, 0.0))
            if log_u[candidate] < change or change >= 0.0:
                at[0], present, lp[n_draws] = other, weight, value
                n_accepted += 1
                for i in range(d):
                    place[i] = X[candidate * d + i]
                if screens != 0:
                    log_s[n] = by_screen
        if ends:
            candidate, there, n_ends = -1, log_s[n], n_ends + 1
        if n_draws == 0 or (s + 1) % each != 0:
            continue
        state = state_at(own, n_L, how, n_products, shifted(room, at[0] * size))
        floats = state.products if address != 0 else eq_floats
        for i in range(d):
            kept[draw * d + i] = place[i]
        lp[draw], accepted[draw] = lp[n_draws], total / n_ends
        total, n_ends = 0.0, 0
        if not _draw(
            eq_ints, floats, how, state, n_b, shifted(beta, draw * p), shifted(b, draw * n_b),
            values, u,
        ):  # fmt: skip
            return -1
        draw += 1
    log_w[n] = present
    return n_accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueDensity:
    """The collapsed log density of a model, as a value.

    Attributes
    ----------
    eq : Equations
    co : Coordinates
    prior : FixedPrior
    known : float
        Residual precision where it is known, or 0.
    """

    eq: Equations
    co: Coordinates
    prior: FixedPrior
    known: float

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates of a point."""
        return self.co.n_all

    @property
    def how(self) -> int:
        """How equations are factored: LEVELS, PATTERNS or WHOLE."""
        eq = self.eq
        if eq.n_chain != 1 or eq.sizes[1] != 0:
            return WHOLE
        if len(eq.pattern_count) and eq.classes is None:
            return PATTERNS
        return LEVELS if eq.q[0] <= _MOST_SHORT else WHOLE

    @property
    def state_size(self) -> int:
        """Length of the numbers of one `State`."""
        eq = self.eq
        n = int(eq.sizes[3]) + eq.n_fixed
        size = 1 + len(self.co.T) + n * n + n
        size += 0 if eq.classes is None else int(eq.classes.sizes[2])
        return size + (eq.K.size + eq.panel.size if self.how == WHOLE else 0)

    def room(self, n_states: int = 1) -> np.ndarray:
        """Return room for states; nothing is written above the diagonal of a large factor."""
        size = n_states * self.state_size
        return lazy_zeros(size) if len(self.eq.root_y) > _LARGE else np.empty(size)

    def arguments(self) -> tuple[Any, ...]:
        """Return what kernels take first."""
        eq, co, classes, phi = self.eq, self.co, self.eq.classes, self.co.phi
        if classes is None or phi is None:
            structure = (eq.ints, eq.floats, 0, eq.ints, eq.floats)
        else:
            structure = (classes.ints, classes.floats, classes.address(), phi.ints, phi.floats)
        return (
            eq.ints, eq.floats, *structure, co.ints, co.floats, self.known,
            self.prior.precision, self.prior.mean, self.how,
        )  # fmt: skip

    def values(self, X: np.ndarray) -> np.ndarray:
        """Log density of each point, up to a constant.

        Parameters
        ----------
        X : ndarray, shape (n, d)

        Returns
        -------
        ndarray, shape (n,)
            Minus infinity where the equations cannot be factored.
        """
        n, d = X.shape
        out, room = np.empty(n), self.room()
        values_at(*self.arguments(), n, d, np.ascontiguousarray(X), out, room)
        return out


class Chain:
    """An independence chain that takes its steps a stretch at a time.

    Parameters
    ----------
    density : ValueDensity

    Attributes
    ----------
    accepted : int
        Points accepted so far.
    """

    def __init__(self, density: ValueDensity) -> None:
        self.density = density
        self.accepted = 0
        self._arguments = density.arguments()
        self._size = density.state_size
        self._room = density.room(2)
        self._at = np.array([2])
        self._place = np.zeros(density.n_coordinates)
        self._log_w = self._lp = self._log_s = 0.0

    def steps(
        self, X: np.ndarray, log_q: np.ndarray, log_u: np.ndarray, each: int, beta: np.ndarray,
        b: np.ndarray, screen: tuple[int, np.ndarray, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:  # fmt: skip
        """Take as many steps as there are points.

        Parameters
        ----------
        X : ndarray, shape (n, d)
            Points that are proposed; the first that has a density is where a chain begins.
        log_q : ndarray, shape (n,)
            Their log density under the proposal.
        log_u : ndarray, shape (n,)
            Logarithms of uniform numbers.
        each : int
            Steps from one draw to the next.
        beta, b : ndarray, shape (S, p) and (S, n_b)
            Standard normals of S = n / each draws, or of none; they become draws in working
            units. Group effects without columns are not drawn.
        screen : tuple of int and two ndarray, shape (n,), optional
            Steps from one evaluation to the next, which divide `each`; logarithms of the
            approximate weights by which these are taken, and of uniform numbers. A chain has
            them always or never.

        Returns
        -------
        X, lp, acceptance, log_w : ndarray
            The draws, their log density, the mean probability of acceptance on the way to
            each, and the log weights of all points: beside the approximate ones, if there are
            any, and NaN of points that were not evaluated. None if effects could not be drawn.
        """
        n, d = X.shape
        n_draws = len(beta)
        kept, log_w = np.empty((n_draws + 1, d)), np.empty(n + 1)
        lp, acceptance = np.empty(n_draws + 1), np.empty(n_draws)
        kept[-1], log_w[-1], lp[-1] = self._place, self._log_w, self._lp
        screens, log_s, log_v = 0, np.zeros(n + 1), log_u
        if screen is not None:
            screens, log_v = screen[0], screen[2]
            log_s[:-1], log_s[-1] = screen[1], self._log_s
        found = metropolis_steps(
            *self._arguments, n, each, d, X, log_q, log_u, log_w, n_draws, kept, lp, acceptance,
            beta, b.shape[1], b, self._room, self._size, self._at, screens, log_s, log_v,
        )  # fmt: skip
        if found < 0:
            return None
        self.accepted += found
        self._place, self._log_w, self._lp = kept[-1].copy(), float(log_w[-1]), float(lp[-1])
        self._log_s = float(log_s[-1])
        return kept[:-1], lp[:-1], acceptance, log_w[:-1]

    def value(self, x: np.ndarray) -> float:
        """Log density at a point, where the chain does not go; see `ValueDensity.values`."""
        out = np.empty(1)
        values_at(*self._arguments, 1, len(x), np.ascontiguousarray(x), out, self._room)
        self._at[0] = 2
        return float(out[0])

    def draw_at(self, x: np.ndarray, beta: np.ndarray, b: np.ndarray) -> bool:
        """Draw effects at a point, whatever the chain's place; see `steps`.

        Parameters
        ----------
        x : ndarray, shape (d,)
        beta, b : ndarray, shape (1, p) and (1, n_b)
            Standard normals, which become the draw in working units.

        Returns
        -------
        bool
            False if it could not be drawn.
        """
        self._at[0] = 2
        nothing = np.zeros(1)
        found = self.steps(np.ascontiguousarray(x[None]), nothing, nothing, 1, beta, b)
        return found is not None and int(self._at[0]) != 2
