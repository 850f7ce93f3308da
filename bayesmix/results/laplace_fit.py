"""`LaplaceFit`: empirical Bayes beyond the normal, by Laplace's approximation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from bayesmix.laws.joint_laplace import JointLaplace
from bayesmix.laws.laplace import LaplaceLaw
from bayesmix.results.empirical_bayes import EmpiricalBayes

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["LaplaceFit"]


class LaplaceFit(EmpiricalBayes):
    """A mixed model of a non-normal response at its best parameters.

    Made by `Model.fit_eb`. The group effects are integrated out by Laplace's
    approximation around their mode (or adaptive quadrature), and fixed effects,
    variance components and the family's parameters are maximised together.
    Everything in the tables is on the scale of the linear predictor, unless
    ``exponentiate=True``.

    Parameters
    ----------
    model : Model
    method : {"ml", "map"}
    n_quadrature : int
        Points of adaptive Gauss-Hermite quadrature; 1 is Laplace's approximation.

    Attributes
    ----------
    model : Model
    method : str
    n_quadrature : int

    References
    ----------
    Pinheiro, J. C. and Bates, D. M. (1995). Approximations to the log-likelihood
    function in the nonlinear mixed-effects model. Journal of Computational and
    Graphical Statistics 4(1), 12-35.
    """

    def __init__(
        self, model: FittableModel, method: Literal["ml", "map"], n_quadrature: int = 1
    ) -> None:
        start = time.perf_counter()
        self.model = model
        self.method = method
        self.n_quadrature = n_quadrature
        self._at_mode: LaplaceLaw = _law_of(model, method, n_quadrature)
        self.seconds = time.perf_counter() - start

    @property
    def _law(self) -> LaplaceLaw:
        return self._at_mode

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
        return self._law.separation

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
        return self._law.approximation

    @property
    def mean_branch(self) -> str:
        """Whether a mean belongs to linear predictors below zero too, in words; empty if not.

        The square of a linear predictor rises again below zero. Where effects reach
        there, what a coefficient means changes its sign with the level.
        """
        return self._law.mean_branch

    @property
    def _fit_options(self) -> dict[str, Any]:
        return {"n_quadrature": self.n_quadrature}


def _law_of(model: FittableModel, method: Literal["ml", "map"], n_quadrature: int) -> Any:
    """The law of one predictor, or that of several, which is asked one by one."""
    if len(model.design.predictors) > 1:
        return JointLaplace(model, method)
    return LaplaceLaw(model, method, n_quadrature)
