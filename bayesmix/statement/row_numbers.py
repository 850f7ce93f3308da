"""Predictors that `.` stands for and that do nothing but count the rows."""

from __future__ import annotations

import re
import warnings

import numpy as np

from bayesmix.design import Design
from bayesmix.errors import OWN_FILES, DataWarning
from bayesmix.formula import Formula

__all__ = ["warn_of_row_numbers"]

_FEWEST = 5  # rows: fewer may be counted by chance


def warn_of_row_numbers(formula: Formula, design: Design) -> None:
    """Say which columns seem to be row numbers: 0, 1, 2, ... or 1, 2, 3, ... in the rows' order.

    R's ``X``, the ``index`` and ``level_0`` of pandas, or an ``id`` of the rows have names that a
    predictor may have as well, so that ``.`` takes them.

    Parameters
    ----------
    formula : Formula
    design : Design
        The design made of a frame.

    Warns
    -----
    DataWarning
    """
    X, names = design.mu.X, design.mu.fixed_effects
    if "." not in formula.text or len(X) < _FEWEST:
        return
    counts = (np.diff(X, axis=0) == 1).all(axis=0) & np.isin(X[0], (0, 1))
    found = [
        name
        for name, is_count in zip(names, counts, strict=True)
        if is_count and not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", formula.text)
    ]
    if found:
        warnings.warn(
            f"`{found[0]}`, which `.` stands for, too, numbers the rows: if it is no predictor, "
            f"take it out, as by `. - {found[0]}`",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )
