"""Structured group terms, ``ar1(time | g)``: the word goes, and its bar is known by its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.types import Token

from bayesmix.arguments import did_you_mean
from bayesmix.errors import FormulaError
from bayesmix.formula.brackets import outside_brackets
from bayesmix.formula.structures import STRUCTURE_WORDS, StructureWord

__all__ = ["PLAIN", "Wrapped", "joined_bars", "unwrapped"]

_WORD = re.compile(r"([A-Za-z_]\w*)\(")
_OPTION = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)\s*(.*?)\s*", re.DOTALL)
_LARGEST = 1000  # of an option


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """What stands around a bar.

    Attributes
    ----------
    word : str
        The word of the covariance structure.
    options : mapping of str to int
    one_series : bool
        Whether 1 stands in the place of a grouping factor.
    start, stop : int
        Half-open range of the whole term in the formula.
    joined : str
        The word between two bars, which joins effects of several formulas.
    """

    word: str
    options: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    one_series: bool = False
    start: int = 0
    stop: int = 0
    joined: str = ""

    @property
    def known(self) -> StructureWord:
        """What the word says of its term."""
        return STRUCTURE_WORDS[self.word]


PLAIN: Mapping[str, Wrapped] = {"|": Wrapped(word="us"), "||": Wrapped(word="diag")}


def unwrapped(
    text: str, tokens: list[Token], functions: Collection[str]
) -> tuple[list[Token], dict[int, Wrapped]]:
    """Replace each call of a structure's word that has a bar in it by its bracket.

    Parameters
    ----------
    text : str
        The formula.
    tokens : list of Token
        Its tokens, in which a call is one.
    functions : collection of str
        The caller's own functions, which no word hides.

    Returns
    -------
    list of Token
    dict of int to Wrapped
        By the place of its bar in `text`.

    Raises
    ------
    FormulaError
        For options that the word does not have.
    """
    out: list[Token] = []
    found: dict[int, Wrapped] = {}
    for token in tokens:
        inner = _inside_of_word(text, token, functions)
        if inner is None:
            out.append(token)
        else:
            out += _opened(text, *inner, found)
    return out, found


def joined_bars(tokens: list[Token], found: dict[int, Wrapped]) -> list[Token]:
    """Take the word out of each ``(x | p | g)``; `found` receives it by the bar that stays.

    Parameters
    ----------
    tokens : list of Token
    found : dict of int to Wrapped

    Returns
    -------
    list of Token
    """
    out: list[Token] = []
    for token in tokens:
        is_bar = token.kind is Token.Kind.OPERATOR and token.token == "|"
        before = out[-2] if len(out) > 1 else None
        if (
            is_bar and before is not None and before.kind is Token.Kind.OPERATOR
            and before.token == "|" and out[-1].kind is Token.Kind.NAME
            and (before.source_start or 0) not in found
        ):  # fmt: skip
            word = out.pop().token
            out.pop()
            found[token.source_start or 0] = Wrapped(word="us", joined=word)
        out.append(token)
    return out


def _inside_of_word(
    text: str, token: Token, functions: Collection[str]
) -> tuple[str, int, int] | None:
    """The word of a call with a bar, and the range between its parentheses."""
    start, end = token.source_start, token.source_end
    if token.kind is not Token.Kind.PYTHON or start is None or end is None:
        return None
    match = _WORD.match(text, start)
    if match is None or match[1] in functions or text[end] != ")":
        return None
    first = match.end()
    marks = {character for _, character in outside_brackets(text[first:end])}
    if "|" not in marks or ")" in marks:
        return None
    if match[1] in STRUCTURE_WORDS:
        return match[1], first, end
    near = did_you_mean(match[1], STRUCTURE_WORDS, "`")
    if near:
        raise FormulaError(
            f"`{match[1]}` is no covariance structure; {near}known are "
            f"{', '.join(STRUCTURE_WORDS)}",
            text=text, start=start, stop=first - 1,
        )  # fmt: skip
    return None


def _opened(
    text: str, word: str, first: int, end: int, found: dict[int, Wrapped]
) -> Iterator[Token]:
    """Tokens of ``(left | right)`` for the call of a word with options behind."""
    start = first - len(word) - 1
    marks = [(first + at, c) for at, c in outside_brackets(text[first:end]) if c in "|,"]
    bar = next(at for at, c in marks if c == "|")
    commas = [at for at, c in marks if c == ","]
    if commas and commas[0] < bar:
        raise FormulaError(
            f"columns on the left of the bar of {word}(... | g) are joined by +, not by a comma",
            text=text, start=commas[0],
        )  # fmt: skip
    if text[bar : bar + 2] == "||":
        raise FormulaError(
            f"{word} says how the effects are correlated: one bar, {word}(... | g)",
            text=text, start=bar, stop=bar + 2,
        )  # fmt: skip
    stop = commas[0] if commas else end
    ends = [*commas[1:], end][: len(commas)]
    one_series = text[bar + 1 : stop].strip() == "1"
    wrapped = Wrapped(
        word=word,
        options=MappingProxyType(
            dict(_option(text, word, a + 1, b) for a, b in zip(commas, ends, strict=True))
        ),
        one_series=one_series,
        start=start,
        stop=end + 1,
    )
    if one_series and not wrapped.known.one_series:
        raise FormulaError(
            f"{word}(... | 1) has one group, which cannot tell its variances: {word} needs a "
            "grouping factor of several levels behind the bar",
            text=text, start=start, stop=end + 1,
        )  # fmt: skip
    found[bar] = wrapped
    yield Token("(", kind="context", source=text, source_start=first - 1, source_end=first - 1)
    # Blanks in front keep the places of the formula.
    for token in tokenize(" " * first + text[first:stop]):
        token.source = text
        if one_series and (token.source_start or 0) > bar:
            token.kind = Token.Kind.NAME
        yield token
    yield Token(")", kind="context", source=text, source_start=end, source_end=end)


def _option(text: str, word: str, start: int, stop: int) -> tuple[str, int]:
    written = text[start:stop].strip()
    allowed = STRUCTURE_WORDS[word].options
    match = _OPTION.fullmatch(text[start:stop])
    if match is None or match[1] not in allowed:
        takes = f"takes {', '.join(f'{name}=' for name in allowed)}" if allowed else "takes nothing"
        raise FormulaError(
            f"`{written}` is no option of {word}, which {takes} behind the grouping factor",
            text=text, start=start, stop=stop,
        )  # fmt: skip
    if not match[2].isdecimal() or not 1 <= int(match[2][:9]) <= _LARGEST or len(match[2]) > 9:
        raise FormulaError(
            f"{match[1]}={match[2]} of {word} must be a whole number from 1 to {_LARGEST}",
            text=text, start=start, stop=stop,
        )  # fmt: skip
    return match[1], int(match[2])
