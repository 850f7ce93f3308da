"""What a Laplace fit knows of its parameters, and what it says where it knows nothing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.inference.determined import Determined
from bayesmix.inference.laplace_determined import determined_of, reproduced, separated
from bayesmix.inference.laplace_error import GRAVE, Shift, laplace_shifts
from bayesmix.inference.search import LARGEST_CORRELATION

if TYPE_CHECKING:
    from bayesmix.gaussian.coordinates import Coordinates
    from bayesmix.gaussian.density import FixedPrior
    from bayesmix.gaussian.problem import Problem
    from bayesmix.glmm.problem import GlmmProblem
    from bayesmix.inference.empirical import Method, Optimum
    from bayesmix.inference.laplace import LaplaceOptimum, Priors
    from bayesmix.statement.stated import FittableModel

__all__ = ["KnowsItsLimits"]


class KnowsItsLimits:
    """Separation, flat directions and the error of the approximation.

    The rest of a `LaplaceFit` asks for `_determined`: the covariance of all outer coordinates
    beside the directions along which the likelihood is flat.
    """

    model: FittableModel
    method: Method
    n_quadrature: int
    _gp: GlmmProblem
    _problem: Problem
    _co: Coordinates
    _prior: FixedPrior
    _laplace: LaplaceOptimum
    _optimum: Optimum

    if TYPE_CHECKING:

        @property
        def _n_outer(self) -> int: ...

    @property
    def separation(self) -> str:
        """Coefficients that run away, in words; empty if none does.

        Where a direction of the fixed effects separates the outcomes (a level of a factor
        in which all counts are zero, or all trials successes; a predictor beyond which none
        fails) the likelihood rises along it for ever, as linear programming finds. The
        estimates are where the search has ended, and have no standard errors; those of the
        other coefficients are as without the rows that are separated. The priors of
        ``method="map"`` and of ``fit()`` keep all estimates finite.
        """
        if self._reproduced.shape[1]:
            groups = " and ".join(g.name for g in self._problem.groups)
            return (
                f"the effects of {groups} with the fixed ones reproduce every outcome: the "
                "likelihood does not say how large they are, so all estimates ran away and have "
                'no standard errors; take method="map" or fit(), whose priors hold them'
            )
        names = self._runaway
        if not names:
            return ""
        one, rest = len(names) == 1, len(names) < len(self.model.design.fixed_effects)
        others = " (the others are as without the separated rows)" if rest else ""
        return (
            f"{', '.join(names)} separate{'s' * one} the outcomes: the likelihood rises for ever, "
            f"so the estimate{'' if one else 's'} ran away and {'has' if one else 'have'} no "
            f'standard error{others}; take method="map" or fit(), whose priors hold '
            f"{'it' if one else 'them'}, or leave out the level or predictor"
        )

    @functools.cached_property
    def _runaway(self) -> list[str]:
        """Names of the coefficients without a finite estimate."""
        moves = np.linalg.inv(self._problem.scaling.TX) @ self._separated
        size = np.abs(moves).max(axis=1, initial=0.0) * np.abs(self.model.design.X).max(axis=0)
        far = size > 1e-7 * size.max(initial=0.0)
        return [
            name for name, runs in zip(self.model.design.fixed_effects, far, strict=True) if runs
        ]

    @property
    def approximation(self) -> str:
        """Where Laplace's approximation is too rough, in words; empty where it is good.

        For levels with one or two binary rows, or small counts, it makes standard
        deviations too small. After a fit the integral over each effect is taken by
        quadrature in the neighbourhood of the estimates; if that moves a standard
        deviation by a quarter of its standard error or more, it is said here and in the
        summary, and from half of one on there is a warning. With one scalar group term
        that is what `n_quadrature` would find; with several effects each is integrated
        with the others held at their mode.
        """
        if not self._shifts:
            return ""
        names = [(e, g.name) for g in self._problem.groups for e in covariance_of(g).sd_labels]
        sd = self._optimum.sd[self._co.effect_of_sd]
        found = [
            f"the sd of {names[s.at][0]} by {names[s.at][1]} is {sd[s.at]:.3g}, "
            f"and about {s.sd:.3g} without it ({abs(s.errors):.1f} standard errors away)"
            for s in self._shifts
        ]
        groups = self.model.design.groups
        scalar = len(groups) == 1 and groups[0].n_effects == 1
        way = "take n_quadrature=15" if scalar else "take fit(), which needs no approximation"
        return f"Laplace's approximation is rough here: {'; '.join(found)}; {way}"

    @property
    def _is_rough(self) -> bool:
        """Whether the approximation moves a standard deviation by half a standard error."""
        return any(abs(s.errors) > GRAVE for s in self._shifts)

    @property
    def _flat_words(self) -> str:
        """Coefficients without a standard error that have not run away; empty if there are none."""
        names = self.model.design.fixed_effects
        lost = self._determined_fixed.lost(np.eye(len(names)))
        flat = [n for n, is_lost in zip(names, lost, strict=True) if is_lost]
        flat = [n for n in flat if n not in self._runaway] if not self._reproduced.shape[1] else []
        if not flat:
            return ""
        return f"the likelihood is flat in {', '.join(flat)}, which have no standard errors"

    @functools.cached_property
    def _shifts(self) -> list[Shift]:
        """Standard deviations that the approximation moves."""
        if self.n_quadrature > 1 or not self._optimum.converged or self._reproduced.shape[1]:
            return []
        prior = self._prior if self.method == "map" else None
        return laplace_shifts(
            self._gp, self._co, prior, 1 if prior else 0, self._laplace, self._determined
        )

    # -- inside ---------------------------------------------------------------

    @functools.cached_property
    def _separated(self) -> np.ndarray:
        """Directions of the working coefficients along which the estimates run away."""
        rises = self.model.family.rises(self.model.y, self.model.rows)
        return separated(self._gp, self._co, self._prior, self._laplace, rises)

    @functools.cached_property
    def _reproduced(self) -> np.ndarray:
        """Direction in which all effects grow where these reproduce every outcome."""
        rises = self.model.family.rises(self.model.y, self.model.rows)
        if self.method == "map" or self._separated.shape[1] == self._problem.n_fixed:
            return np.zeros((len(self._laplace.x), 0))
        return reproduced(self._gp, self._co, self._laplace, rises)

    @functools.cached_property
    def _determined(self) -> Determined:
        """What is known of all outer coordinates; those at a boundary have no variance."""
        found, d = self._laplace, self._co.n_x
        x = found.x
        n_sd = self._co.n_sd
        free = np.ones(len(x), dtype=bool)
        free[:n_sd] = ~self._optimum.at_zero[self._co.effect_of_sd]
        # Correlations with an effect that does not vary are not there to be estimated.
        free[n_sd:d] = np.abs(x[n_sd:d]) < LARGEST_CORRELATION - 0.5
        free[n_sd:d] &= np.abs(self._laplace.gradient[n_sd:d]) < np.inf
        prior = self._prior if self.method == "map" else None

        grows = self._reproduced

        def known(flat: np.ndarray) -> Determined:
            priors: Priors = 1 if prior else 0
            return determined_of(self._gp, self._co, prior, priors, found, free, flat, grows)

        outcome = known(self._separated)
        coefficients = np.eye(len(x))[self._n_outer :]
        explained = self._separated.shape[1] or grows.shape[1]
        if not explained and outcome.lost(coefficients).any():
            # Flat after all: ask every row whether it is separated.
            rises = self.model.family.rises(self.model.y, self.model.rows)
            self._separated = separated(
                self._gp, self._co, self._prior, found, rises, thorough=True
            )
            if self._separated.shape[1]:
                outcome = known(self._separated)
        return outcome

    @functools.cached_property
    def _determined_fixed(self) -> Determined:
        """What is known of the fixed effects, on the scale of the formula."""
        return self._determined.part(slice(self._n_outer, None)).moved(
            np.linalg.inv(self._problem.scaling.TX)
        )

    @property
    def _lost_coefficients(self) -> np.ndarray:
        """Which fixed effects have no estimate, shape (p,)."""
        return self._determined_fixed.lost(np.eye(len(self.model.design.fixed_effects)))

    @functools.cached_property
    def _outer_cov(self) -> np.ndarray:
        """Covariance of all outer coordinates, infinite where nothing is known."""
        out = self._determined.covariance.copy()
        lost = np.flatnonzero(self._determined.lost(np.eye(len(out))))
        out[lost, lost] = np.inf
        return out
