"""Data frames of clusters are summed where their partitions are, to the same fit."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning
from bayesmix.streaming import first_pass

from .batches import Partitions, rows_to_read

pytest.importorskip("pyarrow.dataset")

FORMULAS = [
    ("y ~ x + t + (x | g)", {}),
    ("y ~ scale(np.abs(center(x))) + poly(e, 3) + (1 | school / g)", {"weights": "w"}),
    ("y ~ C(h) + rare + (1 | g) + (0 + z | t)", {}),
]


class Parts(Partitions):
    """Partitions, each of which is summed by itself."""

    def batches(self, columns: Any) -> Any:
        raise AssertionError("no pass over the rows brings them here")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return rows_to_read()


def assert_same(data: pd.DataFrame, source: Any, formula: str, given: dict[str, str]) -> None:
    rows = bmx.Model(formula, data, **given).fit_eb()
    sums = bmx.Model(formula, source, **given).fit_eb()
    assert sums.loglik == pytest.approx(rows.loglik, rel=1e-9)
    for ask in (
        lambda fit: fit.fixed_effects(), lambda fit: fit.variance_components(),
        lambda fit: fit.group_effects(fit.model.design.mu.groups[0].name),
    ):  # fmt: skip
        pd.testing.assert_frame_equal(ask(rows), ask(sums), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("formula", "given"), FORMULAS)
def test_sums_of_partitions_are_those_of_the_rows(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, formula: str, given: dict[str, str]
) -> None:
    monkeypatch.setattr(first_pass, "_FIRST", 20)
    monkeypatch.setattr(first_pass, "_SPREAD", 3)
    assert_same(data, Parts(data, 6), formula, given)


def test_partitions_have_their_missing_values_and_name_their_errors(data: pd.DataFrame) -> None:
    import dask.dataframe as dask

    holes = data.assign(x=data["x"].mask(data.index % 300 == 5))
    with pytest.warns(DataWarning) as one:
        rows = bmx.Model("y ~ x + (1 | g)", holes)
    with pytest.warns(DataWarning) as other:
        sums = bmx.Model("y ~ x + (1 | g)", dask.from_pandas(holes, npartitions=4))
    assert [str(w.message) for w in one] == [str(w.message) for w in other]
    pd.testing.assert_frame_equal(
        rows.fit_eb().fixed_effects(), sums.fit_eb().fixed_effects(), rtol=1e-6
    )
    wrong = data.assign(x=data["x"].where(data.index != 1300, np.inf))
    with pytest.raises(DataError, match="`x` is inf in row 175 of partition 3 of the Dask Data"):
        bmx.Model("y ~ x + (1 | g)", dask.from_pandas(wrong, npartitions=4))


def test_partitions_of_other_responses_are_tables_that_merge(data: pd.DataFrame) -> None:
    assert_same(
        data.assign(rare=data["y"] > data["y"].median(), few=data["x"].round(-1)),
        Parts(data.assign(rare=data["y"] > data["y"].median(), few=data["x"].round(-1)), 6),
        "rare ~ few + t + (1 | g)",
        {"family": "bernoulli"},
    )


def test_a_dask_frame_is_predicted_by_partition(data: pd.DataFrame) -> None:
    import dask.dataframe as dask

    eb = bmx.Model("y ~ x + t + (1 | g)", data).fit_eb()
    tables = list(eb.predict(dask.from_pandas(data, npartitions=3)))
    assert len(tables) == 3
    pd.testing.assert_frame_equal(pd.concat(tables), eb.predict(data), check_index_type=False)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    import distributed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
        with cluster, distributed.Client(cluster) as client:
            yield client


def test_two_workers_of_dask(data: pd.DataFrame, two_workers: Any) -> None:
    import dask.dataframe as dask

    formula, given = FORMULAS[1]
    assert_same(data, dask.from_pandas(data, npartitions=5), formula, given)


@pytest.mark.slow
def test_a_spark_frame(data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java: there is no `java` on the PATH, and no JAVA_HOME")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)  # workers have our packages
    session = sql.SparkSession.builder.master("local[2]").config(
        "spark.ui.enabled", "false"
    ).getOrCreate()  # fmt: skip
    try:
        frame = session.createDataFrame(data).repartition(3)
        assert_same(data, frame, "y ~ x + t + (x | g)", {})
    finally:
        session.stop()
