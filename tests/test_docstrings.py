"""Every public function and method says what it takes, gives and refuses, and shows it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bayesmix as bmx
from bayesmix.results.laplace_fit import LaplaceFit

HEADING = re.compile(r"^(?P<name>[A-Z][A-Za-z ]+)\n-{3,}$", re.M)
PARAMETER = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : .+)?$", re.M)


def sections(doc: str) -> dict[str, str]:
    """Split a docstring by its underlined headings."""
    found = list(HEADING.finditer(doc))
    ends = [*(m.start() for m in found[1:]), len(doc)][: len(found)]
    return {m["name"]: doc[m.end() : end] for m, end in zip(found, ends, strict=True)}


def documented(section: str) -> list[str]:
    """Names at the margin of a section on parameters."""
    found = [m["names"].split(", ") for m in PARAMETER.finditer(section)]
    return [name.lstrip("*") for names in found for name in names]


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, classes and methods that a user calls, each once."""
    seen = set()
    for name in bmx.__all__:
        thing = getattr(bmx, name)
        if not callable(thing):
            continue
        yield name, thing
        if not inspect.isclass(thing):
            continue
        owners = (thing, LaplaceFit) if thing is bmx.EmpiricalBayes else (thing,)
        for owner, method in ((cls, m) for cls in owners for m in dir(cls)):
            if method.startswith("_"):
                continue
            found = inspect.unwrap(getattr(owner, method))
            found = getattr(found, "__func__", found)
            if inspect.isfunction(found) and found.__qualname__ not in seen:
                seen.add(found.__qualname__)
                yield f"{name}.{method}", found


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_docstring_is_complete(name: str) -> None:
    thing = PUBLIC[name]
    doc = inspect.getdoc(thing) or ""
    parts = sections(doc)
    signature = inspect.signature(thing)
    arguments = {n: p for n, p in signature.parameters.items() if n not in {"self", "cls"}}
    named = {n for n, p in arguments.items() if p.kind is not p.VAR_POSITIONAL}
    if arguments:
        assert named <= set(documented(parts["Parameters"])) <= set(arguments)
        assert "Raises" in parts
    if not inspect.isclass(thing) and signature.return_annotation not in {"None", None}:
        assert parts["Returns"].strip()
    assert ">>> " in parts["Examples"]


def test_the_parser_sees_what_is_missing() -> None:
    parts = sections("Say it.\n\nParameters\n----------\na, b : int\n    Two.\nc\n    One.\n")
    assert documented(parts["Parameters"]) == ["a", "b", "c"]
    assert "Raises" not in parts


def test_no_sentence_begins_with_of() -> None:
    """Docstrings, footers, captions and messages say who does what."""
    package, found = Path(bmx.__file__).parent, []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.lstrip()
                if re.match(r"Of (?:the|a|an|two|several|each|what|those|these|this) ", text):
                    found.append(f"{path.name}:{node.lineno}: {text[:40]}")
    assert not found
