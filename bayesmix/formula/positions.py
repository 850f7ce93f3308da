"""The left side of ``ar1(time | g)``: columns that say where each effect is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from formulaic.parser.types import Factor, Term

from bayesmix.errors import FormulaError
from bayesmix.formula.quoting import decode
from bayesmix.formula.wrapped import Wrapped

__all__ = ["position_terms"]

_CATEGORY = re.compile(r"\s*C\s*\(\s*([^\W\d]\w*)\s*\)\s*")
_WANTED = {
    "steps": "one column of whole numbers, or a factor",
    "times": "one column of numbers",
    "places": "columns of numbers, joined by +",
}


def position_terms(wrapped: Wrapped, terms: Sequence[Term], text: str) -> tuple[Term, ...]:
    """Check what stands on the left of a bar, and write factors by their column.

    ``0 + C(occasion)``, as glmmTMB wants it, and ``occasion`` say the same.

    Parameters
    ----------
    wrapped : Wrapped
        The word, one that has positions.
    terms : sequence of Term
        Without an intercept that nobody wrote.
    text : str
        The formula.

    Returns
    -------
    tuple of Term
        Each a single column or expression.

    Raises
    ------
    FormulaError
        For interactions, an intercept, no column, or more than the word takes.
    """
    word, left = wrapped.word, wrapped.known.left

    def refused(reason: str) -> FormulaError:
        return FormulaError(
            f"{reason}: {word} takes {_WANTED[left]}, which say where each effect is",
            text=text, start=wrapped.start, stop=wrapped.stop,
        )  # fmt: skip

    if not terms:
        raise refused("nothing stands on the left of the bar")
    found = []
    for term in terms:
        written = decode(str(term))
        if written == "1":
            raise refused("an intercept is no position")
        if len(term.factors) > 1:
            raise refused(f"`{written}` is an interaction and no position")
        (factor,) = term.factors
        category = _CATEGORY.fullmatch(factor.expr)
        if category and left == "steps":
            factor = Factor(category[1], eval_method="lookup", token=factor.token)
        elif re.match(r"\s*(C|hashed|bs|cr|cc|cs|poly|offset)\s*\(", factor.expr):
            raise refused(f"`{written}` makes categories or several columns")
        found.append(Term([factor]))
    if len(found) > 1 and left != "places":
        listed = " and ".join(f"`{decode(str(term))}`" for term in found)
        raise refused(f"{listed} are {len(found)} columns")
    return tuple(found)
