"""Checks, residuals and leave-one-group-out of rows in batches are those of the rows in memory."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, DataError, NotSupportedError
from bayesmix.results.check.check_data import statistic_data
from bayesmix.results.check.streamed_check import streamed_check, streamed_statistic
from bayesmix.streaming import LevelSums

from .batches import Batches, rows_to_read

pytest.importorskip("pyarrow.dataset")

CROSSED = "y ~ x + t + (x | g) + (1 | h)"
ONE = "y ~ x + decade + (x | g)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    found = rows_to_read()
    return found.assign(decade=(found["x"] / 5).round() * 5)


@pytest.fixture(scope="module")
def modes(data: pd.DataFrame) -> tuple[Any, Any]:
    given = {"weights": "w"}
    return (
        bmx.Model(CROSSED, data, **given).fit_eb(),
        bmx.Model(CROSSED, Batches(data), **given).fit_eb(),
    )


@pytest.fixture(scope="module")
def draws(data: pd.DataFrame) -> dict[str, tuple[Any, Any]]:
    """Posteriors of rows and of sums, with the same draws to rounding."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for formula in (CROSSED, ONE):
            found[formula] = tuple(
                bmx.Model(formula, rows, weights="w").fit(
                    60, tune=60, chains=2, seed=1, progress=False, group_draws="all"
                )
                for rows in (data, Batches(data))
            )
    return found


def test_sums_within_levels_are_those_of_all_rows_at_once() -> None:
    rng = np.random.default_rng(1)
    index, values = rng.integers(0, 9, 500), 1e9 + rng.normal(size=(3, 500))
    index[index == 4] = 5
    index[0], index[-1] = 0, 11  # one row each, the second beyond the levels of the start
    sums = LevelSums(3, 9)
    for rows in np.split(np.arange(500), [1, 20, 333]):
        sums.update(values[:, rows], index[rows])
    sums.update(values[:, :0], index[:0])
    for level in range(12):
        own = values[:, index == level]
        assert sums.count[level] == own.shape[1]
        if not own.size:
            assert np.isnan(sums.means[:, level]).all()
            continue
        np.testing.assert_allclose(sums.means[:, level], own.mean(axis=1), rtol=1e-15)
        np.testing.assert_array_equal(sums.least[:, level], own.min(axis=1))
        np.testing.assert_array_equal(sums.largest[:, level], own.max(axis=1))
        expected = own.std(axis=1, ddof=1) if own.shape[1] > 1 else np.full(3, np.nan)
        np.testing.assert_allclose(sums.sd[:, level], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["response", "pearson", "normalized", "quantile"])
def test_residuals_of_modes_come_batch_by_batch(modes: tuple[Any, Any], kind: Any) -> None:
    rows, sums = modes
    found = list(sums.residuals(kind))
    assert len(found) == 5
    expected = rows.residuals(kind).reset_index(drop=True)
    pd.testing.assert_series_equal(pd.concat(found), expected, rtol=1e-5, check_index_type=False)


@pytest.mark.parametrize("kind", ["response", "pearson"])
def test_residuals_of_draws_come_batch_by_batch(draws: Any, kind: Any) -> None:
    rows, sums = draws[ONE]
    found = pd.concat(list(sums.residuals(kind)))
    np.testing.assert_allclose(found, rows.residuals(kind), rtol=1e-5, atol=1e-5)


def test_quantile_residuals_of_draws_differ_between_batches_and_not_between_calls(
    draws: Any,
) -> None:
    rows, sums = draws[ONE]
    found = list(sums.residuals("quantile"))
    again = pd.concat(list(sums.residuals("quantile")))
    np.testing.assert_array_equal(pd.concat(found), again)
    expected = rows.residuals("quantile")
    assert np.corrcoef(again, expected)[0, 1] > 0.96
    assert 0.9 < again.std() < 1.1


