"""Refits that build each model anew: other rows, or residuals with parameters of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.gaussian.conditional import conditional_moments
from bayesmix.gaussian.density import flat_prior
from bayesmix.gaussian.theta import pack_theta
from bayesmix.laws.refit import Refit, effects_given

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.statement.stated import StatedModel

__all__ = ["RefitsAnew", "parameters_of"]


class RefitsAnew:
    """Models that differ from one in their responses or their rows, to be fitted like it.

    Parameters
    ----------
    law : NormalLaw
        That of a normal response, by REML or ML.
    model_of : callable
        The k-th model.
    """

    def __init__(self, law: NormalLaw, model_of: Callable[[int], StatedModel]) -> None:
        self.law, self.model_of = law, model_of

    def worker(self, own: range) -> RefitsAnew:
        """Return itself: models share nothing that is changed."""
        return self

    def fit(self, k: int, rng: np.random.Generator | None) -> Refit:
        """Fit the k-th model; `rng` is for the effects."""
        law = self._fitted(k)
        sd, corr = law.by_group()
        structure = law.structure_at(*law.absolute)
        return Refit(
            beta=law.conditional.beta,
            sd=sd,
            corr=corr,
            structure=structure,
            parameters=parameters_of(law),
            effects=self._drawn(law, rng),
            deviance=law.deviance,
            converged=law.optimum.converged,
        )

    def deviance(self, k: int) -> tuple[float, bool]:
        """The criterion of the k-th model's fit, and whether its search converged."""
        law = self._fitted(k)
        return law.deviance, law.optimum.converged

    # -- inside ---------------------------------------------------------------

    def _fitted(self, k: int) -> NormalLaw:
        return self.law.again(self.model_of(k), self.law.method)

    def _drawn(self, found: NormalLaw, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
        """Draw the effects of the levels that were seen, given a refit's estimates."""
        problem = self.law.problem
        sd, corr = found.by_group()
        at = pack_theta(
            problem,
            {name: v[None] for name, v in sd.items()},
            {name: v[None] for name, v in corr.items()},
            None if problem.sigma_is_known else np.asarray([found.optimum.sigma]),
            {
                g: {name: np.asarray(v)[None] for name, v in values.items()}
                for g, values in found.structure_at(*found.absolute).items()
            },
            {name: v[None] for name, v in parameters_of(found).items()},
        )[0]
        co, prior, known = (
            problem.absolute_coordinates(), flat_prior(problem.n_fixed), problem.known_precision,
        )  # fmt: skip
        moments = conditional_moments(problem, co, at, prior, known=known)
        drawn = effects_given(
            problem, co, known, at, found.conditional.beta, moments.beta_cov, moments.cross, rng
        )
        for name, values in drawn.items():  # zero is zero, not 1e-300
            values[:, sd[name] == 0] = 0.0
        return drawn


def parameters_of(law: NormalLaw) -> dict[str, np.ndarray]:
    """The family's own parameters, the residual structure's and sigma's coefficients."""
    own = dict(law.family_values)
    if law.model.family.is_normal:
        own |= law.residual_values
    return {name: np.asarray(value) for name, value in own.items()}
