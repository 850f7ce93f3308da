"""What results hold of a model with several linear predictors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.inference import Draws
from bayesmix.results import Posterior
from bayesmix.results.check.kfold import _log_density
from bayesmix.results.tabular.tree import posterior_dims
from bayesmix.statement.names import posterior_variables
from bayesmix.statement.subset import model_of_rows

SIGMA = ["y ~ x + (1 | g)", "sigma ~ z + offset(z) + (x | g)"]
ZEROS = ["count ~ x + (1 | g)", "zi ~ z"]
SIZES = {
    "beta": (2,), "sd_g": (1,), "b_g": (5, 1), "zi_beta": (2,),
    "sigma_beta": (2,), "zi_sd_g": (1,), "zi_b_g": (5, 1),
    "sigma_sd_g": (2,), "sigma_corr_g": (2, 2), "sigma_b_g": (5, 2),
}  # fmt: skip


def make_data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 60
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "y": rng.normal(size=n),
            "count": rng.poisson(2.0, n).astype(float),
            "g": rng.choice(list("abcde"), n),
        }
    )


def posterior(
    formulas: list[str], family: str = "gaussian", *, constant: bool = False, n: int = 5
) -> Posterior:
    """A posterior of invented draws, or of one draw a thousand times."""
    return posterior_of(bmx.Model(formulas, make_data(), family=family), constant=constant, n=n)


def posterior_of(model: bmx.Model, *, constant: bool = False, n: int = 5) -> Posterior:
    rng = np.random.default_rng(1)
    shape = (2, 2000) if constant else (2, n)
    drawn = {}
    for name in posterior_variables(model.design, model.names, model.family):
        size = SIZES.get(name, ())
        if name == "b_g":
            size = (model.design.mu.groups[0].n_levels, 1)
        if "corr" in name:
            drawn[name] = np.broadcast_to(np.eye(2), (*shape, 2, 2))
        elif constant:
            drawn[name] = np.broadcast_to(rng.gamma(5, 0.1, size), (*shape, *size))
        else:
            drawn[name] = rng.gamma(5, 0.1, (*shape, *size))
    draws = Draws(posterior=drawn, sample_stats={}, engine="none", seconds={}, seed=1, tune=0)
    return Posterior(model, draws)


def by_hand(post: Posterior, name: str, data: pd.DataFrame) -> np.ndarray:
    """Draws of a variable of the tree with the rows' groups last, or a fixed part."""
    values: np.ndarray = post.idata["posterior"][name].to_numpy()
    if "beta" in name:
        column = data["x" if name == "beta" else "z"].to_numpy()
        return np.asarray(values[..., :1] + values[..., 1:] * column)
    return np.asarray(values[:, :, np.unique(data["g"], return_inverse=True)[1]])


