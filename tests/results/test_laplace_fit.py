"""Results of fit_eb() beyond the normal, as a user meets them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 400
    g = rng.integers(0, 20, n)
    x = rng.normal(size=n)
    eta = 0.5 + 0.7 * x + rng.normal(0, 0.7, 20)[g]
    return pd.DataFrame(
        {
            "x": x, "g": g, "exposure": rng.uniform(1, 5, n),
            "y": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
            "count": rng.poisson(np.exp(eta)), "big": rng.poisson(np.exp(eta + 12)),
        }
    )  # fmt: skip


def test_a_logistic_model_from_formula_to_tables(data: pd.DataFrame) -> None:
    before = data.copy()
    fit = bmx.Model(
        "y ~ x + (1 | g)", data.assign(g=data["g"].astype(str)), family="bernoulli"
    ).fit_eb()
    pd.testing.assert_frame_equal(data, before)
    assert fit.method == "ml"
    assert fit.converged
    text = str(fit)
    for words in ("Laplace's approximation", "scale of the logit link", "Residual  latent"):
        assert words in text
    odds, plain = fit.fixed_effects(exponentiate=True), fit.fixed_effects()
    np.testing.assert_allclose(odds["estimate"], np.exp(plain["estimate"]))
    np.testing.assert_allclose(odds["upper"], np.exp(plain["upper"]))
    components = fit.variance_components()
    assert components["variance_share"].sum() == pytest.approx(1.0)
    assert fit.icc()["estimate"][0] == pytest.approx(components["variance_share"][0])
    assert fit.vcov().shape == (2, 2)
    assert fit.aic == pytest.approx(-2 * fit.loglik + 2 * 3)
    assert len(fit.family_parameters()) == 0
    effects, coefficients = fit.group_effects(), fit.group_coefficients()
    np.testing.assert_allclose(coefficients["estimate"], effects["estimate"] + plain["estimate"][0])
    with pytest.raises(NotSupportedError, match="family_parameters"):
        _ = fit.sigma


def test_the_posterior_mode_shrinks_towards_the_priors(data: pd.DataFrame) -> None:
    priors = {"x": bmx.Prior("Normal", mu=0, sigma=0.05)}
    model = bmx.Model("y ~ x + (1 | g)", data.assign(g=data["g"].astype(str)), family="bernoulli",
                      priors=priors)  # fmt: skip
    ml, mode = model.fit_eb(), model.fit_eb("map")
    assert abs(mode.fixed_effects()["estimate"][1]) < 0.3 * ml.fixed_effects()["estimate"][1]
    assert mode.fixed_effects()["sd"][1] < 0.06
    assert mode.loglik < ml.loglik


def test_an_offset_is_an_exposure(data: pd.DataFrame) -> None:
    d = data.assign(g=data["g"].astype(str))
    rng = np.random.default_rng(1)
    d["events"] = rng.poisson(d["exposure"] * np.exp(0.2 + 0.5 * d["x"]))
    fit = bmx.Model("events ~ x + offset(np.log(exposure)) + (1 | g)", d, family="poisson").fit_eb()
    table = fit.fixed_effects()
    assert abs(table["estimate"][0] - 0.2) < 4 * table["sd"][0]
    assert abs(table["estimate"][1] - 0.5) < 4 * table["sd"][1]


def test_nested_models_are_compared_by_their_likelihoods(data: pd.DataFrame) -> None:
    d = data.assign(g=data["g"].astype(str))
    small = bmx.Model("count ~ 1 + (1 | g)", d, family="poisson").fit_eb()
    large = bmx.Model("count ~ x + (1 | g)", d, family="poisson").fit_eb()
    table = bmx.anova(small, large)
    assert table["chisq"][1] == pytest.approx(2 * (large.loglik - small.loglik))
    assert table["p_value"][1] < 1e-6


def test_huge_counts_and_negative_binomials_without_overdispersion(data: pd.DataFrame) -> None:
    d = data.assign(g=data["g"].astype(str))
    fit = bmx.Model("big ~ x + (1 | g)", d, family="poisson").fit_eb()
    assert fit.converged
    assert fit.fixed_effects()["estimate"][1] == pytest.approx(0.7, abs=0.01)
    over = bmx.Model("count ~ x + (1 | g)", d, family="negative_binomial").fit_eb()
    poisson = bmx.Model("count ~ x + (1 | g)", d, family="poisson").fit_eb()
    # A large size: nearly the Poisson model, which is its limit.
    assert poisson.loglik - 1e-6 < over.loglik < poisson.loglik + 3
    assert over.family_parameters()["estimate"][0] > 5


def test_groups_without_any_success_and_all_with_one(data: pd.DataFrame) -> None:
    d = pd.DataFrame({"g": np.repeat(list("abcdef"), 10), "y": 0})
    d.loc[[3, 33], "y"] = 1
    fit = bmx.Model("y ~ 1 + (1 | g)", d, family="bernoulli").fit_eb()
    assert np.isfinite(fit.loglik)
    assert fit.singular == "the sd of Intercept by g is zero"
    assert (fit.group_effects()["estimate"] == 0).all()


@pytest.mark.parametrize(
    ("family", "options", "match"),
    [
        ("laplace", {}, r"the family is laplace \(identity link\): take fit"),
        ("poisson", {"method": "reml"}, "normal responses"),
        ("poisson", {"n_quadrature": 0}, "n_quadrature=0"),
        ("poisson", {"n_quadrature": 5, "formula": "count ~ x + (x | g)"}, "one effect"),
        ("poisson", {"method": "mivque0"}, "normal responses"),
        ("gaussian", {"n_quadrature": 5}, "integrated exactly"),
    ],
)
def test_what_laplace_cannot_do_it_says(
    family: str, options: dict[str, object], match: str, data: pd.DataFrame
) -> None:
    options = dict(options)
    formula = str(options.pop("formula", "count ~ x + (1 | g)"))
    model = bmx.Model(formula, data.assign(g=data["g"].astype(str)), family=family)
    with pytest.raises(NotSupportedError, match=match):
        model.fit_eb(**options)  # type: ignore[arg-type]
