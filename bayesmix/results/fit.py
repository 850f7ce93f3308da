"""`Fit`: a model whose parameters have a law, and all that can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from bayesmix.results.effect.effects import Effects
from bayesmix.results.effect.explained import ExplainedVariance
from bayesmix.results.effect.hypothesis import WeighsHypotheses
from bayesmix.results.effect.of_category import HasCategories
from bayesmix.results.files.reporting import Reports
from bayesmix.results.files.saving import Saves
from bayesmix.results.means.averages import AveragesOverGrids
from bayesmix.results.tabular.smooths import SmoothTables
from bayesmix.results.tabular.tidying import Tidies

if TYPE_CHECKING:
    from bayesmix.families import Family
    from bayesmix.priors import Prior

__all__ = ["Fit"]


class Fit(
    Reports, SmoothTables, Tidies, Effects, HasCategories, AveragesOverGrids, ExplainedVariance,
    WeighsHypotheses, Saves,
):  # fmt: skip
    """A mixed model whose parameters have a law: draws, or a distribution around a mode.

    `Posterior` and `EmpiricalBayes` add what only they can have.
    """

    def update(
        self,
        formula: str | None = None,
        data: Any = None,
        *,
        family: str | Family | None = None,
        priors: Mapping[str, Prior | None] | None = None,
        weights: Any = None,
        known_se: Any = None,
        **fit: Any,
    ) -> Self:
        """Change the model and fit it again, with the rest as it was.

        Parameters
        ----------
        formula, data, family, priors, weights, known_se
            As in `Model.update`: ``". ~ . + x"`` adds a term to the formula.
        **fit
            Arguments of `Model.fit` or `Model.fit_eb` that are to differ from this fit's,
            such as the seed, or the method of empirical Bayes.

        Returns
        -------
        Posterior or EmpiricalBayes
            The same kind as this fit.

        Raises
        ------
        NotSupportedError
            If the PyMC model was changed by hand, which a new formula does not know.
        BayesmixError
            As `Model.update`, `Model.fit` and `Model.fit_eb`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.update(". ~ . - Days").fixed_effects()["term"].tolist()
        ['Intercept']
        """
        self._refuse_changed("update()")
        model = self.model.update(
            formula, data, family=family, priors=priors, weights=weights, known_se=known_se
        )
        return self._fitted_again(model, same_family=family is None, **fit)

    def _without_estimate(self) -> str:
        """Which estimates are not finite, or have no standard error, in words."""
        return ""

    def _called(self) -> str:
        """What the fit is called beside others."""
        raise NotImplementedError

    def _fitted_again(self, model: Any, *, same_family: bool, **fit: Any) -> Self:
        """Fit another model in the same way, but for some arguments."""
        raise NotImplementedError
