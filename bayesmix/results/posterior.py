"""`Posterior`: what a full Bayesian fit returns."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.errors import OWN_FILES, ConvergenceWarning
from bayesmix.inference.announce import counted
from bayesmix.inference.draws import Draws, GroupMoments
from bayesmix.results.check.checking import Checks
from bayesmix.results.effect.effects_of_fits import EffectsOfDraws
from bayesmix.results.files.reporting import ReportsDraws
from bayesmix.results.files.saving import SavesDraws
from bayesmix.results.pictures.posterior_plots import PosteriorPlots
from bayesmix.results.signposts import SignpostsOfDraws
from bayesmix.results.tabular import tables
from bayesmix.results.tabular.diagnostics import Diagnostics, diagnose_sampling
from bayesmix.results.tabular.posterior_tables import PosteriorTables
from bayesmix.results.tabular.summaries import IntervalKind, Point, SummaryOptions
from bayesmix.results.tabular.summary import (
    Section,
    Summary,
    more_levels,
    of_columns,
    of_negative_shares,
)
from bayesmix.results.tabular.tree import MOMENTS_GROUP, build_tree, versions

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.design import GroupingFactor
    from bayesmix.families import Family
    from bayesmix.priors import Prior
    from bayesmix.statement.stated import FittableModel

__all__ = ["Posterior"]

_SHOWN_ROWS = 10  # of each grouping factor's effects in a summary


class Posterior(
    PosteriorTables,
    PosteriorPlots,
    EffectsOfDraws,
    Checks,
    ReportsDraws,
    SavesDraws,
    SignpostsOfDraws,
):
    """Draws from the posterior of a mixed model, and the tables they make.

    Made by `Model.fit`. Every table is a plain pandas DataFrame; `idata` is
    ArviZ's DataTree, on which all of ArviZ works.

    Parameters
    ----------
    model : Model
    draws : Draws
    options : mapping of str to object, optional
        The arguments of `Model.fit`, for `update`.

    Attributes
    ----------
    model : Model
    idata : xarray.DataTree
        With the groups posterior, sample_stats, observed_data and constant_data.
    """

    def __init__(
        self, model: FittableModel, draws: Draws, options: Mapping[str, Any] | None = None
    ) -> None:
        self.model = model
        attributes: dict[str, str | float | int] = {
            "formula": str(model.formula),
            "family": str(model.family),
            "engine": draws.engine,
            "seed": draws.seed,
            "tune": draws.tune,
            "prior_only": int(draws.prior_only),
            "interrupted": int(draws.interrupted),
            "fit_options": json.dumps({} if options is None else options, default=int),
            "seconds": float(sum(draws.seconds.values())),
            **{f"seconds_{name}": value for name, value in draws.seconds.items()},
            **versions(),
        }
        changes = model.pymc_changes
        if changes:
            attributes |= {"pymc_changes": changes.words, "pymc_rows_changed": int(changes.of_rows)}
        self.idata: xr.DataTree = build_tree(model.design, model.names, model.y, draws, attributes)

    @classmethod
    def from_tree(cls, model: FittableModel, tree: xr.DataTree) -> Posterior:
        """Make a posterior of labelled draws, as `idata` of another holds them.

        Parameters
        ----------
        model : Model
        tree : DataTree

        Returns
        -------
        Posterior
        """
        posterior = cls.__new__(cls)
        posterior.model, posterior.idata = model, tree
        return posterior

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
        coefficients = SummaryOptions(ci_prob=ci_prob, ci_kind=ci_kind, point=point or "mean")
        components = replace(coefficients, point=point or "median")
        sections = []
        if design.all_fixed_columns:
            note = f"Left out as aliased: {', '.join(design.aliased)}." if design.aliased else ""
            table = tables.fixed_effects_table(self._draws, coefficients)
            sections.append(Section(title="Fixed effects", table=table,
                                    text_columns=("term",), note=note))  # fmt: skip
        # The sigma of a normal response is the residual of the variance components, where
        # the link leaves it on their scale.
        normal = self.model.family.is_linear_normal
        if self.model.family.parameters and not normal:
            own = tables.family_parameters_table(self._draws, coefficients)
            sections.append(
                Section(title="Family parameters", table=own, text_columns=("parameter",))
            )
        parts = tables.variance_components_table(self._draws, components)
        sections.append(
            Section(
                title="Variance components",
                table=parts,
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
        law = "prior" if self.is_prior else "posterior"
        words = f"Estimates are {law} {coefficients.point}s"
        if len(parts) and components.point != coefficients.point:
            words += f"; variance, sd and share of the components are {law} {components.point}s"
        footer += of_columns(f"{words}.", f"its {law} standard deviation", parts)
        footer += of_negative_shares(parts)
        footer += [line.removeprefix("- ") for line in str(self.diagnostics()).splitlines()]
        return Summary(
            title=str(self.model.formula),
            lines=(*self.model.facts(), *self._changes_in_words(), self._run_in_words()),
            sections=tuple(section for section in sections if len(section.table)),
            footer=tuple(footer),
        )

    # -- changed models -------------------------------------------------------

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
    ) -> Posterior:
        """Change the model and fit it again, with the rest as it was.

        Parameters
        ----------
        formula, data, family, priors, weights, known_se
            As in `Model.update`: ``". ~ . + x"`` adds a term to the formula.
        **fit
            Arguments of `Model.fit` that are to differ from this fit's, the seed
            among them.

        Returns
        -------
        Posterior

        Raises
        ------
        NotSupportedError
            If the PyMC model was changed by hand, which a new formula does not know.
        BayesmixError
            As `Model.update` and `Model.fit`.
        """
        self._refuse_changed("update()")
        model = self.model.update(
            formula, data, family=family, priors=priors, weights=weights, known_se=known_se
        )
        options = {"seed": self.idata.attrs["seed"]}
        options |= {k: v for k, v in self._fit_options.items() if v is not None}
        return model.fit(**{**options, **fit})

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
        stats = {}
        if "sample_stats" in self.idata.children:
            found = self.idata["sample_stats"].to_dataset()
            stats = {str(name): values.to_numpy() for name, values in found.items()}
        return diagnose_sampling(tables.parameters_by_name(self._draws), stats)

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

    # -- printing -------------------------------------------------------------

    def __repr__(self) -> str:
        return str(self._default_summary)

    def _repr_html_(self) -> str:
        return self._default_summary._repr_html_()

    @functools.cached_property
    def _default_summary(self) -> Summary:
        return self.summary()

    # -- inside ---------------------------------------------------------------

    @property
    def _fit_options(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.idata.attrs["fit_options"])
        return found

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
        corr, structure = {}, {}
        for g in groups:
            covariance = covariance_of(g)
            structure[g.name] = {
                name: values(names.parameter(name, g.name)) for name in covariance.parameters()
            }
            free = values(names.corr(g.name)) if covariance.has_correlations else None
            R = covariance.correlation(free, structure[g.name])
            if R is not None:
                corr[g.name] = R
        return tables.PosteriorDraws(
            design=model.design,
            family=model.family,
            beta=values("beta") if model.design.fixed_effects else beta,
            sd={g.name: covariance_of(g).by_effect(values(names.sd(g.name))) for g in groups},
            corr=corr,
            structure=structure,
            b={g.name: values(names.b(g.name)) for g in groups if g.name not in moments},
            moments=moments,
            parameters={name: values(name) for name in model.family.parameters},
        )

    def _first_levels(self, group: GroupingFactor, options: SummaryOptions) -> Section:
        shown = min(max(1, _SHOWN_ROWS // group.n_effects), group.n_levels)
        note = ""
        if group.name in self._draws.moments:
            options = replace(options, ci_kind="eti", point="mean")
            note = "means and normal intervals, from the moments that were kept"
        rest = group.n_levels - shown
        return Section(
            title=f"Group effects of {group.name}",
            table=self._levels_of(group, options, shown),
            text_columns=("level", "effect"),
            note="; ".join(part for part in (more_levels(group.name, rest), note) if part),
            whole=functools.partial(self._levels_of, group, options) if rest else None,
        )

    def _levels_of(
        self, group: GroupingFactor, options: SummaryOptions, n_levels: int | None = None
    ) -> pd.DataFrame:
        options = replace(options, diagnostics=True)
        found = tables.group_table(self._draws, group, options, with_fixed=False, n_levels=n_levels)
        return found.drop(columns="group")

    def _changes_in_words(self) -> list[str]:
        words = self.idata.attrs.get("pymc_changes", "")
        return [f"the PyMC model was changed by hand: {words}"] if words else []

    def _run_in_words(self) -> str:
        attributes = self.idata.attrs
        sizes = self.idata["posterior"].sizes
        what = counted(sizes["draw"], "draw") + (" from the prior" if self.is_prior else "")
        text = (
            f"{counted(sizes['chain'], 'chain')} x {what}, engine {attributes['engine']}, "
            f"{self.seconds:.1f} s, seed {attributes['seed']}"
        )
        return text + (" (interrupted)" if bool(self.idata.attrs["interrupted"]) else "")
