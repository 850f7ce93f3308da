"""`Posterior`: what a full Bayesian fit returns."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.errors import OWN_FILES, ConvergenceWarning, NotSupportedError
from bayesmix.families.gaussian import Real
from bayesmix.inference.announce import announce
from bayesmix.inference.draws import Draws, GroupMoments
from bayesmix.results import tables
from bayesmix.results.checking import Checks
from bayesmix.results.diagnostics import Diagnostics, diagnose_sampling
from bayesmix.results.shrinkage import Shrinkage, shrinkage_of
from bayesmix.results.summaries import IntervalKind, Point, SummaryOptions
from bayesmix.results.summary import Section, Summary
from bayesmix.results.tree import MOMENTS_GROUP, build_tree, versions

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.design import GroupingFactor
    from bayesmix.model import Model

__all__ = ["Posterior"]

_SLOW_TABLE = 1000  # effects; ArviZ needs about 3 ms to diagnose one
_SHOWN_ROWS = 10  # of each grouping factor's effects in a summary


class Posterior(Checks):
    """Draws from the posterior of a mixed model, and the tables they make.

    Made by `Model.fit`. Every table is a plain pandas DataFrame; `idata` is
    ArviZ's DataTree, on which all of ArviZ works.

    Parameters
    ----------
    model : Model
    draws : Draws

    Attributes
    ----------
    model : Model
    idata : xarray.DataTree
        With the groups posterior, sample_stats, observed_data and constant_data.
    """

    def __init__(self, model: Model, draws: Draws) -> None:
        self.model = model
        self._interrupted = draws.interrupted
        attributes: dict[str, str | float | int] = {
            "formula": str(model.formula),
            "family": str(model.family),
            "engine": draws.engine,
            "seed": draws.seed,
            "tune": draws.tune,
            "prior_only": int(draws.prior_only),
            "interrupted": int(draws.interrupted),
            "seconds": float(sum(draws.seconds.values())),
            **{f"seconds_{name}": value for name, value in draws.seconds.items()},
            **versions(),
        }
        self.idata: xr.DataTree = build_tree(model.design, model.names, model.y, draws, attributes)

    # -- tables ---------------------------------------------------------------

    def fixed_effects(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        diagnostics: bool = True,
        exponentiate: bool = False,
    ) -> pd.DataFrame:
        """Summarise the fixed effects.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.
        ci_kind : {"eti", "hdi"}
            Equal-tailed or highest-density interval.
        point : {"mean", "median"}
            What `estimate` is.
        diagnostics : bool
            Whether to add ess_bulk, ess_tail and r_hat.
        exponentiate : bool
            Whether to exponentiate estimates and intervals: odds ratios with the
            logit link, rate ratios or ratios of means with the log link. The sd is
            then that of the delta method.

        Returns
        -------
        DataFrame
            One row per coefficient: term, estimate, sd, lower, upper, ess_bulk,
            ess_tail, r_hat, in units of the response per unit of the predictor;
            where there is a link, in units of the linear predictor. A coefficient
            that was left out as aliased has NaN.

        Raises
        ------
        NotSupportedError
            If `exponentiate` means nothing under the model's link.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        table = tables.fixed_effects_table(self._draws, options)
        return tables.exponentiated(table, self.model.family) if exponentiate else table

    def family_parameters(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the family's own parameters: shapes, precisions, thresholds.

        Parameters
        ----------
        ci_prob, ci_kind, point, diagnostics
            As in `fixed_effects`.

        Returns
        -------
        DataFrame
            One row per parameter: parameter, estimate, sd, lower, upper, ess_bulk,
            ess_tail, r_hat. A threshold is called ``thresholds[low|mid]``.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        return tables.family_parameters_table(self._draws, options)

    def group_effects(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        wide: bool = False,
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the group effects: each level's deviation from the fixed effects.

        Parameters
        ----------
        group : str, optional
            A grouping factor; all of them by default.
        ci_prob, ci_kind, point, diagnostics
            As in `fixed_effects`. Diagnostics take about 3 ms per effect.
        wide : bool
            Whether to return the estimates only, a row per level and a column
            per effect.

        Returns
        -------
        DataFrame
            One row per level and effect: group, level, effect, estimate, sd,
            lower, upper, ess_bulk, ess_tail, r_hat. `level` is always text.

        Raises
        ------
        DataError
            If there is no such grouping factor.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics and not wide)
        return self._group_tables(group, options, wide=wide, with_fixed=False)

    def group_coefficients(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        wide: bool = False,
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise each level's own coefficients: fixed effect plus group effect.

        The two are added draw by draw, so the intervals account for their
        covariance. An effect without a fixed effect of its name stands alone.

        Parameters
        ----------
        group, ci_prob, ci_kind, point, wide, diagnostics
            As in `group_effects`.

        Returns
        -------
        DataFrame
            With the columns of `group_effects`.

        Raises
        ------
        DataError
            If there is no such grouping factor.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics and not wide)
        return self._group_tables(group, options, wide=wide, with_fixed=True)

    def variance_components(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "median",
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the standard deviations of the group effects and the residual.

        Variance, sd and share are each summarised from their own draws. A share
        is of the mean over the data of z' Sigma z plus the residual variance.
        The shares of each draw add up to 1, and so do their means, but not their
        medians.

        Parameters
        ----------
        ci_prob, ci_kind, diagnostics
            As in `fixed_effects`.
        point : {"median", "mean"}
            The mean of a variance need not exist where there are few levels.

        Returns
        -------
        DataFrame
            One row per effect of a grouping factor, and the residual: group,
            effect, variance, sd, sd_lower, sd_upper, variance_share, ess_bulk,
            ess_tail, r_hat (of the sd).
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        return tables.variance_components_table(self._draws, options)

    def correlations(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the correlations between effects of one grouping factor.

        Parameters
        ----------
        ci_prob, ci_kind, point, diagnostics
            As in `fixed_effects`.

        Returns
        -------
        DataFrame
            One row per pair of effects whose correlation is estimated: group,
            effect_1, effect_2, estimate, lower, upper, ess_bulk, ess_tail, r_hat.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        return tables.correlations_table(self._draws, options)

    def icc(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "median",
    ) -> pd.DataFrame:
        """Summarise the intraclass correlation of each grouping factor.

        The grouping factor's share of the variance, slopes included through the
        mean over the data of z' Sigma z (Johnson 2014). For a binary, binomial or
        ordinal response the residual is that of the latent variable: pi^2 / 3 for the
        logit, 1 for the probit, pi^2 / 6 for the cloglog link. NaN where the family has
        no residual variance on the scale of the linear predictor.

        Parameters
        ----------
        ci_prob, ci_kind, point
            As in `variance_components`.

        Returns
        -------
        DataFrame
            One row per grouping factor: group, estimate, sd, lower, upper.
        """
        return tables.icc_table(self._draws, _options(ci_prob, ci_kind, point, False))

    def summary(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point | None = None,
    ) -> Summary:
        """Gather all tables as one object that prints within 80 columns.

        Parameters
        ----------
        ci_prob, ci_kind
            As in `fixed_effects`.
        point : {"mean", "median"}, optional
            For all tables; by default each table's own, and the median for draws
            from the prior, whose means need not exist.

        Returns
        -------
        Summary
        """
        design = self.model.design
        if self.is_prior:
            point = point or "median"
        coefficients = _options(ci_prob, ci_kind, point or "mean", True)
        components = _options(ci_prob, ci_kind, point or "median", True)
        sections = []
        if design.all_fixed_columns:
            note = f"Left out as aliased: {', '.join(design.aliased)}." if design.aliased else ""
            table = tables.fixed_effects_table(self._draws, coefficients)
            sections.append(Section(title="Fixed effects", table=table,
                                    text_columns=("term",), note=note))  # fmt: skip
        # The sigma of a normal response is the residual of the variance components.
        if self.model.family.parameters and self.model.family.name != "gaussian":
            own = tables.family_parameters_table(self._draws, coefficients)
            sections.append(
                Section(title="Family parameters", table=own, text_columns=("parameter",))
            )
        sections.append(
            Section(
                title="Variance components",
                table=tables.variance_components_table(self._draws, components),
                text_columns=("group", "effect"),
            )
        )
        correlations = tables.correlations_table(self._draws, coefficients)
        if len(correlations):
            sections.append(
                Section(
                    title="Correlations",
                    table=correlations,
                    text_columns=("group", "effect_1", "effect_2"),
                )
            )
        sections += [self._first_levels(group, coefficients) for group in design.groups]
        kind = "equal-tailed" if ci_kind == "eti" else "highest-density"
        footer = [
            f"Intervals are {100 * ci_prob:g} % {kind}; ess is the smaller of the bulk and the "
            "tail effective sample size."
        ]
        footer += [line.removeprefix("- ") for line in str(self.diagnostics()).splitlines()]
        return Summary(
            title=str(self.model.formula),
            lines=(*self.model.facts(), self._run_in_words()),
            sections=tuple(sections),
            footer=tuple(footer),
        )

    # -- the run --------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Wall time of the fit in seconds, compilation included."""
        return float(self.idata.attrs["seconds"])

    @property
    def is_prior(self) -> bool:
        """Whether these are draws from the prior (``prior_only=True``)."""
        return bool(self.idata.attrs["prior_only"])

    def diagnostics(self) -> Diagnostics:
        """Look at divergences, r_hat, effective sample sizes and BFMI.

        Returns
        -------
        Diagnostics
            Over the fixed effects and the variance parameters; the tables of
            group effects carry their own columns.
        """
        return self._diagnostics

    @functools.cached_property
    def _diagnostics(self) -> Diagnostics:
        draws = self._draws
        # A coefficient may be called like a parameter of the family.
        parameters = {
            f"beta({name})" if name in draws.parameters else name: draws.beta[:, :, j]
            for j, name in enumerate(draws.design.fixed_effects)
        }
        for group in draws.design.groups:
            g = group.name
            parameters |= {f"sd({g}, {e})": draws.sd[g][:, :, k]
                           for k, e in enumerate(group.effects)}  # fmt: skip
            parameters |= {
                f"corr({g}, {group.effects[k]}, {group.effects[m]})": draws.corr[g][:, :, k, m]
                for k, m in tables.estimated_pairs(group)
            }
        parameters |= tables.family_parameters(draws)
        stats = {}
        if "sample_stats" in self.idata.children:
            found = self.idata["sample_stats"].to_dataset()
            stats = {str(name): values.to_numpy() for name, values in found.items()}
        return diagnose_sampling(parameters, stats)

    def warn_if_unconverged(self) -> None:
        """Give one warning that names what the diagnostics found, if they found anything.

        Warns
        -----
        ConvergenceWarning
        """
        problems = self.diagnostics().problems
        if problems:
            warnings.warn(
                "do not trust these draws yet: " + "; ".join(problems),
                ConvergenceWarning,
                skip_file_prefixes=OWN_FILES,
            )

    # -- pictures -------------------------------------------------------------

    def plot_group_effects(
        self,
        group: str | None = None,
        *,
        effects: Iterable[str] | None = None,
        ci_prob: float = 0.95,
        ci_kind: IntervalKind = "eti",
        max_levels: int | None = None,
    ) -> Any:
        """Draw the group effects, sorted, with intervals: one panel per effect.

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first by default.
        effects : iterable of str, optional
            Some of its effects; all by default.
        ci_prob, ci_kind
            As in `group_effects`.
        max_levels : int, optional
            Draw only so many of the lowest and of the highest levels together.

        Returns
        -------
        matplotlib Figure
        """
        from bayesmix.plots.caterpillar import plot_caterpillar

        chosen = self._one_group(group)
        options = _options(ci_prob, ci_kind, "mean", False)
        table = tables.group_table(self._draws, chosen, options, with_fixed=False)
        shown = _chosen_effects(chosen, effects)
        return plot_caterpillar(table, shown, ci_prob=ci_prob, max_levels=max_levels)

    def plot_shrinkage(
        self, group: str | None = None, *, effects: Sequence[str] | None = None
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
        """
        from bayesmix.plots.shrinkage import plot_shrinkage

        chosen = self._one_group(group)
        shown = _chosen_effects(chosen, effects)[:2]
        return plot_shrinkage(self.shrinkage(chosen.name), shown)

    def shrinkage(self, group: str | None = None) -> Shrinkage:
        """Set each level's own least-squares estimate beside its posterior mean.

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
            If the response is not on the scale of the linear predictor, where least
            squares would not estimate what the model does.
        """
        family = self.model.family
        if family.scale_in_words or not isinstance(family, Real):
            raise NotSupportedError(
                f"shrinkage compares with least squares, which says nothing for {family}; "
                "plot_group_effects() shows the group effects"
            )
        return shrinkage_of(self._draws, self.model.y, self._one_group(group))

    # -- printing -------------------------------------------------------------

    def __repr__(self) -> str:
        return str(self._default_summary)

    def _repr_html_(self) -> str:
        return self._default_summary._repr_html_()

    @functools.cached_property
    def _default_summary(self) -> Summary:
        return self.summary()

    # -- inside ---------------------------------------------------------------

    @functools.cached_property
    def _draws(self) -> tables.PosteriorDraws:
        model = self.model
        names = model.names
        posterior = self.idata["posterior"]
        groups = model.design.groups

        def values(name: str) -> np.ndarray:
            array = posterior[name].transpose("chain", "draw", ...)
            return np.asarray(array.values)

        moments = {}
        if MOMENTS_GROUP in self.idata.children:
            found = self.idata[MOMENTS_GROUP]
            moments = {
                g.name: GroupMoments(
                    mean=found[f"{names.b(g.name)}_mean"].to_numpy(),
                    sd=found[f"{names.b(g.name)}_sd"].to_numpy(),
                    coefficient_mean=found[f"coefficient_{g.name}_mean"].to_numpy(),
                    coefficient_sd=found[f"coefficient_{g.name}_sd"].to_numpy(),
                )
                for g in groups
            }
        n_chains, n_draws = posterior.sizes["chain"], posterior.sizes["draw"]
        beta = np.zeros((n_chains, n_draws, 0))
        return tables.PosteriorDraws(
            design=model.design,
            family=model.family,
            beta=values("beta") if model.design.fixed_effects else beta,
            sd={g.name: values(names.sd(g.name)) for g in groups},
            corr={g.name: values(names.corr(g.name)) for g in groups if g.correlated_blocks},
            b={g.name: values(names.b(g.name)) for g in groups if g.name not in moments},
            moments=moments,
            parameters={name: values(name) for name in model.family.parameters},
        )

    def _group_tables(
        self, group: str | None, options: SummaryOptions, *, wide: bool, with_fixed: bool
    ) -> pd.DataFrame:
        design = self.model.design
        if not design.groups:
            raise NotSupportedError(f"the model {self.model.formula} has no group effects")
        chosen = design.groups if group is None else (design.group(group),)
        n_effects = sum(g.n_levels * g.n_effects for g in chosen)
        if options.diagnostics and n_effects > _SLOW_TABLE and not self._draws.moments:
            announce(
                f"Diagnosing {n_effects} group effects, about {n_effects * 0.003:.0f} s "
                "(diagnostics=False leaves it out) ...",
                progress=True,
            )
        found = [tables.group_table(self._draws, g, options, with_fixed=with_fixed) for g in chosen]
        table = pd.concat(found, ignore_index=True)
        return tables.wide_table(table) if wide else table

    def _first_levels(self, group: GroupingFactor, options: SummaryOptions) -> Section:
        shown = min(max(1, _SHOWN_ROWS // group.n_effects), group.n_levels)
        table = tables.group_table(
            self._draws,
            group,
            replace(options, diagnostics=True),
            with_fixed=False,
            n_levels=shown,
        )
        rest = group.n_levels - shown
        return Section(
            title=f"Group effects of {group.name}",
            table=table.drop(columns="group"),
            text_columns=("level", "effect"),
            note=f"and {rest} more levels: group_effects({group.name!r})" if rest else "",
        )

    def _one_group(self, group: str | None) -> GroupingFactor:
        design = self.model.design
        if not design.groups:
            raise NotSupportedError(f"the model {self.model.formula} has no group effects")
        return design.groups[0] if group is None else design.group(group)

    def _run_in_words(self) -> str:
        attributes = self.idata.attrs
        sizes = self.idata["posterior"].sizes
        what = "draws from the prior" if self.is_prior else "draws"
        text = (
            f"{sizes['chain']} chains x {sizes['draw']} {what}, engine {attributes['engine']}, "
            f"{self.seconds:.1f} s, seed {attributes['seed']}"
        )
        return text + (" (interrupted)" if self._interrupted else "")


def _options(
    ci_prob: float, ci_kind: IntervalKind, point: Point, diagnostics: bool
) -> SummaryOptions:
    return SummaryOptions(ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics)


def _chosen_effects(group: GroupingFactor, effects: Iterable[str] | None) -> list[str]:
    if effects is None:
        return list(group.effects)
    chosen = [effects] if isinstance(effects, str) else list(effects)
    for effect in chosen:
        if effect not in group.effects:
            raise NotSupportedError(
                f"`{group.name}` has no effect {effect!r}; it has {', '.join(group.effects)}"
            )
    return chosen
