"""Effects from empirical Bayes are exact: averages of normal effects are normal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from tests.gaussian.models import FORMULAS, MATRICES, dense_covariance, dense_Z, make_data

NUMBERS = ["estimate", "sd", "lower", "upper"]


def dense_covariance_of_rows(eb: bmx.EmpiricalBayes) -> np.ndarray:
    """Covariance of X beta + Z b given y, through n x n matrices."""
    model, problem = eb.model, eb._law.problem
    X, Z = model.design.mu.X, dense_Z(problem)
    S = dense_covariance(problem, eb._law.optimum.sd, eb._law.optimum.corr)
    V = Z @ S @ Z.T + np.diag(eb.sigma**2 / model.rows["weights"])
    Vi = np.linalg.inv(V)
    C = np.linalg.inv(X.T @ Vi @ X)
    ZSZ = Z @ S @ Z.T
    D = X - ZSZ @ Vi @ X
    return D @ C @ D.T + ZSZ - ZSZ @ Vi @ ZSZ


@pytest.mark.parametrize("name", FORMULAS)
def test_averages_have_the_exact_error(name: str) -> None:
    data = make_data()
    rng = np.random.default_rng(1)
    for column in ("h", "w", "k", "m"):  # effects that are there: no variance is zero
        data["y"] += 20 * rng.normal(size=10)[data[column]] * (1 + data["x"] / 5)
    eb = bmx.Model(FORMULAS[name], data, weights="weight", matrices=MATRICES).fit_eb()
    by = np.asarray(["a", "b"])[(data["x"] > data["x"].median()).astype(int)]
    data = data.assign(by=by)
    full = dense_covariance_of_rows(eb)
    table = eb.predictions("by", data=data, groups="conditional")
    means = eb.predict(data)["estimate"]
    A = np.stack([(by == key) / np.sum(by == key) for key in ("a", "b")])
    np.testing.assert_allclose(table["estimate"], A @ means, rtol=1e-9)
    np.testing.assert_allclose(table["sd"] ** 2, np.diag(A @ full @ A.T), rtol=1e-6)
    z = stats.norm.ppf(0.975)
    np.testing.assert_allclose(table["upper"], table["estimate"] + z * table["sd"])


@pytest.fixture(scope="module")
def sleep_fit() -> bmx.EmpiricalBayes:
    sleep = bmx.load_dataset("sleepstudy")
    return bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()


def test_averages_of_the_line_are_the_line(sleep_fit: bmx.EmpiricalBayes) -> None:
    beta, V = sleep_fit.fixed_effects()["estimate"].to_numpy(), sleep_fit.vcov().to_numpy()
    slope = sleep_fit.slopes("Days", groups="population")
    np.testing.assert_allclose(slope["estimate"], beta[1])
    np.testing.assert_allclose(slope["sd"], np.sqrt(V[1, 1]), rtol=1e-6)
    table = sleep_fit.comparisons("Days", contrast=(0, 9), groups="population", compare="ratio")
    low, high = np.array([1.0, 0.0]), np.array([1.0, 9.0])
    ratio = (high @ beta) / (low @ beta)
    gradient = (high - ratio * low) / (low @ beta)
    assert table["estimate"][0] == pytest.approx(ratio)
    assert table["sd"][0] == pytest.approx(np.sqrt(gradient @ V @ gradient))


def test_one_subject_has_its_own_slope(sleep_fit: bmx.EmpiricalBayes) -> None:
    slopes = sleep_fit.slopes("Days", by="Subject")
    own = sleep_fit.group_coefficients().query("effect == 'Days'")
    np.testing.assert_allclose(slopes[NUMBERS], own[NUMBERS], rtol=1e-6)
    rows = sleep_fit.predictions(by=False)
    pd.testing.assert_frame_equal(rows, sleep_fit.predict())


def test_two_subjects_are_compared_with_their_covariance(sleep_fit: bmx.EmpiricalBayes) -> None:
    table = sleep_fit.comparisons("Subject", at={"Days": [0]}, contrast=("308", "335"))
    own = sleep_fit.group_coefficients().query("effect == 'Intercept'").set_index("level")
    estimates = own["estimate"]
    assert table["estimate"][0] == pytest.approx(estimates["335"] - estimates["308"])
    # All subjects have the same days: what the fixed effects share cancels.
    effects = sleep_fit.group_effects(fixed_uncertainty=False).query("effect == 'Intercept'")
    sd = effects.set_index("level")["sd"]
    assert table["sd"][0] == pytest.approx(np.hypot(sd["308"], sd["335"]), rel=1e-6)


def test_new_subjects_average_out(sleep_fit: bmx.EmpiricalBayes) -> None:
    new = pd.DataFrame({"Days": 0.0, "Subject": ["a", "b", None, None]})
    table = sleep_fit.predictions(data=new)
    between = sleep_fit.variance_components()["sd"].iloc[0] ** 2
    fixed = sleep_fit.vcov().iloc[0, 0]
    assert table["sd"][0] ** 2 == pytest.approx(fixed + between / 4)
    same = sleep_fit.predictions(data=new.assign(Subject=["a"] * 4))
    assert same["sd"][0] ** 2 == pytest.approx(fixed + between)
    # A comparison within the new subjects leaves their effects out, but for the slopes'.
    swapped = sleep_fit.comparisons("Subject", contrast=("308", "308"), data=new)
    assert swapped["estimate"][0] == swapped["sd"][0] == 0


def test_what_is_exact_takes_no_draws(sleep_fit: bmx.EmpiricalBayes) -> None:
    with pytest.raises(NotSupportedError, match="mean and variance are exact"):
        sleep_fit.predictions(draws=100)
    with pytest.raises(NotSupportedError, match="has none"):
        sleep_fit.comparisons("Days", compare="lnor")
    with pytest.raises(NotSupportedError, match=r"lnratio.* may be below"):
        sleep_fit.comparisons("Days", compare="lnratio")


def test_beyond_the_normal_they_are_drawn_at_the_modes() -> None:
    data = pd.read_csv(Path(__file__).parents[2] / "reference" / "glmm.csv")
    fit = bmx.Model("bin ~ x + (1 | g)", data, family="bernoulli").fit_eb()
    fixed = fit.fixed_effects().iloc[1]
    slope = fit.slopes("x", kind="linear", groups="population", draws=8000).iloc[0]
    assert slope["estimate"] == pytest.approx(fixed["estimate"], abs=4 * fixed["sd"] / 8000**0.5)
    assert slope["sd"] == pytest.approx(fixed["sd"], rel=0.05)
    # mean(predict(x + 1) - predict(x)) and the odds ratio of the averages, of glmer's modes;
    # a mean over uncertain modes is a little closer to no effect.
    these = {"groups": "conditional", "seed": 3}
    difference = fit.comparisons("x", **these).iloc[0]
    assert difference["estimate"] == pytest.approx(0.1036014, abs=0.3 * difference["sd"])
    odds = fit.comparisons("x", compare="odds_ratio", **these).iloc[0]
    assert odds["estimate"] == pytest.approx(1.532138, abs=0.3 * odds["sd"])
    again = fit.comparisons("x", **these).iloc[0]
    assert again["sd"] == difference["sd"]


def test_models_without_groups_or_with_known_errors() -> None:
    sleep = bmx.load_dataset("sleepstudy")
    eb = bmx.Model("Reaction ~ Days", sleep).fit_eb()
    np.testing.assert_allclose(eb.slopes("Days")["sd"], eb.fixed_effects()["sd"].iloc[1], rtol=1e-6)
    studies = pd.DataFrame({"effect": [0.1, 0.4, 0.5, 0.9], "se": [0.1, 0.2, 0.2, 0.1],
                            "study": list("abcd")})  # fmt: skip
    meta = bmx.Model("effect ~ 1 + (1 | study)", studies, known_se="se").fit_eb()
    own = meta.group_coefficients()
    np.testing.assert_allclose(meta.predictions("study")[NUMBERS], own[NUMBERS], rtol=1e-6)
