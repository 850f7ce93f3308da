"""Rows beyond the normal in a temporary file: passes over them are the rows in memory."""

from __future__ import annotations

import errno
import pickle
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, FileError, NotSupportedError
from bayesmix.gaussian.density import flat_prior
from bayesmix.glmm.stored import StoredRows
from bayesmix.inference.laplace import value_at
from bayesmix.inference.problems import glmm_problem
from bayesmix.inference.row_file import RowFile
from bayesmix.inference.sample_of_rows import sample_of_rows

from .batches import Batches, Partitions

pytest.importorskip("pyarrow.dataset")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 3000
    frame = pd.DataFrame({
        "g": np.sort(rng.integers(0, 40, n)), "h": rng.integers(0, 8, n),
        "x": rng.normal(size=n), "z": rng.normal(size=n), "n": rng.integers(1, 6, n),
        "e": rng.uniform(0.5, 2.0, n), "t": rng.choice(["a", "b"], n),
    })  # fmt: skip
    u, v, s = rng.normal(size=40) * 0.6, rng.normal(size=8) * 0.4, rng.normal(size=40) * 0.3
    eta = -0.4 + (0.3 + s[frame["g"]]) * frame["x"] + u[frame["g"]] + v[frame["h"]]
    p = 1 / (1 + np.exp(-eta))
    frame["yes"] = (rng.random(n) < p).astype(int)
    frame["s"] = rng.binomial(frame["n"], p)
    frame["count"] = rng.poisson(frame["e"] * np.exp(eta))
    frame["over"] = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, n))
    frame["size"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    return frame


@pytest.fixture(autouse=True)
def _few(monkeypatch: Any) -> None:
    """Files where a table would do, of blocks that are small, and a small sample."""
    monkeypatch.setattr("bayesmix.inference.row_file.MOST_ROWS", 100)
    monkeypatch.setattr("bayesmix.inference.row_file.BLOCK", 700)
    monkeypatch.setattr("bayesmix.inference.sample_of_rows._ROWS", 1500)
    monkeypatch.setattr("bayesmix.laws.given_data._PART_ROWS", 800)


CASES: dict[str, tuple[str, str]] = {
    "bernoulli, crossed": ("yes ~ x + t + (1 | g) + (1 | h)", "bernoulli"),
    "bernoulli, slopes": ("yes ~ x + (x | g)", "bernoulli"),
    "binomial": ("proportion(s, n) ~ x + (1 | g)", "binomial"),
    "poisson with offset": ("count ~ x + offset(np.log(e)) + (x | g)", "poisson"),
    "gamma": ("size ~ x + t + (1 | g)", "gamma"),
    "negative binomial": ("over ~ x + (x || g) + (1 | h)", "negative_binomial"),
    "no groups": ("yes ~ x + t", "bernoulli"),
}


def pair(data: pd.DataFrame, name: str, method: Any = None) -> tuple[Any, Any]:
    """Fits to rows in memory and to rows in a file."""
    formula, family = CASES[name]
    rows, stored = (
        bmx.Model(formula, table, family=family).fit_eb(method)
        for table in (data, Batches(data, sizes=(1, 777, 2, 1500)))
    )
    assert stored._law.gp.rows.is_stored
    assert not rows._law.gp.rows.is_stored
    return rows, stored


@pytest.mark.parametrize("priors", [0, 1, 2])
@pytest.mark.parametrize("name", CASES)
def test_passes_are_the_kernel_of_all_rows(data: pd.DataFrame, name: str, priors: Any) -> None:
    formula, family = CASES[name]
    found = []
    for table in (data, Batches(data, sizes=(1, 777, 2, 1500))):
        model = bmx.Model(formula, table, family=family)
        gp = glmm_problem(model)
        co = gp.coordinates(model.prior_entries) if priors else gp.problem.absolute_coordinates()
        fixed = gp.fixed_prior(model.prior_entries) if priors else flat_prior(gp.problem.n_fixed)
        n_x = co.n_x + len(gp.phi) + gp.problem.n_fixed
        x = 0.3 * np.random.default_rng(3).normal(size=n_x)
        gradient, u = np.empty(n_x), np.zeros(gp.n_effects)
        value = value_at(gp, co, fixed, priors, x, u, gradient)
        found.append((value + gp.constant, gradient, u))
    (value, gradient, u), (other, by_passes, there) = found
    assert other == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(by_passes, gradient, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(there, u, atol=1e-9)


@pytest.mark.parametrize("method", ["ml", "map"])
@pytest.mark.parametrize("name", CASES)
def test_laplace_of_a_file_is_that_of_rows(data: pd.DataFrame, name: str, method: Any) -> None:
    rows, stored = pair(data, name, method)
    # A posterior mode is no maximum of the likelihood: what is left of a step shows.
    assert stored.loglik == pytest.approx(rows.loglik, abs=1e-6 if method == "ml" else 1e-4)
    assert stored.converged
    asked: list[Any] = [lambda fit: fit.fixed_effects(), lambda fit: fit.family_parameters()]
    if rows.model.design.mu.groups:
        asked += [lambda fit: fit.variance_components(), lambda fit: fit.group_effects("g")]
    for ask in asked:
        pd.testing.assert_frame_equal(ask(stored), ask(rows), rtol=1e-4, atol=2e-5)
    assert stored.approximation == rows.approximation
    assert stored.separation == rows.separation
    assert stored.singular == rows.singular


@pytest.mark.parametrize("name", ["bernoulli, crossed", "bernoulli, slopes", "gamma"])
@pytest.mark.parametrize("kind", ["mean", "linear", "response"])
def test_rows_are_predicted_as_by_the_fit_to_rows(data: pd.DataFrame, name: str, kind: Any) -> None:
    rows, stored = pair(data, name)
    new = data.iloc[::97].assign(g=data["g"].iloc[::97].replace(3, 99))
    expected, found = (
        fit.predict(new, kind=kind, seed=1, draws=400 if kind == "response" else None)
        for fit in (rows, stored)
    )
    if kind == "response":
        exact = ["estimate", "sd"]
        np.testing.assert_allclose(found[exact], expected[exact], rtol=0.35, atol=0.2)
    else:
        pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=2e-5)


def test_draws_of_effects_are_those_of_all_rows_of_their_levels(data: pd.DataFrame) -> None:
    rows, stored = pair(data, "bernoulli, slopes")
    levels = {"g": np.arange(40)}
    one, other = (fit._law.given_data.draw(levels, 2000, 5)[1]["g"] for fit in (rows, stored))
    apart = (one.mean(axis=2) - other.mean(axis=2)) / one.std(axis=2)
    assert np.abs(apart).max() < 0.15
    np.testing.assert_allclose(other.std(axis=2), one.std(axis=2), rtol=0.12)


def test_one_effect_a_level_needs_no_table(data: pd.DataFrame, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a table was made")

    stored = pair(data, "gamma")[1]
    monkeypatch.setattr("bayesmix.inference.row_table.TableSums.table", refuse)
    stored.predict(data.iloc[:9])
    stored.predict(data.iloc[:9], kind="response", seed=1)
    assert len(pd.concat(list(stored.residuals("pearson")))) == len(data)
    assert "gamma" in str(stored)


def test_checks_read_the_rows_again(data: pd.DataFrame) -> None:
    stored = pair(data.iloc[::2], "gamma")[1]
    assert len(stored.check(seed=1).axes) >= 5


def test_rough_approximations_are_named_as_in_memory() -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(300), 3)
    eta = 2.0 * rng.normal(size=300)[g] + 0.2
    few = pd.DataFrame({"g": g, "x": rng.normal(size=900)})
    few["yes"] = (rng.random(900) < 1 / (1 + np.exp(-eta))).astype(int)
    found = []
    for table in (few, Batches(few, sizes=(100, 333))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(bmx.Model("yes ~ x + (1 | g)", table, family="bernoulli").fit_eb())
    assert found[1]._law.gp.rows.is_stored
    assert "without it" in found[0].approximation
    assert found[1].approximation == found[0].approximation


def test_separation_is_found_among_rows_in_a_file(data: pd.DataFrame) -> None:
    odd = data.assign(k=(data["yes"] == 1) & (data["x"] > 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows, stored = (
            bmx.Model("yes ~ k + x + (1 | g)", table, family="bernoulli").fit_eb()
            for table in (odd, Batches(odd))
        )
    assert stored._law.gp.rows.is_stored
    assert "k" in rows.separation
    assert stored.separation == rows.separation
    found, expected = stored.fixed_effects(), rows.fixed_effects()
    np.testing.assert_allclose(found["estimate"].iloc[[0, 2]], expected["estimate"].iloc[[0, 2]],
                               rtol=1e-3)  # fmt: skip


def test_a_standard_deviation_of_zero_is_zero(data: pd.DataFrame) -> None:
    alike = data.assign(yes=np.random.default_rng(1).permutation(data["yes"].to_numpy()))
    rows, stored = (
        bmx.Model("yes ~ x + (1 | g)", table, family="bernoulli").fit_eb()
        for table in (alike, Batches(alike))
    )
    assert stored._law.gp.rows.is_stored
    assert stored.singular == rows.singular
    assert stored.loglik == pytest.approx(rows.loglik, abs=1e-6)


def test_missing_rows_are_left_out(data: pd.DataFrame, tmp_path: Path) -> None:
    holes = data.assign(x=data["x"].where(data.index % 100 != 3))
    path = tmp_path / "rows.parquet"
    holes.to_parquet(path, row_group_size=500)
    with pytest.warns(UserWarning, match="30 of 3000 rows have a missing value"):
        stored = bmx.Model("size ~ x + (1 | g)", path, family="gamma").fit_eb()
    expected = bmx.Model("size ~ x + (1 | g)", holes.dropna(), family="gamma").fit_eb()
    assert stored._law.gp.rows.is_stored
    pd.testing.assert_frame_equal(
        stored.fixed_effects(), expected.fixed_effects(), rtol=1e-4, atol=1e-6
    )


def test_nothing_is_left_on_disk(data: pd.DataFrame, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = pair(data, "gamma")[1]
    file = stored._law.gp.rows._file
    del stored
    if not isinstance(getattr(file, "name", 0), int):  # it has a name, where it must have one
        file.close()
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(data: pd.DataFrame, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocks, n = StoredRows.blocks, []

    def interrupted(self: StoredRows) -> Iterator[Any]:
        n.append(1)
        if len(n) > 20:
            raise KeyboardInterrupt
        return blocks(self)

    monkeypatch.setattr(StoredRows, "blocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bmx.Model("size ~ x + (1 | g)", Batches(data), family="gamma").fit_eb()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named(data: pd.DataFrame, monkeypatch: Any) -> None:
    make = tempfile.TemporaryFile

    class Full:
        def __init__(self) -> None:
            self._file, self._room = make(), 100_000

        def write(self, given: Any) -> int:
            self._room -= len(given)
            if self._room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return int(self._file.write(given))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(FileError, match=r"the disk is full.*TMPDIR"):
        bmx.Model("size ~ x + (1 | g)", Batches(data), family="gamma").fit_eb()


def test_what_a_file_without_a_name_cannot_be_is_refused(
    data: pd.DataFrame, tmp_path: Path
) -> None:
    stored = pair(data, "gamma")[1]
    with pytest.raises(NotSupportedError, match=r"3,000 rows lie in a temporary file.*bmx\.tables"):
        pickle.dumps(stored._law.gp)
    with pytest.raises(FileError, match="more than half of 3,000 differ"):
        stored.save(tmp_path / "a.nc")


def test_a_fit_whose_rows_are_mostly_alike_is_saved(data: pd.DataFrame, tmp_path: Path) -> None:
    stored = bmx.Model("yes ~ t + (1 | g)", Batches(data), family="bernoulli").fit_eb()
    assert stored._law.gp.rows.is_stored  # of 160 rows that differ
    again = bmx.load(stored.save(tmp_path / "a.nc"))
    pd.testing.assert_frame_equal(
        again.fixed_effects(), stored.fixed_effects(), rtol=1e-4, atol=1e-6
    )


def test_quadrature_takes_the_rows_into_memory(data: pd.DataFrame) -> None:
    rows, stored = (
        bmx.Model("yes ~ x + (1 | g)", table, family="bernoulli").fit_eb(n_quadrature=7)
        for table in (data, Batches(data))
    )
    assert not stored._law.gp.rows.is_stored
    assert stored.loglik == pytest.approx(rows.loglik, abs=1e-6)


def test_a_sample_has_rows_of_all_levels_or_all_rows_of_some(data: pd.DataFrame) -> None:
    gp = glmm_problem(bmx.Model("yes ~ x + (1 | g)", Batches(data), family="bernoulli"))
    found = sample_of_rows(gp)
    assert found.levels == 1.0
    assert found.rows == pytest.approx(2.0, rel=0.15)
    assert len(np.unique(found.gp.rows.index[0])) == 40
    fine = data.assign(g=np.arange(len(data)) // 3)
    found = sample_of_rows(
        glmm_problem(bmx.Model("yes ~ x + (1 | g)", Batches(fine), family="bernoulli"))
    )
    counts = np.bincount(found.gp.rows.index[0])
    assert set(counts) == {0, 3}
    assert found.levels == pytest.approx(found.rows, rel=1e-12)


def test_rows_that_change_between_passes_are_named(data: pd.DataFrame) -> None:
    model = bmx.Model("size ~ x + (1 | g)", Batches(data), family="gamma")
    streamed, mu = model.design.streamed, model.design.mu

    class Shorter:
        name, combinations = "the rows", streamed.combinations

        def batches(self) -> Iterator[Any]:
            yield next(iter(streamed.batches()))

    rows = RowFile(own=mu, streamed=Shorter(), family=model.family)
    gp = glmm_problem(model)
    with pytest.raises(DataError, match="the rows had 3000 complete rows in one pass and"):
        rows.packed(lambda *_: gp.rows.header)


@pytest.mark.parametrize("most", [100, 2000], ids=["of a part", "of all together"])
def test_partitions_of_a_cluster_are_brought_here_for_the_file(
    data: pd.DataFrame, monkeypatch: Any, most: int
) -> None:
    monkeypatch.setattr("bayesmix.inference.row_file.MOST_ROWS", most)
    stored = bmx.Model("size ~ x + (1 | g)", Partitions(data, 3), family="gamma").fit_eb()
    expected = bmx.Model("size ~ x + (1 | g)", data, family="gamma").fit_eb()
    assert stored._law.gp.rows.is_stored
    assert stored.loglik == pytest.approx(expected.loglik, abs=1e-6)
