"""Predictions of rows in batches are those of the same rows in a frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import (
    ArgumentError,
    ConvergenceWarning,
    DataError,
    FileError,
    NotSupportedError,
)

from .batches import Batches, rows_to_read

pytest.importorskip("pyarrow.dataset")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return rows_to_read()


@pytest.fixture(scope="module")
def new(data: pd.DataFrame) -> pd.DataFrame:
    """With a level that was not seen, and one that is missing."""
    g = data["g"].astype("Float64").replace(3.0, 99.0)
    return data.assign(g=g.mask(data.index % 50 == 7)).drop(columns="y")


@pytest.fixture(scope="module")
def fits(data: pd.DataFrame) -> dict[str, Any]:
    formula = "y ~ x + t + (x | g)"
    rows, sums = bmx.Model(formula, data), bmx.Model(formula, Batches(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        draws = sums.fit(50, tune=50, chains=1, seed=1, progress=False)
    return {"rows": rows.fit_eb(), "sums": sums.fit_eb(), "draws": draws}


@pytest.mark.parametrize("kind", ["mean", "linear"])
@pytest.mark.parametrize("name", ["rows", "sums", "draws"])
def test_batches_are_predicted_as_a_frame_is(
    fits: dict[str, Any], new: pd.DataFrame, name: str, kind: Any
) -> None:
    known = new.dropna() if name == "draws" else new  # of unknown groups each call has its own
    tables = list(fits[name].predict(Batches(known), kind=kind, ci_prob=0.8))
    assert len(tables) == 5
    expected = fits[name].predict(known, kind=kind, ci_prob=0.8).reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.concat(tables), expected, check_index_type=False)


def test_predictions_go_into_a_parquet_file(
    fits: dict[str, Any], new: pd.DataFrame, tmp_path: Path
) -> None:
    source = tmp_path / "rows.parquet"
    new.to_parquet(source, row_group_size=400)
    expected = fits["rows"].predict(new, groups="population").reset_index(drop=True)
    to = fits["sums"].predict(source, groups="population", to=tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(to), expected, rtol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "rows.parquet"]


def test_categories_in_batches_have_their_column(data: pd.DataFrame) -> None:
    few = data.iloc[:400]
    level = pd.Categorical(np.digitize(few["e"], [-0.5, 0.5]), ordered=True)
    few = few.assign(level=level)
    eb = bmx.Model("level ~ x + (1 | g)", few, family="cumulative").fit_eb()
    tables = list(eb.predict(Batches(few.iloc[:30], sizes=(7, 20)), kind="probability"))
    expected = eb.predict(few.iloc[:30], kind="probability").reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.concat(tables, ignore_index=True), expected)


def test_errors_name_the_batch_and_leave_no_file(
    fits: dict[str, Any], data: pd.DataFrame, tmp_path: Path
) -> None:
    wrong = data.assign(t=data["t"].where(data.index != 400, "unheard"))
    with pytest.raises(DataError, match=r"in the batch of rows 336 to 1035 of the batches.*unhea"):
        fits["sums"].predict(Batches(wrong), to=tmp_path / "out.parquet")
    holes = data.assign(x=data["x"].where(data.index != 2))
    with pytest.raises(DataError, match=r"rows 1 to 333 of the batches.*`x`"):
        list(fits["rows"].predict(Batches(holes)))
    with pytest.raises(DataError, match="no rows"):
        fits["rows"].predict(Batches(data.iloc[:0]), to=tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_refused(
    fits: dict[str, Any], data: pd.DataFrame, tmp_path: Path
) -> None:
    eb = fits["rows"]
    with pytest.raises(ArgumentError, match=r"must end in .parquet"):
        eb.predict(Batches(data), to=tmp_path / "out.csv")
    with pytest.raises(FileError, match="cannot be written"):
        eb.predict(Batches(data), to=tmp_path / "nowhere" / "out.parquet")
    with pytest.raises(NotSupportedError, match=r"read in batches.*to_parquet"):
        eb.predict(data, to=tmp_path / "out.parquet")
    with pytest.raises(DataError, match="there is no file"):
        eb.predict("nowhere.parquet")
