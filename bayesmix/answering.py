"""Calls and attributes in the words of other packages: refused, with what to write here.

The words are in `words_of_others.py`; nothing here knows any of them.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bayesmix.errors import NotSupportedError
from bayesmix.words_of_others import ARGUMENTS, ARGUMENTS_OF

__all__ = ["Answers", "advice", "answering", "answering_methods"]

_OUR_ARGUMENT = re.compile(r"(\w+)=")


def advice(method: str, word: str, own: Collection[str]) -> str | None:
    """Say what to write in place of an argument that a method does not have.

    Parameters
    ----------
    method : str
        The method's name.
    word : str
        The argument.
    own : collection of str
        The arguments that the method has.

    Returns
    -------
    str or None
        None for a word that no table has, or whose counterpart the method lacks as well.
    """
    special = ARGUMENTS_OF.get(method, {}).get(word)
    if special is not None:
        return special
    for answer in ARGUMENTS.get(word, ()):
        named = _OUR_ARGUMENT.match(answer)
        if named is None or named[1] in own:
            return answer
    return None


def answering[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let a function answer arguments that other packages have, and it has not.

    Its signature stays as it is; any other unknown argument is Python's `TypeError`.

    Parameters
    ----------
    function : callable
        An initialiser is called like the class of what it makes.

    Returns
    -------
    callable
        It raises `NotSupportedError` for such arguments.
    """
    own = inspect.signature(function).parameters
    its_name = getattr(function, "__name__", "")

    @functools.wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        for argument in kwargs:
            if argument not in own:
                name = type(args[0]).__name__ if its_name == "__init__" else its_name
                if answer := advice(name, argument, own):
                    raise NotSupportedError(f"{name}() has no {argument}=; take {answer}")
        return function(*args, **kwargs)

    return asked


def answering_methods[C: type](cls: C) -> C:
    """Let the public methods and the initialiser that a class defines answer so."""
    for name, found in list(vars(cls).items()):
        if inspect.isfunction(found) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, answering(found))
    return cls


class Answers:
    """A class whose methods and attributes answer to words of other packages."""

    _signposts: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        answering_methods(cls)

    if not TYPE_CHECKING:  # or a type checker would take every attribute for one

        def __getattr__(self, name: str) -> Any:
            """Raise the usual error, or for a word of another package one that names ours."""
            found = type(self)._signposts.get(name)
            if found is None or name in dir(type(self)):
                # Again, for the error as it was: also that of a property's inside.
                return object.__getattribute__(self, name)
            raise AttributeError(f"{type(self).__name__!r} has no {name!r}; take {found}")
