"""A parameter of the family with a linear predictor of its own, beside mu's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.design import design_rows
from bayesmix.errors import DataError, DataWarning, FormulaError, NotSupportedError, PriorError
from bayesmix.inference.engines import why_not_collapsed, why_not_joint
from bayesmix.statement.names import posterior_variables
from bayesmix.statement.stated import StatedModel
from bayesmix.statement.subset import check_model_of_rows, model_of_rows

SIGMA = ["y ~ x + (1 | g)", "sigma ~ z + (x | g)"]
ZEROS = ["count ~ x + (1 | g)", "zi ~ z + offset(u) + (1 | h)"]
FAST = "FAST_COMPILE"


def make_data(n_groups: int = 12, n_each: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = n_groups * n_each
    g = np.repeat(np.arange(n_groups), n_each)
    data = pd.DataFrame(
        {
            "g": np.char.add("g", g.astype(str)),
            "h": np.char.add("h", rng.integers(0, max(2, n_groups // 2), n).astype(str)),
            "x": rng.normal(1.0, 1.0, n),
            "z": rng.normal(size=n),
            "u": rng.normal(0, 0.2, n),
        }
    )
    scale = np.exp(-0.5 + 0.6 * data["z"] + rng.normal(0, 0.4, n_groups)[g])
    data["y"] = 2 + data["x"] + rng.normal(0, 1, n_groups)[g] + scale * rng.normal(size=n)
    mean = np.exp(1.2 + 0.4 * (data["x"] - 1) + rng.normal(0, 0.3, n_groups)[g])
    zero = rng.random(n) < special.expit(-0.8 + data["z"] + data["u"])
    data["count"] = np.where(zero, 0, rng.poisson(mean)).astype(float)
    return data


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return make_data()


@pytest.fixture(scope="module")
def of_sigma(data: pd.DataFrame) -> StatedModel:
    return StatedModel(SIGMA, data)


@pytest.fixture(scope="module")
def of_zeros(data: pd.DataFrame) -> StatedModel:
    return StatedModel(ZEROS, data, family="zero_inflated_poisson")


def test_variables_carry_the_parameter_in_front(
    of_sigma: StatedModel, of_zeros: StatedModel
) -> None:
    assert posterior_variables(of_sigma.design, of_sigma.names, of_sigma.family) == [
        "beta", "sd_g", "b_g", "sigma_beta", "sigma_sd_g", "sigma_corr_g", "sigma_b_g",
    ]  # fmt: skip
    assert posterior_variables(of_zeros.design, of_zeros.names, of_zeros.family) == [
        "beta", "sd_g", "b_g", "zi_beta", "zi_sd_h", "zi_b_h",
    ]  # fmt: skip
    stated = of_sigma.pymc_model
    assert "sigma" not in stated.named_vars  # it is one for each row
    assert stated.named_vars_to_dims["sigma_b_g"] == ("sigma_g_level", "sigma_g_effect")
    assert stated.named_vars_to_dims["sigma_beta"] == ("sigma_fixed_effect",)
    assert list(stated.coords["sigma_fixed_effect"]) == ["Intercept", "z"]
    assert list(stated.coords["fixed_effect"]) == ["Intercept", "x"]
    assert of_sigma.links["sigma"].name == "log"
    assert of_zeros.links["zi"].name == "logit"
    assert of_sigma.parameters == of_zeros.parameters == ()


# -- the density, once more in NumPy from the formulas alone ----------------------


def group_effects(v: dict[str, np.ndarray], at: np.ndarray, sd: str, z: str) -> np.ndarray:
    return np.asarray(v[sd][0] * v[z][at, 0])


def log_density_of_sigma(data: pd.DataFrame, v: dict[str, np.ndarray]) -> float:
    g = np.unique(data["g"], return_inverse=True)[1]
    s_y, s_x, s_z = (data[c].std() for c in ("y", "x", "z"))
    total = stats.norm(data["y"].mean(), 2.5 * s_y).logpdf(v["intercept_at_means"])
    total += stats.norm(0, 2.5 * s_y / s_x).logpdf(v["coefficients"][0])
    total += stats.halfcauchy(0, s_y).logpdf(v["sd_g"][0]) + stats.norm.logpdf(v["z_g"]).sum()
    # sigma's own prior is half-Cauchy, with the sd of y as its median.
    total += stats.norm(np.log(s_y), 2.5).logpdf(v["sigma_intercept_at_means"])
    total += stats.norm(0, 2.5 / s_z).logpdf(v["sigma_coefficients"][0])
    total += stats.halfcauchy.logpdf(v["sigma_sd_g"], 0, [1.0, 1 / s_x]).sum()
    total += stats.norm.logpdf(v["sigma_z_g"]).sum()
    total += stats.beta(2, 2).logpdf(v["sigma_partial_corr_g"][0])  # LKJ(2) of two effects
    slope = v["coefficients"][0]
    mu = v["intercept_at_means"] + slope * (data["x"] - data["x"].mean())
    mu = mu + group_effects(v, g, "sd_g", "z_g")
    rho = 2 * v["sigma_partial_corr_g"][0] - 1
    root = np.diag(v["sigma_sd_g"]) @ np.array([[1.0, 0.0], [rho, np.sqrt(1 - rho**2)]])
    b = v["sigma_z_g"] @ root.T
    eta = v["sigma_intercept_at_means"]
    eta = eta + v["sigma_coefficients"][0] * (data["z"] - data["z"].mean())
    eta = eta + b[g, 0] + b[g, 1] * data["x"]
    sigma = np.exp(eta) / np.sqrt(data.get("w", 1.0))
    return float(total + stats.norm(mu, sigma).logpdf(data["y"]).sum())


def log_density_of_zeros(data: pd.DataFrame, v: dict[str, np.ndarray]) -> float:
    g, h = (np.unique(data[c], return_inverse=True)[1] for c in ("g", "h"))
    s_x, s_z = data["x"].std(), data["z"].std()
    total = stats.norm(np.log(data["count"].mean()), 2.5).logpdf(v["intercept_at_means"])
    total += stats.norm(0, 2.5 / s_x).logpdf(v["coefficients"][0])
    total += stats.halfcauchy.logpdf(v["sd_g"][0]) + stats.norm.logpdf(v["z_g"]).sum()
    # zi's own prior is uniform, with the median 1/2: logit 0, less the offset's mean.
    center = -data["u"].mean()
    total += stats.norm(center, 2.5).logpdf(v["zi_intercept_at_means"])
    total += stats.norm(0, 2.5 / s_z).logpdf(v["zi_coefficients"][0])
    total += stats.halfcauchy.logpdf(v["zi_sd_h"][0]) + stats.norm.logpdf(v["zi_z_h"]).sum()
    eta = v["intercept_at_means"] + v["coefficients"][0] * (data["x"] - data["x"].mean())
    mean = np.exp(eta + group_effects(v, g, "sd_g", "z_g"))
    own = v["zi_intercept_at_means"] + v["zi_coefficients"][0] * (data["z"] - data["z"].mean())
    zi = special.expit(own + data["u"] + group_effects(v, h, "zi_sd_h", "zi_z_h"))
    p = np.where(data["count"] == 0, zi, 0) + (1 - zi) * stats.poisson(mean).pmf(data["count"])
    return float(total + np.log(p).sum())


@pytest.mark.parametrize("which", ["sigma", "zi", "weights"])
def test_the_log_density_is_that_of_the_formulas(
    which: str, data: pd.DataFrame, of_sigma: StatedModel, of_zeros: StatedModel
) -> None:
    model = of_zeros if which == "zi" else of_sigma
    expected = log_density_of_zeros if which == "zi" else log_density_of_sigma
    if which == "weights":
        data = data.assign(w=np.linspace(0.5, 3, len(data)))
        model = StatedModel(SIGMA, data, weights="w")
    stated = model.pymc_model
    logp = stated.compile_logp(jacobian=False, mode=FAST)
    rng = np.random.default_rng(7)
    for _ in range(3):
        values: dict[str, np.ndarray] = {}
        point = {}
        for variable in stated.free_RVs:
            target = stated.rvs_to_values[variable].name
            x = rng.normal(0, 0.5, stated.initial_point()[target].shape)
            point[target] = x
            if target.endswith("_log__"):
                x = np.exp(x)
            elif target.endswith("_logodds__"):
                x = special.expit(x)
            values[variable.name] = x
        assert logp(point) == pytest.approx(expected(data, values), rel=1e-8)


# -- what the model says ----------------------------------------------------------


def test_in_words(of_zeros: StatedModel) -> None:
    lines = repr(of_zeros).splitlines()
    assert lines[:2] == ZEROS
    at = lines.index("zi (logit link):")
    assert "  Intercept varies by g (12 levels)" in lines[:at]
    assert lines[at + 1 : at + 5] == [
        "  fixed effects: Intercept, z",
        "  offset: u",
        "  Intercept varies by h (6 levels)",
        "priors:",
    ]
    assert of_zeros.facts()[-1] == "groups: g (12 levels), h (6 levels)"


def test_as_mathematics(of_sigma: StatedModel, data: pd.DataFrame) -> None:
    equation = of_sigma.equation()
    for piece in (
        r"\text{y}_i &\sim \operatorname{Normal}(\eta_i, \sigma_i)",
        r"\eta_i &= \beta_{0} + \beta_{1}\,\text{x}_i + b_{\text{g}[i],0}",
        r"\sigma_i &= e^{\eta^{(\sigma)}_i}",
        r"\eta^{(\sigma)}_i &= \beta^{(\sigma)}_{0} + \beta^{(\sigma)}_{1}\,\text{z}_i + c_{",
        r"\sigma^{(\sigma)}_{\text{g},1} &\sim \operatorname{HalfCauchy}",
    ):
        assert piece in equation
    weighted = StatedModel(SIGMA, data.assign(w=2.0), weights="w").equation()
    assert r"\operatorname{Normal}(\eta_i, \sigma_i / \sqrt{w_i})" in weighted


def test_priors_by_name(data: pd.DataFrame, of_zeros: StatedModel) -> None:
    assert of_zeros.priors["parameter"].tolist() == [
        "Intercept", "x", "sd(g, Intercept)",
        "zi: Intercept", "zi: z", "zi: sd(h, Intercept)",
    ]  # fmt: skip
    own = {
        "zi: Intercept": bmx.Prior("Normal", mu=-1, sigma=1),
        "zi:sd(h)": bmx.Prior("HalfNormal", sigma=1),
        "fixed": bmx.Prior("Normal", mu=0, sigma=9),  # mu's alone
        "zi: beta(z)": bmx.Prior("Normal", mu=0, sigma=7),
    }
    model = StatedModel(ZEROS, data, family="zero_inflated_poisson", priors=own)
    table = model.priors.set_index("parameter")
    assert table.loc["zi: Intercept", "note"] == "as the formula writes it"
    assert table.loc["zi: sd(h, Intercept)", "prior"] == "HalfNormal(sigma=1)"
    assert table.loc["x", "prior"] == "Normal(mu=0, sigma=9)"
    assert table.loc["zi: z", "prior"] == "Normal(mu=0, sigma=7)"
    with pytest.raises(PriorError, match=r"no parameter 'zi'.*'zi: Intercept'"):
        StatedModel(
            ZEROS,
            data,
            family="zero_inflated_poisson",
            priors={"zi": bmx.Prior("Beta", alpha=1, beta=1)},
        )
    with pytest.raises(PriorError, match=r"'zi: sd\(h, Intercept\)': it is not negative"):
        StatedModel(
            ZEROS, data, family="zero_inflated_poisson",
            priors={"zi: sd": bmx.Prior("Normal", mu=0, sigma=1)},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("formulas", "message"),
    [
        (["count ~ x", "zo ~ x"], "has no parameter zo; .*there is zi"),
        (["count ~ x", "mu ~ x"], "two formulas for mu"),
        (["count ~ x", "zi ~ x", "zi ~ z"], "two formulas for zi"),
        (["count ~ x", "log(zi) ~ x"], "stands a parameter"),
        (["count ~ x", "zi ~ w"], "no column `w`"),
        (["count ~ x", "zi ~ (z | x)"], "`x` is continuous"),
    ],
)
def test_formulas_that_do_not_fit(formulas: list[str], message: str, data: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match=message):
        StatedModel(formulas, data, family="zero_inflated_poisson")


def test_what_the_engines_cannot_take_is_refused_with_the_way_out(data: pd.DataFrame) -> None:
    varying = bmx.Model(SIGMA, data)
    with pytest.raises(NotSupportedError, match=r"group effects on sigma; take fit\(\)"):
        varying.fit_eb()
    counts = bmx.Model(["count ~ x", "alpha ~ z"], data, family="negative_binomial")
    with pytest.raises(NotSupportedError, match=r"more than one predictor \(mu, alpha\)"):
        counts.fit_eb()


# -- rows -------------------------------------------------------------------------


def test_rows_are_complete_in_every_predictor(data: pd.DataFrame) -> None:
    holed = data.copy()
    holed.loc[[3, 7], "z"] = np.nan
    with pytest.warns(DataWarning, match="`z` 2"):
        model = StatedModel(SIGMA, holed)
    assert model.design.n_obs == len(data) - 2
    assert {p.n_obs for p in model.design.predictors.values()} == {len(data) - 2}
    with pytest.warns(DataWarning, match="left out"):
        twice = StatedModel(["y ~ x", "sigma ~ z + I(2 * z)"], data)
    assert twice.design.predictors["sigma"].aliased == ("I(2 * z)",)
    assert "  left out as aliased: I(2 * z)" in repr(twice).splitlines()


def test_new_rows_of_one_predictor_need_its_columns_only(of_zeros: StatedModel) -> None:
    new = pd.DataFrame({"z": [1.0, 2.0], "u": [0.5, 0.0], "h": ["h1", "new"]})
    rows = design_rows(of_zeros.design, new, parameter="zi")
    np.testing.assert_array_equal(rows.X, [[1, 1], [1, 2]])
    np.testing.assert_array_equal(rows.offset, [0.5, 0.0])
    assert rows.index["h"].tolist() == [1, -1]
    with pytest.raises(DataError, match="no column `x`"):
        design_rows(of_zeros.design, new)


def test_some_rows_keep_what_each_predictor_learned(of_sigma: StatedModel) -> None:
    rows = np.arange(60)
    part = model_of_rows(of_sigma, rows)
    check_model_of_rows(part)
    for name, whole in of_sigma.design.predictors.items():
        own = part.design.predictors[name]
        np.testing.assert_array_equal(own.X, whole.X[rows])
        np.testing.assert_array_equal(own.means, whole.means)
        assert own.groups[0].n_levels == 6
    assert part.priors.equals(of_sigma.priors)


def test_other_data_keep_the_priors_of_each_predictor(
    of_sigma: StatedModel, data: pd.DataFrame
) -> None:
    other = data.assign(y=10 * data["y"], z=3 * data["z"])
    kept = StatedModel(SIGMA, other, learned_from=of_sigma)
    assert kept.priors.equals(of_sigma.priors)
    assert not StatedModel(SIGMA, other).priors.equals(of_sigma.priors)
    changed = kept.specification.changed(formula=". ~ . + z", family=None, priors=None)
    assert changed.formula == ("y ~ x + (1 | g) + z", SIGMA[1])


# -- engines ----------------------------------------------------------------------


def test_the_fast_engines_say_why_not(of_sigma: StatedModel, data: pd.DataFrame) -> None:
    design, family, entries = of_sigma.design, of_sigma.family, of_sigma.prior_entries
    why_not = why_not_collapsed(design, family, {}, entries)
    assert why_not == "of group effects on sigma"
    counts = StatedModel(["count ~ x", "alpha ~ z"], data, family="negative_binomial")
    why_not = why_not_joint(counts.design, counts.family, {}, counts.prior_entries)
    assert why_not == "of more than one predictor (mu, alpha)"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["sigma", "zi"])
def test_pymc_recovers_both_predictors(which: str) -> None:
    from bayesmix.inference.pymc_engine import sample_nuts
    from bayesmix.inference.settings import SamplerSettings

    data = make_data(n_groups=40, n_each=25)
    model = (
        StatedModel(["y ~ x + (1 | g)", "sigma ~ z + (1 | g)"], data)
        if which == "sigma"
        else StatedModel(ZEROS, data, family="zero_inflated_poisson")
    )
    settings = SamplerSettings(
        draws=300, tune=300, chains=2, cores=2, seed=1, target_accept=0.8, progress=False
    )
    wanted = posterior_variables(model.design, model.names, model.family)
    draws = sample_nuts(model.pymc_model, wanted, settings, "nutpie").posterior
    truth = {"beta": [2.0, 1.0], "sigma_beta": [-0.5, 0.6], "sd_g": [1.0], "sigma_sd_g": [0.4]}
    if which == "zi":
        truth = {"beta": [0.8, 0.4], "zi_beta": [-0.8, 1.0], "sd_g": [0.3]}
    for name, values in truth.items():
        mean, sd = draws[name].mean(axis=(0, 1)), draws[name].std(axis=(0, 1))
        assert np.all(np.abs(mean - values) < 3.5 * sd), name
        assert np.all(sd < 0.3), name
