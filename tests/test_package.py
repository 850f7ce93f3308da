"""The package as a whole: cheap to import, built in one direction, documented."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bayesmix as bmx

PACKAGE = Path(bmx.__file__).parent

# The stations of the flow: a module imports from its own folder and from those before it,
# at the top, inside functions and for typing.
ORDER = [
    "errors", "arguments", "words_of_others", "answering", "summed", "spread", "memory", "later",
    "threads", "shorten", "smooths", "formula", "sources", "design", "streaming",
    "pedigree", "families", "covariance", "residual", "priors", "statement", "gaussian", "glmm",
    "inference", "laws", "results", "model", "simulation", "datasets", "demo", "cli",
    "__main__",
]  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Modules of the package that a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name for name in names if name.split(".")[0] == "bayesmix"}
    return found


def stations_of(path: Path) -> set[str]:
    """Stations that a file imports from."""
    parts = (name.split(".") for name in imports_of(path))
    return {part[1] for part in parts if len(part) > 1 and part[1] in ORDER}


def files_of(station: str) -> list[Path]:
    folder = PACKAGE / station
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def test_every_file_has_a_place_in_the_order() -> None:
    stations = {p.relative_to(PACKAGE).parts[0] for p in PACKAGE.rglob("*.py")} - {"__init__.py"}
    assert {name.removesuffix(".py") for name in stations} == set(ORDER)


@pytest.mark.parametrize("station", ORDER)
def test_imports_point_one_way(station: str) -> None:
    allowed = set(ORDER[: ORDER.index(station) + 1])
    for path in files_of(station):
        assert stations_of(path) <= allowed, path


@pytest.mark.parametrize("station", ORDER)
def test_no_circle_of_imports_runs_within_a_station(station: str) -> None:
    graph = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): imports_of(path)
        for path in files_of(station)
        if path.name != "__init__.py"
    }
    circular = {name.split(".", 1)[1] for name in graph if name in reachable(graph, name)}
    assert circular == set()


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        for name in graph.get(todo.pop(), ()):
            if name in graph and name not in found:
                found.add(name)
                todo.append(name)
    return found


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    return done.stdout


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["pymc", "pytensor", "nutpie", "matplotlib", "numba", "arviz_base", "arviz_stats"]
    loaded = f"print([m for m in {heavy} if m in sys.modules])"
    # Nor does a model need any of it, before it is fitted or opened.
    code = (
        f"import bayesmix as bmx, sys; {loaded}; "
        "m = bmx.Model('Reaction ~ Days + (Days | Subject)', bmx.load_dataset('sleepstudy')); "
        f"repr(m), m.priors, m.equation(); {loaded}"
    )
    assert run_python(code).split() == ["[]", "[]"]


def loaded_by(code: str) -> str:
    """The last line that code prints; where kernels were not on disk, when it runs again."""
    # What compiles them takes numba's linear algebra, and more.
    last = run_python(code).strip().splitlines()[-1]
    return last if last == "[]" else run_python(code).strip().splitlines()[-1]


DRAWING = ["pymc", "pytensor", "matplotlib", "arviz_plots"]
# Beyond these, what a normal model's fit by draws leaves alone; what compiles is for new kernels.
HEAVY = [
    *DRAWING, "nutpie", "arviz", "arviz_base", "xarray_einstats", "scipy.signal",
    "arviz_stats.base.array", "numba.np.linalg", "bayesmix.glmm.problem",
    "bayesmix.inference.laplace", "bayesmix.results.check.anova",
]  # fmt: skip
NEEDLESS = [*HEAVY, "arviz_stats", "xarray", "scipy.stats"]  # of a fit by REML


@pytest.mark.parametrize(
    ("fit", "heavy"),
    [("fit(draws=50, chains=2, seed=1, progress=False)", HEAVY), ("fit_eb()", NEEDLESS)],
)
def test_a_fit_and_its_summary_load_no_more_than_they_need(fit: str, heavy: list[str]) -> None:
    code = (
        "import bayesmix as bmx, sys, warnings; warnings.simplefilter('ignore'); "
        "m = bmx.Model('Reaction ~ Days + (Days | Subject)', bmx.load_dataset('sleepstudy')); "
        f"str(m.{fit}.summary()); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert loaded_by(code) == "[]"


@pytest.mark.parametrize(
    ("options", "heavy"), [("'--draws', '50', '--chains', '2'", HEAVY), ("'--eb'", NEEDLESS)]
)
def test_the_command_loads_no_more_than_its_fit(
    tmp_path: Path, options: str, heavy: list[str]
) -> None:
    path = tmp_path / "sleep.csv"
    bmx.load_dataset("sleepstudy").to_csv(path, index=False)
    code = (
        "import sys; from bayesmix.cli import main; "
        "main(['fit', 'Reaction ~ Days + (Days | Subject)', "
        f"{str(path)!r}, '--seed', '1', {options}]); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert loaded_by(code) == "[]"


def test_arviz_is_whole_for_whoever_imports_it_after_a_fit() -> None:
    code = (
        "import bayesmix.inference.nutpie_native, sys; "
        "print('arviz_base' in sys.modules); "
        "import arviz as az; from arviz import plot_trace; "
        "print(az.__version__[0], callable(az.ess), 'loo' in dir(az))"
    )
    assert run_python(code).split() == ["False", "1", "True", "True"]


def test_every_public_name_is_there_and_documented() -> None:
    for name in bmx.__all__:
        assert getattr(bmx, name).__doc__
    assert set(bmx.__all__) <= set(dir(bmx))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bmx.nothing  # noqa: B018


def modules() -> list[str]:
    return [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    ]


def test_the_tests_mirror_the_package() -> None:
    """A folder of tests is a folder of the package, and no test file imports another."""
    tests = Path(__file__).parent
    beside = {"notebooks", "reference"}  # what is tested there is not the package's
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    for folder in folders - {Path(name) for name in beside}:
        assert (PACKAGE / folder).is_dir(), folder
    shared = re.compile(r"^\s*from (tests)?[\w.]*\.test_\w+ import", re.M)
    for path in tests.rglob("*.py"):
        assert not shared.search(path.read_text()), path


def test_no_sentence_of_the_docs_begins_with_of() -> None:
    opening = re.compile(r'^ *(#|r?""")? ?Of ')
    top = PACKAGE.parent
    pages = [*top.glob("*.md"), *(top / "docs").rglob("*.md")]
    for path in [*PACKAGE.rglob("*.py"), *(top / "tests").rglob("*.py"), *pages]:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            assert not opening.match(line), f"{path}:{number}"


@pytest.mark.parametrize("module", modules())
def test_modules_say_what_they_are(module: str) -> None:
    assert importlib.import_module(module).__doc__


def test_only_kernels_and_their_containers_read_sizes_by_position() -> None:
    by_position = re.compile(r"\bsizes\[\d")
    found = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in {"gaussian", "glmm"}
        and by_position.search(path.read_text())
    ]
    assert not found
