"""Fits to data that are read in batches are those to the same rows in memory."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, FormulaError, NotSupportedError
from bayesmix.streaming import first_pass

from .batches import Batches, rows_to_read

pytest.importorskip("pyarrow.dataset")


@pytest.fixture(autouse=True)
def few_rows_in_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is learned cannot be that of a sample of all rows."""
    monkeypatch.setattr(first_pass, "_FIRST", 20)
    monkeypatch.setattr(first_pass, "_SPREAD", 3)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return rows_to_read()


def compare(data: pd.DataFrame, source: Any, formula: str, **given: Any) -> tuple[Any, Any]:
    """Models of rows and of batches, whose priors are checked to be the same."""
    rows, sums = bmx.Model(formula, data, **given), bmx.Model(formula, source, **given)
    one, other = rows.prior_entries, sums.prior_entries
    for entry, own in zip(one, other, strict=True):
        assert entry.parameter == own.parameter
        assert entry.prior.parameters == pytest.approx(own.prior.parameters, rel=1e-9)
    return rows, sums


def assert_same(one: pd.DataFrame, other: pd.DataFrame, tolerance: float = 1e-6) -> None:
    pd.testing.assert_frame_equal(one, other, rtol=tolerance, atol=tolerance)


CASES = [
    ("y ~ x + (x | g)", {}),
    ("y ~ scale(x) + center(z) + poly(e, 3) + t + (1 | g)", {}),
    ("y ~ scale(np.abs(center(x))) + (1 | g)", {}),
    ("y ~ x * t + offset(e) + (x || g)", {"weights": "w"}),
    ("y ~ x + (1 | g) + (z | h)", {}),
    ("y ~ C(h) + rare + (1 | school / g)", {}),
    ("y ~ 0 + x + z + (0 + z | t:h)", {}),
    ("np.log(y) ~ x + I(2 * x) + (1 | g)", {}),
    ("y ~ x + (1 | g)", {"known_se": "w"}),
    ("y ~ x + z", {}),
]


@pytest.mark.filterwarnings("ignore::bayesmix.errors.DataWarning")
@pytest.mark.parametrize(("formula", "given"), CASES)
def test_sums_give_the_estimates_of_the_rows(
    data: pd.DataFrame, formula: str, given: dict[str, str]
) -> None:
    rows, sums = compare(data, Batches(data), formula, **given)
    one, other = rows.fit_eb(), sums.fit_eb()
    assert other.deviance == pytest.approx(one.deviance, rel=1e-9)
    assert_same(one.fixed_effects(), other.fixed_effects())
    assert_same(one.variance_components(), other.variance_components(), 1e-4)
    assert_same(one.r2(), other.r2())
    for group in rows.design.mu.grouping:
        assert_same(one.group_effects(group.name), other.group_effects(group.name))
    assert rows.facts() == sums.facts()
    new = data.iloc[::150].drop(columns="y")
    if sums.design.mu.aliased:
        assert sums.design.mu.aliased == rows.design.mu.aliased
    assert_same(one.predict(new), other.predict(new))


@pytest.mark.parametrize("method", ["ml", "map"])
def test_other_estimates(data: pd.DataFrame, method: Any) -> None:
    rows, sums = compare(data, Batches(data), "y ~ x + (x | g) + (1 | h)")
    one, other = rows.fit_eb(method), sums.fit_eb(method)
    assert_same(one.fixed_effects(), other.fixed_effects())
    assert_same(one.group_effects("h"), other.group_effects("h"))


def test_the_posterior_of_sums_is_that_of_the_rows(data: pd.DataFrame) -> None:
    rows, sums = compare(data, Batches(data), "y ~ x + (1 | g)")
    one, other = (m.fit(600, chains=4, seed=1, progress=False) for m in (rows, sums))
    for table in (lambda m: m.fixed_effects(), lambda m: m.predict(data.iloc[:3])):
        a, b = table(one), table(other)
        # Rounding moves chains apart in the end: equal within Monte Carlo error.
        assert (np.abs(a["estimate"] - b["estimate"]) < 0.15 * a["sd"]).all()
        assert b["sd"].to_numpy() == pytest.approx(a["sd"].to_numpy(), rel=0.1)
    assert "Fixed effects" in str(other.summary())
    with pytest.raises(NotSupportedError, match="leaves out each row"):
        other.loo()


