"""The same term under the names that formulaic, patsy and R give it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["GroupNames", "TermNames", "split_interaction"]

_CONSTANT = {"(Intercept)", "const", "(const)", "b_Intercept"}
_CONTRAST = re.compile(r"^(?P<base>.*?)\[(?:T\.)?(?P<level>.*)\]$")


def split_interaction(text: str) -> list[str]:
    """Split ``a:C(b):c`` at the colons that stand outside of brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if c == ":" and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _plain(part: str) -> str:
    """One spelling for what is spelled freely: blanks, powers, backticks, ``np.``."""
    text = "Intercept" if part in _CONSTANT else part
    text = re.sub(r"[\s`]", "", text).replace("^", "**").replace("np.", "")
    return re.sub(r"^\{(.*)\}$", r"I(\1)", text)


def _spellings(part: str) -> set[str]:
    """How one factor of an interaction may be spelled elsewhere."""
    text = _plain(part)
    found = {text}
    contrast = _CONTRAST.match(text)
    if contrast is None:
        # A column of truth values is one of numbers here.
        return found | {f"{text}TRUE", f"{text}[T.True]"} if text.isidentifier() else found
    base, level = contrast["base"], contrast["level"]
    bases = {base}
    inner = re.match(r"^C\(([^,()]+).*\)$", base)
    if inner:
        name = inner[1]
        bases |= {name, f"C({name})", f"factor({name})", f"as.factor({name})"}
    levels = {level}
    if level in {"True", "False"}:
        levels.add(level.upper())
    for b, v in itertools.product(bases, levels):
        found |= {f"{b}{v}", f"{b}[{v}]", f"{b}[T.{v}]"}
    return found


class TermNames:
    """Terms under bayesmix's names, found by the names of other programs.

    R's ``(Intercept)``, ``sexM``, ``oldTRUE``, ``factor(f)2`` and ``I(x^2)``, an
    interaction in any order, and patsy's ``C(f)[T.2]``. A name that fits two terms
    fits none.

    Parameters
    ----------
    terms : iterable of str
    """

    def __init__(self, terms: Iterable[str]) -> None:
        self.terms = tuple(terms)
        self._found: dict[tuple[str, ...], set[str]] = {}
        for term in self.terms:
            for combination in itertools.product(*map(_spellings, split_interaction(term))):
                self._found.setdefault(tuple(sorted(combination)), set()).add(term)

    def match(self, name: str) -> str | None:
        """Return the term that `name` means; None if there is none, or more than one."""
        if name in self.terms:
            return name
        key = tuple(sorted(_plain(part) for part in split_interaction(name)))
        found = self._found.get(key, set())
        return next(iter(found)) if len(found) == 1 else None

    def name(self, name: str) -> str:
        """Return the term that `name` means, or `name`; an intercept is always one."""
        found = self.match(name)
        if found is not None:
            return found
        return "Intercept" if name in _CONSTANT else name


class GroupNames:
    """Grouping factors with their effects and levels, found by other programs' names.

    Parameters
    ----------
    effects : mapping of str to sequence of str
        The effects of each grouping factor.
    levels : mapping of str to sequence of str
    terms : TermNames
        Where the name of an effect is not among them.
    """

    def __init__(
        self,
        effects: Mapping[str, Sequence[str]],
        levels: Mapping[str, Iterable[str]],
        terms: TermNames,
    ) -> None:
        self._effects = {name: TermNames(found) for name, found in effects.items()}
        self._levels = {name: frozenset(found) for name, found in levels.items()}
        self._terms = terms

    def group(self, name: str) -> str:
        """Return the grouping factor that `name` means: lme4's ``ward:hospital`` as well."""
        if name in self._effects or name == "Residual":
            return name
        parts = sorted(name.split(":"))
        same = [known for known in self._effects if sorted(known.split(":")) == parts]
        return same[0] if len(same) == 1 else name

    def by_levels(self, levels: Iterable[str]) -> str | None:
        """Return the only grouping factor that has these levels."""
        wanted = frozenset(levels)
        same = [name for name, found in self._levels.items() if found == wanted]
        return same[0] if len(same) == 1 else None

    def effect(self, group: str, name: str) -> str:
        """Return the effect of a grouping factor that `name` means, or `name`."""
        if group in self._effects:
            found = self._effects[group].match(name)
            if found is not None:
                return found
        return self._terms.name(name)

    def has_effect(self, group: str, name: str) -> bool:
        """Whether `name` means an effect of the grouping factor."""
        return group in self._effects and self._effects[group].match(name) is not None

    def order(self, group: str, effect: str) -> int:
        """Return the place of an effect among those of its grouping factor."""
        terms = self._effects[group].terms if group in self._effects else ()
        return terms.index(effect) if effect in terms else len(terms)

    def level(self, name: str, level: str) -> str:
        """Return the level of the grouping factor `name`, with its parts in our order."""
        group = self.group(name)
        known = self._levels.get(group, frozenset())
        if level in known:
            return level
        there, here, parts = name.split(":"), group.split(":"), level.split(":")
        if group != name and len(parts) == len(there) == len(set(there)):
            at = dict(zip(there, parts, strict=True))
            return ":".join(at[column] for column in here)
        if level.endswith(".0") and level[:-2] in known:
            return level[:-2]
        return level
