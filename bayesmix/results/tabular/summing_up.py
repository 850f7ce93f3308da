"""`summary`: all tables of a fit as one object that prints."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from bayesmix.laws.base import Asked, DegreesOfFreedom, asks_the_law
from bayesmix.laws.summaries import IntervalKind, Point
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular import tables
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.summary import Summary, first_rows, more_levels

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Law

__all__ = ["SumsUp"]


class SumsUp(HasLaw):
    """A fit as text."""

    _shown_rows = 6  # of each grouping factor's effects
    _own_first = False  # whether the family's parameters stand before the variance components

    @asks_the_law
    def summary(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        ddf: DegreesOfFreedom | None = None,
        tests: bool = False,
        groups: bool = True,
    ) -> Summary:
        """Gather all tables as one object that prints within 80 columns.

        Parameters
        ----------
        ci_prob, ci_kind
            As in `fixed_effects`.
        point : {"mean", "median"}, optional
            For a posterior, for all tables; by default each table's own, and the median for
            draws from the prior, whose means need not exist.
        ddf, tests
            As in `fixed_effects`; a line below the table says what the tests rest on.
        groups : bool
            Whether the first levels of each grouping factor are shown with their effects.

        Returns
        -------
        Summary

        Raises
        ------
        NotSupportedError
            For an argument out of its range.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> print(str(eb.summary()).splitlines()[0])
        Reaction ~ Days + (Days | Subject)
        """
        asked = self._asked_of_all(
            Asked(ci_prob=ci_prob, ci_kind=ci_kind, point=point, ddf=ddf, tests=tests)
        )
        design, law = self.model.design, self._law
        sections = []
        if design.mu.all_fixed_columns:
            left_out = ", ".join(design.mu.aliased)
            note = f"Left out as aliased: {left_out}. " if left_out else ""
            note = (note + law.note_of_tests(asked)).strip()
            table = tables.fixed_effects_table(law, asked)
            sections.append(Section(title="Fixed effects", table=table,
                                    text_columns=("term",), note=note))  # fmt: skip
        parts = tables.variance_components_table(law, asked)
        pairs = tables.correlations_table(law, asked)
        beside, why = tables.covariance_parameters_table(law, asked)
        variances = [
            Section(title="Variance components", table=parts, text_columns=("group", "effect")),
            Section(title="Correlations", table=pairs,
                    text_columns=("group", "effect_1", "effect_2")),
            Section(title="Covariance parameters", table=beside,
                    text_columns=("group", "parameter"), note=why),
        ]  # fmt: skip
        sections += self._smooths(asked)
        calls = ("variance_components()", "correlations()", "covariance_parameters()")
        variances = [first_rows(*pair) for pair in zip(variances, calls, strict=True)]
        own = []
        # The sigma of a normal response is the residual of the variance components, where
        # the link leaves it on their scale.
        normal = self.model.family.is_linear_normal
        if self.model.family.parameters and not normal:
            table = tables.family_parameters_table(law, asked)
            own = [Section(title="Family parameters", table=table, text_columns=("parameter",))]
        sections += [*own, *variances] if self._own_first else [*variances, *own]
        shown = design.mu.grouping if groups else ()
        sections += [self._first_levels(law, group, asked) for group in shown]
        for parameter in law.predictors[1:]:
            sections += self._of_predictor(parameter, asked, groups=groups)
        return Summary(
            title=str(self.model.formula),
            lines=(*self.model.facts(), *self._run_in_words()),
            sections=tuple(section for section in sections if len(section.table)),
            footer=tuple(self._remarks(asked, parts, pairs)),
            ci_prob=ci_prob,
        )

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # -- inside ---------------------------------------------------------------

    def _asked_of_all(self, asked: Asked) -> Asked:
        """What is asked of all tables, where the caller has not said it."""
        return asked

    def _run_in_words(self) -> list[str]:
        """How the fit came about."""
        raise NotImplementedError

    def _remarks(self, asked: Asked, parts: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
        """What is to be said of the tables, and of what is wrong."""
        raise NotImplementedError

    def _of_predictor(self, parameter: str, asked: Asked, *, groups: bool) -> list[Section]:
        """The tables of a linear predictor beside mu's."""
        law = self._law.of(parameter)
        found = [
            Section(title="Fixed effects", text_columns=("term",),
                    table=tables.fixed_effects_table(law, asked)),
            Section(title="Variance components", text_columns=("group", "effect"),
                    table=tables.variance_components_table(law, asked)),
            Section(title="Correlations", text_columns=("group", "effect_1", "effect_2"),
                    table=tables.correlations_table(law, asked)),
            *(self._first_levels(law, group, asked)
              for group in (law.linear_predictor.grouping if groups else ())),
        ]  # fmt: skip
        return [replace(section, title=f"{parameter}: {section.title}") for section in found]

    def _smooths(self, asked: Asked) -> list[Section]:
        table = tables.smooths_table(self._law, asked)
        if not len(table):
            return []
        names: tuple[str, ...] = ("term", "basis", "part")
        if not any(table["part"]):
            table, names = table.drop(columns="part"), names[:2]
        return [first_rows(Section(title="Smooths", table=table, text_columns=names), "smooths()")]

    def _first_levels(self, law: Law, group: GroupingFactor, asked: Asked) -> Section:
        shown = min(max(1, self._shown_rows // group.n_effects), group.n_levels)
        note = law.note_of_effects(group)
        if note:  # moments have one kind of interval only
            asked = replace(asked, ci_kind=None, point=None)
        rest = group.n_levels - shown
        return Section(
            title=f"Group effects of {group.name}",
            table=_levels_of(law, group, asked, shown),
            text_columns=("level", "effect"),
            note="; ".join(part for part in (more_levels(group.name, rest), note) if part),
            whole=functools.partial(_levels_of, law, group, asked) if rest else None,
        )


def _levels_of(
    law: Law, group: GroupingFactor, asked: Asked, n_levels: int | None = None
) -> pd.DataFrame:
    found = tables.group_table(law, group, asked, with_fixed=False, n_levels=n_levels)
    return found.drop(columns="group")
