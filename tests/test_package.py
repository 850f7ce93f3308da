"""The package as a whole: cheap to import, built in one direction, documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bayesmix as bmx

PACKAGE = Path(bmx.__file__).parent

# The stations of the flow. A module may import at its top level only from its
# own folder and from those before it; what lies ahead is loaded when called.
ORDER = [
    "errors", "arguments", "spread", "shorten", "formula", "design", "families", "priors", "model",
    "gaussian", "glmm", "inference", "results", "plots", "datasets",
]  # fmt: skip


def top_level_imports(path: Path) -> set[str]:
    """Names of the package's folders that a module imports at its top level."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bayesmix."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("bayesmix.")}
    return found


@pytest.mark.parametrize("folder", ORDER[1:])
def test_imports_point_one_way(folder: str) -> None:
    allowed = set(ORDER[: ORDER.index(folder) + 1])
    for path in (PACKAGE / folder).rglob("*.py"):
        assert top_level_imports(path) <= allowed, path


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_importing_loads_nothing_heavy() -> None:
    code = "import bayesmix, sys; print([m for m in {} if m in sys.modules])"
    heavy = ["pymc", "pytensor", "nutpie", "matplotlib", "numba", "arviz_base", "arviz_stats"]
    assert run_python(code.format(heavy)).strip() == "[]"
    # Nor does a model need any of it, before it is fitted or opened.
    code = (
        "import bayesmix as bmx, sys; "
        "m = bmx.Model('Reaction ~ Days + (Days | Subject)', bmx.load_dataset('sleepstudy')); "
        "repr(m), m.priors, m.equation(); "
        "print([m for m in {} if m in sys.modules])"
    )
    assert run_python(code.format(heavy)).strip() == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    for name in bmx.__all__:
        assert getattr(bmx, name).__doc__
    assert set(bmx.__all__) <= set(dir(bmx))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bmx.nothing  # noqa: B018


@pytest.mark.parametrize("cls", [bmx.Model, bmx.Posterior])
def test_public_methods_are_numpydoc(cls: type) -> None:
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        if name.startswith("_"):
            continue
        doc = inspect.getdoc(member) or ""
        assert doc, name
        arguments = [p for p in inspect.signature(member).parameters if p != "self"]
        if arguments:
            assert "Parameters\n---" in doc, name
            for argument in arguments:
                assert argument in doc, (name, argument)
        if inspect.signature(member).return_annotation not in {"None", None}:
            assert "Return" in doc, name


def modules() -> list[str]:
    return [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    ]


@pytest.mark.parametrize("module", modules())
def test_modules_say_what_they_are(module: str) -> None:
    assert importlib.import_module(module).__doc__


def test_the_examples_in_docstrings_run() -> None:
    import doctest

    ran = 0
    for module in modules():
        result = doctest.testmod(importlib.import_module(module), verbose=False)
        assert result.failed == 0, module
        ran += result.attempted
    for module in ("bayesmix.datasets",):
        result = doctest.testmod(importlib.import_module(module), verbose=False)
        assert result.failed == 0
        ran += result.attempted
    assert ran > 3
