"""Models beyond the normal of rows in batches are those of the rows in memory."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, FileError, NotSupportedError
from bayesmix.inference.problems import glmm_problem
from bayesmix.inference.row_table import TableSums, _alike
from bayesmix.streaming import joined_batches

from .batches import Batches

pytest.importorskip("pyarrow.dataset")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 4000
    frame = pd.DataFrame({
        "g": np.sort(rng.integers(0, 40, n)), "h": rng.integers(0, 8, n),
        "f": rng.integers(0, 3, n).astype(float), "x": rng.normal(size=n),
        "t": rng.choice(["a", "b"], n), "n": rng.integers(1, 6, n), "e": rng.uniform(0.5, 2.0, n),
    })  # fmt: skip
    u, v = rng.normal(size=40) * 0.6, rng.normal(size=8) * 0.4
    eta = -0.4 + 0.3 * frame["f"] + 0.5 * (frame["t"] == "b") + u[frame["g"]] + v[frame["h"]]
    p = 1 / (1 + np.exp(-eta))
    frame["yes"] = (rng.random(n) < p).astype(int)
    frame["word"] = np.where(frame["yes"] == 1, "yes", "no")
    frame["s"] = rng.binomial(frame["n"], p)
    frame["count"] = rng.poisson(frame["e"] * np.exp(eta + 0.3 * frame["x"]))
    frame["over"] = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, n))
    frame["size"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    return frame


@pytest.fixture(scope="module")
def few(data: pd.DataFrame) -> pd.DataFrame:
    """For what draws effects, batch by batch."""
    return data.iloc[::3].reset_index(drop=True)


CASES: dict[str, tuple[str, str]] = {
    "bernoulli": ("yes ~ f + t + (1 | g) + (1 | h)", "bernoulli"),
    "words": ("word ~ f + (f | g)", "bernoulli"),
    "binomial": ("proportion(s, n) ~ f + t + (1 | g)", "binomial"),
    "poisson": ("count ~ x + t + offset(np.log(e)) + (x | g)", "poisson"),
    "negative binomial": ("over ~ f + t + (1 | g)", "negative_binomial"),
    "gamma": ("size ~ f + t + (1 | g)", "gamma"),
}


@pytest.fixture(scope="module")
def fits(data: pd.DataFrame) -> dict[str, tuple[Any, Any]]:
    return {
        name: tuple(
            bmx.Model(formula, rows, family=family).fit_eb()
            for rows in (data, Batches(data, sizes=(1, 777, 2, 1500)))
        )
        for name, (formula, family) in CASES.items()
    }  # type: ignore[misc]


@pytest.mark.parametrize("name", CASES)
def test_what_is_printed_of_batches_is_what_is_printed_of_rows(fits: Any, name: str) -> None:
    rows, batches = (
        [line for line in str(fit).splitlines() if "empirical Bayes by" not in line]
        for fit in fits[name]
    )
    assert [line.split()[:2] for line in batches] == [line.split()[:2] for line in rows]
    assert ("success is 'yes', failure 'no'" in str(fits[name][1])) == (name == "words")
    assert "<table" in fits[name][1]._repr_html_()
    assert str(fits[name][1].model) == str(fits[name][0].model)


@pytest.mark.parametrize("name", CASES)
def test_laplace_of_batches_is_that_of_rows(fits: Any, name: str) -> None:
    rows, batches = fits[name]
    assert batches.loglik == pytest.approx(rows.loglik, rel=1e-8)
    for ask in (
        lambda fit: fit.fixed_effects(),
        lambda fit: fit.variance_components(),
        lambda fit: fit.group_effects("g"),
        lambda fit: fit.model.priors,
        lambda fit: fit.family_parameters(),
    ):
        pd.testing.assert_frame_equal(ask(batches), ask(rows), rtol=2e-3, atol=1e-4)
    assert batches.aic == pytest.approx(rows.aic, rel=1e-8)
    assert batches.bic == pytest.approx(rows.bic, rel=1e-8)
    assert batches.singular == rows.singular
    assert batches.separation == rows.separation
    assert batches.approximation == rows.approximation


@pytest.mark.parametrize("name", CASES)
def test_the_posterior_mode_of_batches_is_that_of_rows(data: pd.DataFrame, name: str) -> None:
    formula, family = CASES[name]
    rows, batches = (
        bmx.Model(formula, table, family=family).fit_eb("map") for table in (data, Batches(data))
    )
    for ask in (lambda fit: fit.fixed_effects(), lambda fit: fit.variance_components()):
        pd.testing.assert_frame_equal(ask(batches), ask(rows), rtol=2e-3, atol=1e-4)


def test_rows_that_are_alike_are_one(fits: Any, data: pd.DataFrame) -> None:
    gp = glmm_problem(fits["bernoulli"][1].model)
    assert gp.rows.n_obs == len(data.groupby(["f", "t", "g", "h"]))
    assert gp.rows.trials.sum() == len(data)
    assert gp.rows.y.sum() == data["yes"].sum()
    gp = glmm_problem(fits["negative binomial"][1].model)
    assert gp.rows.n_obs == len(data.groupby(["f", "t", "g", "over"]))
    assert gp.rows.trials[:, -1].sum() == len(data)
    assert glmm_problem(fits["gamma"][1].model).rows.trials.ndim == 1  # none is like another


@pytest.mark.parametrize("name", ["bernoulli", "poisson"])
@pytest.mark.parametrize("kind", ["mean", "linear"])
def test_new_rows_are_predicted_as_by_the_fit_to_rows(
    fits: Any, data: pd.DataFrame, name: str, kind: Any
) -> None:
    rows, batches = fits[name]
    new = data.iloc[::97].assign(g=data["g"].iloc[::97].replace(3, 99))
    expected = rows.predict(new, kind=kind)
    pd.testing.assert_frame_equal(batches.predict(new, kind=kind), expected, rtol=2e-3, atol=1e-4)
    tables = pd.concat(batches.predict(Batches(new), kind=kind))
    np.testing.assert_allclose(tables["estimate"], expected["estimate"], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["bernoulli", "binomial", "negative binomial"])
@pytest.mark.parametrize("kind", ["response", "pearson"])
def test_residuals_read_the_rows_again(fits: Any, name: str, kind: Any) -> None:
    rows, batches = fits[name]
    found = pd.concat(list(batches.residuals(kind)))
    np.testing.assert_allclose(found, rows.residuals(kind), rtol=2e-3, atol=2e-3)
    expected = rows.residual_summary("h" if name == "bernoulli" else "g", kind)
    by = batches.residual_summary("h" if name == "bernoulli" else "g", kind)
    pd.testing.assert_frame_equal(by, expected, rtol=5e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["bernoulli", "binomial", "negative binomial"])
def test_quantile_residuals_and_checks_read_the_rows_again(few: pd.DataFrame, name: str) -> None:
    formula, family = CASES[name]
    rows, batches = (
        bmx.Model(formula, table, family=family).fit_eb()
        for table in (few, Batches(few, sizes=(1, 900)))
    )
    quantile = pd.concat(list(batches.residuals("quantile")))
    assert abs(quantile.mean() - rows.residuals("quantile").mean()) < 0.08
    assert len(batches.check(seed=1).axes) >= 5


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_the_posterior_of_batches_is_that_of_rows(few: pd.DataFrame) -> None:
    formula, family = CASES["bernoulli"]
    rows, batches = (
        bmx.Model(formula, table, family=family).fit(
            500, tune=500, chains=2, seed=1, progress=False
        )
        for table in (few, Batches(few, sizes=(1, 900)))
    )
    one, other = rows.fixed_effects(), batches.fixed_effects()
    apart = (one["estimate"] - other["estimate"]).abs() / one["sd"]
    assert apart.max() < 0.25
    np.testing.assert_allclose(other["sd"], one["sd"], rtol=0.25)
    assert len(batches.check("mean", "h", seed=1).axes) == 1
    expected, found = rows.loo("g"), batches.loo("g")
    assert found.data_key == expected.data_key
    assert found.elpd == pytest.approx(expected.elpd, abs=1.5)
    np.testing.assert_allclose(
        found.pointwise["elpd"], expected.pointwise["elpd"], rtol=0.02, atol=0.2
    )
    with pytest.raises(NotSupportedError, match=r"loo\(by='f'\).*levels of g, h are known"):
        batches.loo("f")


def test_separation_is_found_among_rows_that_are_alike(data: pd.DataFrame) -> None:
    odd = data.assign(k=(data["yes"] == 1) & (data["x"] > 1.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows, batches = (
            bmx.Model("yes ~ k + f + (1 | g)", table, family="bernoulli").fit_eb()
            for table in (odd, Batches(odd))
        )
    assert "k" in rows.separation
    assert batches.separation == rows.separation


def test_rows_in_a_file_and_missing_values(data: pd.DataFrame, tmp_path: Path) -> None:
    holes = data.assign(f=data["f"].where(data.index % 100 != 3))
    path = tmp_path / "rows.parquet"
    holes.to_parquet(path, row_group_size=500)
    formula, family = "yes ~ f + t + (1 | g)", "bernoulli"
    with pytest.warns(UserWarning, match="40 of 4000 rows have a missing value"):
        found = bmx.Model(formula, path, family=family).fit_eb()
    expected = bmx.Model(formula, holes.dropna(), family=family).fit_eb()
    pd.testing.assert_frame_equal(
        found.fixed_effects(), expected.fixed_effects(), rtol=1e-3, atol=1e-5
    )


def test_impossible_responses_are_named_with_their_rows(data: pd.DataFrame) -> None:
    wrong = data.assign(count=data["count"].where(data.index != 3210, -1))
    with pytest.raises(DataError, match=r"`count` is -1 in row 3210"):
        bmx.Model("count ~ x + (1 | g)", Batches(wrong), family="poisson")
    wrong = data.assign(s=data["s"].where(data.index != 1234, 99))
    with pytest.raises(DataError, match=r"`s` is 99 in row 1234"):
        bmx.Model("proportion(s, n) ~ f + (1 | g)", Batches(wrong), family="binomial")


@pytest.mark.parametrize(
    ("formula", "family", "what"),
    [
        ("t ~ f + (1 | g)", "cumulative", "cumulative"),
        ("count ~ f + (1 | g)", bmx.families.Poisson(link="sqrt"), "poisson"),
        ("over ~ f + (1 | g)", "hurdle_poisson", "the response"),
        (["count ~ f", "alpha ~ f"], "negative_binomial", "a formula of alpha"),
        ("censored(size, h) ~ f", "gamma", "left-hand side"),
    ],
)
def test_what_no_table_says_is_refused(
    data: pd.DataFrame, formula: Any, family: Any, what: str
) -> None:
    with pytest.raises(NotSupportedError, match=f"{what}(.|\n)*frame"):
        bmx.Model(formula, Batches(data), family=family)


@pytest.mark.parametrize("name", ["words", "negative binomial"])
def test_a_fit_comes_back_from_a_file(
    fits: Any, data: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    batches = fits[name][1]
    found: Any = bmx.load(batches.save(tmp_path / "a.nc"))
    assert found.loglik == batches.loglik
    for ask in (
        lambda fit: fit.fixed_effects(), lambda fit: fit.group_effects("g"),
        lambda fit: fit.predict(data.iloc[:9]), lambda fit: fit.model.priors,
    ):  # fmt: skip
        pd.testing.assert_frame_equal(ask(found), ask(batches), rtol=1e-8)
    with pytest.raises(NotSupportedError, match=r"sums and no rows.*data="):
        found.residual_summary()
    pd.testing.assert_frame_equal(
        found.residual_summary(data=Batches(data)), batches.residual_summary(), rtol=1e-6
    )


def test_files_keep_no_rows(fits: Any, data: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"more than half of 4,000 differ.*round columns"):
        fits["gamma"][1].save(tmp_path / "a.nc")
    formula = "proportion(s, n) ~ t + (1 | h)"
    eb = bmx.Model(formula, Batches(data), family="binomial").fit_eb()
    with pytest.raises(FileError, match="cannot be built from sums alone"):
        eb.save(tmp_path / "a.nc")


def test_tables_of_other_models_are_refused(fits: Any) -> None:
    model = fits["bernoulli"][1].model
    sums = TableSums(model.family).update(model.design.streamed.gather(_Kept).batch)
    good = sums.array()
    for wrong in (good[:-1], np.where(good == good[1], 0.5, good), np.append(good, good)):
        with pytest.raises(DataError, match="not those of the model"):
            TableSums(model.family).restore(wrong, model.design.mu)


class _Kept:
    """All batches of a pass, as one."""

    def __init__(self) -> None:
        self._batches: list[Any] = []

    def update(self, batch: Any) -> None:
        self._batches.append(batch)

    @property
    def batch(self) -> Any:
        return joined_batches(self._batches)


@pytest.mark.parametrize("collide", [False, True])
def test_two_rows_with_one_number_are_two(monkeypatch: Any, collide: bool) -> None:
    key = np.asarray([[1.0, 2.0, 1.0, 2.0], [3.0, 3.0, 3.0, 4.0]])
    added = np.asarray([[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0]])
    if collide:
        factorize = pd.factorize
        monkeypatch.setattr(
            "bayesmix.inference.row_table.pd.factorize",
            lambda values: factorize(np.zeros_like(values)),
        )
    found, sums = _alike(key, added)
    order = np.lexsort(found[::-1])
    np.testing.assert_array_equal(found[:, order], [[1, 2, 2], [3, 3, 4]])
    np.testing.assert_array_equal(sums[:, order], [[2, 1, 1], [2, 1, 3]])