def test_residuals_go_into_a_parquet_file(modes: tuple[Any, Any], tmp_path: Path) -> None:
    to = modes[1].residuals("pearson", to=tmp_path / "left.parquet")
    table = pd.read_parquet(to)
    np.testing.assert_array_equal(table["row"], np.arange(1500))
    np.testing.assert_allclose(table["residual"], modes[0].residuals("pearson"), rtol=1e-5)


@pytest.mark.parametrize("by", [None, "g", "h", "t"])
def test_residuals_are_summarised_within_levels(
    modes: tuple[Any, Any], data: pd.DataFrame, by: Any
) -> None:
    rows, sums = modes
    found, in_memory = sums.residual_summary(by), rows.residual_summary(by)
    pd.testing.assert_frame_equal(found, in_memory, rtol=1e-5)
    residuals = rows.residuals()
    level = pd.Series("all", index=data.index) if by is None else data[by]
    expected = residuals.groupby(level.to_numpy()).agg(["size", "mean", "std", "min", "max"])
    assert [str(one) for one in in_memory["level"]] == [str(one) for one in expected.index]
    np.testing.assert_allclose(in_memory.iloc[:, 1:].astype(float), expected, rtol=1e-10)


def test_an_unknown_level_is_named(modes: tuple[Any, Any]) -> None:
    for fit in modes:
        with pytest.raises(DataError, match=r"by='q' is neither.*`g`, `h`, `y`"):
            fit.residual_summary("q")


@pytest.mark.parametrize("name", ["mean", "sd", "min", "max"])
@pytest.mark.parametrize("group", [None, "g"])
def test_statistics_of_batches_are_those_of_the_rows(
    modes: tuple[Any, Any], name: str, group: str | None
) -> None:
    rows, sums = (fit._law for fit in modes)
    factor = None if group is None else rows.model.design.mu.group(group)
    found = streamed_statistic(sums, name, factor, 3)
    y, replicates = rows.beside_data(200, 3)
    expected = statistic_data(name, y, replicates, factor)
    np.testing.assert_allclose(found.observed, expected.observed, rtol=1e-12)
    assert found.levels.tolist() == expected.levels.tolist()
    assert found.replicates.shape == expected.replicates.shape
    # Other noise of the same law: means over replicates agree to Monte Carlo error.
    apart = found.replicates.mean(axis=0) - expected.replicates.mean(axis=0)
    spread = np.hypot(found.replicates.std(axis=0), expected.replicates.std(axis=0))
    assert np.abs(apart * np.sqrt(200) / spread).max() < 4.5
    ratio = found.replicates.std(axis=0) / expected.replicates.std(axis=0)
    assert 0.7 < ratio.min() <= ratio.max() < 1.4


