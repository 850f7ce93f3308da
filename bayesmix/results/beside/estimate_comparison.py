"""`EstimateComparison`: estimates of several fits as tables, a picture and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Unpack, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import one_of, whole_number
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.inference.announce import counted
from bayesmix.results.beside.estimates import (
    COLUMNS,
    TEXT,
    Estimates,
)
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.summary import Summary
from bayesmix.results.tabular.text import WIDTH, cell

__all__ = ["EstimateComparison", "Part"]

Part = Literal[
    "fixed_effects", "variance_components", "correlations", "covariance_parameters",
    "group_effects",
]  # fmt: skip

_SHOWN_LEVELS = 6
_TITLES = {
    "fixed_effects": "Fixed effects",
    "variance_components": "Standard deviations",
    "correlations": "Correlations",
    "covariance_parameters": "Covariance parameters",
    "group_effects": "Group effects",
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EstimateComparison:
    """Estimates of several fits side by side.

    Attributes
    ----------
    fits : mapping of str to Estimates
        By name, in the order of the columns.
    ci_prob : float
    """

    fits: Mapping[str, Estimates]
    ci_prob: float

    # -- tables -----------------------------------------------------------------

    @property
    def fixed_effects(self) -> pd.DataFrame:
        """One row per coefficient and fit: term, fit, estimate, sd, lower, upper."""
        return self._long("fixed_effects")

    @property
    def variance_components(self) -> pd.DataFrame:
        """One row per sd and fit: group, effect, fit, variance, sd, sd_lower, sd_upper."""
        return self._long("variance_components")

    @property
    def correlations(self) -> pd.DataFrame:
        """One row per pair and fit: group, effect_1, effect_2, fit, estimate, lower, upper."""
        return self._long("correlations")

    @property
    def covariance_parameters(self) -> pd.DataFrame:
        """One row per parameter of a structure and fit: group, parameter, fit, estimate, sd, ..."""
        return self._long("covariance_parameters")

    @property
    def group_effects(self) -> pd.DataFrame:
        """One row per level, effect and fit: group, level, effect, fit, estimate, sd, ..."""
        return self._long("group_effects")

    def to_dataframe(self) -> pd.DataFrame:
        """Stack everything into one table.

        Returns
        -------
        DataFrame
            One row per quantity and fit: part ("fixed_effects", ...), group, level,
            term, fit, estimate, sd, lower, upper. The estimate of a variance
            component is the standard deviation; the term of a correlation is "a, b".
        """
        columns = ["part", "group", "level", "term", "fit", "estimate", "sd", "lower", "upper"]
        parts = [self._labelled(part) for part in get_args(Part)]
        return pd.concat([part[columns] for part in parts], ignore_index=True)

    def table(self, part: Part | None = None) -> pd.DataFrame:
        """Return a row per quantity, with the fits beside each other.

        Parameters
        ----------
        part : str, optional
            "fixed_effects", "variance_components", "correlations", "covariance_parameters" or
            "group_effects"; all of them by default.

        Returns
        -------
        DataFrame
            part, group, level, term, and for each fit three columns, such as
            "REML", "REML lower" and "REML upper"; NaN where a fit has no such
            quantity. For a variance component it is the standard deviation.
        """
        if part is not None:
            one_of("part", part, get_args(Part))
        long = self.to_dataframe() if part is None else self._labelled(part)
        labels = ["part", "group", "level", "term"]
        # A second quantity of the same name in one fit is not to be lost.
        long = long.assign(again=long.groupby([*labels, "fit"], sort=False).cumcount())
        wide = long[[*labels, "again"]].drop_duplicates().reset_index(drop=True)
        for name in self.fits:
            mine = long.loc[long["fit"] == name, [*labels, "again", "estimate", "lower", "upper"]]
            mine.columns = pd.Index(
                [*labels, "again", name, f"{name} lower", f"{name} upper"], dtype="str"
            )
            wide = wide.merge(mine, on=[*labels, "again"], how="left")
        return wide.drop(columns="again")

    # -- picture ----------------------------------------------------------------

    @picture
    def plot(self, part: Part | None = None, *, group: str | None = None,
             effects: Sequence[str] | None = None, max_levels: int = 40,
             **look: Unpack[Look]) -> Any:  # fmt: skip
        """Draw estimates and intervals, a colour and a row for each fit.

        Parameters
        ----------
        part : str, optional
            "fixed_effects", "variance_components", "correlations", "covariance_parameters" or
            "group_effects"; by default all of them: a panel for each coefficient, standard
            deviation, correlation and parameter of a covariance structure, and one for each
            effect of a grouping factor.
        group : str, optional
            Whose group effects are drawn; by default those of the first.
        effects : sequence of str, optional
            Those of its effects that are drawn; all by default.
        max_levels : int
            Where there are more levels, the lowest and the highest are drawn.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is nothing of what is asked for.
        """
        from bayesmix.results.plots.estimates import plot_estimates

        if part is not None:
            one_of("part", part, get_args(Part))
        whole_number("max_levels", max_levels, 1)
        long = self.to_dataframe()
        scalars = long[long["part"] != "group_effects"]
        levels = long[long["part"] == "group_effects"]
        if part is not None:
            scalars = scalars[scalars["part"] == part]
            if part != "group_effects":
                levels = levels.iloc[:0]
        levels = _chosen_levels(levels, group, effects)
        if scalars.empty and levels.empty:
            raise NotSupportedError(f"none of the fits has {part or 'estimates'} to draw")
        return plot_estimates(
            scalars, levels, list(self.fits), ci_prob=self.ci_prob, max_levels=max_levels
        )

    # -- print ------------------------------------------------------------------

    def summary(self) -> Summary:
        """Gather the tables as one object that prints within 80 columns.

        Returns
        -------
        Summary
        """
        sections = []
        for part, title in _TITLES.items():
            long = self._labelled(part)
            groups = list(dict.fromkeys(long["group"])) if part == "group_effects" else [None]
            for name in groups:
                mine = long if name is None else long[long["group"] == name]
                shown, rest = _first_levels(mine) if name is not None else (mine, 0)
                if mine.empty:
                    continue
                table, text = self._shown(part, shown)
                heading = title if name is None else f"{title} of {name}"
                note = f"and {counted(rest, 'more level')}: .group_effects" if rest else ""
                sections.append(
                    Section(
                        title=heading, table=table, text_columns=text, note=note,
                        whole=partial(self._every_row, part, mine),
                    )
                )  # fmt: skip
        rows = [f"{n}: {fit.n_obs} rows" for n, fit in self.fits.items() if fit.n_obs is not None]
        footer = [f"Intervals are {100 * self.ci_prob:g} %, where a fit has any."]
        footer += [
            f"{name}: {fit.note}" if fit.is_own else fit.note
            for name, fit in self.fits.items() if fit.note
        ]  # fmt: skip
        foreign = [fit for fit in self.fits.values() if not fit.is_own]
        if any(len(fit.group_effects) for fit in foreign):
            footer.append(
                "Group effects of lme4 and statsmodels have errors given the fixed effects; those "
                "of bayesmix contain the fixed effects' uncertainty."
            )
        return Summary(
            title=f"Estimates of {len(self.fits)} fit{'s' * (len(self.fits) != 1)}",
            lines=("; ".join(rows),) if rows else (),
            sections=tuple(sections),
            footer=tuple(footer),
        )

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # -- inside -----------------------------------------------------------------

    def _long(self, part: str) -> pd.DataFrame:
        """The tables of all fits, quantity by quantity in the order of the first that has it."""
        labels = [name for name in COLUMNS[part] if name in TEXT]
        tables = []
        for at, (name, fit) in enumerate(self.fits.items()):
            table = getattr(fit, part).copy()
            table.insert(len(labels), "fit", pd.Series([name] * len(table), dtype="str"))
            tables.append(table.assign(at=at))
        stacked = pd.concat(tables, ignore_index=True)
        rank = stacked.groupby(labels, sort=False).ngroup()
        ordered = stacked.assign(rank=rank).sort_values(["rank", "at"], kind="stable")
        return ordered.drop(columns=["rank", "at"]).reset_index(drop=True)

    def _labelled(self, part: str) -> pd.DataFrame:
        """The long table under the columns of `to_dataframe`."""
        table = self._long(part)
        if part == "variance_components":
            table = table.drop(columns="variance").rename(
                columns={"sd": "estimate", "sd_lower": "lower", "sd_upper": "upper"}
            )
        if part == "correlations":
            table["term"] = table["effect_1"] + ", " + table["effect_2"]
        table = table.rename(columns={"effect": "term", "parameter": "term"})
        for name in ("group", "level"):
            if name not in table.columns:
                table[name] = pd.Series([""] * len(table), dtype="str")
        if "sd" not in table.columns:
            table["sd"] = np.nan
        table["part"] = pd.Series([part] * len(table), dtype="str")
        return table

    def _every_row(self, part: str, long: pd.DataFrame) -> pd.DataFrame:
        return self._shown(part, long)[0]

    def _shown(self, part: str, long: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """A column per fit if that fits 80 columns, else a row per fit."""
        labels = {
            "fixed_effects": ["term"],
            "variance_components": ["group", "term"],
            "correlations": ["group", "term"],
            "covariance_parameters": ["group", "term"],
            "group_effects": ["level", "term"],
        }[part]
        cells = long[[*labels, "fit"]].assign(
            value=[_value(row) for row in long.itertuples(index=False)]
        )
        keys = cells[labels].drop_duplicates()
        wide = keys.copy()
        for name in self.fits:
            mine = cells[cells["fit"] == name].drop_duplicates(labels)
            wide = wide.merge(
                mine[[*labels, "value"]].rename(columns={"value": name}), on=labels, how="left"
            )
        wide = wide.fillna("")
        width = 2 + sum(
            2 + min(max([len(str(c)), *wide[c].str.len()]), 20 if c in labels else 99)
            for c in wide.columns
        )
        again = cells.duplicated([*labels, "fit"]).any()
        if width - 2 <= WIDTH and not again:
            heading = {"fixed_effects": "term", "covariance_parameters": "parameter"}
            renamed = wide.rename(columns={"term": heading.get(part, "effect")})
            return renamed, tuple(str(c) for c in renamed.columns[: len(labels)])
        columns = [*labels, "fit", "estimate", "lower", "upper"]
        tall = long[columns].reset_index(drop=True)
        repeated = tall.duplicated(labels)
        for name in labels:  # said once
            tall.loc[repeated, name] = ""
        return tall, (*labels, "fit")


def _value(row: Any) -> str:
    estimate = cell(float(row.estimate))
    if np.isnan(row.lower) or np.isnan(row.upper):
        return estimate
    return f"{estimate} [{cell(float(row.lower))}, {cell(float(row.upper))}]"


def _first_levels(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    levels = list(dict.fromkeys(rows["level"]))
    n_effects = max(1, rows["term"].nunique())
    shown = max(1, _SHOWN_LEVELS // n_effects)
    return rows[rows["level"].isin(levels[:shown])], max(0, len(levels) - shown)


def _chosen_levels(
    levels: pd.DataFrame, group: str | None, effects: Sequence[str] | None
) -> pd.DataFrame:
    if levels.empty and group is None and effects is None:
        return levels
    known = list(dict.fromkeys(levels["group"]))
    if group is not None:
        one_of("group", group, known)
    levels = levels[levels["group"] == (group or known[0])] if known else levels
    if effects is None:
        return levels
    wanted = [effects] if isinstance(effects, str) else list(effects)
    have = list(dict.fromkeys(levels["term"]))
    for effect in wanted:
        if effect not in have:
            raise ArgumentError(f"there is no effect {effect!r}; there are {', '.join(have)}")
    return levels[levels["term"].isin(wanted)]
