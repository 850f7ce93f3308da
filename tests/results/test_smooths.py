"""Smooths end to end: mgcv's fits through formulas, and what a result says of them."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError, DataError, DataWarning, FormulaError, NotSupportedError
from tests.results.plots.pictures import check_texts, drawn

REFERENCE = Path(os.environ.get("BAYESMIX_REFERENCE", "../shared"))
FITS = REFERENCE / "reference" / "structures_and_tests.json"
needs_reference = pytest.mark.skipif(
    not FITS.exists(), reason="BAYESMIX_REFERENCE does not name the folder of the reference tables"
)


def make_data(n: int = 240, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.uniform(0, 10, n),
            "z": rng.normal(2, 1, n),
            "f": rng.choice(["a", "b"], n),
            "g": rng.integers(0, 8, n),
            "h": rng.integers(0, 6, n),
        }
    )
    effects = rng.normal(0, 0.7, 8)[data["g"]] + rng.normal(0, 0.5, 6)[data["h"]]
    curve = np.sin(data["x"]) * np.where(data["f"] == "a", 1.0, -1.0)
    data["y"] = 3 + curve + effects + rng.normal(0, 0.5, n)
    data["count"] = rng.poisson(np.exp(0.3 + 0.5 * np.sin(data["x"]) + 0.5 * effects))
    return data


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return make_data()


@pytest.fixture(scope="module")
def eb(data: pd.DataFrame) -> bmx.EmpiricalBayes:
    return bmx.Model("y ~ f + s(x, by=f) + s(z, k=5) + (1 | g)", data).fit_eb()


@pytest.fixture(scope="module")
def post(data: pd.DataFrame) -> bmx.Posterior:
    model = bmx.Model("y ~ f + s(x, by=f) + (1 | g)", data)
    return model.fit(chains=2, draws=500, tune=300, seed=2)


def published(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FITS.read_text())[name]
    return found


def at_grid() -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(0.05, 1, 0.1), "z": 0.4, "f": "b", "g": 3})


@needs_reference
def test_a_cubic_regression_spline_is_that_of_mgcv() -> None:
    ref = published("mcycle_cr")
    data = pd.read_csv(REFERENCE / "data" / "mcycle.csv")
    eb = bmx.Model('accel ~ s(times, bs="cr", k=20)', data).fit_eb()
    found = eb.predict(pd.DataFrame({"times": ref["at"]}))
    np.testing.assert_allclose(found["estimate"], ref["fit"], atol=0.02 * min(ref["se"]))
    np.testing.assert_allclose(found["sd"], ref["se"], rtol=1e-4)
    assert eb.smooths(ci_method="wald")["edf"].iloc[0] == pytest.approx(ref["s_edf"][0], abs=1e-3)
    assert eb.sigma**2 == pytest.approx(ref["sig2"], rel=1e-5)


@needs_reference
def test_thin_plates_with_group_effects_are_those_of_mgcv() -> None:
    ref = published("gam_re")
    data = pd.read_csv(REFERENCE / "data" / "sim_gam.csv")
    eb = bmx.Model('y ~ s(x) + s(z) + s(g, bs="re")', data).fit_eb()
    found = eb.predict(at_grid())
    np.testing.assert_allclose(found["estimate"], ref["fit"], atol=0.02 * min(ref["se"]))
    np.testing.assert_allclose(found["sd"], ref["se"], rtol=1e-4)
    edf = eb.smooths(ci_method="wald").set_index("term")["edf"]
    assert edf["s(x)"] == pytest.approx(ref["s_edf"]["s(x)"], abs=1e-3)
    assert edf["s(z)"] == pytest.approx(ref["s_edf"]["s(z)"], abs=1e-3)


@needs_reference
def test_a_poisson_additive_model_is_that_of_mgcv_but_for_its_criterion() -> None:
    ref = published("gam_poisson")
    data = pd.read_csv(REFERENCE / "data" / "sim_gam.csv")
    eb = bmx.Model("cnt ~ s(x) + (1 | g)", data, family="poisson").fit_eb()
    found = eb.predict(at_grid(), kind="linear")
    np.testing.assert_allclose(found["estimate"], ref["fit"], atol=0.1 * min(ref["se"]))
    edf = eb.smooths(ci_method="wald")["edf"].iloc[0]
    assert edf == pytest.approx(ref["s_edf"]["s(x)"], abs=0.5)


def test_predictions_are_columns_times_coefficients(
    eb: bmx.EmpiricalBayes, data: pd.DataFrame
) -> None:
    mu = eb.model.design.mu
    new = data.iloc[:40]
    beta, effects, _ = eb._law.point_estimates()
    expected = (mu.X @ beta)[:40]
    for group in mu.groups:
        if group.is_smooth:
            assert group.levels.labels.tolist() == [group.name]
            Z = group.build_Z(mu_frame(eb, new))
            np.testing.assert_allclose(Z, group.Z[:40], atol=1e-9)
            expected = expected + Z @ effects[group.name][0]
    found = eb.predict(new, groups="population")
    np.testing.assert_allclose(found["estimate"], expected, atol=1e-8)
    with_groups = eb.predict(new)["estimate"] - expected
    assert set(with_groups.round(8)) == set(effects["g"][data["g"].iloc[:40], 0].round(8))


def mu_frame(fit: Any, rows: pd.DataFrame) -> pd.DataFrame:
    frame = fit.model.design.frame
    return rows[list(frame.columns)].astype(frame.dtypes.to_dict())


def test_smooths_are_not_groups(eb: bmx.EmpiricalBayes, data: pd.DataFrame) -> None:
    assert set(eb.variance_components(ci_method="wald")["group"]) == {"g", "Residual"}
    assert set(eb.group_effects()["group"]) == {"g"}
    assert eb.icc()["group"].tolist() == ["g"]
    with pytest.raises(DataError, match=r"no grouping factor `s\(z\)`; there are `g`"):
        eb.group_effects("s(z)")
    with pytest.raises(NotSupportedError, match="no penalties"):
        eb.model.no_pooling()
    alone = bmx.Model("y ~ s(x)", data).fit_eb()
    with pytest.raises(NotSupportedError, match="no group effects"):
        alone.group_effects()
    assert "s(x): smooth" in str(alone.model)
    assert "groups:" not in str(alone)


def test_draws_and_modes_agree_on_the_population(post: bmx.Posterior, data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ f + s(x, by=f) + (1 | g)", data)
    eb, new = model.fit_eb(), data.iloc[:30]
    one, other = post.predict(new, groups="population"), eb.predict(new, groups="population")
    assert (np.abs(one["estimate"] - other["estimate"]) < 0.5 * other["sd"]).all()
    table, modes = post.smooths(), eb.smooths(ci_method="wald")
    assert table["term"].tolist() == ["s(x):f[a]", "s(x):f[b]"]
    np.testing.assert_allclose(table["edf"], modes["edf"], atol=0.6)
    assert {"sd_s(x):f[a]", "b_s(x):f[a]"} <= set(post.idata["posterior"].data_vars)
    kept = post.r2().set_index(["method", "kind"])["estimate"]
    assert kept["nakagawa", "marginal"] == pytest.approx(
        eb.r2().set_index(["method", "kind"])["estimate"]["nakagawa", "marginal"], abs=0.05
    )
    # A new group keeps the curve: its spread is that of g and of the rows.
    new_group = post.predict(new.assign(g=99), kind="linear")
    assert (np.abs(new_group["estimate"] - one["estimate"]) < 0.35).all()


def test_effects_follow_the_curve(eb: bmx.EmpiricalBayes, data: pd.DataFrame) -> None:
    at = {"x": [1.5, 3.0], "f": ["a"], "z": [2.0]}
    means = eb.predictions(at=at)
    assert means["estimate"].iloc[0] - means["estimate"].iloc[1] > 0.5  # sin falls
    compared = eb.comparisons("x", contrast=(1.5, 3.0), at={"f": ["a"], "z": [2.0]})
    difference = means["estimate"].iloc[1] - means["estimate"].iloc[0]
    assert compared["estimate"].iloc[0] == pytest.approx(difference, abs=1e-8)
    slopes = eb.slopes("x", at={"x": [3.1], "f": ["a"], "z": [2.0]})
    assert slopes["estimate"].iloc[0] == pytest.approx(np.cos(3.1), abs=0.35)


def test_beyond_the_data_it_extrapolates_and_says_so(data: pd.DataFrame) -> None:
    for basis in ("cr", "ps"):
        eb = bmx.Model(f'y ~ s(x, bs="{basis}")', data).fit_eb()
        far = pd.DataFrame({"x": [12.0, 14.0, 16.0]})
        with pytest.warns(DataWarning, match=r"extrapolated beyond the data: s\(x\) in 3 rows"):
            found = eb.predict(far)["estimate"].to_numpy()
        assert abs(found[2] - 2 * found[1] + found[0]) < 1e-8  # a straight line
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eb.predict(pd.DataFrame({"x": [data["x"].min(), 5.0]}))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("y ~ s(x, z, k=12)", ["s(x, z)"]),
        ("y ~ t2(x, z, k=4) + (1 | g)", ["t2(x, z)"] * 3),
        ("y ~ z + s(x, by=z, k=5)", ["s(x):z"]),
        ('y ~ s(x, g, bs="fs", k=4)', ["s(x, g)"] * 3),
        ("y ~ s(x, k=6) + (1 | g) + (1 | h)", ["s(x)"]),
        ("y ~ s(np.log(x + 1), k=6) + f", ["s(np.log(x + 1))"]),
    ],
)
def test_every_kind_is_fitted(text: str, names: list[str], data: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # z and its constant part
        eb = bmx.Model(text, data).fit_eb()
    table = eb.smooths(ci_method="wald")
    assert table["term"].tolist() == names
    assert (table["edf"] >= 1).all()
    found = eb.predict(data.iloc[:20])
    np.testing.assert_allclose(found["estimate"], eb.predict()["estimate"].iloc[:20], atol=1e-8)
    assert "sum_k" in str(eb.model.equation())


def test_a_curve_for_each_level_has_levels(data: pd.DataFrame) -> None:
    eb = bmx.Model('y ~ s(x, g, bs="fs", k=4)', data).fit_eb()
    assert eb.group_effects()["level"].nunique() == data["g"].nunique()
    at = pd.DataFrame({"x": [5.0, 5.0], "g": [1, 99]})
    found = eb.predict(at)
    assert found["estimate"].iloc[1] == pytest.approx(eb.fixed_effects()["estimate"].iloc[0])
    assert found["sd"].iloc[1] > found["sd"].iloc[0]


def test_a_number_multiplies_its_curve(data: pd.DataFrame) -> None:
    with pytest.warns(DataWarning, match=r"s\(x\):z\[constant\]"):
        eb = bmx.Model("y ~ z + s(x, by=z, k=5)", data).fit_eb()
    at = pd.DataFrame({"x": 4.0, "z": [0.0, 1.0, 2.0]})
    found = eb.predict(at)["estimate"].to_numpy()
    assert found[2] - found[1] == pytest.approx(found[1] - found[0], abs=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        bmx.Model("y ~ s(x, by=z, k=5)", data)


def test_means_of_levels_are_missed(data: pd.DataFrame) -> None:
    with pytest.warns(DataWarning, match="the levels' own means are not among them; add f"):
        bmx.Model("y ~ s(x, by=f)", data)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        bmx.Model("y ~ f + s(x, by=f)", data)
        bmx.Model("y ~ s(x, by=f) + (1 | f)", data)
        bmx.Model("y ~ C(h) + s(x, by=C(h), k=4)", data)


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("y ~ s(one)", DataError, "one distinct value"),
        ("y ~ s(h)", DataError, "6 distinct values; take k=6 or fewer"),
        ("y ~ s(x, k=2)", DataError, "k=2 is too few"),
        ('y ~ s(x, k=5000, bs="cr")', DataError, "k=5000"),
        ("y ~ s(f)", FormulaError, "`f` holds no numbers; write s(x, by=f)"),
        ('y ~ s(g, h, bs="cr")', DataError, "takes one variable"),
        ('y ~ s(f, x, bs="fs")', FormulaError, "the factor of a factor smooth is its last"),
        ('y ~ s(x, one, bs="fs", k=4)', DataError, "has one level"),
        ("y ~ s(x) + (1 | `s(x)`)", FormulaError, "are called `s(x)`"),
        ("y ~ s(x / z)", DataError, "has a / in its name"),
    ],
)
def test_what_the_data_do_not_bear_is_named(
    text: str, error: type[Exception], reason: str, data: pd.DataFrame
) -> None:
    with pytest.raises(error) as caught:
        bmx.Model(text, data.assign(one=1, **{"s(x)": data["g"]}))
    assert reason in str(caught.value)


def test_levels_and_values_that_are_new_are_named(eb: bmx.EmpiricalBayes) -> None:
    with pytest.raises(DataError, match="has the level 'c'"):
        eb.predict(pd.DataFrame({"x": [1.0], "z": [1.0], "f": ["c"], "g": [1]}))
    with pytest.raises(DataError, match="no column `x`"):
        eb.predict(pd.DataFrame({"z": [1.0], "f": ["a"]}), groups="population")


def test_priors_of_smooths_have_names(data: pd.DataFrame) -> None:
    prior = bmx.Prior("HalfNormal", sigma=0.01)
    data = data[data["f"] == "a"]
    model = bmx.Model("y ~ s(x)", data, priors={"sd(s(x))": prior})
    assert "sd(s(x)) ~ HalfNormal(sigma=0.01) (yours)" in str(model)
    stiff = model.fit_eb("map").smooths(ci_method="wald")["edf"].iloc[0]
    assert stiff < bmx.Model("y ~ s(x)", data).fit_eb("map").smooths()["edf"].iloc[0] - 1


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_the_basis_is_kept_with_new_data(data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ s(x, k=6) + (1 | g)", data)
    part = model.update(data=data[data["x"] < 5])
    old, new = (m.design.mu.smooths[0].smooth for m in (model, part))
    assert new is old
    fit = model.fit(chains=2, draws=100, tune=100, seed=1)
    assert np.isfinite(fit.kfold(3, seed=1).elpd)


def test_files_hold_the_basis(
    post: bmx.Posterior, eb: bmx.EmpiricalBayes, data: pd.DataFrame, tmp_path: Path
) -> None:
    new = data.iloc[:10]
    counts = bmx.Model("count ~ s(x, z, k=12)", data, family="poisson").fit_eb()
    surface = bmx.Model('y ~ t2(x, z, k=4) + s(x, g, bs="fs", k=4)', data).fit_eb()
    for fit in (eb, post, counts, surface):
        loaded = bmx.load(fit.save(tmp_path / "fit.nc"))
        for one, other in zip(
            loaded.model.design.mu.smooths, fit.model.design.mu.smooths, strict=True
        ):
            ours, theirs = one.smooth.state(), other.smooth.state()
            assert ours.keys() == theirs.keys()
            for key, value in theirs.items():
                np.testing.assert_array_equal(ours[key], value)
        pd.testing.assert_frame_equal(loaded.predict(new), fit.predict(new))


def test_pictures_have_curves_bands_and_a_rug(eb: bmx.EmpiricalBayes, data: pd.DataFrame) -> None:
    figure = eb.plot_smooths(ci_prob=0.5)
    check_texts(figure)
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x", "s(x):f[a]")
    (line,) = drawn(axis, "curve")
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert (x[0], x[-1]) == (data["x"].min(), data["x"].max())
    at = pd.DataFrame({"x": x, "z": 2.0, "f": "a", "g": 1})
    found = eb.predict(at, groups="population")["estimate"].to_numpy()
    np.testing.assert_allclose(np.diff(y), np.diff(found), atol=1e-8)
    assert len(drawn(axis, "rug")[0].get_segments()) == (data["f"] == "a").sum()
    assert drawn(axis, "band")
    # Smooths of one predictor, whose names differ far behind, keep what differs.
    long = {"x": "a predictor whose name is of forty letters", "f": "a factor of many words"}
    names = [axis.get_ylabel() for axis in eb.plot_smooths(labels=long).axes]
    assert len(set(names)) == len(names) > 1
    surface = bmx.Model("y ~ t2(x, z, k=4)", data).fit_eb().plot_smooths()
    check_texts(surface)
    with pytest.raises(ArgumentError, match=r"there is no smooth 's\(y\)'"):
        eb.plot_smooths("s(y)")


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_counts_have_smooths_too(data: pd.DataFrame) -> None:
    model = bmx.Model("count ~ s(x, k=6) + (1 | g)", data, family="poisson")
    eb = model.fit_eb()
    post = model.fit(chains=2, draws=200, tune=300, seed=3)
    one, other = post.smooths(), eb.smooths(ci_method="wald")
    np.testing.assert_allclose(one["edf"], other["edf"], atol=0.8)
    new = data.iloc[:20]
    expected = eb.predict(new, kind="linear", groups="population")
    found = post.predict(new, kind="linear", groups="population")
    assert (np.abs(found["estimate"] - expected["estimate"]) < 0.6 * expected["sd"]).all()
