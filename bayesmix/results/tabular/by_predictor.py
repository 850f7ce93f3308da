"""A table of one linear predictor, or of all of them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from bayesmix.arguments import one_of
from bayesmix.laws.base import Law
from bayesmix.results.tabular.tables import text_column

__all__ = ["by_predictor"]


def by_predictor(
    law: Law, parameter: str, table: Callable[[Law], pd.DataFrame], column: str = "parameter"
) -> pd.DataFrame:
    """Make a table of one linear predictor, or of all with their names in front.

    Parameters
    ----------
    law : Law
    parameter : str
        A parameter with a linear predictor, or "all".
    table : callable
        From the law of a predictor to its table.
    column : str
        What the column of the names is called.
    """
    if parameter != "all":
        one_of("parameter", parameter, (*law.model.design.predictors, "all"))
        return table(law.of(parameter))
    found = {name: table(law.of(name)) for name in law.predictors}
    for name, rows in found.items():
        rows.insert(0, column, text_column([name] * len(rows)))
    some = [rows for rows in found.values() if len(rows)] or list(found.values())[:1]
    return pd.concat(some, ignore_index=True)
