"""Numbers near the largest double give what is right or infinite, and no warning of numpy's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

import bayesmix as bmx
from bayesmix.errors import DataError
from bayesmix.gaussian.rowvariance import _inverse
from bayesmix.laws.predictor import row_summaries
from tests.builders import fake_posterior

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture(scope="module")
def fit() -> bmx.EmpiricalBayes:
    return bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy")).fit_eb()


def test_predictions_far_out_have_the_error_of_their_slope(fit: bmx.EmpiricalBayes) -> None:
    rows = pd.DataFrame({"Days": [1e307, -1e307], "Subject": ["308", "308"]})
    slope = fit.fixed_effects().set_index("term").loc["Days"]
    for kind in ("mean", "linear", "response"):
        found = fit.predict(rows, kind=kind, groups="population")
        np.testing.assert_allclose(found["estimate"], 1e307 * slope["estimate"] * np.array([1, -1]))
        np.testing.assert_allclose(found["sd"], 1e307 * slope["sd"])
    own = fit.group_coefficients("Subject").query("level == '308' and effect == 'Days'").iloc[0]
    found = fit.predict(rows)
    np.testing.assert_allclose(found["sd"], 1e307 * own["sd"], rtol=1e-6)
    # A level that was not seen has the slopes' spread besides.
    new = fit.predict(rows.assign(Subject="new"))
    spread = np.hypot(slope["sd"], fit.variance_components()["sd"][1])
    np.testing.assert_allclose(new["sd"], 1e307 * spread, rtol=1e-6)


def test_predictions_beyond_the_largest_number_are_infinite(fit: bmx.EmpiricalBayes) -> None:
    rows = pd.DataFrame({"Days": [1e308, 0.0], "Subject": ["308", "308"]})
    found = fit.predict(rows)  # 1e308 times 10 ms a day
    assert found["estimate"].iloc[0] == np.inf
    assert np.isfinite(found.iloc[1]).all()
    for kind in ("mean", "response"):
        fit.predict(rows, kind=kind, marginal=True)
    fit.predict_draws(rows, draws=20, seed=1)


def test_summaries_of_rows_know_no_overflow() -> None:
    rng = np.random.default_rng(1)
    plain = rng.normal(3.0, 1.0, size=(1, 400))
    rows = np.concatenate([plain, plain * 1e307, np.where(plain > 3, np.inf, plain)])
    mean, sd, lower, upper = row_summaries(rows.copy(), 0.5)
    assert mean[1] == pytest.approx(plain.mean() * 1e307)
    assert sd[:2] == pytest.approx(plain.std(ddof=1) * np.array([1.0, 1e307]))
    assert lower[1] == pytest.approx(np.quantile(plain, 0.25) * 1e307)
    assert mean[2] == upper[2] == np.inf
    assert lower[2] == pytest.approx(np.quantile(plain, 0.25))
    assert np.isnan(sd[2])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("poisson", {}),
        ("negative_binomial", {"alpha": 2.0}),
        ("gamma", {"alpha": 2.0}),
        ("inverse_gaussian", {"lam": 2.0}),
        ("exponential", {}),
        ("weibull", {"alpha": 2.0}),
        ("lognormal", {"sigma": 1.0}),
        ("zero_inflated_poisson", {"zi": 0.2}),
        ("hurdle_poisson", {"hu": 0.2}),
    ],
)
def test_a_variance_beyond_the_largest_number_is_infinite(name: str, parameters: Any) -> None:
    family = bmx.families.get_family(name)
    found = np.asarray(family.variance(np.array([0.0, 800.0]), parameters, {}))
    assert np.isfinite(found[0])
    assert not np.isfinite(found[1])


def test_r2_of_a_spread_without_bounds_is_no_error(data: pd.DataFrame) -> None:
    data["count"] = (data["u"] * 3).astype(int)
    model = bmx.Model("count ~ x + (1 | g)", data, family="poisson")
    post = fake_posterior(model, np.random.default_rng(1))
    fine = post.r2(method="gelman")
    assert np.isfinite(fine["estimate"]).all()
    post.idata["posterior"]["sd_g"].values[:] = 900.0  # exp of it is no double
    changed = bmx.Posterior.from_tree(model, post.idata).r2(method="gelman")
    assert list(changed.columns) == list(fine.columns)


def test_a_matrix_that_rounding_made_indefinite_has_no_inverse() -> None:
    good = np.array([[2.0, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(_inverse(good) @ good, np.eye(2), atol=1e-12)
    for bad in (np.diag([1.0, -1e-18]), np.array([[1.0, 2.0], [2.0, 1.0]]), good * np.inf):
        assert np.isnan(_inverse(bad)).all()


def test_a_predictor_far_from_zero_that_varies_by_group_costs_no_digits() -> None:
    """Its columns differ in size by 1e8, of which SciPy's solver warns for nothing."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"y": rng.normal(size=160), "x": rng.normal(size=160), "g": np.repeat(np.arange(20), 8)}
    )
    near = bmx.Model("y ~ x + (x | g)", data).fit_eb()
    with warnings.catch_warnings():
        warnings.simplefilter("error", linalg.LinAlgWarning)
        far = bmx.Model("y ~ x + (x | g)", data.assign(x=data.x + 1e8)).fit_eb()
        table = far.variance_components()
    assert far.loglik == pytest.approx(near.loglik, abs=1e-6)
    assert table["sd"][1] == pytest.approx(near.variance_components()["sd"][1], rel=1e-3)


