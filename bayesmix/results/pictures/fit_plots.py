"""The pictures of any fit, drawn from its tables and predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from bayesmix.arguments import did_you_mean, one_or_several, whole_number
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.results.beside.shrinkage import Shrinkage, shrinkage_of
from bayesmix.results.pictures.prediction_plots import PredictionPlots
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.tabular.fit_tables import Tables
from bayesmix.results.tabular.tables import exponentiated

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.results.plots.forest import ForestRow

__all__ = ["FitPlots"]


class FitPlots(Tables, PredictionPlots):
    """What can be drawn of any fit."""

    @picture
    def plot_fixed_effects(
        self,
        terms: str | Iterable[str] | None = None,
        *,
        intercept: bool | None = None,
        exponentiate: bool = False,
        per_sd: bool = False,
        ci_prob: float = 0.95,
        **table: Any,
    ) -> Any:
        """Draw the fixed effects with their intervals, one below the other.

        Intervals that leave out zero (a ratio: one) have another colour. A coefficient
        that was left out as aliased is not drawn; one that has run away, as `separation`
        says, is an arrow at the edge. Coefficients that span more than two
        orders of magnitude are drawn in panels, each with its own axis. A limit that is
        not known is a dotted line, an infinite one an arrow.

        Parameters
        ----------
        terms : str or iterable of str, optional
            Some coefficients, or terms of the formula; all by default.
        intercept : bool, optional
            Whether the intercept is drawn. It has the unit of the response and no
            effect to be zero, so by default it is left out, unless nothing else is
            there or `terms` names it.
        exponentiate : bool
            Whether to draw odds ratios or rate ratios, on a logarithmic axis.
        per_sd : bool
            Whether coefficients are multiplied by the standard deviation of their
            column of the design, so that predictors of different units compare.
        ci_prob : float
            Probability inside the intervals.
        **table
            Further arguments of `fixed_effects`, such as `ci_kind` of a posterior or
            `ci_method` of an empirical Bayes fit.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If the model has no such coefficient, or ratios mean nothing under its link.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> figure = eb.plot_fixed_effects()
        """
        from bayesmix.results.plots.forest import plot_forest

        self._check_words("plot_fixed_effects", self.fixed_effects, table, "terms= chooses some")
        found = self.fixed_effects(ci_prob, **{**self._law.quick, **table})
        found = found[found["estimate"].notna()]
        if found["sd"].notna().any():
            found["estimate"] = found["estimate"].where(
                found["sd"].notna(), found["estimate"] * np.inf
            )
        chosen = self._chosen_terms(list(found["term"]), terms, intercept)
        found = found.set_index("term").loc[chosen].reset_index()
        numbers = ["estimate", "lower", "upper"]
        if per_sd:
            design = self.model.design
            spread = design.mu.X.std(axis=0, ddof=1)
            at = [design.mu.fixed_effects.index(term) for term in chosen]
            found[[*numbers, "sd"]] = found[[*numbers, "sd"]].mul(spread[at], axis=0)
        if exponentiate:
            found = exponentiated(found, self.model.family)
        rows = [_row(row["term"], *(row[name] for name in numbers))
                for _, row in found.iterrows()]  # fmt: skip
        family = self.model.family
        what = family.ratio if exponentiate else "coefficient"
        scale = "" if exponentiate or not family.scale_in_words else f" on {family.scale_in_words}"
        unit = " per sd of the column" if per_sd else ""
        return plot_forest(
            rows, x_label=f"{what}{scale}{unit}, {100 * ci_prob:g} % interval",
            line=1.0 if exponentiate else 0.0, log=exponentiate,
        )  # fmt: skip

    @picture
    def plot_variance_components(
        self, *, residual: bool = True, ci_prob: float = 0.95, **table: Any
    ) -> Any:
        """Draw the standard deviations of the group effects and of the residual.

        Each grouping factor has a heading and its effects below. A slope's sd is in
        units of the response per unit of the predictor, so it compares with the others
        only where that is one. What spans more than two orders of magnitude is drawn in
        panels, each with its own axis.

        Parameters
        ----------
        residual : bool
            Whether to draw the residual; that of a latent variable, which is not
            estimated, is an open point.
        ci_prob : float
            Probability inside the intervals.
        **table
            Further arguments of `variance_components`.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is nothing to draw.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> figure = eb.plot_variance_components()
        """
        from bayesmix.results.plots.forest import plot_forest

        self._check_words("plot_variance_components", self.variance_components, table)
        found = self.variance_components(ci_prob, **{**self._law.quick, **table})
        if not residual:
            found = found[found["group"] != "Residual"]
        if not len(found):
            raise NotSupportedError(
                f"the model {self.model.formula} has no standard deviation to draw"
                + ("" if residual else " but the residual's; residual=True draws it")
            )
        rows: list[ForestRow] = []
        for group in found["group"].unique():
            part = found[found["group"] == group]
            only = group == "Residual"
            if not only:
                rows.append(_row(str(group), heading=True))
            rows += [
                _row(
                    ("Residual" + (", latent" if latent else "")) if only else str(row["effect"]),
                    row["sd"], row["sd_lower"], row["sd_upper"], fixed=latent, apart=only,
                )
                for _, row in part.iterrows()
                for latent in [only and row["effect"] == "latent"]
            ]  # fmt: skip
        scale = self.model.family.scale_in_words
        where = f" on {scale}" if scale else ""
        return plot_forest(
            rows, x_label=f"standard deviation{where}, {100 * ci_prob:g} % interval", line=None
        )

    @picture
    def plot_group_effects(
        self,
        group: str | None = None,
        *,
        effects: Iterable[str] | None = None,
        ci_prob: float = 0.95,
        max_levels: int | None = None,
        **table: Any,
    ) -> Any:
        """Draw the group effects, sorted, with intervals: one panel per effect.

        Intervals that leave out zero have another colour. Among more than 60 levels the 20
        lowest and the 20 highest have their names, those between stand closer. A limit
        that is not known is a dotted line, one beyond the axis an arrow.

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first by default.
        effects : iterable of str, optional
            Some of its effects; all by default.
        ci_prob : float
            Probability inside the intervals.
        max_levels : int, optional
            Draw only so many of the lowest and of the highest levels together.
        **table
            Further arguments of `group_effects`.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If the model has no group effects, or not this one.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> figure = eb.plot_group_effects()
        """
        from bayesmix.results.plots.caterpillar import plot_caterpillar

        chosen = self._one_group(group)
        shown = _chosen_effects(chosen, effects)
        if max_levels is not None:
            whole_number("max_levels", max_levels, 2)
        choice = "group= and effects= choose some"
        self._check_words("plot_group_effects", self.group_effects, table, choice)
        found = self.group_effects(chosen.name, ci_prob, **{**self._law.quick, **table})
        scale = self.model.family.scale_in_words
        return plot_caterpillar(
            found, shown, ci_prob=ci_prob, max_levels=max_levels, scale=scale.removeprefix("the ")
        )

    @picture
    def plot_shrinkage(
        self,
        group: str | None = None,
        *,
        effects: Sequence[str] | None = None,
        **look: Unpack[Look],
    ) -> Any:
        """Draw each level's estimate without pooling and with partial pooling.

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first by default.
        effects : sequence of str, optional
            One or two of its effects; by default the first two, drawn against
            each other.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            As `shrinkage`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> figure = eb.plot_shrinkage()
        """
        from bayesmix.results.plots.shrinkage import plot_shrinkage

        chosen = self._one_group(group)
        shown = _chosen_effects(chosen, effects)[:2]
        return plot_shrinkage(self.shrinkage(chosen.name), shown)

    def shrinkage(self, group: str | None = None) -> Shrinkage:
        """Set each level's own estimate beside that of the fit.

        Its own is by least squares, beyond the normal by maximum likelihood, with what
        the model says of other predictors and groups taken as known; on the scale of
        the linear predictor. The fit's is the posterior mean, of empirical Bayes the
        conditional mode.

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first by default.

        Returns
        -------
        Shrinkage

        Raises
        ------
        NotSupportedError
            If the model has no group effects, or the likelihood of a level's rows
            cannot be maximised under the family.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.shrinkage().table()["level"].head(2).tolist()
        ['308', '308']
        """
        chosen = self._one_group(group)
        return shrinkage_of(
            self.model, chosen, *self._law.point_estimates(), self._law.lost_coefficients
        )

    # -- inside ---------------------------------------------------------------

    def _check_words(
        self, plot: str, source: Callable[..., Any], given: Mapping[str, Any], advice: str = ""
    ) -> None:
        """Refuse further arguments that the table of a picture does not have."""
        own = inspect.signature(source).parameters.keys() - {"wide"}
        for name in given:
            if name not in own and name not in self._law.refused:
                near = did_you_mean(name, own)
                raise ArgumentError(
                    f"{plot}() has no argument {name!r}; {near}{advice or 'see its help'}"
                )

    def _chosen_terms(
        self, known: list[str], terms: str | Iterable[str] | None, intercept: bool | None
    ) -> list[str]:
        mu = self.model.design.mu
        if not known:
            raise NotSupportedError(f"the model {self.model.formula} has no fixed effects")
        if terms is None:
            own = [name for name in known if not (mu.has_intercept and name == "Intercept")]
            with_intercept = not own if intercept is None else intercept
            chosen = known if with_intercept else own
            if not chosen:
                raise NotSupportedError("the model has no fixed effect but the intercept")
            return chosen
        chosen = ["Intercept"] if intercept and mu.has_intercept else []
        for term in one_or_several("terms", terms):
            columns = [term] if term in known else [
                name for name in mu.terms.get(str(term), ()) if name in known
            ]  # fmt: skip
            if not columns:
                advice = did_you_mean(term, [*known, *mu.terms])
                advice = advice.strip() or f"there is {', '.join(known)}"
                raise ArgumentError(f"there is no fixed effect {term!r}; {advice}")
            chosen += columns
        if not chosen:
            raise ArgumentError("terms= names no fixed effect")
        return list(dict.fromkeys(chosen))


def _row(
    label: str, *numbers: float, fixed: bool = False, heading: bool = False, apart: bool = False
) -> ForestRow:
    from bayesmix.results.plots.forest import ForestRow

    names = ("estimate", "lower", "upper")
    found = dict(zip(names, map(float, numbers), strict=False))
    return ForestRow(label=label, fixed=fixed, heading=heading, apart=apart, **found)


def _chosen_effects(group: GroupingFactor, effects: Iterable[str] | None) -> list[str]:
    if effects is None:
        return list(group.varying)
    chosen = one_or_several("effects", effects)
    for effect in chosen:
        if effect not in group.varying:
            raise ArgumentError(
                f"`{group.name}` has no effect {effect!r}; it has {', '.join(group.varying)}"
            )
    if not chosen:
        raise ArgumentError(f"effects= names none of {', '.join(group.varying)}")
    return chosen
