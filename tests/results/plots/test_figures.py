"""Figures belong to who asked for them; numbers stand at their axes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from bayesmix.results.plots import figure as figures
from bayesmix.results.plots.figure import finish, new_figure
from bayesmix.results.plots.forest import ForestRow, plot_forest
from bayesmix.results.plots.ticks import NumberFormatter, number_ticks
from tests.results.plots.pictures import check_texts


def forest() -> Any:
    return plot_forest([ForestRow(label="x", estimate=1, lower=0, upper=2)], x_label="", line=0.0)


def test_no_picture_stays_open(tmp_path: Any) -> None:
    import matplotlib.pyplot as plt

    own = plt.figure()
    kept = [forest() for _ in range(25)]
    assert plt.get_fignums() == [own.number]
    assert plt.gcf() is own
    for ending in ("png", "svg", "pdf"):
        kept[0].savefig(tmp_path / f"a.{ending}")
        assert (tmp_path / f"a.{ending}").stat().st_size > 1000
    assert isinstance(kept[0], mpl.figure.Figure)


def test_pictures_with_windows_are_opened_by_show(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(figures, "_has_windows", lambda _: True)
    assert forest().number in plt.get_fignums()


def test_which_pictures_have_windows() -> None:
    for backend in ("agg", "pdf", "svg", "module://matplotlib_inline.backend_inline", "inline"):
        assert not figures._has_windows(backend)
    for backend in ("qtagg", "tkagg", "macosx", "nbagg", "module://ipympl.backend_nbagg"):
        assert figures._has_windows(backend)


def test_a_notebook_shows_a_picture_once() -> None:
    pytest.importorskip("matplotlib_inline")
    code = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
import matplotlib
shell = InteractiveShell.instance()
matplotlib.use("module://matplotlib_inline.backend_inline")
shell.run_cell("from bayesmix.results.plots.forest import ForestRow, plot_forest\\n"
               "row = ForestRow(label='x', estimate=1, lower=0, upper=2)")
with capture_output() as found:  # what a cell shows beside its value
    shell.run_cell("figure = plot_forest([row], x_label='', line=0.0)")
import matplotlib.pyplot as plt
value = shell.display_formatter.format(shell.user_ns["figure"])[0]
print(len(found.outputs), sorted(value), plt.get_fignums())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip().splitlines()[-1] == "0 ['image/png', 'text/plain'] []"


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 0.25, 0.5], ["0", "0.25", "0.50"]),
        ([-1000000, -500000, 0], ["\N{MINUS SIGN}1.0e6", "\N{MINUS SIGN}0.5e6", "0"]),
        ([950000, 1000000, 1050000], ["0.95e6", "1.00e6", "1.05e6"]),
        ([0, 25000], ["0", "25000"]),
        ([1000001, 1000002], ["1000001", "1000002"]),
        ([2e-6, 4e-6], ["2e\N{MINUS SIGN}6", "4e\N{MINUS SIGN}6"]),
        ([0.0002, 0.0004], ["0.0002", "0.0004"]),
        ([1e300, 2e300], ["1e300", "2e300"]),
        ([0.1, 0.2, 0.30000000000000004], ["0.1", "0.2", "0.3"]),
        ([3], ["3"]),
        ([], []),
    ],
)
def test_numbers_are_written_in_full(values: list[float], wanted: list[str]) -> None:
    assert NumberFormatter().format_ticks(values) == wanted


def test_a_tick_out_of_sight_does_not_choose_the_exponent() -> None:
    _, axes = new_figure(1, 1, (5, 3))
    axes[0][0].set_xlim(-3e6, 9e6)
    number_ticks(axes[0][0].xaxis)
    formatter = axes[0][0].xaxis.get_major_formatter()
    assert formatter.format_ticks([0, 4e6, 8e6, 12e6])[1:3] == ["4e6", "8e6"]


@pytest.mark.parametrize("middle", [-1e6, 1e6, 1e-6, 1e15, 0.0])
@pytest.mark.parametrize("width", [1e-8, 0.3, 1e4])
def test_numbers_do_not_collide_or_leave_their_axis(middle: float, width: float) -> None:
    figure, axes = new_figure(1, 3, (7.0, 2.4))
    for axis in axes[0]:
        unit = abs(middle) or 1.0
        axis.plot([middle - width * unit, middle + width * unit], [0, 3e6])
        axis.set_title("a title")
        axis.set_xlabel("a caption of the axis")
    check_texts(finish(figure))
    for axis in axes[0]:
        assert not axis.xaxis.get_offset_text().get_text()
        assert not axis.yaxis.get_offset_text().get_text()
        inside = [t for t in axis.get_xticks() if axis.get_xlim()[0] <= t <= axis.get_xlim()[1]]
        assert len(inside) >= 1
        assert len(set(axis.xaxis.get_major_formatter().format_ticks(inside))) == len(inside)


def test_a_logarithmic_axis_keeps_its_ticks() -> None:
    rows = [ForestRow(label=str(k), estimate=10.0**k, lower=10.0 ** (k - 1), upper=10.0 ** (k + 1))
            for k in range(-8, 8, 4)]  # fmt: skip
    figure = plot_forest(rows, x_label="odds ratios", line=1.0, log=True)
    assert len(figure.axes) == 1
    assert np.isfinite(figure.axes[0].get_xlim()).all()
    check_texts(figure)
