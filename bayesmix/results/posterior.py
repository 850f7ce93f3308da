"""`Posterior`: what a full Bayesian fit returns."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from bayesmix.errors import OWN_FILES, ConvergenceWarning
from bayesmix.inference.announce import counted
from bayesmix.inference.draws import Draws
from bayesmix.laws.base import Asked
from bayesmix.results.check.draws_checking import ChecksDraws
from bayesmix.results.files.report import Picture
from bayesmix.results.fit import Fit
from bayesmix.results.pictures.posterior_plots import PosteriorPlots
from bayesmix.results.tabular.summary import Summary, of_columns, of_negative_shares
from bayesmix.results.tabular.tree import build_tree, versions
from bayesmix.words_of_others import OF_DRAWS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.statement.stated import FittableModel

__all__ = ["Posterior"]


class Posterior(ChecksDraws, PosteriorPlots, Fit):
    """Draws from the posterior of a mixed model, and the tables they make.

    Made by `Model.fit`. Every table is a plain pandas DataFrame; `idata` is
    ArviZ's DataTree, on which all of ArviZ works.

    Parameters
    ----------
    model : Model
    draws : Draws
    options : mapping of str to object, optional
        The arguments of `Model.fit`, for `update`.

    Raises
    ------
    DataError
        If the draws do not fit the model.

    Attributes
    ----------
    model : Model
    idata : xarray.DataTree
        With the groups posterior, sample_stats, observed_data and constant_data.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> sleep = bmx.load_dataset("sleepstudy")
    >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
    >>> post = model.fit(seed=1, progress=False)
    >>> post.is_prior
    False
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
        if draws.choice:
            attributes["choice"] = draws.choice
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

        Raises
        ------
        NotSupportedError
            For an argument out of its range.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> bmx.Posterior.from_tree(post.model, post.idata).is_prior
        False
        """
        posterior = cls.__new__(cls)
        posterior.model, posterior.idata = model, tree
        return posterior

    # -- the run --------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Wall time of the fit in seconds, compilation included."""
        return float(self.idata.attrs["seconds"])

    @property
    def is_prior(self) -> bool:
        """Whether these are draws from the prior (``prior_only=True``)."""
        return bool(self.idata.attrs["prior_only"])

    def warn_if_unconverged(self) -> None:
        """Give one warning that names what the diagnostics found, if they found anything.

        Warns
        -----
        ConvergenceWarning

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.warn_if_unconverged()
        """
        found = self.diagnostics()
        if found.problems:
            head = (
                "do not trust these draws yet: " if found.alarming
                else "the run is short, and its last digits are rough: "
            )  # fmt: skip
            warnings.warn(
                head + "; ".join(found.problems),
                ConvergenceWarning,
                skip_file_prefixes=OWN_FILES,
            )

    # -- printing -------------------------------------------------------------

    def __repr__(self) -> str:
        return str(self._default_summary)

    def _repr_html_(self) -> str:
        return self._default_summary._repr_html_()

    # -- inside ---------------------------------------------------------------

    _signposts: ClassVar[Mapping[str, str]] = OF_DRAWS
    _shown_rows = 10
    _own_first = True

    @functools.cached_property
    def _default_summary(self) -> Summary:
        return self.summary()

    @property
    def _fit_options(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.idata.attrs["fit_options"])
        return found

    def _fitted_again(self, model: Any, *, same_family: bool, **fit: Any) -> Self:
        options = {"seed": self.idata.attrs["seed"]}
        options |= {k: v for k, v in self._fit_options.items() if v is not None}
        found: Self = model.fit(**{**options, **fit})
        return found

    def _asked_of_all(self, asked: Asked) -> Asked:
        return replace(asked, point="median") if self.is_prior and asked.point is None else asked

    def _remarks(self, asked: Asked, parts: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
        kind = "equal-tailed" if asked.of_draws().ci_kind == "eti" else "highest-density"
        footer = [
            f"Intervals are {100 * asked.ci_prob:g} % {kind}; ess is the smaller of the bulk and "
            "the tail effective sample size."
        ]
        law = "prior" if self.is_prior else "posterior"
        point, of_parts = asked.of_draws().point, asked.of_draws("median").point
        words = f"Estimates are {law} {point}s"
        if len(parts) and of_parts != point:
            words += f"; variance, sd and share of the components are {law} {of_parts}s"
        footer += of_columns(f"{words}.", f"its {law} standard deviation", parts)
        footer += of_negative_shares(parts)
        return footer + [line.removeprefix("- ") for line in str(self.diagnostics()).splitlines()]

    def _run_in_words(self) -> list[str]:
        changes = self.idata.attrs.get("pymc_changes", "")
        words = [f"the PyMC model was changed by hand: {changes}"] if changes else []
        attributes = self.idata.attrs
        sizes = self.idata["posterior"].sizes
        what = counted(sizes["draw"], "draw") + (" from the prior" if self.is_prior else "")
        text = (
            f"{counted(sizes['chain'], 'chain')} x {what}, engine {attributes['engine']}, "
            f"{self.seconds:.1f} s, seed {attributes['seed']}"
        )
        interrupted = bool(self.idata.attrs["interrupted"])
        choice = str(attributes.get("choice", ""))  # older files have none
        own = [text + (" (interrupted)" if interrupted else "")]
        return [*words, *own, *([choice] if choice else [])]

    def _called(self) -> str:
        engine, _, how = str(self.idata.attrs["engine"]).partition(" ")
        if "Gibbs" in how:
            return f"Gibbs ({engine})"
        return f"{'draws' if 'draws' in how else 'NUTS'} ({engine})"

    def _estimation(self) -> list[str]:
        attributes, sizes = self.idata.attrs, self.idata["posterior"].sizes
        engine = str(attributes["engine"])
        many = f"{counted(sizes['chain'], 'chain')} of {counted(sizes['draw'], 'draw')}"
        found = []
        if self.is_prior:
            return [f"These are {many} from the prior, without the data."]
        if attributes.get("pymc_changes", ""):
            found.append(f"The model was changed by hand: {attributes['pymc_changes']}.")
        kinds = ("collapsed", "independent", "exact")
        by_factors = "Gibbs" in engine
        integrated = engine.startswith("fast") and any(kind in engine for kind in kinds)
        integrated = integrated and not by_factors
        if integrated:
            found.append(
                "Fixed and group effects were integrated out exactly: the variance parameters "
                "were drawn from their marginal posterior, and the effects then from their "
                "conditional distribution."
            )
        what = "Variance parameters were drawn" if integrated else "The posterior was sampled"
        choice = str(attributes.get("choice", ""))  # older files have none
        if "independent" in engine:
            found.append(
                f"{what} by independence Metropolis with proposals from a fitted t distribution, "
                f"{many} (seed {attributes['seed']})" + (f"; {choice}." if choice else ".")
            )
        elif by_factors:
            found.append(
                "The posterior was sampled by a collapsed Gibbs sampler (Papaspiliopoulos, Roberts "
                "and Zanella, 2020): one grouping factor after the other, variance parameters by "
                "slice sampling (Neal, 2003) with the factor's effects and the fixed effects "
                f"integrated out, {many} after {attributes['tune']} sweeps of warm-up "
                f"(seed {attributes['seed']})."
            )
        elif "exact" in engine:
            found.append(f"There are {many}, which are independent (seed {attributes['seed']}).")
        else:
            found.append(
                f"{what} by the no-U-turn sampler (Hoffman and Gelman, 2014), "
                f"{many} after {attributes['tune']} of warm-up (seed {attributes['seed']})."
            )
        if attributes["interrupted"]:
            found.append("The run was interrupted.")
        return [
            *found,
            "Estimates are posterior means, those of variance components medians; intervals are "
            "equal-tailed.",
        ]

    def _convergence(self) -> list[str]:
        found = self.diagnostics()
        if self.is_prior or not np.isfinite(found.min_ess_bulk):
            return []
        figures = [
            f"{name} {value:.{digits}f}"
            for name, value, digits in (
                ("the largest R-hat was", found.max_r_hat, 3),
                ("the smallest bulk effective sample size", found.min_ess_bulk, 0),
                ("the smallest tail effective sample size", found.min_ess_tail, 0),
            )
            if np.isfinite(value)
        ]
        if found.bfmi.size:  # there are transitions
            words = counted(found.divergences, "divergent transition")
            many = words if found.divergences else "no divergent transition"
            figures.insert(0, f"{many} occurred after warm-up")
        text = f"{', '.join(figures[:-1])} and {figures[-1]}" if len(figures) > 1 else figures[0]
        judged = [f"There were problems: {'; '.join(found.problems)}."] if found.problems else []
        return [f"{text[:1].upper()}{text[1:]} (Vehtari et al., 2021).", *judged]

    def _run(self) -> Mapping[str, Any]:
        return {str(name): value for name, value in self.idata.attrs.items()}

    def _problems(self) -> list[str]:
        return self.diagnostics().problems

    def _more_tables(self) -> dict[str, Callable[[], pd.DataFrame]]:
        return {"Convergence": self.convergence_table}

    def _more_pictures(self) -> list[Picture]:
        return [
            Picture(
                title="Priors and posteriors",
                caption="What the data add to what the priors said.",
                draw=self.plot_prior_posterior,
            ),
            Picture(
                title="Traces",
                caption="Density and draws of each parameter, a colour per chain.",
                draw=self.plot_trace,
            ),
        ]

    def _to_save(self) -> dict[str, xr.Dataset]:
        import xarray as xr

        groups = {str(name): node.to_dataset() for name, node in self.idata.children.items()}
        return {**groups, "/": xr.Dataset(attrs=self.idata.attrs)}
