"""The multinomial logit: density, kernel and PyMC model, and fits against dense algebra."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy import optimize, special

import bayesmix as bmx
from bayesmix.errors import (
    ArgumentError,
    DataError,
    FormulaError,
    NotSupportedError,
    SeparationWarning,
)
from bayesmix.families import Categorical
from bayesmix.glmm.rows import JOINT_KERNELS, OBSERVED_KERNELS


def nominal_data(n: int = 300, n_groups: int = 15, seed: int = 1) -> pd.DataFrame:
    """Four categories, with effects of x and of groups on each."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=n), rng.integers(0, n_groups, n)
    b = rng.normal(size=(n_groups, 3)) * [0.8, 0.5, 1.0]
    eta = np.array([0.3, -0.4, 0.2]) + np.outer(x, [1.0, -0.5, 0.3]) + b[g]
    p = special.softmax(np.column_stack([np.zeros(n), eta]), axis=1)
    y = (rng.random(n)[:, None] > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    return pd.DataFrame(
        {
            "x": x,
            "f": rng.choice(["u", "v"], n),
            "g": [f"g{k:02d}" for k in g],
            "y": np.array(list("abcd"))[y],
            "number": 10 * y + 10,
            "w": rng.choice([0.0, 1.0, 2.0], n),
        }
    )


DATA = nominal_data()


def log_likelihood(beta: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log densities of rows, by hand: beta has a row for each category but the first."""
    eta = np.column_stack([np.zeros(len(X)), X @ beta.T])
    return (eta - special.logsumexp(eta, axis=1, keepdims=True))[np.arange(len(y)), y]


def test_fixed_effects_are_those_of_maximum_likelihood() -> None:
    eb = bmx.Model("y ~ x + f", DATA, family="categorical").fit_eb("ml")
    X = np.column_stack([np.ones(len(DATA)), DATA["x"], DATA["f"] == "v"]).astype(float)
    y = np.unique(DATA["y"], return_inverse=True)[1]

    def deviance(beta: np.ndarray) -> float:
        return -float(log_likelihood(beta.reshape(3, 3), X, y).sum())

    found = optimize.minimize(deviance, np.zeros(9), method="BFGS", options={"gtol": 1e-7})
    table = eb.fixed_effects(parameter="all")
    np.testing.assert_allclose(table["estimate"], found.x, atol=1e-4)
    assert eb.loglik == pytest.approx(-found.fun, abs=1e-7)
    # Standard errors: the inverse of the information X'WX, blocks p_j (1[j = k] - p_k).
    p = special.softmax(np.column_stack([np.zeros(len(X)), X @ found.x.reshape(3, 3).T]), axis=1)[
        :, 1:
    ]
    information = np.zeros((9, 9))
    for j in range(3):
        for k in range(3):
            w = p[:, j] * ((j == k) - p[:, k])
            information[3 * j : 3 * j + 3, 3 * k : 3 * k + 3] = X.T @ (w[:, None] * X)
    se = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(table["sd"], se, rtol=1e-3)


def test_group_effects_of_each_category_against_quadrature() -> None:
    # With one category's effects alone Laplace's approximation is compared with quadrature.
    eb = bmx.Model(["y ~ x", "mu4 ~ x + (1 | g)"], DATA, family="categorical").fit_eb("ml")
    beta = eb.fixed_effects(parameter="all")["estimate"].to_numpy().reshape(3, 2)
    sd = float(eb.variance_components(parameter="mu4")["sd"].iloc[0])
    X = np.column_stack([np.ones(len(DATA)), DATA["x"]])
    y = np.unique(DATA["y"], return_inverse=True)[1]
    nodes, weights = hermegauss(60)
    total = 0.0
    for level in DATA["g"].unique():
        rows = (DATA["g"] == level).to_numpy()
        own = [
            log_likelihood(beta + np.array([[0, 0], [0, 0], [sd * z, 0]]), X[rows], y[rows]).sum()
            for z in nodes
        ]
        total += special.logsumexp(np.array(own), b=weights / weights.sum())
    assert eb.loglik == pytest.approx(total, abs=0.1)
    assert sd > 0.3


@pytest.mark.parametrize("exponents", [False, True])
def test_the_kernel_is_the_density_with_its_derivatives(
    rng: np.random.Generator, exponents: bool
) -> None:
    n, K = 40, 4
    family = Categorical(labels=tuple("abcd"))
    y, eta = rng.integers(1, K + 1, n).astype(float), rng.normal(0, 1.5, (K - 1, n))
    w = rng.choice([0.0, 1.0, 2.5], n) if exponents else np.ones(n)
    kernel = (OBSERVED_KERNELS if exponents else JOINT_KERNELS)["categorical"]
    given = np.full((n, 5 if exponents else 1), float(K))
    if exponents:
        given[:, 4] = w

    def run(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        value, first, second = np.zeros(n), np.zeros((3, n)), np.zeros((6, n))
        total = kernel(0, n, y, given.copy(), np.ascontiguousarray(eta), np.ones(1), 2, value,
                       first, second, np.ones(1))  # fmt: skip
        assert total == pytest.approx(value.sum())
        return value, first, second

    value, first, second = run(eta)
    expected = w * family.log_prob(y, eta[0], {"mu3": eta[1], "mu4": eta[2]})
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
    by_hand = log_likelihood(np.eye(3), eta.T, y.astype(int) - 1)
    np.testing.assert_allclose(value, w * by_hand, rtol=1e-12, atol=1e-12)
    for k in range(K - 1):
        step = 1e-5 * np.eye(K - 1)[k][:, None]
        up, down = run(eta + step), run(eta - step)
        np.testing.assert_allclose((up[0] - down[0]) / 2e-5, first[k], atol=1e-8)
        for j in range(k + 1):
            slope = (up[1][j] - down[1][j]) / 2e-5
            np.testing.assert_allclose(slope, second[k * (k + 1) // 2 + j], atol=1e-8)


def test_extreme_odds_stay_finite() -> None:
    family = Categorical(labels=tuple("abc"))
    y, far = np.array([1.0, 2.0, 3.0]), np.array([800.0, -800.0, 0.0])
    found = family.log_prob(y, far, {"mu3": -far})
    np.testing.assert_allclose(found, [-800.0, -1600.0, -np.log(3)])


def test_the_pymc_model_has_the_density_of_the_kernel() -> None:
    data = DATA.head(60)
    stated = bmx.Model(["y ~ x", "mu3 ~ 1"], data, family="categorical").pymc_model
    density = stated.compile_logp(vars=[stated["y_obs"]], jacobian=False, mode="FAST_COMPILE")
    point = stated.initial_point()
    point["intercept_at_means"], point["coefficients"] = np.array(0.4), np.array([1.3])
    point["mu3_intercept_at_means"] = np.array(-0.7)
    point["mu4_intercept_at_means"], point["mu4_coefficients"] = np.array(0.1), np.array([-0.6])
    x = data["x"] - data["x"].mean()
    beta = np.array([[0.4, 1.3], [-0.7, 0.0], [0.1, -0.6]])
    X = np.column_stack([np.ones(60), x])
    y = data["y"].map(dict(zip("abcd", range(4), strict=True))).to_numpy()
    assert float(density(point)) == pytest.approx(log_likelihood(beta, X, y).sum(), rel=1e-10)


def test_weights_of_rows_count_them_that_often() -> None:
    weighted = bmx.Model("weighted(y, w) ~ x", DATA, family="categorical").fit_eb("ml")
    rows = DATA.loc[DATA.index.repeat(DATA["w"].astype(int))]
    repeated = bmx.Model("y ~ x", rows, family="categorical").fit_eb("ml")
    assert weighted.loglik == pytest.approx(repeated.loglik, abs=1e-6)


def test_two_categories_are_a_binary_response() -> None:
    data = DATA.assign(two=np.where(DATA["y"] == "a", "no", "yes"))
    nominal = bmx.Model("two ~ x + (1 | g)", data, family="categorical").fit_eb("ml")
    binary = bmx.Model("two ~ x + (1 | g)", data, family="bernoulli").fit_eb("ml")
    assert nominal.loglik == pytest.approx(binary.loglik, abs=1e-6)
    found = nominal.predict(kind="probability")
    assert found["category"].tolist()[:2] == ["no", "yes"]


def test_the_response_may_be_text_numbers_or_categories_in_an_order_of_their_own() -> None:
    text = bmx.Model("y ~ x", DATA, family="categorical")
    numbers = bmx.Model("number ~ x", DATA, family="categorical")
    assert numbers.family.labels == (10, 20, 30, 40)
    np.testing.assert_array_equal(text.y, numbers.y)
    turned = DATA.assign(y=pd.Categorical(DATA["y"], categories=list("dcba")))
    other = bmx.Model("y ~ x", turned, family="categorical")
    assert other.family.labels == tuple("dcba")
    assert "categories c, b, a against d" in repr(other)
    assert other.fit_eb("ml").loglik == pytest.approx(text.fit_eb("ml").loglik, abs=1e-6)


def test_predictors_have_the_formula_of_the_response_or_their_own() -> None:
    model = bmx.Model(["y ~ x + (1 | g)", "mu3 ~ f"], DATA, family="categorical")
    predictors = model.design.predictors
    assert {name: p.fixed_effects for name, p in predictors.items()} == {
        "mu": ("Intercept", "x"), "mu3": ("Intercept", "f[T.v]"), "mu4": ("Intercept", "x"),
    }  # fmt: skip
    assert not predictors["mu3"].groups
    assert "mu4 (log odds of d against a)" in repr(model)
    assert {"mu: x", "x", "mu3: f[T.v]", "mu4: x"} & set(model.priors["parameter"]) >= {"mu4: x"}
    joined = bmx.Model("y ~ x + (1 | p | g)", DATA, family="categorical")
    assert joined.design.mu.groups[0].effects == (
        "Intercept", "mu3: Intercept", "mu4: Intercept",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (["y ~ x", "mu2 ~ f"], "no parameter mu2"),
        (["y ~ x", "mu5 ~ f"], "no parameter mu5"),
        ("x ~ f", "numbers that are not whole"),
    ],
)
def test_what_cannot_be_stated_is_refused(formula: str | list[str], words: str) -> None:
    with pytest.raises(FormulaError, match=words):
        bmx.Model(formula, DATA, family="categorical")


def test_one_category_is_refused() -> None:
    with pytest.raises(FormulaError, match="one category only, 'a'"):
        bmx.Model("y ~ x", DATA[DATA["y"] == "a"], family="categorical")


@pytest.fixture(scope="module")
def eb() -> bmx.EmpiricalBayes:
    return bmx.Model("y ~ x + f + (1 | g)", DATA, family="categorical").fit_eb("ml")


@pytest.fixture(scope="module")
def post() -> bmx.Posterior:
    model = bmx.Model("y ~ x + f + (1 | g)", DATA, family="categorical")
    return model.fit(draws=600, tune=600, chains=2, seed=1, progress=False)


def test_the_posterior_agrees_with_the_mode(eb: bmx.EmpiricalBayes, post: bmx.Posterior) -> None:
    a, b = (fit.fixed_effects(parameter="all") for fit in (eb, post))
    assert (np.abs(a["estimate"] - b["estimate"]) < 0.4 * b["sd"]).all()
    ratios = eb.fixed_effects(parameter="mu3", exponentiate=True)["estimate"]
    np.testing.assert_allclose(np.log(ratios), eb.fixed_effects(parameter="mu3")["estimate"])


def test_probabilities_of_rows(eb: bmx.EmpiricalBayes, post: bmx.Posterior) -> None:
    for fit in (eb, post):
        found = fit.predict(kind="probability", seed=1)
        assert len(found) == 4 * len(DATA)
        assert not found["category"].cat.ordered
        p = found["estimate"].to_numpy().reshape(-1, 4)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        share = DATA["y"].value_counts(normalize=True).sort_index()
        np.testing.assert_allclose(p.mean(axis=0), share, atol=0.02)
    new = post.predict({"x": [0.0], "f": ["u"], "g": ["g00"]}, kind="probability")
    draws = post.idata.posterior
    eta = [
        (draws[f"{prefix}beta"].sel({f"{prefix}fixed_effect": "Intercept"})
         + draws[f"{prefix}b_g"].sel({f"{prefix}g_level": "g00"}).squeeze()).to_numpy().ravel()
        for prefix in ("", "mu3_", "mu4_")
    ]  # fmt: skip
    p = special.softmax(np.stack([0 * eta[0], *eta]), axis=0).mean(axis=1)
    np.testing.assert_allclose(new["estimate"], p, rtol=1e-10)


def test_averages_over_groups_are_those_of_drawn_groups(post: bmx.Posterior) -> None:
    row = {"x": [0.5], "f": ["v"]}
    exact = post.predict(row, kind="probability", marginal=True)["estimate"].to_numpy()
    many = {"x": [0.5] * 300, "f": ["v"] * 300, "g": [f"new{k}" for k in range(300)]}
    drawn = post.predict(many, kind="probability", seed=3)["estimate"].to_numpy().reshape(-1, 4)
    np.testing.assert_allclose(drawn.mean(axis=0), exact, atol=0.01)


def test_replicates_are_categories(post: bmx.Posterior) -> None:
    found = post.simulate(50, seed=1)
    assert found["sim_1"].cat.categories.tolist() == list("abcd")
    share = np.mean([(found == c).to_numpy().mean() for c in "b"])
    assert share == pytest.approx((DATA["y"] == "b").mean(), abs=0.05)
    table = post.predict(kind="response", seed=1)
    assert table.columns.tolist() == ["category", "share"]
    assert not table["category"].cat.ordered


def test_what_needs_a_mean_is_refused(eb: bmx.EmpiricalBayes) -> None:
    for call in (eb.predict, eb.fitted, eb.residuals, lambda: eb.comparisons("x"),
                 lambda: eb.plot_predictions("x")):  # fmt: skip
        with pytest.raises(NotSupportedError, match=r"no order have no mean.*of_category"):
            call()


def test_one_category_has_means(eb: bmx.EmpiricalBayes, post: bmx.Posterior) -> None:
    draws = post.predict_draws(kind="probability", groups="population")
    by_f = post.of_category("b").predictions(by="f")
    for f, estimate in zip(by_f["f"], by_f["estimate"], strict=True):
        rows = (DATA["f"] == f).to_numpy()
        own = draws.sel(response_category="b")[..., rows].mean()
        assert estimate == pytest.approx(float(own), rel=1e-10)
    data = DATA.assign(x=DATA["x"] + 1)
    higher = post.predict_draws(data, kind="probability", groups="population")
    step = float((higher - draws).sel(response_category="d").mean())
    found = post.of_category("d").comparisons("x")
    assert found["estimate"].iloc[0] == pytest.approx(step, rel=1e-8)
    assert eb.of_category("d").comparisons("x", seed=1)["estimate"].iloc[0] == pytest.approx(
        step, abs=0.02
    )
    # The comparisons of all categories add up to nothing.
    all_of_them = [post.of_category(c).comparisons("x")["estimate"].iloc[0] for c in "abcd"]
    assert sum(all_of_them) == pytest.approx(0.0, abs=1e-12)
    means = post.of_category("b").marginal_means("f").table
    other = eb.of_category("b").marginal_means("f").table
    np.testing.assert_allclose(means["estimate"], other["estimate"], atol=0.03)


def test_one_category_of_an_ordered_response() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=200)
    grade = pd.cut(x + rng.logistic(size=200), [-np.inf, -1, 1, np.inf], labels=["lo", "mid", "hi"])
    model = bmx.Model("y ~ x", {"x": x, "y": grade}, family="cumulative")
    post = model.fit(draws=200, tune=200, chains=2, seed=1, progress=False)
    draws = post.predict_draws(kind="probability").sel(response_category="mid")
    found = post.of_category("mid").predictions()["estimate"].iloc[0]
    assert found == pytest.approx(float(draws.mean()), rel=1e-10)


def test_a_category_that_is_not_there_is_refused(eb: bmx.EmpiricalBayes) -> None:
    with pytest.raises(ArgumentError, match=r"no category 'e'.*a, b, c, d"):
        eb.of_category("e")
    sleep = bmx.load_dataset("sleepstudy")
    with pytest.raises(NotSupportedError, match="response with categories"):
        bmx.Model("Reaction ~ Days", sleep).fit_eb().of_category("a")


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")  # of short refits
def test_checks_leave_rows_out(post: bmx.Posterior) -> None:
    loo, kfold = post.loo(), post.kfold(3, draws=300, seed=1, progress=False)
    assert abs(loo.elpd - kfold.elpd) < 25
    assert post.check(seed=1).axes
    assert post.of_category("b").check(seed=1).axes


def test_files_keep_the_categories(post: bmx.Posterior, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "fit.nc"
    post.save(path)
    again = bmx.load(path)
    pd.testing.assert_frame_equal(
        again.predict(kind="probability"), post.predict(kind="probability")
    )
    numbers = bmx.Model("number ~ x", DATA, family="categorical").fit_eb("ml")
    numbers.save(tmp_path / "eb.nc")
    assert bmx.load(tmp_path / "eb.nc").model.family.labels == (10, 20, 30, 40)


def test_updates_keep_the_categories_of_the_data(eb: bmx.EmpiricalBayes) -> None:
    some = DATA[DATA["y"] != "c"]
    found = eb.model.update(data=some)
    assert found.family.labels == tuple("abcd")
    fewer = eb.update(". ~ . - f")
    assert "f[T.v]" not in set(fewer.fixed_effects(parameter="all")["term"])
    with pytest.raises(DataError, match="the level 'z'"):
        eb.model.update(data=DATA.assign(y="z"))


def test_the_equation_names_every_predictor() -> None:
    text = bmx.Model("y ~ x", DATA, family="categorical").equation()
    assert r"\operatorname{softmax}(0, \eta_i, \text{mu3}_i, \text{mu4}_i)" in text


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_category_that_a_level_lacks_spoils_no_other(absent: int) -> None:
    """Its log odds have no finite estimate; the rest is as where its probability is zero there."""
    data = DATA[DATA["y"] != "d"].reset_index(drop=True)
    y = np.unique(data["y"], return_inverse=True)[1]
    f = np.where(np.arange(len(y)) % 3 == 0, "c", data["f"])
    y = np.where((f == "c") & (y == absent), (absent + 1) % 3, y)
    data = data.assign(f=pd.Categorical(f, ["u", "v", "c"]), y=np.array(list("abc"))[y])
    model = bmx.Model("y ~ x + f", data, family="categorical")
    with pytest.warns(SeparationWarning, match=r"no bound to .*f\[T\.c\]"):
        eb = model.fit_eb()
    X = np.column_stack([np.ones(len(y)), data["x"], f == "v", f == "c"]).astype(float)

    def deviance(beta: np.ndarray) -> float:
        eta = np.column_stack([np.zeros(len(y)), X @ beta.reshape(2, 4).T])
        eta[f == "c", absent] = -np.inf
        kept = eta[np.arange(len(y)), y] - special.logsumexp(eta, axis=1)
        return -float(kept.sum())

    # In level c the other two have one contrast, the one coefficient of the two that counts.
    fixed = 7 if absent in {0, 2} else 3
    free = np.delete(np.arange(8), fixed)

    def of_free(beta: np.ndarray) -> float:
        return deviance(np.insert(beta, fixed, 0.0))

    best = optimize.minimize(of_free, np.zeros(7), method="BFGS", options={"gtol": 1e-7})
    h, eye = 1e-4, np.eye(7)
    hessian = np.array(
        [
            [
                sum(
                    s * t * of_free(best.x + h * (s * eye[i] + t * eye[j]))
                    for s in (1, -1)
                    for t in (1, -1)
                )
                / (4 * h * h)
                for j in range(7)
            ]
            for i in range(7)
        ]
    )
    sd = np.sqrt(np.diag(np.linalg.inv(hessian)))
    table = eb.fixed_effects(parameter="all")
    lost = {0: [3, 7], 1: [3], 2: [7]}[absent]
    known = np.delete(np.arange(8), lost)
    of_known = np.searchsorted(free, known)
    assert np.isnan(table["sd"].to_numpy()[lost]).all()
    np.testing.assert_allclose(table["estimate"].to_numpy()[known], best.x[of_known], atol=2e-4)
    np.testing.assert_allclose(table["sd"].to_numpy()[known], sd[of_known], rtol=2e-3)
    row = data[f == "c"].head(1)
    found = eb.predict(row, kind="probability")
    assert found["estimate"].iloc[absent] < 1e-6
    assert found["sd"].max() < 0.1
