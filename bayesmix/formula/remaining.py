"""What ``.`` stands for: the columns that are left, without a table's row names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence

from bayesmix.errors import OWN_FILES, DataWarning, FormulaError
from bayesmix.formula.readable import unwritable

__all__ = ["remaining_columns"]

# A header without a name, as R's write.csv leaves it above its row names: what pandas, polars,
# readr and R call such a column, or leave empty; and what row names are called when they are saved.
_ROW_NAMES = re.compile(
    r"|Unnamed: \d+(\.\d+)?(_level_\d+)?|_duplicated_\d+|\.\.\.\d+|row\.?names|__index_level_\d+__"
)


def remaining_columns(available: Sequence[str], written: Collection[str]) -> list[str]:
    """Choose the columns that ``.`` stands for.

    Parameters
    ----------
    available : sequence of str
        The columns of the data.
    written : collection of str
        Columns that the formula names itself.

    Returns
    -------
    list of str

    Raises
    ------
    FormulaError
        If one has a name that cannot be written.

    Warns
    -----
    DataWarning
        If columns are left out because they look like row names.
    """
    row_names = [name for name in available if _ROW_NAMES.fullmatch(name)]
    left_out = [f"`{name}`" for name in row_names if name not in written]
    if left_out:
        warnings.warn(
            f"`.` leaves out {', '.join(left_out[:4])}{', ...' if len(left_out) > 4 else ''}: row "
            "names, or a column without a name, are no predictor; between backquotes, or under "
            "another name, such a column is taken",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )
    kept = [name for name in available if name not in row_names]
    for name in kept:
        what = unwritable(name)
        if what:
            raise FormulaError(f"`.` stands for the column {name!a}, too, whose name holds {what}")
    return kept