def test_noise_is_not_the_same_in_every_batch(data: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ 1 + (1 | g)", Batches(data, sizes=(500, 500))).fit_eb()
    found = streamed_statistic(eb._law, "mean", None, 1)
    sigma = eb.variance_components()["sd"].iloc[-1]
    # The mean of 1500 rows would vary as that of 500 if batches had the same noise.
    assert found.replicates.std() < 1.2 * sigma / np.sqrt(1500)


@pytest.mark.parametrize("which", ["modes", "draws"])
def test_a_check_is_drawn_in_one_pass(
    modes: tuple[Any, Any], draws: Any, data: pd.DataFrame, which: str
) -> None:
    fit = modes[1] if which == "modes" else draws[ONE][1]
    source, passes = fit.model.design.streamed.rows.source, []

    class Counted(Batches):
        def batches(self, columns: Any) -> Any:
            passes.append(columns)
            return Batches.batches(self, columns)

    source.__class__ = Counted
    figure = fit.check(seed=1)
    source.__class__ = Batches
    assert len(passes) == 1
    titles = [axis.get_title().replace("\n", " ") for axis in figure.axes]
    assert "mean by g" in titles
    assert len(titles) == 8
    assert len(fit.check("max", "g").axes) == 1


def test_what_shows_rows_shows_some_of_them(modes: tuple[Any, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr("bayesmix.results.check.streamed_check._LOOKED_AT", 100)
    rows, sums = (fit._law for fit in modes)
    found = streamed_check(sums, rows.model.design.mu.group("g"), 1)
    assert found.pit_note == "100 of 1,500 rows"
    at = np.linspace(0, 1499, 100).astype(int)
    np.testing.assert_array_equal(found.y, rows.model.y[at])
    np.testing.assert_allclose(found.fitted, modes[0].fitted()["estimate"].iloc[at], rtol=1e-6)
    np.testing.assert_allclose(found.residuals, modes[0].residuals("pearson").iloc[at], rtol=1e-5)
    assert [one.name for one in found.statistics] == ["mean", "sd", "min", "max"]
    assert list(found.effects) == ["Intercept", "x"]


@pytest.mark.parametrize("stat", ["median", np.ptp])
def test_statistics_of_all_values_are_refused(modes: tuple[Any, Any], stat: Any) -> None:
    with pytest.raises(NotSupportedError, match=r"takes all values at once(.|\n)*'mean', 'sd'"):
        modes[1].check(stat)


@pytest.mark.parametrize(
    ("formula", "by"), [(ONE, "g"), (CROSSED, "g"), (CROSSED, "h"), (CROSSED, "t"), (ONE, "decade")]
)
def test_groups_of_batches_are_left_out_as_those_of_rows(
    draws: Any, data: pd.DataFrame, formula: str, by: str, monkeypatch: Any
) -> None:
    rows, sums = draws[formula]
    if by == "t":  # a column; few groups at once
        monkeypatch.setattr("bayesmix.results.check.streamed_loo._HELD", 1000)
    expected, found = rows.loo(by), sums.loo(by)
    pd.testing.assert_frame_equal(found.pointwise, expected.pointwise, rtol=1e-4)
    assert found.elpd == pytest.approx(expected.elpd, rel=1e-7)
    assert found.data_key == expected.data_key
    assert found.by == by


def test_single_rows_are_not_left_out_of_batches(draws: Any, data: pd.DataFrame) -> None:
    sums = draws[CROSSED][1]
    with pytest.raises(NotSupportedError, match=r"leaves out each row.*factor \(g, h\)"):
        sums.loo()
    with pytest.raises(NotSupportedError, match="has a group per row"):
        sums.loo(by=data["g"].to_numpy())
    with pytest.raises(DataError, match=r"by='q' is neither"):
        sums.loo(by="q")


def test_a_fit_from_a_file_takes_its_rows_from_data(
    draws: Any, data: pd.DataFrame, tmp_path: Path
) -> None:
    sums = draws[ONE][1]
    found: Any = bmx.load(sums.save(tmp_path / "a.nc"))
    for ask in (found.check, lambda: found.loo("g"), lambda: list(found.residuals())):
        with pytest.raises(NotSupportedError, match=r"sums and no rows.*data="):
            ask()
    pd.testing.assert_frame_equal(
        found.loo("g", data=Batches(data)).pointwise, sums.loo("g").pointwise
    )
    parquet = tmp_path / "rows.parquet"
    data.to_parquet(parquet)
    np.testing.assert_allclose(
        pd.concat(list(found.residuals(data=parquet))), pd.concat(list(sums.residuals()))
    )
    assert len(found.check("sd", data=parquet).axes) == 1
    with pytest.raises(DataError, match=r"has 1400 complete rows, and .* fitted to 1500"):
        found.residual_summary(data=Batches(data.iloc[:1400]))
    with pytest.raises(DataError, match="has no column `x`"):
        found.residual_summary(data=Batches(data.drop(columns="x")))
    with pytest.raises(DataError, match="`g` has a value that it did not have"):
        found.residual_summary(data=Batches(data.assign(g=data["g"] + 1)))


def test_rows_in_memory_are_not_given_again(modes: tuple[Any, Any], data: pd.DataFrame) -> None:
    with pytest.raises(NotSupportedError, match=r"this one has its rows.*update"):
        modes[0].residuals(data=Batches(data))
    with pytest.raises(NotSupportedError, match="to_parquet"):
        modes[0].residuals(to="a.parquet")
