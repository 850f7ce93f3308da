"""`report`: a fit as one page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bayesmix.errors import ArgumentError
from bayesmix.laws.covariance_parameters import covariance_parameters
from bayesmix.results.check.checking import Checks
from bayesmix.results.files.report import Picture, write_report
from bayesmix.results.pictures.covariance_plots import CovariancePlots
from bayesmix.results.pictures.smooth_plots import SmoothPlots
from bayesmix.results.tabular.summary import Section
from bayesmix.results.tabular.summing_up import SumsUp

__all__ = ["Reports"]


class Reports(SumsUp, CovariancePlots, SmoothPlots, Checks):
    """A fit as a page."""

    def report(
        self, path: str | os.PathLike[str] = "report.html", *,
        tables: Mapping[str, Any] | None = None,
    ) -> Path:  # fmt: skip
        """Write the fit as one HTML page that opens in a browser without a network.

        It holds the model with its equation and priors, the tables, the pictures, what was
        found wrong, and what it takes to reproduce the fit. A picture that this model
        does not have is replaced by the reason.

        Parameters
        ----------
        path : str or path
            Ending in .html; a file of that name is replaced.
        tables : mapping of str to DataFrame or MarginalMeans, optional
            Further tables by their titles, such as ``{"Varieties": means.contrasts()}``.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If the file cannot be written.
        ArgumentError
            If `tables` holds something else.

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
        return write_report(
            path,
            model=self.model,
            summary=self.summary(),
            more=_asked_for(tables),
            group_effects=[
                Section(
                    title=f"Group effects of {group.name}",
                    table=self.group_effects(group.name, **self._law.quick),
                    text_columns=("group", "level", "effect"),
                )
                for group in self.model.design.mu.grouping
            ],
            pictures=[*self._pictures(), *self._more_pictures()],
            problems=self._problems(),
            facts=[*facts, *versions],
        )

    # -- inside ---------------------------------------------------------------

    def _run(self) -> Mapping[str, Any]:
        """How the fit came about, and by which versions."""
        raise NotImplementedError

    def _problems(self) -> Sequence[str]:
        """What makes the fit doubtful."""
        raise NotImplementedError

    def _more_pictures(self) -> list[Picture]:
        return []

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
        pictures.append(
            Picture(
                title="Predictive checks",
                caption="The data against replicates of them from the fitted model.",
                draw=self.check,
            )
        )
        return pictures if mu.fixed_effects else pictures[1:]


def _asked_for(tables: Any) -> list[Section]:
    """Tables that the caller gives, with what is printed below them."""
    if tables is None:
        return []
    found = []
    pairs: list[tuple[Any, Any]] = (
        list(tables.items()) if isinstance(tables, Mapping) else [("", None)]
    )
    for title, given in pairs:
        table = getattr(given, "table", given)
        if not isinstance(table, pd.DataFrame):
            raise ArgumentError(
                "tables= must be a dict of tables by their titles, such as "
                '{"Means": fit.marginal_means("a")}'
            )
        names = [str(c) for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
        note = "" if given is table else " ".join(given.notes)
        found.append(Section(title=str(title), table=table, text_columns=tuple(names), note=note))
    return found
