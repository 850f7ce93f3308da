"""For whom a table of effects speaks: the typical group, or the groups in the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.laws.request import Groups

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.statement.stated import StatedModel

__all__ = ["default_groups", "for_these_groups_only"]


def default_groups(
    model: StatedModel, *, by: Any = True, at: Mapping[str, Any] | None = None,
    variables: Iterable[str] = (),
) -> Groups:  # fmt: skip
    """Choose whose effects rows have where the caller did not say.

    A table that varies something speaks of the population: its rows are those of the
    typical group, and its intervals hold for other groups as well. One that names a
    grouping factor, or a column that enters through the groups' effects alone, asks
    for these groups; so does the plain average over the rows.

    Parameters
    ----------
    model : Model
    by : str, sequence of str, or bool
    at : mapping, or None
    variables : iterable of str
        What is compared or differentiated.

    Returns
    -------
    {"conditional", "population"}
    """
    listed = [by] if isinstance(by, str) else by if isinstance(by, Iterable) else ()
    listed = [name for name in listed if isinstance(name, str)]
    named = {*listed, *(at if isinstance(at, Mapping) else ()), *variables}
    return "population" if named and not named & _through_groups(model) else "conditional"


def for_these_groups_only(model: StatedModel, variables: Iterable[str]) -> str:
    """Say for whom intervals hold that are conditional on the groups in the data.

    Parameters
    ----------
    model : Model
    variables : iterable of str
        What is compared or differentiated.

    Returns
    -------
    str
        Empty where each variable varies within every grouping factor. What differs
        between groups is known about those in the data only.
    """
    frame, own = model.design.frame, _through_groups(model)
    found = []
    for name in variables:
        if name in own or name not in frame.columns:
            continue
        within = [g.name for g in model.design.mu.grouping if _is_constant_within(frame[name], g)]
        if within:
            found.append(f"`{name}` does not vary within {' and '.join(f'`{g}`' for g in within)}")
    if not found:
        return ""
    return (
        f'{"; ".join(found)}: with groups="conditional" the intervals are for the groups in the '
        'data, not for groups like them; groups="population" is for the typical group'
    )


def _through_groups(model: StatedModel) -> set[str]:
    """Columns that play a part through the groups' effects alone."""
    formula = model.whole_formula
    return set(formula.columns_of("group", "effect")) - set(formula.columns_of("fixed", "offset"))


def _is_constant_within(column: pd.Series[Any], group: GroupingFactor) -> bool:
    codes = pd.factorize(column)[0]
    first = np.full(group.n_levels, -1, dtype=np.int64)
    first[group.index[::-1]] = codes[::-1]
    return bool((codes == first[group.index]).all())