def test_a_parquet_file_and_a_folder_of_them(data: pd.DataFrame, tmp_path: Path) -> None:
    data.to_parquet(tmp_path / "all.parquet", row_group_size=171)
    (tmp_path / "parts").mkdir()
    data.iloc[:600].to_parquet(tmp_path / "parts" / "a.parquet", row_group_size=71)
    data.iloc[600:].to_parquet(tmp_path / "parts" / "b.parquet")
    expected = bmx.Model("y ~ x + t + (1 | g)", data).fit_eb().fixed_effects()
    for source in (
        str(tmp_path / "all.parquet"), tmp_path / "all.parquet", f"{tmp_path / 'parts'}/",
        tmp_path / "parts",
    ):  # fmt: skip
        assert_same(expected, bmx.Model("y ~ x + t + (1 | g)", source).fit_eb().fixed_effects())


def test_codes_in_names_of_folders_are_taken_as_they_are_written(tmp_path: Path) -> None:
    """From 001, 01 and 1 in hive's folders, pyarrow makes one number."""
    rng = np.random.default_rng(2)
    ids, years = ["001", "01", "1"], [2001, 2002]
    frame = pd.DataFrame(
        [(i, year) for i in ids for year in years for _ in range(15)], columns=["id", "year"]
    )
    frame["x"] = rng.normal(size=len(frame))
    frame["y"] = frame["x"] + frame["id"].map({"001": 5.0, "01": -5.0, "1": 0.0})
    frame["y"] += rng.normal(size=len(frame))
    for (i, year), part in frame.groupby(["id", "year"]):
        folder = tmp_path / f"id={i}" / f"year={year}"
        folder.mkdir(parents=True)
        part[["x", "y"]].to_parquet(folder / "a.parquet", index=False)
    found = bmx.Model("y ~ x + year + (1 | id)", tmp_path).fit_eb()
    assert found.group_effects("id")["level"].tolist() == ids
    expected = bmx.Model("y ~ x + year + (1 | id)", frame).fit_eb()
    assert_same(expected.fixed_effects(), found.fixed_effects())
    inspect.getmembers(found)
    inspect.getmembers(found.model)


def test_a_path_that_no_file_can_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no path that can be read.*too long"):
        bmx.Model("y ~ x", tmp_path / f"{'a' * 300}.parquet")


