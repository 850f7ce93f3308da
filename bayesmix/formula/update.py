"""Changing a formula by another one, in which ``.`` stands for what was there."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bayesmix.errors import FormulaError
from bayesmix.formula.brackets import outside_brackets
from bayesmix.formula.parser import parse_formula
from bayesmix.formula.readable import check_text

__all__ = ["updated_formula"]

_MOST_TAKEN_OUT = 200
_MOST_TERMS = 2000
_DOT = re.compile(r"(?<![\w.)\]])\.(?![\w.(\[])")
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^']*'")


def updated_formula(old: str, new: str) -> str:
    """Change a formula as R's ``update`` does.

    Parameters
    ----------
    old : str
        The formula that is changed.
    new : str
        ``". ~ . + x"``: a dot stands for the side it is on. A term behind a minus is
        taken out; a group term is found by what it says, not by how it is spelt. A
        formula without dots replaces the old one.

    Returns
    -------
    str

    Raises
    ------
    FormulaError
        If `new` has no two sides, or takes out what is not there.

    Examples
    --------
    >>> updated_formula("y ~ x + (x | g)", "log(.) ~ . + z - (1 + x | g) + (1 | g)")
    'log(y) ~ x + z + (1 | g)'
    """
    if not isinstance(new, str):
        raise FormulaError(f"a formula is text like '. ~ . + x', not {type(new).__name__}")
    check_text(new)
    old_left, old_right = _sides(old)
    new_left, new_right = _sides(new)
    left = _replace_dot(new_left, old_left)
    had = list(_signed_terms(old_right))
    wanted = list(_signed_terms(new_right))
    _check_number(len([t for t in wanted if not t.added]), len(had) + len(wanted))
    terms: dict[_Signed, None] = {}
    for term in wanted:
        if term.text == ".":
            if not term.added:
                raise FormulaError("`- .` would take out everything", text=new)
            terms |= dict.fromkeys(had)
        elif _DOT.search(_QUOTED.sub("", term.text)):
            raise FormulaError(
                f"the dot of `{term.text}` must stand by itself on the right: write its terms out",
                text=new,
            )
        elif term.added:
            terms[term] = None
        else:
            terms = dict.fromkeys(_without(list(terms), term, new))
    head, *rest = terms or [_Signed(True, "1")]
    text = head.text if head.added else f"-{head.text}"
    for term in rest:
        text += f" {'+' if term.added else '-'} {term.text}"
    return f"{left} ~ {text}"


@dataclass(frozen=True, slots=True)
class _Signed:
    """A term and its sign; spaces outside quotes make no difference."""

    added: bool
    text: str = field(compare=False)
    squeezed: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "squeezed", _squeezed(self.text))


def _check_number(n_taken_out: int, n_terms: int) -> None:
    """Refuse what takes seconds to work out and no one writes."""
    if n_taken_out > _MOST_TAKEN_OUT:
        raise FormulaError(
            f"{n_taken_out} terms are taken out, and {_MOST_TAKEN_OUT} are the most; write the "
            "formula that is wanted, without dots"
        )
    if n_terms > _MOST_TERMS:
        raise FormulaError(f"the formula would have {n_terms} terms; {_MOST_TERMS} are the most")


def _without(terms: list[_Signed], gone: _Signed, new: str) -> list[_Signed]:
    added = _Signed(True, gone.text)
    if added in terms:
        return [term for term in terms if term != added]
    if gone.text in {"0", "1"}:
        return [*terms, gone]
    groups = _group_terms(gone.text)
    if groups:
        kept = [term for term in terms if not term.added or _group_terms(term.text) != groups]
        if len(kept) == len(terms):
            there = ", ".join(t.text for t in terms if _group_terms(t.text)) or "none"
            raise FormulaError(
                f"there is no group term {gone.text} to take out; there are: {there}", text=new
            )
        return kept
    # A part of a product such as a*b: the term algebra takes it out.
    before, after = _fixed_terms(terms), _fixed_terms([*terms, gone])
    if before == after:
        raise FormulaError(
            f"there is no term {gone.text} to take out; there are: {', '.join(before) or 'none'}",
            text=new,
        )
    return [*terms, gone]


@functools.lru_cache(maxsize=1000)
def _group_terms(text: str) -> tuple[str, ...]:
    """What a group term says, however it is written; empty for a fixed term."""
    if "|" not in _QUOTED.sub("", text):
        return ()
    return tuple(str(term) for term in parse_formula(f"y_ ~ {text}").groups)


def _fixed_terms(terms: list[_Signed]) -> list[str]:
    text = " ".join(f"{'+' if t.added else '-'} {t.text}" for t in terms)
    formula = parse_formula(f"y_ ~ 0 {text}")
    return [str(term) for term in (*formula.fixed, *formula.smooths)]


def _sides(text: str) -> tuple[str, str]:
    places = [at for at, character in outside_brackets(text) if character == "~"]
    if len(places) != 1:
        raise FormulaError("a formula has one `~`, as in '. ~ . + x'", text=text)
    left, right = text[: places[0]].strip(), text[places[0] + 1 :].strip()
    if not left or not right:
        raise FormulaError("a formula has two sides, as in '. ~ . + x'", text=text)
    return left, right


def _signed_terms(text: str) -> Iterator[_Signed]:
    """The terms of a sum, each with its sign."""
    start, added = 0, True
    for at, character in [*outside_brackets(text), (len(text), "+")]:
        if character not in "+-":
            continue
        before = text[start:at].strip()
        if before:
            yield _Signed(added, " ".join(before.split()))
        elif at == len(text):
            raise FormulaError("a sign stands without a term", text=text)
        # A sign directly behind a minus turns it round.
        added = (character == "+") == bool(before or added)
        start = at + 1


def _replace_dot(text: str, value: str) -> str:
    kept: list[str] = []
    bare = _QUOTED.sub(lambda found: kept.append(found.group()) or "\0", text)  # type: ignore[func-returns-value]
    parts = _DOT.sub(lambda _: value, bare).split("\0")
    return "".join(part + quoted for part, quoted in zip(parts, [*kept, ""], strict=True))


def _squeezed(text: str) -> str:
    quoted = _QUOTED.findall(text)
    bare = ["".join(part.split()) for part in _QUOTED.split(text)]
    return "".join(part + name for part, name in zip(bare, [*quoted, ""], strict=True))
