"""The picture of a check shows what fits and what does not."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import DataError, NotSupportedError
from bayesmix.results.check.check_data import check_data, statistic_data
from bayesmix.results.plots.check import plot_statistic
from tests.builders import non_normal


def simulated(rng: np.random.Generator, noise: np.ndarray) -> pd.DataFrame:
    g = np.repeat(np.arange(30), 20)
    x = rng.normal(size=600)
    return pd.DataFrame({"g": g, "x": x, "y": 2 * rng.normal(size=30)[g] + x + noise})


def numbers(post: bmx.Posterior, group: str | None = "g"):  # type: ignore[no-untyped-def]
    y, replicates = post._law.beside_data(200, None)
    factor = post.model.design.mu.group(group) if group else None
    return check_data(post._law, y, replicates, factor, None)


def test_a_right_model_is_calibrated_and_a_wrong_one_is_not(rng: np.random.Generator) -> None:
    good = bmx.Model("y ~ x + (1 | g)", simulated(rng, rng.normal(size=600)))
    found = numbers(good.fit(seed=1, progress=False))
    assert stats.kstest(found.pit, "uniform").pvalue > 0.01
    heavy = bmx.Model("y ~ x + (1 | g)", simulated(rng, rng.standard_t(1.3, size=600)))
    found = numbers(heavy.fit(seed=1, progress=False))
    assert stats.kstest(found.pit, "uniform").pvalue < 1e-4


def test_levels_that_replicates_do_not_reach_are_found(rng: np.random.Generator) -> None:
    data = simulated(rng, rng.normal(size=600))
    data.loc[data["g"] == 3, "y"] += rng.normal(0, 8, 20)
    found = numbers(bmx.Model("y ~ x + (1 | g)", data).fit(seed=1, progress=False))
    spread = found.statistics[1]
    lower, upper = spread.interval()
    assert spread.name == "sd"
    assert spread.observed[3] > upper[3]
    np.testing.assert_allclose(spread.observed, data.groupby("g")["y"].std())
    assert ((spread.observed < lower) | (spread.observed > upper)).sum() >= 1
    assert spread.p_value[3] < 0.01


@pytest.mark.slow
@pytest.mark.compiled
def test_a_right_model_of_censored_values_is_calibrated(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(20), 30)
    true = 2 + 0.4 * rng.normal(size=20)[g] + 0.8 * rng.normal(size=600)
    side = np.repeat(np.tile(["right", "left", "right"], 20), 10)
    limit = rng.normal(1.8, 0.5, 600)
    beyond = np.where(side == "right", true > limit, true < limit)
    data = pd.DataFrame({"g": g, "y": np.where(beyond, limit, true),
                         "st": np.where(beyond, side, "none")})  # fmt: skip
    priors = {"Intercept": bmx.Prior("Normal", mu=2, sigma=0.1)}  # or the chains are slow
    model = bmx.Model("censored(y, st) ~ 1 + (1 | g)", data, priors=priors)
    post = model.fit(seed=1, progress=False, chains=2)
    assert stats.kstest(post.residuals("quantile"), "norm").pvalue > 0.01
    found = numbers(post)
    assert stats.kstest(found.pit, "uniform").pvalue > 0.01
    assert found.y_name == "data, censored values drawn"
    y, right, left = data["y"].to_numpy(), beyond & (side == "right"), beyond & (side == "left")
    assert min(right.sum(), left.sum()) > 50
    np.testing.assert_array_equal(found.y[~beyond], y[~beyond])
    assert (found.y > y)[right].all()
    assert (found.y < y)[left].all()
    lower, upper = found.statistics[1].interval()
    outside = (found.statistics[1].observed < lower) | (found.statistics[1].observed > upper)
    assert outside.sum() < 4


def test_levels_of_one_row_have_no_sd_to_draw(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"study": np.arange(8), "y": rng.normal(size=8), "se": 0.3})
    eb = bmx.Model("y ~ 1 + (1 | study)", data, known_se="se").fit_eb()
    titles = [axis.get_title() for axis in eb.check().axes]
    assert "mean by study" in titles
    assert "sd by study" not in titles
    with pytest.raises(NotSupportedError, match="in no level of `study`: each has one row"):
        eb.check("sd", "study")


def test_statistics_of_the_whole_data(rng: np.random.Generator) -> None:
    y, replicates = rng.normal(size=50), rng.normal(size=(40, 50))
    found = statistic_data(np.ptp, y, replicates, None)
    assert found.observed[0] == np.ptp(y)
    np.testing.assert_allclose(found.replicates[:, 0], np.ptp(replicates, axis=1))
    with pytest.raises(NotSupportedError, match="'mode' is no known statistic; it is one of"):
        statistic_data("mode", y, replicates, None)
    with pytest.raises(NotSupportedError, match="one number"):
        statistic_data(lambda values: values, y, replicates, None)


@pytest.mark.parametrize("top", [12, 95, 4000])
def test_bars_of_whole_numbers_have_no_gaps_that_replicates_have_not(top: int) -> None:
    """Every number from 0 to the top occurs as often: bars that hold none would say otherwise."""
    y, every = np.arange(3.0), np.repeat(np.arange(top + 1.0), 3)
    statistic = statistic_data("max", y, np.column_stack([0 * every, 0 * every, every]), None)
    axis = plot_statistic(statistic).axes[0]
    heights = np.array([bar.get_height() for bar in axis.patches])
    assert heights.sum() == len(every)
    assert len(heights) <= 30
    assert (heights[:-1] == heights[0]).all()  # the last may be cut
    assert heights[0] == 3 * np.ceil((top + 1) / 30)


def test_pictures_have_their_panels(sleepstudy: pd.DataFrame) -> None:
    post = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit(seed=1, progress=False)
    figure = post.check()
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == 8
    assert titles[4:] == [f"{name} by Subject" for name in ("mean", "sd", "min", "max")]
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in figure.axes)
    assert len(post.check(stat="max").axes) == 1
    assert "median by Subject" in post.check("median", "Subject").axes[0].get_title()
    with pytest.raises(DataError, match="no grouping factor"):
        post.check(group="Nobody")
    plain = bmx.Model("Reaction ~ Days", sleepstudy).fit(seed=1, progress=False)
    assert len(plain.check().axes) == 3


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("bernoulli", "won ~ x + (1 | g)"),
        ("poisson", "count ~ x + (1 | g)"),
        ("cumulative", "size ~ x + (1 | g)"),
        ("binomial", "proportion(count, n) ~ x + (1 | g)"),
    ],
)
def test_other_families_have_their_picture(
    family: str, text: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    figure = non_normal(family, text, data, rng).check()
    figure.canvas.draw()
    assert figure.axes[2].get_ylabel() == "quantile residual"


def test_checking_gpa_is_in_proportion(reference_folder: Path) -> None:
    gpa = pd.read_csv(reference_folder / "data" / "gpa.csv")
    post = bmx.Model("gpa ~ occasion + (occasion | student)", gpa).fit(seed=1, progress=False)
    start = time.process_time()
    post.check().canvas.draw()
    assert time.process_time() - start < 120  # 5 alone


@pytest.mark.parametrize(
    ("family", "text"),
    [("gaussian", "y ~ x + (x | g)"), ("poisson", "count ~ x + (1 | g)"), ("gaussian", "y ~ x")],
)
def test_estimates_have_the_same_picture(
    family: str, text: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    data["count"] = rng.poisson(3, len(data))
    eb = bmx.Model(text, data, family=family).fit_eb()
    figure = eb.check()
    figure.canvas.draw()
    titles = [axis.get_title() for axis in figure.axes]
    assert "Calibration (PIT, in sample)" in titles
    assert ("mean by g" in titles) == ("|" in text)
    if family == "poisson":  # made without groups: their variance is estimated as zero
        shown = [text.get_text() for axis in figure.axes for text in axis.texts]
        assert "the estimated effects do not vary" in shown
    again = eb.check()
    for one, other in zip(figure.axes, again.axes, strict=True):
        for line, same in zip(one.lines, other.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())
    # Replicates of a model that fits have the statistic of the data among them.
    own = eb.check("mean").axes[0]
    low, high = own.get_xlim()
    assert low < eb.model.y.mean() < high


def test_levels_without_rows_have_no_statistic(rng: np.random.Generator) -> None:
    """Relatives that a known covariance has, and the data have not."""
    table = pd.DataFrame({"g": rng.integers(0, 5, 60).astype(str), "y": rng.normal(size=60)})
    labels = [str(k) for k in range(8)]
    A = pd.DataFrame(0.5 * np.eye(8) + 0.5, index=labels, columns=labels)
    model = bmx.Model("y ~ 1 + (1 | gr(g, cov=A))", table, matrices={"A": A})
    factor = model.design.mu.groups[0]
    assert factor.n_levels == 8
    for stat in ("min", "mean", "sd", np.ptp):
        found = statistic_data(stat, model.y, np.stack([model.y] * 3), factor)
        assert found.levels.tolist() == labels[:5]
    model.fit_eb().check()
