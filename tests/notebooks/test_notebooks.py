"""The notebooks run from top to bottom, and are committed with their outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# Their stories need refits, many draws or many rows: they run with the slow checks.
LONG = {"checking", "glmm_decision", "heritability", "million_rows", "new_groups", "crossed_and_nested"}
# Their data are published and not ours to ship.
READS_REFERENCE = {
    "for_a_paper", "gpa", "linear_mixed_models", "oats", "pupils_and_nurses", "salamanders",
    "speed_dating",
}  # fmt: skip
# What the others draw or invent needs its truth known.
INVENTED = {
    "checking", "counties", "glmm_decision", "heritability", "million_rows", "new_groups", "same_model",
}  # fmt: skip
RUNS = [
    pytest.param(path, marks=pytest.mark.slow if path.stem in LONG else (), id=path.stem)
    for path in NOTEBOOKS
]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_with_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_readers_see_no_asserts(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", []):
            assert not any(line.lstrip().startswith("assert ") for line in cell.source.splitlines())


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelManager]:
    """One process for all of them: libraries and kernels are loaded once."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(FOLDER))
    yield manager
    manager.shutdown_kernel(now=True)


# What a notebook has set is forgotten before the next one, names as well as settings.
FORGET = """%reset -f
import sys
if "pandas" in sys.modules:
    sys.modules["pandas"].reset_option("^display")
if "matplotlib.pyplot" in sys.modules:
    sys.modules["matplotlib.pyplot"].close("all")
    sys.modules["matplotlib"].rcdefaults()
del sys
"""


@pytest.mark.compiled
@pytest.mark.parametrize("path", RUNS)
def test_it_runs(path: Path, kernel: KernelManager, request: pytest.FixtureRequest) -> None:
    if path.stem in READS_REFERENCE:
        request.getfixturevalue("reference_folder")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FORGET))
    NotebookClient(notebook, km=kernel, timeout=600).execute()


def test_there_are_notebooks() -> None:
    stories = {path.stem for path in NOTEBOOKS}
    assert stories > LONG | READS_REFERENCE | INVENTED
    reading = {p.stem for p in NOTEBOOKS if "BAYESMIX_REFERENCE" in p.read_text(encoding="utf-8")}
    assert reading == READS_REFERENCE


def test_at_least_half_of_the_stories_are_on_published_data() -> None:
    stories = {path.stem for path in NOTEBOOKS}
    assert len(stories - INVENTED) >= len(stories) / 2
