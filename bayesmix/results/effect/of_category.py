"""A fit seen by one category of its response: whether it is that one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.families.one_category import one_category
from bayesmix.results.check.checking import Checks
from bayesmix.results.effect.effects import Effects
from bayesmix.results.having_law import HasLaw
from bayesmix.results.means.averages import AveragesOverGrids
from bayesmix.results.pictures.prediction_plots import PredictionPlots

if TYPE_CHECKING:
    from bayesmix.laws.base import Law
    from bayesmix.results.means.marginal_means import MarginalMeans
    from bayesmix.statement.stated import FittableModel

__all__ = ["HasCategories", "OfCategory"]


class OfCategory(Effects, AveragesOverGrids, PredictionPlots, Checks):
    """What a fit says of one category: predictions, effects and checks of its probability.

    Made by `of_category` of a fit. The response is 1 where it is the category, else 0; of counts
    it is the category's, among the trials.

    Parameters
    ----------
    law : Law
        That of the fit, of a model whose family is the category's.
    category : str
    """

    def __init__(self, law: Law, category: str) -> None:
        self.model = cast("FittableModel", law.model)
        self.category = category
        self._of_fit = law

    @property
    def _law(self) -> Law:
        return self._of_fit

    def marginal_means(self, *args: Any, **settings: Any) -> MarginalMeans:
        """Marginal means of the probability of the category.

        Parameters
        ----------
        *args, **settings
            As of `marginal_means` of a fit, but that `kind` is "mean" by default.

        Returns
        -------
        MarginalMeans
        """
        return super().marginal_means(*args, **{"kind": "mean", **settings})

    def trends(self, *args: Any, **settings: Any) -> MarginalMeans:
        """Slopes of the probability of the category, averaged over a grid.

        Parameters
        ----------
        *args, **settings
            As of `trends` of a fit, but that `kind` is "mean" by default.

        Returns
        -------
        MarginalMeans
        """
        return super().trends(*args, **{"kind": "mean", **settings})

    def __repr__(self) -> str:
        return f"category {self.category!r} of {self.model.formula}"


class HasCategories(HasLaw):
    """Fits whose response may be a category."""

    def of_category(self, category: Any) -> OfCategory:
        """Look at one category of the response: whether it is that one.

        What the fit says of means, it then says of the probability of the category:
        ``fit.of_category("b").comparisons("x")``, ``.slopes("x")``, ``.predictions(by="x")``,
        ``.marginal_means("f")``, ``.plot_predictions("x")``, ``.check()``.

        Parameters
        ----------
        category : str, number or bool
            As it stands in the data.

        Returns
        -------
        OfCategory
            With the methods of a fit that tell of predictions, effects, marginal means and
            replicates. Nothing is fitted again.

        Raises
        ------
        NotSupportedError
            If the response has no categories.
        ArgumentError
            If it has no such category.

        Examples
        --------
        >>> import bayesmix as bmx, numpy as np, pandas as pd
        >>> rng = np.random.default_rng(1)
        >>> data = pd.DataFrame({"x": rng.normal(size=200), "y": rng.choice(list("abc"), 200)})
        >>> eb = bmx.Model("y ~ x", data, family="categorical").fit_eb()
        >>> eb.of_category("c").comparisons("x", seed=1)["term"].tolist()
        ['x']
        """
        self._refuse_changed("of_category()")
        model = self.model
        known = model.family.categories(model.design.response)
        if not known:
            raise NotSupportedError(
                f"of_category() is of a response with categories, and the family is {model.family}"
            )
        labels = [str(label) for label in known]
        if str(category) not in labels:
            near = did_you_mean(str(category), labels)
            raise ArgumentError(
                f"there is no category {category!r}; {near}there are {', '.join(labels)}"
            )
        number = 1 + labels.index(str(category))
        family, y = one_category(model.family, model.y, number)
        seen = model.with_parts(family=family, y=y)
        return OfCategory(self._law.seen_as(seen), str(category))