def mu_and_sigma(post: Posterior, data: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Location and scale of each row at each draw, from the formulas alone."""
    mu = by_hand(post, "beta", data) + by_hand(post, "b_g", data)[..., 0]
    b = by_hand(post, "sigma_b_g", data)
    eta = by_hand(post, "sigma_beta", data) + data["z"].to_numpy()
    return mu, np.exp(eta + b[..., 0] + b[..., 1] * data["x"].to_numpy())


def test_a_tree_has_the_variables_and_the_columns_of_each() -> None:
    post = posterior(SIGMA)
    drawn, constant = post.idata["posterior"], post.idata["constant_data"]
    assert drawn["sigma_b_g"].dims[2:] == ("sigma_g_level", "sigma_g_effect")
    assert drawn["b_g"].dims[2:] == ("g_level", "g_effect")
    assert list(drawn["sigma_fixed_effect"].values) == ["Intercept", "z"]
    own = post.model.design.predictors["sigma"]
    np.testing.assert_array_equal(constant["sigma_X"], own.X)
    np.testing.assert_array_equal(constant["sigma_offset"], own.offset)
    np.testing.assert_array_equal(constant["sigma_Z_g"], own.groups[0].Z)
    assert "offset" not in constant
    dims = posterior_dims(post.model.design, post.model.names)
    assert set(dims) == {*drawn.data_vars, "corr_g"}


def test_rows_have_a_likelihood_with_their_own_sigma() -> None:
    post, data = posterior(SIGMA), make_data()
    mu, sigma = mu_and_sigma(post, data)
    found = post.log_likelihood()["log_likelihood"]["y_obs"].to_numpy()
    np.testing.assert_allclose(found, stats.norm(mu, sigma).logpdf(data["y"]), rtol=1e-10)


def test_replicates_have_their_own_sigma() -> None:
    post, data = posterior(SIGMA, constant=True), make_data()
    new = data.iloc[::-1].assign(z=2 * data["z"])
    mu, sigma = (values[0, 0] for values in mu_and_sigma(post, new))
    found = post.predict(new, kind="response", seed=3)
    error = sigma / np.sqrt(4000)
    assert np.all(np.abs(found["estimate"] - mu) < 5 * error)
    assert np.all(np.abs(found["sd"] - sigma) < 5 * error)
    assert sigma.max() > 5 * sigma.min()


def test_the_mean_of_counts_combines_the_predictors() -> None:
    post, data = posterior(ZEROS, "zero_inflated_poisson"), make_data()
    mean = np.exp(by_hand(post, "beta", data) + by_hand(post, "b_g", data)[..., 0])
    zi = special.expit(by_hand(post, "zi_beta", data))
    expected = ((1 - zi) * mean).mean(axis=(0, 1))
    np.testing.assert_allclose(post.predict()["estimate"], expected, rtol=1e-10)


def test_columns_are_wanted_where_their_predictor_has_a_part() -> None:
    post, new = posterior(ZEROS, "zero_inflated_poisson"), make_data()[["x", "g"]]
    assert np.isfinite(post.predict(new, kind="linear")["estimate"]).all()
    with pytest.raises(DataError, match="no column `z`"):
        post.predict(new)


def test_an_unknown_group_has_effects_of_its_own_in_each_predictor() -> None:
    post = posterior(SIGMA, n=10)
    new = make_data().head(2).assign(g=["new", "new"], x=0.0, z=0.0)
    law = post._law
    rows = law.draw({}, None, 1).others["sigma"]
    assert rows.scales["g"].name == "sigma: g"
    assert post.predict(new, kind="response", seed=1).notna().all().all()


def test_tables_are_of_the_predictor_that_is_asked_for() -> None:
    post = posterior(SIGMA)
    drawn = post.idata["posterior"]
    found = post.fixed_effects(parameter="sigma", diagnostics=False)
    assert found["term"].tolist() == ["Intercept", "z"]
    np.testing.assert_allclose(found["estimate"], drawn["sigma_beta"].mean(("chain", "draw")))
    both = post.fixed_effects(parameter="all", diagnostics=False)
    assert list(both.columns[:2]) == ["parameter", "term"]
    assert both["parameter"].tolist() == ["mu", "mu", "sigma", "sigma"]
    pd.testing.assert_frame_equal(both.iloc[2:, 1:].reset_index(drop=True), found)
    effects = post.group_effects(parameter="sigma", diagnostics=False)
    assert effects["effect"].unique().tolist() == ["Intercept", "x"]
    mean = drawn["sigma_b_g"].mean(("chain", "draw")).to_numpy()
    np.testing.assert_allclose(effects["estimate"], mean.ravel())
    # z has no effect by g in sigma's formula, and x no fixed one.
    own = post.group_coefficients(parameter="sigma", diagnostics=False)
    np.testing.assert_allclose(own["estimate"][0], mean[0, 0] + found["estimate"][0])
    np.testing.assert_allclose(own["estimate"][1], mean[0, 1])
    parts = post.variance_components(parameter="sigma", point="mean", diagnostics=False)
    np.testing.assert_allclose(parts["sd"], drawn["sigma_sd_g"].mean(("chain", "draw")))
    assert parts["variance_share"].isna().all()
    assert len(post.correlations(parameter="sigma", diagnostics=False)) == 1
    assert not len(post.correlations(diagnostics=False))
    assert len(post.group_effects(parameter="all", wide=True)) == 10


def test_a_predictor_without_groups_or_without_a_formula_is_named() -> None:
    post = posterior(ZEROS, "zero_inflated_poisson")
    with pytest.raises(ArgumentError, match="parameter='sigma' is not one of"):
        post.fixed_effects(parameter="sigma")
    with pytest.raises(NotSupportedError, match="no group effects for zi"):
        post.group_effects(parameter="zi")
    assert set(post.group_effects(parameter="all", diagnostics=False)["parameter"]) == {"mu"}
    odds = post.fixed_effects(parameter="zi", exponentiate=True, diagnostics=False)
    plain = post.fixed_effects(parameter="zi", diagnostics=False)
    np.testing.assert_allclose(odds["estimate"], np.exp(plain["estimate"]))


def test_hypotheses_and_summaries_know_each_predictor() -> None:
    post = posterior(SIGMA)
    drawn = post.idata["posterior"]
    table = post.hypothesis(
        ["sigma_z > x", "sigma_sd(g, x) > sd(g)", "sigma_corr(g) < 1", "sigma_beta(z) = 0"]
    ).table
    difference = drawn["sigma_beta"][..., 1] - drawn["beta"][..., 1]
    np.testing.assert_allclose(table["estimate"][0], difference.mean())
    np.testing.assert_allclose(
        table["estimate"][1], (drawn["sigma_sd_g"][..., 1] - drawn["sd_g"][..., 0]).mean()
    )
    assert "prior density of sigma_beta(z) is not known" in table["note"][3]
    text = str(post.summary())
    for title in ("sigma: Fixed effects", "sigma: Correlations", "sigma: Group effects of g"):
        assert title in text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of a correlation that does not vary
def test_priors_of_each_predictor_are_weighed() -> None:
    post = posterior(SIGMA)
    found = post.log_prior()["log_prior"]
    own = post.model.prior_entries.predictors["sigma"].coefficients[0].prior.parameters
    entry = post.model.prior_entries.predictors["sigma"].intercept
    assert entry is not None
    beta = post.idata["posterior"]["sigma_beta"].to_numpy()
    at_means = beta[..., 0] + beta[..., 1] * make_data()["z"].mean()
    first = entry.prior.parameters
    expected = stats.norm(own["mu"], own["sigma"]).logpdf(beta[..., 1])
    expected = expected + stats.norm(first["mu"], first["sigma"]).logpdf(at_means)
    np.testing.assert_allclose(found["sigma_beta"], expected)
    assert {"sigma_sd_g", "sigma_corr_g"} <= set(found.data_vars)
    table = posterior(SIGMA, n=100).prior_sensitivity().set_index("parameter")
    assert np.isfinite(table.loc[["sigma_z", "sigma_sd(g, x)", "x"], "prior"]).all()


def test_averages_over_groups_are_over_those_of_each_predictor() -> None:
    """Zero-inflated counts with groups in both have the mean E exp(mu + b) E(1 - zi(c))."""
    formulas = ["count ~ x + (1 | g)", "zi ~ z + (1 | g)"]
    post, data = posterior(formulas, "zero_inflated_poisson"), make_data()
    drawn = post.idata["posterior"]
    mean = np.exp(by_hand(post, "beta", data) + drawn["sd_g"].to_numpy() ** 2 / 2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    eta, sd = by_hand(post, "zi_beta", data), drawn["zi_sd_g"].to_numpy()
    one = sum(w * special.expit(-eta - n * sd) for n, w in zip(nodes, weights, strict=True))
    expected = (mean * one / weights.sum()).mean(axis=(0, 1))
    found = post.predict(groups="population", marginal=True)
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-6)


def test_new_observations_of_the_population_have_a_sigma_of_a_new_group() -> None:
    post, data = posterior(SIGMA, constant=True), make_data()
    drawn = post.idata["posterior"].isel(chain=0, draw=0)
    new, rng = data.head(2), np.random.default_rng(5)
    found = post.predict(
        new, kind="response", groups="population", marginal=True, ci_prob=0.5, seed=2
    )
    eta = drawn["sigma_beta"].to_numpy() @ [np.ones(2), new["z"]] + new["z"].to_numpy()
    Z = np.stack([np.ones(2), new["x"]])
    between = (drawn["sigma_sd_g"].to_numpy()[:, None] ** 2 * Z**2).sum(axis=0)
    z = rng.standard_normal((3, 200_000, 2))
    sigma = np.exp(eta + np.sqrt(between) * z[0])
    y = by_hand(post, "beta", data)[0, 0, :2] + float(drawn["sd_g"][0]) * z[1] + sigma * z[2]
    low, high = np.quantile(y, [0.25, 0.75], axis=0)
    np.testing.assert_allclose(found["upper"] - found["lower"], high - low, rtol=0.1)


@pytest.mark.parametrize("by", [None, "g"])
def test_rows_that_a_refit_has_not_seen_have_their_own_sigma(by: str | None) -> None:
    formulas = ["y ~ x + (1 | g)", "sigma ~ z"]
    whole, data = bmx.Model(formulas, make_data()), make_data()
    test = np.flatnonzero(data["g"] == "b")
    refit = posterior_of(model_of_rows(whole, np.flatnonzero(data["g"] != "b")))
    member = np.arange(len(test)) if by is None else np.zeros(len(test), dtype=int)
    found = _log_density(whole, refit._law, test, member, 1)
    drawn, rows = refit.idata["posterior"].isel(chain=0, draw=3), data.iloc[test]
    beta, own = drawn["beta"].to_numpy(), drawn["sigma_beta"].to_numpy()
    mean = beta[0] + beta[1] * rows["x"].to_numpy()
    V = np.diag(np.exp(own[0] + own[1] * rows["z"].to_numpy()) ** 2)
    if by is None:  # an effect of the level b is drawn
        assert found.shape == (10, len(test))
        assert np.isfinite(found).all()
        return
    V += float(drawn["sd_g"][0]) ** 2
    y = rows["y"].to_numpy()
    assert found[3, 0] == pytest.approx(stats.multivariate_normal(mean, V).logpdf(y))


def test_a_parameter_is_predicted_on_its_own_scale_and_columns() -> None:
    post, data = posterior(SIGMA), make_data()
    sigma = mu_and_sigma(post, data)[1]
    found = post.predict(parameter="sigma")
    np.testing.assert_allclose(found["estimate"], sigma.mean(axis=(0, 1)), rtol=1e-10)
    eta = post.predict(parameter="sigma", kind="linear")
    np.testing.assert_allclose(eta["estimate"], np.log(sigma).mean(axis=(0, 1)), rtol=1e-10)
    new = data[["z", "x", "g"]].head(4)
    drawn = post.predict_draws(new, parameter="sigma")
    np.testing.assert_allclose(drawn, sigma[..., :4], rtol=1e-10)
    location = post.predict(parameter="mu")
    np.testing.assert_allclose(location["estimate"], post.predict()["estimate"])
    counts = posterior(ZEROS, "zero_inflated_poisson")
    zi = special.expit(by_hand(counts, "zi_beta", data))
    only_z = data[["z"]]
    found = counts.predict(only_z, parameter="zi", groups="population")
    np.testing.assert_allclose(found["estimate"], zi.mean(axis=(0, 1)), rtol=1e-10)
    base = np.exp(by_hand(counts, "beta", data) + by_hand(counts, "b_g", data)[..., 0])
    found = counts.predict(parameter="mu")
    np.testing.assert_allclose(found["estimate"], base.mean(axis=(0, 1)), rtol=1e-10)


def test_a_parameter_is_averaged_over_its_groups() -> None:
    formulas = ["count ~ x", "zi ~ z + (1 | g)"]
    post, data = posterior(formulas, "zero_inflated_poisson"), make_data()
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    eta, sd = by_hand(post, "zi_beta", data), post.idata["posterior"]["zi_sd_g"].to_numpy()
    zi = sum(w * special.expit(eta + n * sd) for n, w in zip(nodes, weights, strict=True))
    found = post.predict(parameter="zi", groups="population", marginal=True)
    np.testing.assert_allclose(found["estimate"], (zi / weights.sum()).mean(axis=(0, 1)), rtol=1e-6)


def test_what_is_no_predictor_is_not_predicted() -> None:
    post = posterior(["count ~ x", "zi ~ z"], "zero_inflated_negative_binomial")
    with pytest.raises(ArgumentError, match=r"'alpha' has no linear predictor.*alpha ~ "):
        post.predict(parameter="alpha")
    with pytest.raises(ArgumentError, match="parameter='zo' is not one of"):
        post.predict(parameter="zo")
    with pytest.raises(ArgumentError, match="kind='response' is for the response"):
        post.predict(kind="response", parameter="zi")
    with pytest.raises(NotSupportedError, match="zi has a linear predictor"):
        post.icc()
    assert post.r2(draws=4)["method"].unique().tolist() == ["gelman"]


def test_effects_combine_the_predictors_and_know_the_columns_of_each() -> None:
    post, data = posterior(ZEROS, "zero_inflated_poisson"), make_data()
    base = np.exp(by_hand(post, "beta", data))  # the typical group
    zi = special.expit(by_hand(post, "zi_beta", data))
    more = special.expit(by_hand(post, "zi_beta", data.assign(z=data["z"] + 1)))
    change = ((zi - more) * base).mean(axis=-1).mean()
    found = post.comparisons("z")
    assert found["estimate"][0] == pytest.approx(change, rel=1e-8)
    of_zi = post.comparisons("z", parameter="zi")
    assert of_zi["estimate"][0] == pytest.approx((more - zi).mean(), rel=1e-8)
    odds = post.comparisons("z", parameter="zi", by=False, compare="odds_ratio")
    slope = float(np.exp(post.idata["posterior"]["zi_beta"][..., 1]).mean())
    np.testing.assert_allclose(odds["estimate"], slope, rtol=1e-8)
    with pytest.raises(NotSupportedError, match="wants probabilities"):
        post.comparisons("z", compare="odds_ratio")
    mean = post.predictions(groups="population")["estimate"][0]
    assert mean == pytest.approx(((1 - zi) * base).mean(), rel=1e-8)
    steep = post.slopes("z", parameter="zi", kind="linear")["estimate"][0]
    assert steep == pytest.approx(
        float(post.idata["posterior"]["zi_beta"][..., 1].mean()), rel=1e-6
    )
    assert post.predictions(parameter="zi")["estimate"][0] == pytest.approx(zi.mean(), rel=1e-8)


def test_empirical_bayes_predicts_sigma_with_the_error_of_its_coefficients() -> None:
    data = make_data()
    eb = bmx.Model(["y ~ x + (1 | g)", "sigma ~ z"], data).fit_eb()
    table = eb.fixed_effects(parameter="sigma")
    at_zero = pd.DataFrame({"z": [0.0]})
    linear = eb.predict(at_zero, parameter="sigma", kind="linear", groups="population")
    np.testing.assert_allclose(linear.to_numpy()[0], table.iloc[0, 1:5].to_numpy(dtype=float))
    found = eb.predict(at_zero, parameter="sigma", groups="population")
    np.testing.assert_allclose(found["estimate"], np.exp(linear["estimate"]))
    drawn = eb.predict_draws(at_zero, parameter="sigma", groups="population", seed=1)
    assert float(np.log(drawn).std()) == pytest.approx(linear["sd"][0], rel=0.1)
    slope = eb.slopes("z", parameter="sigma", kind="linear", seed=1)
    assert slope["estimate"][0] == pytest.approx(table["estimate"][1], abs=0.02)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_a_model_is_fitted_saved_and_updated(tmp_path: Path) -> None:
    formulas = ["count ~ x", "zi ~ z"]
    model = bmx.Model(formulas, make_data(), family="zero_inflated_poisson")
    post = model.fit(30, tune=60, chains=1, engine="pymc", seed=1, progress=False)
    path = tmp_path / "fit.nc"
    post.save(path)
    loaded = bmx.load(path)
    pd.testing.assert_frame_equal(loaded.predict(parameter="zi"), post.predict(parameter="zi"))
    assert "zi: Fixed effects" in str(loaded.summary())
    assert loaded.simulate(2, seed=1).equals(post.simulate(2, seed=1))
    more = model.update(". ~ . + (1 | g)")
    assert more.specification.formula == ("count ~ x + (1 | g)", "zi ~ z")


def test_means_by_a_column_of_another_predictor_name_the_predictor() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=200), "a": rng.choice(["p", "q"], 200)})
    data["y"] = rng.poisson(3.0, 200) * (rng.random(200) < 0.7)
    model = bmx.Model(["y ~ x", "zi ~ a"], data, family="zero_inflated_poisson")
    fit = model.fit_eb(method="map")
    with pytest.raises(DataError, match="no predictor of mu, but of 'zi': parameter='zi'"):
        fit.marginal_means("a")
    assert len(fit.marginal_means("a", parameter="zi").table) == 2
    assert len(fit.marginal_means("a", kind="mean").table) == 2