def test_a_dataset_of_arrow(data: pd.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.dataset as ds

    expected = bmx.Model("y ~ x + (1 | school)", data).fit_eb().fixed_effects()
    dataset = ds.dataset(pa.Table.from_pandas(data.astype({"school": "category"})))
    assert_same(expected, bmx.Model("y ~ x + (1 | school)", dataset).fit_eb().fixed_effects())


def test_a_lazy_frame_of_polars(data: pd.DataFrame) -> None:
    pl = pytest.importorskip("polars")
    expected = bmx.Model("y ~ x + t + (1 | school)", data).fit_eb().fixed_effects()
    query = pl.from_pandas(data.assign(y=data["y"] - 1)).lazy().with_columns(pl.col("y") + 1)
    assert_same(expected, bmx.Model("y ~ x + t + (1 | school)", query).fit_eb().fixed_effects())


def test_a_relation_of_duckdb(data: pd.DataFrame, tmp_path: Path) -> None:
    import duckdb

    data.to_parquet(tmp_path / "all.parquet")
    relation = duckdb.read_parquet(str(tmp_path / "all.parquet")).project('*, y + 0 as "a b"')
    expected = bmx.Model("y ~ x + t + (1 | school)", data).fit_eb().fixed_effects()
    found = bmx.Model("`a b` ~ x + t + (1 | school)", relation).fit_eb().fixed_effects()
    assert_same(expected, found)


def test_missing_rows_are_left_out_with_the_same_words(data: pd.DataFrame) -> None:
    holes = data.copy()
    holes.loc[[3, 700, 701], "x"] = np.nan
    holes.loc[[700, 1400], "t"] = None
    holes["h"] = holes["h"].astype("Int64").mask(holes.index == 10)
    import pyarrow as pa

    formula = "y ~ x + t + C(h) + (1 | g) + (1 | h)"
    with pytest.warns(DataWarning) as one:
        rows = bmx.Model(formula, pa.Table.from_pandas(holes))
    with pytest.warns(DataWarning) as other:
        sums = bmx.Model(formula, Batches(holes))
    assert [str(w.message) for w in one] == [str(w.message) for w in other]
    assert rows.design.mu.fixed_effects == sums.design.mu.fixed_effects
    assert_same(rows.fit_eb().group_effects("h"), sums.fit_eb().group_effects("h"))
    with pytest.raises(DataError, match=r'5 of 1500 rows have a missing.*missing="drop"'):
        bmx.Model(formula, Batches(holes), missing="raise")


def test_what_the_data_cannot_bear_is_refused_as_in_memory(data: pd.DataFrame) -> None:
    worse = data.assign(x=data["x"].where(data.index != 1234, np.inf))
    with pytest.raises(DataError, match="`x` is inf in row 1234"):
        bmx.Model("y ~ x + (1 | g)", Batches(worse))
    with pytest.raises(DataError, match="weights is -1 in row 1234"):
        bmx.Model("y ~ x", Batches(data.assign(w=worse["w"].where(data.index != 1234, -1.0))),
                  weights="w")  # fmt: skip
    with pytest.raises(FormulaError, match="no column `q`"):
        bmx.Model("y ~ q", Batches(data))
    with pytest.raises(DataError, match="has a level for each of the 1500 rows"):
        bmx.Model("y ~ x + (1 | i)", Batches(data.assign(i=np.arange(1500))))
    with pytest.raises(DataError, match=r"there is no file 'nowhere.parquet'"):
        bmx.Model("y ~ x", "nowhere.parquet")


@pytest.mark.parametrize(
    ("formula", "given", "what"),
    [
        ("y ~ s(x) + (1 | g)", {}, "the smooth `s"),
        ("y ~ bs(x, df=4)", {}, "learns from all values at once"),
        ("y ~ x + ar1(h | g)", {}, r"`ar1\(...\)` by `g`"),
        (["y ~ x", "sigma ~ x"], {}, "a formula of sigma"),
        (["y ~ x", "residual ~ cs(g)"], {}, "a formula of residual"),
        ("t ~ x + (1 | g)", {"family": "cumulative"}, "the family cumulative"),
    ],
)
def test_what_is_no_sum_is_refused_by_name(
    data: pd.DataFrame, formula: Any, given: dict[str, Any], what: str
) -> None:
    with pytest.raises(NotSupportedError, match=f"{what}(.|\n)*frame"):
        bmx.Model(formula, Batches(data), **given)


def test_arrays_beside_batches_are_refused(data: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="make it a column"):
        bmx.Model("y ~ x", Batches(data), weights=data["w"])


NEED_ROWS = {
    "fitted": lambda eb: eb.fitted(),
    "predict": lambda eb: eb.predict(),
    "bootstrap": lambda eb: eb.bootstrap(2),
    "simulate": lambda eb: eb.simulate(),
    "kenward-roger": lambda eb: eb.fixed_effects(ddf="kenward-roger"),
    "pymc_model": lambda eb: eb.model.pymc_model,
    "slopes": lambda eb: eb.slopes("x"),
    "marginal_means": lambda eb: eb.marginal_means("t"),
}


@pytest.fixture(scope="module")
def summed(data: pd.DataFrame) -> Any:
    return bmx.Model("y ~ x + t + (1 | g)", Batches(data)).fit_eb()


@pytest.mark.parametrize("name", NEED_ROWS)
def test_what_needs_rows_says_so(summed: Any, name: str) -> None:
    with pytest.raises(NotSupportedError, match=r"needs the rows of the data .* the batches only"):
        NEED_ROWS[name](summed)


def test_a_changed_formula_reads_the_source_again(summed: Any, data: pd.DataFrame) -> None:
    found = summed.model.update(". ~ . - t").fit_eb()
    assert_same(bmx.Model("y ~ x + (1 | g)", data).fit_eb().fixed_effects(), found.fixed_effects())


def test_data_that_change_between_passes_are_noticed(data: pd.DataFrame) -> None:
    class Changing(Batches):
        passes = 0

        def batches(self, columns: Any) -> Any:
            self.passes += 1
            for batch in Batches.batches(self, columns):
                yield batch.slice(0, len(batch) - (self.passes > 1 and len(batch) == 700))

    with pytest.raises(DataError, match="complete rows in one pass"):
        bmx.Model("y ~ x + (1 | g)", Changing(data))
