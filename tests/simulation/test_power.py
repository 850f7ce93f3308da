"""How often designs find an effect."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import ArgumentError, BayesmixWarning, FileError
from bayesmix.results.testing.running import Progress
from bayesmix.simulation import CalibrationRanks, Power
from bayesmix.simulation.levels import with_levels
from bayesmix.simulation.outcomes import Outcomes
from bayesmix.simulation.question import Answer
from tests.full_disk import full_disk
from tests.results.plots.pictures import check_texts

NUMBERS = {"Intercept": 0.0, "arm[T.b]": 1.0, "sd(g)": 0.5, "sigma": 1.0}
FORMULA = "y ~ arm + (1 | g)"


def scenario(n: int = 6, **change: float) -> bmx.Scenario:
    frame = bmx.design(g=n // 2, arm=["a", "b"], r=range(4), nested={"g": "arm"})
    return bmx.Scenario(FORMULA, frame, {**NUMBERS, **change})


def test_power_is_that_of_the_noncentral_t() -> None:
    """A balanced comparison of groups: the t test of the group means is exact."""
    found = bmx.power(scenario(16), "arm[T.b]", n=100, seed=1, progress=False)
    row = found.table.iloc[0]
    se = np.sqrt((0.5**2 + 1 / 4) * 2 / 8)
    edge = stats.t.ppf(0.975, 14)
    wanted = stats.nct.sf(edge, 14, 1 / se) + stats.nct.cdf(-edge, 14, 1 / se)
    assert row["lower"] < wanted < row["upper"]
    assert row["exaggeration"] > 1
    assert row["n"] == 100


def test_levels_seeds_files_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call: dict[str, Any] = {"n": 25, "levels": {"g": [4, 8]}, "seed": 3, "progress": False}
    whole = bmx.power(scenario(), "arm[T.b]", cores=1, **call)
    assert whole.table["g"].tolist() == [4, 8]
    again = bmx.power(scenario(), "arm[T.b]", cores=3, file=tmp_path / "power.json", **call)
    pd.testing.assert_frame_equal(whole.table, again.table)
    # Interrupted within the second design, the same call goes on.
    path = tmp_path / "other.json"
    with monkeypatch.context() as patched:

        def say(self: Progress, done: int) -> None:
            if done > 30:
                raise KeyboardInterrupt

        patched.setattr(Progress, "say", say)
        part = bmx.power(scenario(), "arm[T.b]", file=path, **call)
    assert part.interrupted
    assert part.table["n"].tolist()[0] == 25
    assert part.table["n"].tolist()[1] < 25
    assert "interrupted" in str(part)
    done = bmx.power(scenario(), "arm[T.b]", file=path, **call)
    pd.testing.assert_frame_equal(whole.table, done.table)
    with pytest.raises(ArgumentError, match="another call"):
        bmx.power(scenario(sigma=2.0), "arm[T.b]", file=path, **call)
    (tmp_path / "no.json").write_text("x")
    with pytest.raises(ArgumentError, match="no file that power"):
        bmx.power(scenario(), "arm[T.b]", file=tmp_path / "no.json", **call)
    assert whole.plot().axes[0].get_xlabel() == "levels of g"


def test_a_damaged_file_is_named_and_a_cut_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "power.json"
    call: dict[str, Any] = {"n": 60, "seed": 3, "progress": False, "file": path}
    whole = bmx.power(scenario(), "arm[T.b]", **call)
    first, *lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2  # of 50 and of 10
    # Killed within the last line: its data sets are made again.
    path.write_bytes(first + lines[0] + lines[1][:20])
    pd.testing.assert_frame_equal(bmx.power(scenario(), "arm[T.b]", **call).table, whole.table)
    assert path.read_bytes() == first + b"".join(lines)
    # A second process wrote the same piece.
    path.write_bytes(first + lines[0] + lines[0] + lines[1])
    pd.testing.assert_frame_equal(bmx.power(scenario(), "arm[T.b]", **call).table, whole.table)
    piece = json.loads(lines[0])
    changed = [
        {**piece, name: value}
        for name, value in itertools.product(("of", "answers", "from"), (None, [], {}, 1e308, -1))
    ]
    for k, value in itertools.product((0, 1), (None, [], "x", 1e308, True, 7)):
        answers = [*piece["answers"]]
        answers[0] = [value if j == k else entry for j, entry in enumerate(answers[0])]
        if answers[0] != piece["answers"][0]:
            changed.append({**piece, "answers": answers})
    texts = [json.dumps(line).encode() for line in changed]
    for text in [*texts, b"[" * 100_000, b"7", b"\xff", lines[0].replace(b"true", b"null", 1)]:
        path.write_bytes(first + text + b"\n")
        with pytest.raises(ArgumentError, match="damaged"):
            bmx.power(scenario(), "arm[T.b]", **call)


def test_a_place_that_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "no" / "power.json", "a\0b", "/dev/zero"):
        with pytest.raises(FileError):
            bmx.power(scenario(), "arm[T.b]", n=2, seed=1, progress=False, file=place)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "power.json"
    call: dict[str, Any] = {"n": 60, "seed": 3, "progress": False}
    whole = bmx.power(scenario(), "arm[T.b]", **call)
    bmx.power(scenario(), "arm[T.b]", file=path, **{**call, "n": 5})
    before = path.read_bytes()
    with (
        full_disk(len(before) + 10),
        pytest.warns(BayesmixWarning, match="cannot be written: File too large"),
    ):
        found = bmx.power(scenario(), "arm[T.b]", file=path, **call)
    pd.testing.assert_frame_equal(found.table, whole.table)
    assert path.read_bytes() == before
    again = bmx.power(scenario(), "arm[T.b]", file=path, **call)
    pd.testing.assert_frame_equal(again.table, whole.table)


def test_questions(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    call: dict[str, Any] = {"n": 6, "seed": 1, "progress": False}
    for test in ("Days", ["Days = 0"], lambda fit: fit.drop1()["p"][1], lambda _: True):
        found = bmx.power(fit, test, **call)
        assert found.table["power"][0] == 1.0
    assert bmx.power(fit, "Days", criterion="interval", **call).question.startswith("95 % interval")
    null = bmx.power(fit, "Days", formula="Reaction ~ Days + (1 | Subject)", **call)
    assert null.table["failed"][0] == 0
    post = bmx.power(
        fit, "Days > 0", fit="posterior", n=3, seed=1, progress=False, alpha=0.1,
        fit_options={"draws": 100, "tune": 100, "chains": 1},
    )  # fmt: skip
    assert post.question == "probability of Days > 0 above 0.9"
    assert post.table["power"][0] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test": "dose"}, "no coefficient and no term"),
        ({"test": "Days", "criterion": "probability"}, "an inequality"),
        ({"test": "Days = 0", "criterion": "interval"}, "one coefficient"),
        ({"test": "Days", "fit": "posterior", "criterion": "p"}, "empirical Bayes"),
        ({"test": "Days", "levels": {"Subjekt": 5}}, "did you mean 'Subject'"),
        ({"test": "Days", "levels": {"Subject": []}}, "is empty"),
        ({"test": "Days", "alpha": 2}, "alpha"),
    ],
)
def test_questions_that_have_no_answer(
    change: dict[str, Any], words: str, sleepstudy: pd.DataFrame
) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    with pytest.raises(ArgumentError, match=words):
        bmx.power(fit, **{"n": 2, "progress": False, **change})


def test_more_levels_bring_what_lies_within_them() -> None:
    frame = bmx.design(school=2, pupil=3, arm=["a", "b"], nested={"pupil": "school"})
    frame["y"] = np.arange(len(frame)) % 5 + 0.1 * np.arange(len(frame)) ** 2
    model = bmx.Model("y ~ arm + (1 | school) + (1 | pupil)", frame)
    more = with_levels(frame, model, {"school": 5})
    assert more["school"].nunique() == 5
    assert more["pupil"].nunique() == 15
    assert more.groupby("pupil")["school"].nunique().max() == 1
    assert set(frame["pupil"]) < set(more["pupil"])
    assert with_levels(frame, model, {"pupil": 4})["school"].nunique() == 2
    numbers = with_levels(pd.DataFrame({"g": [3, 3, 4, 7]}), model, {"g": 7})["g"]
    assert numbers.nunique() == 7


def test_what_could_not_be_fitted_does_not_count() -> None:
    found = Outcomes([Answer(success=True, estimate=2.0), None, Answer(success=False)])
    row = found.summary(1.0)
    assert (row["n"], row["power"], row["failed"], row["exaggeration"]) == (2, 0.5, 1, 2.0)
    assert Outcomes([None]).summary(None)["n"] == 0


def test_pictures_of_power_and_of_ranks_are_in_the_users_words() -> None:
    sizes = [(g, day) for g in (10, 20) for day in (3, 5)]
    table = pd.DataFrame(sizes, columns=["g", "day"]).assign(power=0.5, lower=0.4, upper=0.6)
    found = Power(table=table, question="p of x below 0.05", seed=1, interrupted=False,
                  factors=("g", "day"))  # fmt: skip
    figure = found.plot(labels={"g": "school", "day": "weeks of observation", "x": "dose"})
    check_texts(figure)
    (axis,) = figure.axes
    assert axis.get_xlabel() == "levels of school"
    assert axis.get_title() == "p of dose below 0.05"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["weeks of observation 3", "weeks of observation 5"]
    ranks = pd.DataFrame({f"beta(a predictor with a long name, {k})": range(20) for k in "abc"})
    drawn = CalibrationRanks(ranks=ranks, n_ranks=20, failed=0, interrupted=False, seed=1).plot()
    check_texts(drawn)
    assert len({axis.get_title() for axis in drawn.axes}) == 3
    assert drawn.legends[0].get_texts()[0].get_text() == "95 % if calibrated"


@pytest.mark.slow
def test_a_calibrated_model_has_uniform_ranks() -> None:
    frame = bmx.simulate(FORMULA, scenario().data.drop(columns="y"), NUMBERS, seed=1)
    model = bmx.Model("y ~ 1 + (1 | g)", frame)
    found = bmx.calibrate(model, 30, seed=1, ranks=20, draws=100, chains=1, tune=150,
                          progress=False)  # fmt: skip
    assert len(found.ranks) + found.failed == 30
    assert found.ranks.to_numpy().min() >= 0
    assert found.ranks.to_numpy().max() <= 19
    assert "as uniform as chance" in found.statement
    assert found.table["parameter"].tolist() == list(found.ranks)
    assert len(found.plot().axes) >= 3
    wrong = bmx.simulation.CalibrationRanks(
        ranks=pd.DataFrame({"sigma": np.zeros(200, int)}), n_ranks=20, failed=0,
        interrupted=False, seed=1,
    )  # fmt: skip
    assert "sigma are not uniform" in wrong.statement
    with pytest.raises(ArgumentError, match="fewer than"):
        bmx.calibrate(model, 5, ranks=1000, draws=10)
