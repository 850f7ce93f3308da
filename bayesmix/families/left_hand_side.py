"""What a family takes on the left-hand side of a formula: trials, censoring, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.errors import DataError, FormulaError
from bayesmix.families.base import Family
from bayesmix.families.row_values import Rows
from bayesmix.formula import Formula
from bayesmix.formula.quoting import encode
from bayesmix.formula.response import quotient_of

__all__ = ["as_proportion", "check_counts", "check_limits", "check_row_data"]

_WRITTEN = {
    "trials": "proportion(successes, trials)",
    "status": "censored(y, status)",
    "event": "event(time, status)",
    "lower": "truncated(y, lower, upper)",
    "upper": "truncated(y, lower, upper)",
}


def check_counts(family: Family, formula: Formula) -> None:
    """Compare whether the response is counts of categories with what the family takes.

    Raises
    ------
    FormulaError
    """
    if family.has_counts == bool(formula.counts):
        return
    if family.has_counts:
        reason = (
            f"the {family.name} family wants the counts of categories, cbind(a, b, c), on the "
            'left-hand side, the reference first; for a category in each row take "categorical"'
        )
    else:
        first, *others = (count.text for count in formula.counts)
        reason = (
            f'counts of categories, {formula.response.text}, are for family="multinomial", and '
            f"the family is {family.name}"
        )
        if len(others) == 1 and "trials" in family.accepts:
            total = formula.extras["trials"].text.replace("(", "").replace(")", "")
            reason += f"; successes of trials are proportion({first}, {total})"
    raise FormulaError(reason, text=formula.text, start=0, stop=formula.text.find("~"))


def check_row_data(family: Family, formula: Formula, rows: Rows) -> None:
    """Compare what the left-hand side says per row with what the family takes.

    Raises
    ------
    FormulaError
        If the family needs, or cannot take, a function of the left-hand side.
    """
    place = {"text": formula.text, "start": 0, "stop": formula.text.find("~")}
    for name in family.needs:
        if name not in rows:
            advice = '; for 0/1 responses take family="bernoulli"' if name == "trials" else ""
            written = _WRITTEN[name]
            if name == "trials" and quotient_of(formula.response.text):
                written, advice = as_proportion(formula), ""
            raise FormulaError(
                f"the {family.name} family wants {written} on the left-hand side{advice}",
                **place,  # type: ignore[arg-type]
            )
    for name in rows:
        if name in _WRITTEN and name not in family.accepts:
            advice = '; take family="binomial" or "beta_binomial"' if name == "trials" else ""
            said = "event" if name == "status" and "event" in formula.extras else name
            written = _WRITTEN[said]
            raise FormulaError(
                f"{written} does not go with the {family.name} family{advice}",
                **place,  # type: ignore[arg-type]
            )


def as_proportion(formula: Formula, trials: Any = None) -> str:
    """Write the response of a formula as successes of trials.

    Parameters
    ----------
    formula : Formula
        Its response is a quotient ``k / n``, or a share of the trials.
    trials : str, optional
        The column of the trials; anything else is not named.

    Returns
    -------
    str
        Such as ``proportion(k, n)``.
    """
    quotient = quotient_of(formula.response.text)
    if quotient is not None:
        return f"proportion({quotient[0]}, {quotient[1]})"
    if not isinstance(trials, str):
        return _WRITTEN["trials"]
    share, n = (f"`{c}`" if encode(c) != c else c for c in (formula.response.text, trials))
    return f"proportion(np.round({share} * {n}), {n})"


def check_limits(
    family: Family, y: np.ndarray, rows: Rows, formula: Formula, labels: pd.Index[Any]
) -> None:
    """Check that the limits of a truncation leave room, and that y lies between them.

    Raises
    ------
    DataError
        Naming the row and the values.
    """
    if "lower" not in rows and "upper" not in rows:
        return
    lower = np.broadcast_to(rows.get("lower", -np.inf), y.shape)
    upper = np.broadcast_to(rows.get("upper", np.inf), y.shape)
    for limit in (lower, upper):
        broken = np.flatnonzero(np.isfinite(limit) & (limit != np.floor(limit)))
        if family.discrete and broken.size:
            i = broken[0]
            raise DataError(
                f"a limit of truncated(...) is {limit[i]:g} in row {labels[i]}: those of counts "
                "are whole numbers, and can occur themselves"
            )
    empty = np.flatnonzero(lower >= upper)
    if empty.size:
        i = empty[0]
        raise DataError(
            f"the limits of truncated(...) are {lower[i]:g} and {upper[i]:g} in row {labels[i]}: "
            "the lower one must be below the upper one"
        )
    outside = np.flatnonzero((y < lower) | (y > upper))
    if outside.size:
        i = outside[0]
        raise DataError(
            f"the response `{formula.response.text}` is {y[i]:g} in row {labels[i]}, outside the "
            f"limits {lower[i]:g} and {upper[i]:g} of truncated(...): such a row could not have "
            "been seen; leave it out or correct the limits"
        )
