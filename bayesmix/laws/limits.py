"""What Laplace's law knows of its parameters, and what it says where it knows nothing."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.inference.determined import Determined
from bayesmix.inference.laplace import log_marginal
from bayesmix.inference.laplace_determined import (
    determined_of,
    one_sided_rows,
    reproduced,
    separated,
    silent,
)
from bayesmix.inference.laplace_error import GRAVE, Shift, laplace_shifts
from bayesmix.inference.search import LARGEST_CORRELATION
from bayesmix.inference.separation import rising_directions
from bayesmix.laws.mode import Mode
from bayesmix.laws.ran_away import RanAway, ran_away_along
from bayesmix.laws.values import sd_in_words
from bayesmix.spread import largest

if TYPE_CHECKING:
    from bayesmix.gaussian.coordinates import Coordinates
    from bayesmix.glmm.problem import GlmmProblem
    from bayesmix.inference.laplace import LaplaceOptimum, Priors
    from bayesmix.inference.stored_limits import Rises

__all__ = ["Limits"]

_FARTHER = 5.0  # of a logarithm
_NOTHING = 1e-3  # of a log-likelihood


class Limits(Mode):
    """Separation, flat directions and the error of the approximation.

    The rest of the law asks for `determined`: the covariance of all outer coordinates
    beside the directions along which the likelihood is flat.
    """

    gp: GlmmProblem
    co: Coordinates
    laplace: LaplaceOptimum

    @property
    def n_outer(self) -> int:
        """Number of variance parameters and of the family's own."""
        return self.co.n_x + len(self.gp.phi)

    @property
    def separation(self) -> str:
        """Coefficients that run away, in words; empty if none does."""
        if self.reproduced.shape[1]:
            groups = " and ".join(g.name for g in self.problem.groups)
            return (
                f"the effects of {groups} with the fixed ones reproduce every outcome: the "
                "likelihood does not say how large they are, so all estimates ran away and have "
                'no standard errors; take method="map" or fit(), whose priors hold them'
            )
        unheard, names = self.unheard, [n for n in self.runaway if n not in self.unheard]
        if not names:
            return unheard_in_words(unheard)
        one, rest = len(names) == 1, len(names) < len(self.model.design.mu.fixed_effects)
        others = " (the others are as without the separated rows)" if rest else ""
        return (
            f"{', '.join(names)} separate{'s' * one} the outcomes: the likelihood rises for ever, "
            f"so the estimate{'' if one else 's'} ran away and {'has' if one else 'have'} no "
            f'standard error{others}; take method="map" or fit(), whose priors hold '
            f"{'it' if one else 'them'}, or leave out the level or predictor"
            + (f"; {unheard_in_words(unheard)}" if unheard else "")
        )

    @property
    def unheard(self) -> list[str]:
        """Names of the coefficients of which no row says anything."""
        names = self.model.design.mu.fixed_effects
        unknown = self.determined_fixed.unknown(np.eye(len(names)))
        return [name for name, is_unknown in zip(names, unknown, strict=True) if is_unknown]

    @functools.cached_property
    def runaway(self) -> list[str]:
        """Names of the coefficients without a finite estimate.

        With thresholds in the place of an intercept a flat direction is one of separation,
        for their likelihoods are concave.
        """
        if self.model.family.replaces_intercept and not self.separated.shape[1]:
            return self._flat_names
        moves = np.linalg.inv(self.problem.scaling.TX) @ self.separated
        far = self._reaches_rows(np.abs(moves).max(axis=1, initial=0.0))
        return [
            name for name, runs in zip(self.model.design.mu.fixed_effects, far, strict=True) if runs
        ]

    def ran_away(self, gp: GlmmProblem, found: LaplaceOptimum, y: np.ndarray) -> RanAway | None:
        """Directions of the coefficients that other responses of this model's rows do not bound.

        Parameters
        ----------
        gp : GlmmProblem
            Each row of the data, with the responses.
        found : LaplaceOptimum
            Where the search has ended.
        y : ndarray, shape (n,) or (n, K)

        Returns
        -------
        RanAway or None
            As `Refit` has it.
        """
        factors = self.model.family.one_sided(y, len(gp.phi))
        if factors is not None:
            return self._ran_away_in_order(gp, found, factors)
        rises = self._rises_of(y)
        flat = self._separated_by(gp, found, rises)
        beta = found.x[len(found.x) - gp.problem.n_fixed :]
        if not flat.shape[1]:
            if not reproduced(gp, self.co, found, rises).shape[1]:
                return None
            flat = beta[:, None] / max(float(np.linalg.norm(beta)), 1e-300)
            return replace(self._along(gp, flat, np.ones((1, 1))), with_sds=True)
        rows = (gp.rows.X.T * np.nan_to_num(rises)[:, None]) @ flat
        if rows.any():
            return self._along(gp, flat, rows[gp.rows.says])
        # A search that follows the likelihood for ever ends far out along these directions.
        basis = np.linalg.qr(flat)[0]
        way = basis.T @ beta
        there = self._along(gp, basis, way[None])
        return replace(there, is_exact=False) if len(way) > 1 else there

    def _ran_away_in_order(
        self, gp: GlmmProblem, found: LaplaceOptimum,
        factors: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> RanAway | None:  # fmt: skip
        """The same of ordered categories, whose thresholds may run away with the coefficients."""
        if not np.isfinite(found.x).all():
            return None
        X, rises = one_sided_rows(gp, self.co, found, factors)
        flat = rising_directions(X, rises)
        if not flat.shape[1]:
            return None
        p = gp.problem.n_fixed
        directions = np.linalg.inv(gp.problem.scaling.TX) @ flat[:p]
        moved = flat[p:] + gp.means @ directions  # the search's are those at the columns' means
        size = np.abs(flat[p:]) + np.abs(gp.means) @ np.abs(directions)
        thresholds = np.where(np.abs(moved) > 1e-7 * size, moved, 0.0)
        return self._along(gp, flat[:p], X @ flat, thresholds)

    def _along(
        self, gp: GlmmProblem, flat: np.ndarray, rows: np.ndarray,
        thresholds: np.ndarray | None = None,
    ) -> RanAway:  # fmt: skip
        directions = np.linalg.inv(gp.problem.scaling.TX) @ flat
        size = np.abs(directions).max(axis=1, initial=0.0)
        if thresholds is not None:
            # Where thresholds alone run away, what the coefficients do is rounding.
            size = np.where(np.abs(flat).max(axis=1, initial=0.0) > 1e-7, size, 0.0)
        return ran_away_along(directions, rows, self._reaches_rows(size), thresholds)

    def _reaches_rows(self, sizes: np.ndarray) -> np.ndarray:
        """Which coefficients move rows, where they move by these sizes; rounding does not."""
        size = sizes * largest(self.model.design.mu.X)
        return np.asarray(size > 1e-7 * size.max(initial=0.0))

    @property
    def approximation(self) -> str:
        """Where Laplace's approximation is too rough, in words; empty where it is good."""
        if not self._shifts:
            return ""
        names = [
            sd_in_words(g, label)
            for g in self.problem.groups
            for label in covariance_of(g).sd_labels
        ]
        sd = self.optimum.sd[self.co.effect_of_sd]
        found = [
            f"{names[s.at]} is {sd[s.at]:.3g}, "
            f"and about {s.sd:.3g} without it ({abs(s.errors):.1f} standard errors away)"
            for s in self._shifts
        ]
        groups = self.model.design.mu.groups
        scalar = len(groups) == 1 and groups[0].n_effects == 1
        way = "take n_quadrature=15" if scalar else "take fit(), which needs no approximation"
        return f"Laplace's approximation is rough here: {'; '.join(found)}; {way}"

    @property
    def is_rough(self) -> bool:
        """Whether the approximation moves a standard deviation by half a standard error."""
        return any(abs(s.errors) > GRAVE for s in self._shifts)

    @property
    def flat_in_words(self) -> str:
        """Coefficients without a standard error that have not run away; empty if there are none."""
        if self.reproduced.shape[1] or not self.optimum.converged:
            return ""  # which is said first
        flat = [name for name in self._flat_names if name not in self.runaway]
        if not flat:
            return ""
        has = "has no standard error" if len(flat) == 1 else "have no standard errors"
        return f"the likelihood is flat in {', '.join(flat)}, which {has}"

    @property
    def _flat_names(self) -> list[str]:
        names = self.model.design.mu.fixed_effects
        lost = self.determined_fixed.lost(np.eye(len(names)))
        return [name for name, is_lost in zip(names, lost, strict=True) if is_lost]

    @functools.cached_property
    def _shifts(self) -> list[Shift]:
        """Standard deviations that the approximation moves."""
        if self.n_quadrature > 1 or not self.optimum.converged or self.reproduced.shape[1]:
            return []
        prior = self.prior if self.method == "map" else None
        return laplace_shifts(
            self.gp, self.co, prior, 1 if prior else 0, self.laplace, self.determined
        )

    # -- inside ---------------------------------------------------------------

    def _rises(self) -> np.ndarray | Rises:
        """Which way the likelihood of each row of `gp` rises for ever, shape (n,).

        Where rows are on disk, what says so of a block of them.
        """
        if self.gp.rows.is_stored:
            family = self.model.family
            return lambda rows: family.rises(rows.y, {"trials": rows.trials})
        if self.gp.rises is not None:
            return self.gp.rises
        return self.gp.of_rows(self._rises_of(self.model.y))

    def _rises_of(self, y: np.ndarray) -> np.ndarray:
        """Which way it rises for each row of the data with these responses.

        What is known to be at least y has a probability that rises to 1 with the mean.
        """
        family, rows = self.model.family, self.model.rows
        found = family.rises(y, rows)
        grows = family.link_functions.is_log or family.link_functions.is_identity
        if "status" not in rows or not grows or {"lower", "upper"} & set(rows):
            return found
        status = np.sign(rows["status"])
        return np.where(status == 0, found, status)

    def _separated_by(
        self, gp: GlmmProblem, found: LaplaceOptimum, rises: np.ndarray | Rises
    ) -> np.ndarray:
        return separated(gp, self.co, self.prior, found, rises)

    @functools.cached_property
    def separated(self) -> np.ndarray:
        """Directions of the working coefficients along which the estimates run away."""
        return self._separated_by(self.gp, self.laplace, self._rises())

    @functools.cached_property
    def silent(self) -> np.ndarray:
        """Directions of the working coefficients of which no row says anything."""
        return silent(self.gp, self.prior, self._rises())

    @functools.cached_property
    def reproduced(self) -> np.ndarray:
        """Direction in which all effects grow where these reproduce every outcome."""
        rises = self._rises()
        if self.method == "map" or self.separated.shape[1] == self.problem.n_fixed:
            return np.zeros((len(self.laplace.x), 0))
        return reproduced(self.gp, self.co, self.laplace, rises)

    @functools.cached_property
    def determined(self) -> Determined:
        """What is known of all outer coordinates; those at a boundary have no variance."""
        found, d = self.laplace, self.co.n_x
        x = found.x
        n_sd = self.co.n_sd
        free = np.ones(len(x), dtype=bool)
        free[:n_sd] = ~self.optimum.at_zero[self.co.effect_of_sd]
        # Correlations with an effect that does not vary are not there to be estimated.
        free[n_sd:d] = np.abs(x[n_sd:d]) < LARGEST_CORRELATION - 0.5
        free[n_sd:d] &= np.abs(self.laplace.gradient[n_sd:d]) < np.inf
        prior = self.prior if self.method == "map" else None
        endless = self._endless
        free[endless] = False
        grows = np.concatenate([self.reproduced, np.eye(len(x))[:, endless]], axis=1)

        def known(flat: np.ndarray) -> Determined:
            priors: Priors = 1 if prior else 0
            return determined_of(
                self.gp, self.co, prior, priors, found, free, flat, grows, self.n_quadrature
            )

        outcome = known(self.separated)
        coefficients = np.eye(len(x))[self.n_outer :]
        explained = self.separated.shape[1] or self.reproduced.shape[1]
        if not explained and outcome.lost(coefficients).any():
            # Flat after all: ask every row whether it is separated.
            rises = self._rises()
            self.separated = separated(self.gp, self.co, self.prior, found, rises, thorough=True)
            if self.separated.shape[1]:
                outcome = known(self.separated)
        unknown = np.zeros((len(x), self.silent.shape[1]))
        unknown[self.n_outer :] = np.where(
            np.abs(self.silent) > 1e-9 * np.abs(self.silent).max(initial=0.0), self.silent, 0.0
        )
        return replace(outcome, silent=unknown)

    @property
    def _endless(self) -> list[int]:
        """Coordinates of the family's parameters that may grow for ever, and nothing changes.

        As the degrees of freedom of Student's t do where the data are normal: the model has
        become another, in which they have no part.
        """
        x, u = self.laplace.x, self.laplace.u
        if self.method == "map" or not np.isfinite(x).all():
            return []
        phi, specs = self.gp.phi, self.model.family.parameters
        positive = [
            k for k in range(len(phi))
            if phi.is_single(k) and not phi.has_vectors
            and specs[phi.names[k]].support == "positive"
        ]  # fmt: skip
        here, found = log_marginal(self.gp, self.co, x, u), []
        for k in positive:
            moved = x.copy()
            moved[self.co.n_x + k] += _FARTHER
            if abs(log_marginal(self.gp, self.co, moved, u) - here) < _NOTHING:
                found.append(self.co.n_x + k)
        return found

    @functools.cached_property
    def determined_fixed(self) -> Determined:
        """What is known of the fixed effects, on the scale of the formula."""
        return self.determined.part(slice(self.n_outer, None)).moved(
            np.linalg.inv(self.problem.scaling.TX)
        )

    @functools.cached_property
    def outer_cov(self) -> np.ndarray:
        """Covariance of all outer coordinates, infinite where nothing is known."""
        out = self.determined.covariance.copy()
        lost = np.flatnonzero(self.determined.lost(np.eye(len(out))))
        out[lost, lost] = np.inf
        return out


def unheard_in_words(names: list[str]) -> str:
    """Say that the data tell nothing of some coefficients; empty if there are none."""
    if not names:
        return ""
    return (
        f"no row says anything of {', '.join(names)}: where the search began is no estimate, and "
        'what rests on it is NaN; take method="map" or fit(), whose priors hold it, or leave out '
        "the level"
    )
