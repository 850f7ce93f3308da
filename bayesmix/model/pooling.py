"""The two extremes beside partial pooling: a regression per level, and one for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import pandas as pd

from bayesmix.answering import Answers

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["PoolingExtremes"]


class PoolingExtremes(Answers):
    """What a model's data say without pooling and with complete pooling."""

    def no_pooling(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        sigma: Literal["pooled", "own"] = "pooled",
    ) -> pd.DataFrame:
        """Fit a separate regression to the rows of each level of a grouping factor.

        Each has the columns that vary by the grouping factor and the other fixed
        effects; the other grouping factors are left out. A fixed effect that follows
        from the first within a level (a treatment given to all of its rows) has no
        coefficient there: the level's intercept contains it. Normal responses are
        fitted by least squares, as nlme's ``lmList``, others by maximum likelihood with
        the family's parameters of each level's own; thresholds are those of all rows
        together.

        Parameters
        ----------
        group : str, optional
            A grouping factor; by default the first that rows have one level of.
        ci_prob : float
            Probability inside the interval: Student's t for a normal response with
            estimated variance, else normal.
        sigma : {"pooled", "own"}
            Whether standard errors of least squares take one residual standard
            deviation from all levels together, or each level's own.

        Returns
        -------
        DataFrame
            One row per level and coefficient: group, level, effect, estimate, sd,
            lower, upper as in `group_coefficients`, and note, which says why there is
            NaN: too few rows, a singular design, separation, an effect of another condition.

        Raises
        ------
        NotSupportedError
            If there are no group effects, or none but ``mm(...)``'s, the likelihood is not
            maximised, or `pymc_model` was changed by hand.
        DataError
            If there is no such grouping factor.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
        >>> model.no_pooling().loc[1, ["level", "effect"]].tolist()
        ['308', 'Days']
        """
        from bayesmix.results.beside.no_pooling import no_pooling

        return no_pooling(self._model, group, ci_prob, sigma)

    def complete_pooling(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Fit one regression to all rows, as if there were no groups.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval, as in `no_pooling`.

        Returns
        -------
        DataFrame
            One row per coefficient: term, estimate, sd, lower, upper as in
            `fixed_effects`, and note. Least squares for normal responses, else
            maximum likelihood.

        Raises
        ------
        NotSupportedError
            If the likelihood is not maximised under the family, or `pymc_model` was
            changed by hand.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> model.complete_pooling()["estimate"].round(2).tolist()
        [251.41, 10.47]
        """
        from bayesmix.results.beside.no_pooling import complete_pooling

        return complete_pooling(self._model, ci_prob)

    @property
    def _model(self) -> FittableModel:
        return cast("FittableModel", self)
