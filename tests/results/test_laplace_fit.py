"""Results of fit_eb() beyond the normal, as a user meets them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

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


@pytest.mark.parametrize(
    ("left", "family"), [("np.exp(v)", "lognormal"), ("weighted(v, one)", "gaussian")]
)
def test_the_residual_that_is_estimated_has_its_limits(left: str, family: str) -> None:
    rng = np.random.default_rng(7)
    n = 60
    data = pd.DataFrame({"x": rng.normal(size=n), "one": 1.0})
    data["v"] = 1 + data["x"] + rng.normal(size=n)
    fit = bmx.Model(f"{left} ~ x", data, family=family).fit_eb()
    X = np.column_stack([np.ones(n), data["x"]])
    left_over = data["v"] - X @ np.linalg.lstsq(X, data["v"], rcond=None)[0]
    sigma = float(np.sqrt(np.mean(left_over**2)))

    def below(s: float) -> float:  # of the profile likelihood, from 95 %
        worse = n * (np.log(s / sigma) + (sigma**2 / s**2 - 1) / 2)
        return float(worse - stats.chi2.ppf(0.95, 1) / 2)

    ends = [optimize.brentq(below, *bracket) for bracket in ((0.5 * sigma, sigma),
                                                             (sigma, 2 * sigma))]  # fmt: skip
    table = fit.variance_components(ci_method="profile")
    assert table["group"].tolist() == ["Residual"]
    assert table["effect"].tolist() == [""]
    found = table[["sd", "sd_lower", "sd_upper", "variance_share"]].to_numpy()[0]
    np.testing.assert_allclose(found, [sigma, *ends, 1.0], rtol=2e-4)
    if family == "gaussian":
        assert fit.sigma == pytest.approx(sigma, rel=1e-4)
        assert "degrees of freedom are taken as endless" in str(fit.trends("x"))


def test_a_residual_on_another_scale_is_no_component(data: pd.DataFrame) -> None:
    rng = np.random.default_rng(7)
    data = data.assign(p=np.exp(1 + 0.3 * data["x"]) + rng.normal(0, 0.1, len(data)))
    data["h"] = data["g"].astype(str)
    fit = bmx.Model("p ~ x + (1 | h)", data, family='gaussian(link="log")').fit_eb()
    assert fit.variance_components()["group"].tolist() == ["h"]
    assert fit.sigma == pytest.approx(fit.family_parameters()["estimate"][0])


def test_shares_where_sigma_has_group_effects() -> None:
    rng = np.random.default_rng(8)
    n, k = 240, 12
    g = np.arange(n) % k
    data = pd.DataFrame({"x": rng.normal(size=n), "g": [f"level {i:02d}" for i in g]})
    spread = np.exp(0.2 + rng.normal(0, 0.6, k))[g]
    data["y"] = 2 + 0.8 * data["x"] + spread * rng.normal(size=n)
    fit = bmx.Model(["y ~ x", "sigma ~ 1 + (1 | g)"], data).fit_eb()
    # The expected variance of each level at the estimates, by a grid over its effect.
    b = fit.fixed_effects()["estimate"].to_numpy()
    own = fit.fixed_effects(parameter="sigma")["estimate"][0]
    sd = fit.variance_components(parameter="sigma")["sd"][0]
    u = np.linspace(-6, 6, 4001) * sd
    rest = (data["y"] - b[0] - b[1] * data["x"]).to_numpy()
    expected = np.empty(k)
    for j in range(k):
        r = rest[g == j]
        log_p = -0.5 * (u / sd) ** 2 - len(r) * u - 0.5 * (r @ r) * np.exp(-2 * (own + u))
        p = np.exp(log_p - log_p.max())
        expected[j] = (np.exp(2 * (own + u)) * p).sum() / p.sum()
    residual = expected[g].mean()
    parts = fit.variance_partition()
    assert parts["variance"].to_numpy()[-1] == pytest.approx(residual, rel=0.01)
    fixed = b[1] ** 2 * data["x"].var(ddof=0)
    r2 = fit.r2()["estimate"].to_numpy()
    np.testing.assert_allclose(r2, fixed / (fixed + residual), rtol=0.02)
