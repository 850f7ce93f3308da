"""`report`: a fit as one page."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesmix.results.files.report import Picture, write_report
from bayesmix.results.tabular.summary import Section, Summary
from bayesmix.results.tabular.tree import versions

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.results.tabular.diagnostics import Diagnostics
    from bayesmix.statement.stated import FittableModel

__all__ = ["ReportsDraws", "ReportsEstimates"]


class ReportsDraws:
    """A posterior as a page."""

    model: FittableModel
    idata: xr.DataTree

    if TYPE_CHECKING:

        def summary(self) -> Summary: ...  # noqa: D102
        def diagnostics(self) -> Diagnostics: ...  # noqa: D102
        def plot_trace(self) -> Any: ...  # noqa: D102
        def plot_prior_posterior(self) -> Any: ...  # noqa: D102

    def report(self, path: str | os.PathLike[str] = "report.html") -> Path:
        """Write the fit as one HTML page that opens in a browser without a network.

        It holds the model with its equation and priors, the diagnostics, the tables,
        the pictures, and what it takes to reproduce the fit. A picture that this model
        does not have is replaced by the reason.

        Parameters
        ----------
        path : str or path
            Ending in .html; a file of that name is replaced.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        pictures = [
            *_pictures_of_estimates(self),
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
        attributes = self.idata.attrs
        facts = [(name, str(attributes[name])) for name in ("engine", "seed", "tune")]
        facts += _versions(attributes)
        return write_report(
            path,
            model=self.model,
            summary=self.summary(),
            group_effects=_group_effects(self, diagnostics=False),
            pictures=pictures,
            problems=self.diagnostics().problems,
            facts=facts,
        )


class ReportsEstimates:
    """An empirical Bayes fit as a page."""

    model: FittableModel
    method: Any

    if TYPE_CHECKING:

        def summary(self) -> Summary: ...  # noqa: D102

        @property
        def converged(self) -> bool: ...  # noqa: D102

    def report(self, path: str | os.PathLike[str] = "report.html") -> Path:
        """Write the fit as one HTML page that opens in a browser without a network.

        Parameters
        ----------
        path : str or path
            Ending in .html; a file of that name is replaced.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        return write_report(
            path,
            model=self.model,
            summary=self.summary(),
            group_effects=_group_effects(self),
            pictures=_pictures_of_estimates(self),
            problems=[] if self.converged else ["the optimum was not found"],
            facts=[("method", str(self.method)), *_versions(versions())],
        )


def _group_effects(fit: Any, **options: Any) -> list[Section]:
    return [
        Section(
            title=f"Group effects of {group.name}",
            table=fit.group_effects(group.name, **options),
            text_columns=("group", "level", "effect"),
        )
        for group in fit.model.design.groups
    ]


def _pictures_of_estimates(fit: Any) -> list[Picture]:
    design = fit.model.design
    pictures = [
        Picture(
            title="Fixed effects",
            caption="Estimates and 95 % intervals.",
            draw=fit.plot_fixed_effects,
        ),
        Picture(
            title="Variance components",
            caption="Standard deviations and 95 % intervals.",
            draw=fit.plot_variance_components,
        ),
    ]
    pictures += [
        Picture(
            title=f"Group effects of {group.name}",
            caption="Estimates and 95 % intervals, sorted.",
            draw=partial(fit.plot_group_effects, group.name),
        )
        for group in design.groups
    ]
    pictures.append(
        Picture(
            title="Predictive checks",
            caption="The data against replicates of them from the fitted model.",
            draw=fit.check,
        )
    )
    return pictures if design.fixed_effects else pictures[1:]


def _versions(found: Any) -> list[tuple[str, str]]:
    start = "version_"
    return [(str(k).removeprefix(start), str(v)) for k, v in found.items() if k.startswith(start)]