def test_a_ratio_per_unit_of_a_tiny_predictor_is_infinite() -> None:
    rng = np.random.default_rng(31)
    d = pd.DataFrame({"g": rng.integers(0, 10, 200), "dose": rng.choice([0, 1e-6, 5e-6], 200)})
    d["y"] = rng.binomial(1, 0.2 + 1e5 * d["dose"])
    fit = bmx.Model("y ~ dose + (1 | g)", d, family="bernoulli").fit_eb()
    assert fit.fixed_effects()["estimate"][1] > 1e5
    table = fit.fixed_effects(exponentiate=True)
    assert table["estimate"][1] == np.inf
    assert np.isfinite(table.iloc[0, 1:].to_numpy(dtype=float)).all()
    fit.plot_fixed_effects(exponentiate=True)


def test_what_overflows_at_new_rows_is_infinite_or_named(rng: np.random.Generator) -> None:
    """In the words of the package, and not in numpy's."""
    data = pd.DataFrame({"x": rng.normal(size=60), "y": rng.normal(size=60)})
    far = pd.DataFrame({"x": [1e308]})
    spread = bmx.Model(["y ~ 1", "sigma ~ x"], data).fit_eb()
    smooth = bmx.Model("y ~ s(x, k=5)", data).fit_eb()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both = spread.predict(pd.concat([far, -far]), kind="response")["sd"]
        assert np.isinf(both).sum() == 1  # the other way sigma is zero
        with pytest.raises(DataError, match="overflow at some rows"):
            smooth.predict(far)
    data["o"] = pd.Categorical(rng.integers(0, 3, 60), ordered=True)
    disc = bmx.Model(["o ~ 1", "disc ~ x"], data, family="cumulative").fit_eb()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares = disc.predict(pd.concat([far, -far]), kind="probability")["estimate"]
    np.testing.assert_allclose(shares.to_numpy().reshape(2, 3).sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("name", ["hurdle_poisson", "hurdle_negative_binomial"])
def test_counts_above_zero_are_ones_where_the_mean_of_all_falls_to_zero(name: str) -> None:
    family, values = bmx.families.get_family(name), {"hu": 0.25, "alpha": 2.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = family.mean(np.asarray([-800.0, -40.0, 800.0]), values)
        variance = family.variance(np.asarray([-800.0, -40.0]), values)
    np.testing.assert_allclose(mean, [0.75, 0.75, np.inf])
    np.testing.assert_allclose(variance, 0.75 * 0.25)


def test_huge_responses_are_summarised_without_overflow() -> None:
    sleep = bmx.load_dataset("sleepstudy")
    tables = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for unit in (1.0, 1e95):
            data = sleep.assign(y=sleep["Reaction"] * unit)
            post = fake_posterior(
                bmx.Model("y ~ Days + (1 | Subject)", data), np.random.default_rng(1)
            )
            post.idata["posterior"]["sigma"] = post.idata["posterior"]["sigma"] * unit
            again = bmx.Posterior.from_tree(post.model, post.idata)
            tables.append(again.variance_components())
            str(again.summary())
    small, large = (t[t["group"] == "Residual"].iloc[0] for t in tables)
    assert large["variance"] == pytest.approx(small["variance"] * 1e190)
