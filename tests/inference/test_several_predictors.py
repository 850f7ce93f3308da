"""Several linear predictors in the fast engine and in Laplace's approximation."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, FormulaError, NotSupportedError
from bayesmix.gaussian.density import flat_prior
from bayesmix.inference.engines import why_not_joint
from bayesmix.inference.laplace import value_at
from bayesmix.inference.problems import glmm_problem
from bayesmix.laws.request import PredictionRequest
from tests.glmm.models import non_centred_density

FAST = "FAST_COMPILE"
MODELS: dict[str, tuple[list[str], str]] = {
    "zeros": (["count ~ x + (1 | g)", "zi ~ z + offset(u) + (1 | g)"], "zero_inflated_poisson"),
    "sizes": (["count ~ x + (x || g)", "alpha ~ z + (1 | h)"], "negative_binomial"),
    "a constant": (["count ~ x + (1 | g)", "zi ~ z"], "zero_inflated_negative_binomial"),
    "sigma": (["y ~ x + (1 | g)", "sigma ~ z + (1 | g) + (1 | h)"], "gaussian"),
    "three": (["y ~ x + (1 | g)", "sigma ~ z", "nu ~ (1 | h)"], "student_t"),
}


def make_data(n: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    g, h = rng.integers(0, 8, n), rng.integers(0, 5, n)
    x, z, u = rng.normal(size=n), rng.normal(size=n), rng.normal(0, 0.2, n)
    zero = rng.random(n) < special.expit(-0.8 + z + u + rng.normal(0, 0.6, 8)[g])
    mean = np.exp(0.8 + 0.4 * x + rng.normal(0, 0.4, 8)[g])
    sigma = np.exp(-0.5 + 0.4 * z + rng.normal(0, 0.3, 8)[g])
    y = 1 + x + rng.normal(0, 0.5, 8)[g] + sigma * rng.standard_t(6, n)
    count = np.where(zero, 0, rng.poisson(mean)).astype(float)
    names = {"g": np.char.add("g", g.astype(str)), "h": np.char.add("h", h.astype(str))}
    return pd.DataFrame({"x": x, "z": z, "u": u, "y": y, "count": count, **names})


def owner_and_name(name: str) -> tuple[str, str]:
    """Parameter and own name of a grouping factor among those of all predictors."""
    owner, _, own = name.rpartition(": ")
    return owner or "mu", own


def model_of(name: str) -> bmx.Model:
    formulas, family = MODELS[name]
    return bmx.Model(formulas, make_data(), family=family)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_joint_density_is_pymcs(name: str, rng: np.random.Generator) -> None:
    model = model_of(name)
    gp, priors = glmm_problem(model), model.prior_entries
    co, prior = gp.coordinates(priors), gp.fixed_prior(priors)
    stated = model.pymc_model
    logp = stated.compile_logp(jacobian=False, mode=FAST)
    shapes = {k: v.shape for k, v in stated.initial_point().items()}
    ours, theirs = [], []
    for _ in range(4):
        point = {k: rng.normal(-0.2, 0.3, shape) for k, shape in shapes.items()}
        theirs.append(float(logp(point)))
        at: dict[str, Any] = {k.removesuffix("_log__"): v for k, v in point.items()}
        order = [owner_and_name(group.name) for group in gp.problem.groups]
        own = [model.names.of(parameter).own("") for parameter, _ in order]
        log_sd = [at[f"{p}sd_{g}"] for p, (_, g) in zip(own, order, strict=True)]
        v = [at[f"{p}z_{g}"].ravel() for p, (_, g) in zip(own, order, strict=True)]
        phi = [point[k].ravel() for n in gp.parameters for k in point if k.startswith(f"{n}_lo")]
        t = np.concatenate([*log_sd, *phi])
        beta = []
        for parameter, predictor in gp.stack.predictors.items():
            prefix = model.names.of(parameter).own("")
            slopes = point.get(f"{prefix}coefficients", np.zeros(0))
            center = float(point[f"{prefix}intercept_at_means"])
            beta += [center - predictor.means[1:] @ slopes, *slopes]
        inside = np.concatenate([*v, gp.problem.scaling.TX @ beta])
        value = non_centred_density(gp, co, prior, t, inside)
        jacobian = np.concatenate(log_sd).sum()
        for n in gp.parameters:
            x = np.concatenate([point[k].ravel() for k in point if k.startswith(f"{n}_lo")])
            unit = n in model.family.unit_parameters
            jacobian += (special.log_expit(x) + special.log_expit(-x) if unit else x).sum()
        ours.append(value - jacobian)
    differences = np.diff(ours) - np.diff(theirs)
    assert np.abs(differences).max() < 1e-8 * np.abs(theirs).max()


@pytest.mark.parametrize("size", [0.3, 2.0])
@pytest.mark.parametrize("name", list(MODELS))
def test_gradients_are_those_of_differences(
    name: str, size: float, rng: np.random.Generator
) -> None:
    model = model_of(name)
    gp = glmm_problem(model)
    co, p = gp.coordinates(model.prior_entries), gp.problem.n_fixed
    n_x = co.n_x + len(gp.phi) + p

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient, u = np.empty(n_x), np.zeros(gp.n_effects)
        return value_at(gp, co, flat_prior(p), 1, x, u, gradient), gradient

    found = 0
    for _ in range(5):
        x = size * rng.normal(0, 0.5, n_x)
        here, gradient = value(x)
        if not np.isfinite(here):
            continue  # no mode there
        found += 1
        for k in range(n_x):
            step = 1e-5 * np.eye(n_x)[k]
            difference = (value(x + step)[0] - value(x - step)[0]) / 2e-5
            assert gradient[k] == pytest.approx(difference, rel=2e-4, abs=2e-4)
    assert found >= 3


@pytest.mark.parametrize("key", ["Salamanders_zip", "Salamanders_zi_re"])
def test_published_zero_inflated_fits(key: str, reference_folder: Path) -> None:
    tables = reference_folder / "reference" / "structures_and_tests.json"
    given = json.loads(tables.read_text())[key]
    d = pd.read_csv(reference_folder / "data" / "salamanders.csv")
    levels = {"spp": ["GP", "PR", "DM", "EC-A", "EC-L", "DES-L", "DF"], "mined": ["yes", "no"]}
    d = d.assign(**{name: pd.Categorical(d[name], order) for name, order in levels.items()})
    eb = bmx.Model(given["formula"], d, family="zero_inflated_poisson").fit_eb()
    assert eb.loglik > given["loglik"] - 1e-3
    assert eb.loglik == pytest.approx(given["loglik"], abs=0.01)
    assert eb.df == given["df"]
    table = eb.fixed_effects()
    se = np.array(list(given["se"].values()))
    assert np.abs(table["estimate"] - list(given["fixed_effects"].values())).max() < 1e-3 * se.min()
    np.testing.assert_allclose(table["sd"], se, rtol=2e-3)
    of_zi = eb.fixed_effects(parameter="zi")
    gap = np.abs(of_zi["estimate"] - list(given["zi"].values()))
    assert (gap < 1e-3 * of_zi["sd"]).all()
    assert eb.variance_components()["sd"][0] == pytest.approx(given["sd"]["site"], rel=1e-3)


def test_empirical_bayes_answers_for_each_predictor() -> None:
    model = model_of("zeros")
    eb = model.fit_eb()
    table = eb.fixed_effects(parameter="all")
    assert table["parameter"].tolist() == ["mu", "mu", "zi", "zi"]
    parts = eb.variance_components(parameter="all")
    assert parts["parameter"].tolist() == ["mu", "zi"]
    data = make_data()
    b = eb.group_effects(parameter="zi").set_index("level")["estimate"]
    beta = eb.fixed_effects(parameter="zi")["estimate"]
    eta = beta[0] + beta[1] * data["z"] + data["u"] + b[data["g"]].to_numpy()
    linear = eb.predict(parameter="zi", kind="linear")
    np.testing.assert_allclose(linear["estimate"], eta, rtol=1e-10)
    found = eb.predict(parameter="zi")
    np.testing.assert_allclose(found["estimate"], special.expit(eta), rtol=1e-10)
    mean = (1 - found["estimate"]) * np.exp(eb.predict(kind="linear")["estimate"])
    np.testing.assert_allclose(data["count"] - eb.residuals(), mean, rtol=1e-10)
    # Averages over draws of the law, which is wider than its mode.
    assert (eb.predict(seed=1)["estimate"] / mean).between(0.8, 1.6).all()
    both = eb.hypothesis(["zi_z > 0", "x > 0"]).table
    np.testing.assert_allclose(both["estimate"], [beta[1], eb.fixed_effects()["estimate"][1]])
    np.testing.assert_allclose(both["sd"][0], eb.fixed_effects(parameter="zi")["sd"][1], rtol=1e-6)
    assert eb.simulate(2, seed=1, new_groups=True).shape == (240, 2)
    assert "zi: Fixed effects" in str(eb.summary())
    assert eb.comparisons("z", seed=1)["estimate"][0] < 0
    with pytest.raises(NotSupportedError, match="zi has a linear predictor"):
        eb.r2()


def test_standard_errors_of_effects_are_those_of_the_dense_hessian() -> None:
    """Prediction errors: the inverse of minus the Hessian of all effects at the mode."""
    model = model_of("zeros")
    eb = model.fit_eb()
    law = eb._law.whole
    gp, x = law.gp, law.laplace.x
    rows, n = gp.rows, gp.rows.n_obs
    weights = law.row_precision().reshape(3, n)
    Z = np.zeros((2, n, gp.n_effects))
    for f in range(2):
        level = rows.index[f] - rows.first[f]
        Z[rows.Z_of[f], np.arange(n), rows.u_start[f] + level] = rows.Z[f]
    sd = np.exp(x[:2])
    M = np.diag(np.repeat(sd**-2.0, 8))
    for j, k, w in ((0, 0, weights[0]), (1, 1, weights[2])):
        M += Z[j].T @ (w[:, None] * Z[k])
    cross = Z[0].T @ (weights[1][:, None] * Z[1])
    M += cross + cross.T
    expected = np.sqrt(np.diag(np.linalg.inv(M)))
    order = [owner_and_name(group.name)[0] for group in gp.problem.groups]
    for f, parameter in enumerate(order):
        own = eb.group_effects(parameter=parameter, fixed_uncertainty=False)
        np.testing.assert_allclose(own["sd"], expected[8 * f : 8 * f + 8], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:the run is short")
def test_auto_takes_the_fast_engine() -> None:
    model = model_of("sigma")
    post = model.fit(draws=400, tune=200, chains=2, seed=2, progress=False)
    assert post.idata.attrs["engine"].startswith("fast")
    eb = model.fit_eb()
    assert eb.method == "ml"
    for parameter in ("mu", "sigma"):
        table = post.fixed_effects(parameter=parameter)
        gap = table["estimate"] - eb.fixed_effects(parameter=parameter)["estimate"]
        assert (np.abs(gap) < 0.5 * table["sd"]).all()
    assert set(post.variance_components(parameter="sigma")["group"]) == {"g", "h"}
    with pytest.raises(NotSupportedError, match="those on sigma do not"):
        model.fit_eb("reml")


@pytest.mark.parametrize(
    ("formulas", "family"),
    [
        (["count ~ x + (1 | p | g)", "zi ~ z + (x | p | g)"], "zero_inflated_poisson"),
        (["count ~ `x: y` + (1 + `x: y` | `g: h`)"], "poisson"),
    ],
)
def test_priors_are_known_whatever_effects_are_called(formulas: list[str], family: str) -> None:
    data = make_data().rename(columns={"u": "x: y"}).assign(**{"g: h": make_data()["g"]})
    model = bmx.Model(formulas, data, family=family)
    assert not why_not_joint(model.design, model.family, {}, model.prior_entries)
    (sd, *_) = [name for name in model.priors["parameter"] if name.startswith("sd(")]
    other = bmx.Model(
        formulas, data, family=family, priors={sd: bmx.Prior("Weibull", alpha=2, beta=1)}
    )
    said = why_not_joint(other.design, other.family, {}, other.prior_entries)
    assert said.startswith(f"of the prior {sd} ~ ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zeros", "sizes", "sigma", "joined"])
def test_engines_agree(name: str) -> None:
    model = bmx.Model(JOINED, make_data(), family="zero_inflated_poisson")
    if name != "joined":
        model = model_of(name)
    # Eight levels are few: a step or two in thousands ends in a funnel.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fast = model.fit(draws=1500, chains=4, seed=1, target_accept=0.95, progress=False)
        pymc = model.fit(
            draws=1500, tune=2000, chains=4, seed=1, engine="pymc", target_accept=0.99,
            progress=False,
        )  # fmt: skip
    assert fast.diagnostics().divergences <= 2
    assert pymc.diagnostics().divergences <= 6
    for parameter in model.design.predictors:
        for part in ("fixed_effects", "variance_components"):
            # Medians: a standard deviation of few levels has a long tail.
            asked = {"parameter": parameter, "point": "median"}
            a, b = (getattr(post, part)(**asked) for post in (fast, pymc))
            value = "estimate" if part == "fixed_effects" else "sd"
            low, high = ("lower", "upper") if part == "fixed_effects" else ("sd_lower", "sd_upper")
            spread = 1.25 * (a[high] - a[low]) / 4
            error = spread * np.sqrt(1 / a["ess_bulk"] + 1 / b["ess_bulk"])
            known = a[value].notna()
            assert (np.abs(a[value] - b[value]) < 4.5 * error)[known].all()


# -- effects that are joined across predictors ------------------------------------

JOINED = ["count ~ x + (1 | p | g)", "zi ~ z + (x | p | g)"]


def test_joined_effects_are_one_block_of_their_first_predictor() -> None:
    model = bmx.Model(JOINED, make_data(), family="zero_inflated_poisson")
    (group,) = model.design.mu.groups
    assert group.effects == ("Intercept", "zi: Intercept", "zi: x")
    assert not model.design.predictors["zi"].groups
    (borrowed,) = model.design.predictors["zi"].borrowed
    np.testing.assert_array_equal(group.Z, np.eye(3)[[0] * 240] * [1, 0, 0])
    np.testing.assert_array_equal(borrowed.Z[:, 1:], np.stack([np.ones(240), make_data()["x"]]).T)
    assert not borrowed.Z[:, 0].any()
    names = model.priors["parameter"].tolist()
    assert names[2:6] == ["sd(g, Intercept)", "sd(g, zi: Intercept)", "sd(g, zi: x)", "corr(g)"]
    prior = model.priors.set_index("parameter").loc["sd(g, zi: Intercept)", "prior"]
    assert prior == "HalfCauchy(beta=1)"
    equation = model.equation()
    assert r"\eta_i &= \beta_{0} + \beta_{1}\,\text{x}_i + b_{\text{g}[i],0} \\" in equation
    assert r"+ b_{\text{g}[i],1} + b_{\text{g}[i],2}\,\text{x}_i \\" in equation
    assert "effects by g are joined with those of mu" in repr(model)
    some = bmx.Model(JOINED, make_data(), family="zero_inflated_poisson", learned_from=model)
    assert some.priors.equals(model.priors)


@pytest.mark.parametrize(
    ("formulas", "message"),
    [
        (["count ~ x + (1 | p | g)", "zi ~ z"], "`p` joins the effects of several formulas"),
        (["count ~ (1 | p | g)", "zi ~ (1 | p | h)"], "joins effects by `g` and by `h`"),
        (["count ~ (1 | p | g) + (0 + x | g)", "zi ~ (1 | p | g)"], "all joined .* or none"),
        (["count ~ (1 | p | gr(g, by=h))", "zi ~ (1 | p | g)"], "independent"),
    ],
)
def test_what_cannot_be_joined(formulas: list[str], message: str) -> None:
    data = make_data()
    data["h"] = data["g"].str[-1].isin(list("0123"))  # constant within g
    with pytest.raises((FormulaError, NotSupportedError), match=message):
        bmx.Model(formulas, data, family="zero_inflated_poisson")


def test_the_joint_density_of_joined_effects_is_pymcs(rng: np.random.Generator) -> None:
    model = bmx.Model(JOINED, make_data(), family="zero_inflated_poisson")
    gp, priors = glmm_problem(model), model.prior_entries
    co, prior = gp.coordinates(priors), gp.fixed_prior(priors)
    stated = model.pymc_model
    logp = stated.compile_logp(jacobian=False, mode=FAST)
    assert gp.rows.Z_of.tolist() == [0, 1, 1]
    n_corr = co.n_x - 3
    ours, theirs = [], []
    for _ in range(4):
        shapes = {k: v.shape for k, v in stated.initial_point().items()}
        point = {k: rng.normal(0, 0.3, shape) for k, shape in shapes.items()}
        name = next(k for k in shapes if "partial_corr" in k)
        theirs.append(float(logp(point)))
        log_sd = point["sd_g_log__"]
        # PyMC's coordinate is the log odds of (r + 1) / 2, ours the inverse hyperbolic tangent.
        r = 2 * special.expit(point[name]) - 1
        beta = []
        for prefix, own in (("", model.design.mu), ("zi_", model.design.predictors["zi"])):
            slopes = point[f"{prefix}coefficients"]
            center = float(point[f"{prefix}intercept_at_means"])
            beta += [center - own.means[1:] @ slopes, *slopes]
        inside = np.concatenate([point["z_g"].ravel(), gp.problem.scaling.TX @ beta])
        t = np.concatenate([log_sd, np.arctanh(r)])
        assert len(r) == n_corr
        value = non_centred_density(gp, co, prior, t, inside)
        ours.append(value - log_sd.sum() - np.log1p(-(r**2)).sum())
    differences = np.diff(ours) - np.diff(theirs)
    assert np.abs(differences).max() < 1e-8 * np.abs(theirs).max()


def test_joined_effects_are_found_again() -> None:
    """Correlated effects of the mean and of the zeros, at the mode and for new groups."""
    rng, n_groups, n = np.random.default_rng(3), 60, 1800
    g, x = rng.integers(0, n_groups, n), rng.normal(size=n)
    b = rng.multivariate_normal([0, 0], [[0.36, -0.36], [-0.36, 0.64]], n_groups)
    zero = rng.random(n) < special.expit(-0.7 + 0.5 * x + b[g, 1])
    count = np.where(zero, 0, rng.poisson(np.exp(1 + 0.3 * x + b[g, 0]))).astype(float)
    data = pd.DataFrame({"g": np.char.add("g", g.astype(str)), "x": x, "count": count})
    formulas = ["count ~ x + (1 | p | g)", "zi ~ x + (1 | p | g)"]
    eb = bmx.Model(formulas, data, family="zero_inflated_poisson").fit_eb()
    assert eb.df == 7
    table = eb.correlations()
    assert table["effect_2"].tolist() == ["zi: Intercept"]
    assert table["estimate"][0] == pytest.approx(-0.75, abs=0.2)
    apart = bmx.Model(
        [f.replace("| p |", "|") for f in formulas], data, family="zero_inflated_poisson"
    ).fit_eb()
    assert eb.loglik > apart.loglik + 5
    effects = eb.group_effects(wide=True)
    beta = eb.fixed_effects(parameter="zi")["estimate"].to_numpy()
    of_zi = effects.set_index("level")["zi: Intercept"]
    eta = beta[0] + beta[1] * x + of_zi[data["g"]].to_numpy()
    np.testing.assert_allclose(eb.predict(parameter="zi", kind="linear")["estimate"], eta)
    # A new group draws its two effects together.
    row = pd.DataFrame({"x": [0.0], "g": ["new"]})
    drawn = [
        eb._law.predictor(*_request(eb, row, parameter), 4000, 1).all_draws(1, 4000)[:, 0]
        for parameter in ("mu", "zi")
    ]
    assert np.corrcoef(*drawn)[0, 1] == pytest.approx(table["estimate"][0], abs=0.1)
    with pytest.raises(NotSupportedError, match="joined across formulas"):
        eb.predict(groups="population", marginal=True)


def _request(fit: Any, rows: pd.DataFrame, parameter: str) -> tuple[Any, PredictionRequest]:
    request = PredictionRequest(kind="linear", parameter=parameter)
    return fit._law_and_rows(rows, request)[1], request
