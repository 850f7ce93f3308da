"""`report`: a fit as one page."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bayesmix.errors import BayesmixError, BayesmixWarning
from bayesmix.laws.covariance_parameters import covariance_parameters
from bayesmix.results.check.checking import Checks
from bayesmix.results.files.report import Picture, write_report
from bayesmix.results.files.telling import TellsMethods
from bayesmix.results.pictures.covariance_plots import CovariancePlots
from bayesmix.results.pictures.smooth_plots import SmoothPlots
from bayesmix.results.plots.look import drawn_with
from bayesmix.results.tabular.gathering import sections_of
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.summary import Summary
from bayesmix.results.tabular.summing_up import SumsUp

__all__ = ["Reports"]

_MANY_ROWS = 20_000  # beyond these a report has no tables that go over them again


class Reports(TellsMethods, SumsUp, CovariancePlots, SmoothPlots, Checks):
    """A fit as a page."""

    def report(
        self, path: str | os.PathLike[str] = "report.html", *,
        tables: Mapping[str, Any] | None = None, labels: Mapping[str, str] | None = None,
    ) -> Path:  # fmt: skip
        """Write the fit as one HTML page that opens in a browser without a network.

        It holds the model with its equation and priors, a paragraph on methods with its
        references, the tables, the pictures, what was found wrong, and what it takes to
        reproduce the fit. A picture that this model
        does not have is replaced by the reason.

        Parameters
        ----------
        path : str or path
            Ending in .html; a file of that name is replaced.
        tables : mapping of str to DataFrame or MarginalMeans, optional
            Further tables by their titles, such as ``{"Varieties": means.contrasts()}``.
        labels : mapping of str to str, optional
            Words in the place of names of terms, groups, levels and columns, in tables and
            pictures; formulas keep the names.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If the file cannot be written.
        ArgumentError
            If `tables` or `labels` holds something else.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> with TemporaryDirectory() as folder:
        ...     Path(eb.report(Path(folder) / "sleep.html")).suffix
        '.html'
        """
        run = self._run()
        start = "version_"
        versions = [
            (str(k).removeprefix(start), str(v)) for k, v in run.items() if k.startswith(start)
        ]
        about = ("method", "engine", "choice", "seed", "tune")
        facts = [(k, str(run[k])) for k in about if k in run]
        groups = [
            Section(
                title=f"Group effects of {group.name}",
                table=self.group_effects(group.name, **self._law.quick),
                text_columns=("group", "level", "effect"),
            )
            for group in self.model.design.mu.grouping
        ]
        further = [] if tables is None else sections_of(tables)

        def named(sections: Sequence[Section]) -> list[Section]:
            whole = Summary(title="", lines=(), sections=tuple(sections), footer=())
            return list(whole.labelled(labels).sections)

        with drawn_with({"labels": labels}):
            return write_report(
                path,
                model=self.model,
                summary=self.summary().labelled(labels),
                methods=self.methods(labels=labels),
                beside=named(self._beside()),
                more=named(further),
                group_effects=named(groups),
                pictures=[*self._pictures(), *self._more_pictures()],
                problems=self._problems(),
                facts=[*facts, *versions],
            )

    # -- inside ---------------------------------------------------------------

    def _problems(self) -> Sequence[str]:
        """What makes the fit doubtful."""
        raise NotImplementedError

    def _more_pictures(self) -> list[Picture]:
        return []

    def _more_tables(self) -> dict[str, Callable[[], pd.DataFrame]]:
        """Tables that only some fits have, by their titles."""
        return {}

    def _beside(self) -> list[Section]:
        """Tables that no summary has, without those that this model has none of."""
        found: list[Section] = []
        if self.model.design.n_obs > _MANY_ROWS:
            return found
        wanted: Any = self
        for title, call in {
            "Intraclass correlation": wanted.icc, "Explained variance": wanted.r2,
            **self._more_tables(),
        }.items():  # fmt: skip
            with warnings.catch_warnings():
                # What is NaN in them is so for a reason that stands at the top of the page.
                warnings.simplefilter("ignore", BayesmixWarning)
                try:
                    found += sections_of({title: call()})
                except BayesmixError:
                    continue
        return found

    def _pictures(self) -> list[Picture]:
        mu = self.model.design.mu
        pictures = [
            Picture(
                title="Fixed effects",
                caption="Estimates and 95 % intervals.",
                draw=self.plot_fixed_effects,
            ),
            Picture(
                title="Variance components",
                caption="Standard deviations and 95 % intervals.",
                draw=self.plot_variance_components,
            ),
        ]
        if covariance_parameters(self.model):
            pictures.append(
                Picture(
                    title="Covariance parameters",
                    caption="What covariance structures have beside standard deviations.",
                    draw=self.plot_covariance_parameters,
                )
            )
        if mu.smooths:
            pictures.append(
                Picture(
                    title="Smooths",
                    caption="Their part of the linear predictor, with 95 % intervals.",
                    draw=self.plot_smooths,
                )
            )
        pictures += [
            Picture(
                title=f"Group effects of {group.name}",
                caption="Estimates and 95 % intervals, sorted.",
                draw=partial(self.plot_group_effects, group.name),
            )
            for group in mu.grouping
        ]
        if mu.grouping:
            pictures.append(
                Picture(
                    title="Partial pooling",
                    caption="Each level's own estimate, and that of the model.",
                    draw=self.plot_shrinkage,
                )
            )
        pictures.append(
            Picture(
                title="Predictions",
                caption="Along the first predictor, over the data.",
                draw=self.plot_predictions,
            )
        )
        pictures.append(
            Picture(
                title="Predictive checks",
                caption="The data against replicates of them from the fitted model.",
                draw=self.check,
            )
        )
        return pictures if mu.fixed_effects else pictures[1:]
