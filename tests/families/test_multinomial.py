"""Counts of categories: density, kernel and PyMC model, and fits beside those of single trials."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.errors import DataError, FormulaError, NotSupportedError
from bayesmix.families import Binomial, Multinomial
from bayesmix.families.one_category import one_category
from bayesmix.formula import parse_formula
from bayesmix.glmm.rows import JOINT_KERNELS, constant, counted_rows

TEXT = "cbind(a, b, c) | trials(n) ~ x + (1 | g)"
FAMILY = Multinomial(labels=tuple("abcd"))
TRUE = np.array([[0.3, 0.9], [-0.4, -0.5]])


def counted_data(n: int = 150, n_groups: int = 12, seed: int = 1) -> pd.DataFrame:
    """Counts of three categories, with effects of x and of groups on each."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=n), rng.integers(0, n_groups, n)
    b = rng.normal(size=(n_groups, 2)) * [0.8, 0.5]
    eta = TRUE[:, 0] + np.outer(x, TRUE[:, 1]) + b[g]
    p = special.softmax(np.column_stack([np.zeros(n), eta]), axis=1)
    trials = rng.integers(1, 8, n)
    counts = dict(zip("abc", rng.multinomial(trials, p).T, strict=True))
    f, w = rng.choice(["u", "v"], n), rng.choice([0.0, 1.0, 2.0], n)
    groups = [f"g{k:02d}" for k in g]
    return pd.DataFrame({"x": x, "f": f, "g": groups, **counts, "n": trials, "w": w})


DATA = counted_data()


def one_trial_a_row(data: pd.DataFrame) -> pd.DataFrame:
    """The same data with a row, and a category, for each trial."""
    parts = [data.loc[data.index.repeat(data[c])].assign(y=c) for c in "abc"]
    return pd.concat(parts, ignore_index=True)


def log_coefficients(data: pd.DataFrame, names: str = "abc") -> float:
    counts = data[list(names)].to_numpy()
    return float((special.gammaln(counts.sum(1) + 1) - special.gammaln(counts + 1).sum(1)).sum())


@pytest.fixture(scope="module")
def eb() -> bmx.EmpiricalBayes:
    return bmx.Model(TEXT, DATA, family="multinomial").fit_eb("ml")


@pytest.fixture(scope="module")
def post() -> bmx.Posterior:
    model = bmx.Model(TEXT, DATA, family="multinomial")
    return model.fit(draws=1000, tune=400, chains=2, seed=1, progress=False)


def some_rows(rng: np.random.Generator, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    y = rng.multinomial(rng.integers(1, 9, n), [0.4, 0.1, 0.3, 0.2]).astype(float)
    return y, rng.normal(0, 1.5, (3, n))


def test_the_density_is_that_of_scipy(rng: np.random.Generator) -> None:
    y, eta = some_rows(rng)
    p = special.softmax(np.column_stack([np.zeros(40), eta.T]), axis=1)
    others, rows = {"mu3": eta[1], "mu4": eta[2]}, {"trials": y.sum(1)}
    found = FAMILY.log_prob(y, eta[0], others, rows)
    np.testing.assert_allclose(found, stats.multinomial.logpmf(y, y.sum(1), p), rtol=1e-11)
    # Seen by one category it is binomial.
    own, k = one_category(FAMILY, y, 3)
    np.testing.assert_array_equal(k, y[:, 2])
    expected = stats.binom(y.sum(1), p[:, 2])
    np.testing.assert_allclose(own.log_prob(k, eta[0], others, rows), expected.logpmf(k))
    np.testing.assert_allclose(own.mean(eta[0], others, rows), expected.mean())
    np.testing.assert_allclose(own.variance(eta[0], others, rows), expected.var())


def test_extreme_odds_stay_finite() -> None:
    y, far = np.array([[2.0, 0, 0, 0], [0.0, 1, 1, 0]]), np.array([800.0, -800.0])
    found = FAMILY.log_prob(y, far, {"mu3": -far, "mu4": -far}, {"trials": y.sum(1)})
    assert found[0] == pytest.approx(-1600.0)
    assert np.isfinite(found).all()


def test_draws_have_the_moments_of_the_distribution(rng: np.random.Generator) -> None:
    eta, rows = np.full((20_000, 1), 0.7), {"trials": np.array([6.0])}
    drawn = FAMILY.simulate(eta, {"mu3": -0.5, "mu4": 0.2}, rows, rng)
    assert drawn.shape == (20_000, 1, 4)
    assert (drawn.sum(axis=-1) == 6).all()
    p = special.softmax([0, 0.7, -0.5, 0.2])
    np.testing.assert_allclose(drawn.mean(axis=(0, 1)), 6 * p, atol=0.04)
    covariance = np.cov(drawn[:, 0].T)
    np.testing.assert_allclose(covariance, 6 * (np.diag(p) - np.outer(p, p)), atol=0.06)


@pytest.mark.parametrize("exponents", [False, True])
def test_the_kernel_is_the_density_with_its_derivatives(
    rng: np.random.Generator, exponents: bool
) -> None:
    y, eta = some_rows(rng)
    n, rows = len(y), {"trials": y.sum(1)}
    if exponents:
        rows["exponent"] = rng.choice([0.0, 1.0, 2.5], n)
    kernel, given = JOINT_KERNELS["multinomial"], counted_rows(y, rows)

    def run(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        value, first, second = np.zeros(n), np.zeros((3, n)), np.zeros((6, n))
        total = kernel(0, n, y.sum(1), given, np.ascontiguousarray(eta), np.ones(1), 2, value,
                       first, second, np.ones(1))  # fmt: skip
        assert total == pytest.approx(value.sum())
        return value, first, second

    value, first, second = run(eta)
    expected = FAMILY.log_prob(y, eta[0], {"mu3": eta[1], "mu4": eta[2]}, rows)
    left_out = constant("multinomial", y, rows)
    np.testing.assert_allclose(value + left_out, expected, rtol=1e-11, atol=1e-11)
    for k in range(3):
        step = 1e-5 * np.eye(3)[k][:, None]
        up, down = run(eta + step), run(eta - step)
        np.testing.assert_allclose((up[0] - down[0]) / 2e-5, first[k], atol=1e-7)
        for j in range(k + 1):
            slope = (up[1][j] - down[1][j]) / 2e-5
            np.testing.assert_allclose(slope, second[k * (k + 1) // 2 + j], atol=1e-7)


@pytest.mark.parametrize("exponents", [False, True])
def test_the_pymc_model_has_the_density_of_the_family(exponents: bool) -> None:
    data = DATA.head(50)
    left = "weighted(cbind(a, b, c), w)" if exponents else "cbind(a, b, c)"
    model = bmx.Model([f"{left} ~ x", "mu3 ~ 1"], data, family="multinomial")
    stated = model.pymc_model
    density = stated.compile_logp(vars=[stated["y"]], jacobian=False, mode="FAST_COMPILE")
    point = stated.initial_point()
    point["intercept_at_means"], point["coefficients"] = np.array(0.4), np.array([1.3])
    point["mu3_intercept_at_means"] = np.array(-0.7)
    eta = 0.4 + 1.3 * (data["x"] - data["x"].mean()).to_numpy()
    p = special.softmax(np.column_stack([0 * eta, eta, np.full(50, -0.7)]), axis=1)
    rows = stats.multinomial.logpmf(data[list("abc")].to_numpy(), data["n"].to_numpy(), p)
    expected = (rows * (data["w"].to_numpy() if exponents else 1.0)).sum()
    assert float(density(point)) == pytest.approx(expected, rel=1e-10)


def test_priors_predict_counts_of_the_totals(post: bmx.Posterior) -> None:
    drawn = post.prior_predictive(20, seed=1)["prior_predictive"]["y"]
    assert drawn.dims == ("chain", "draw", "row", "response_category")
    np.testing.assert_array_equal(drawn.sum("response_category")[0, 3], DATA["n"])


def test_fits_are_those_of_single_trials(eb: bmx.EmpiricalBayes) -> None:
    single = bmx.Model("y ~ x + (1 | g)", one_trial_a_row(DATA), family="categorical").fit_eb("ml")
    assert eb.loglik == pytest.approx(single.loglik + log_coefficients(DATA), abs=1e-6)
    for table in ("fixed_effects", "variance_components"):
        ours, theirs = (getattr(fit, table)(parameter="all") for fit in (eb, single))
        for column in ("estimate", "sd"):
            if column in ours:
                np.testing.assert_allclose(ours[column], theirs[column], atol=2e-4)


def test_two_categories_are_successes_of_trials() -> None:
    data = DATA[DATA["a"] + DATA["b"] > 0]
    ours = bmx.Model("cbind(a, b) ~ x + (1 | g)", data, family="multinomial")
    theirs = bmx.Model("proportion(b, a + b) ~ x + (1 | g)", data, family="binomial")
    eb, binomial = ours.fit_eb("ml"), theirs.fit_eb("ml")
    assert eb.loglik == pytest.approx(binomial.loglik, abs=1e-8)
    np.testing.assert_allclose(
        eb.fixed_effects()["estimate"], binomial.fixed_effects()["estimate"], atol=1e-6
    )
    of_b = eb.of_category("b")
    assert of_b.check(seed=1).axes
    for ours_of, theirs_of in (
        (of_b.predictions(by="g"), binomial.predictions(by="g")),
        (of_b.comparisons("x", seed=1), binomial.comparisons("x", seed=1)),
    ):
        np.testing.assert_allclose(ours_of["estimate"], theirs_of["estimate"], rtol=5e-3)
    settings = {"draws": 1000, "tune": 300, "chains": 2, "seed": 1, "progress": False}
    loo, other = (model.fit(**settings).loo(by="g") for model in (ours, theirs))
    assert loo.elpd == pytest.approx(other.elpd, abs=0.5)


def test_estimates_are_near_the_numbers_that_made_the_data(eb: bmx.EmpiricalBayes) -> None:
    big = bmx.Model(TEXT, counted_data(2000, 60, seed=3), family="multinomial").fit_eb("ml")
    table = big.fixed_effects(parameter="all")
    far = (table["estimate"].to_numpy() - TRUE.ravel()) / table["sd"].to_numpy()
    assert np.abs(far).max() < 3
    sd = [float(big.variance_components(parameter=p)["sd"].iloc[0]) for p in ("mu", "mu3")]
    np.testing.assert_allclose(sd, [0.8, 0.5], atol=0.2)


def test_the_posterior_agrees_with_the_mode(post: bmx.Posterior, eb: bmx.EmpiricalBayes) -> None:
    ours, theirs = (fit.fixed_effects(parameter="all") for fit in (post, eb))
    far = (ours["estimate"] - theirs["estimate"]) / theirs["sd"]
    assert far.abs().max() < 0.5


def test_weights_of_rows_count_them_that_often() -> None:
    weighted = bmx.Model("weighted(cbind(a, b, c), w) ~ x", DATA, family="multinomial")
    rows = DATA.loc[DATA.index.repeat(DATA["w"].astype(int))]
    repeated = bmx.Model("cbind(a, b, c) ~ x", rows, family="multinomial")
    assert weighted.fit_eb("ml").loglik == pytest.approx(repeated.fit_eb("ml").loglik, abs=1e-6)


def test_new_rows_have_the_totals_that_are_given(
    eb: bmx.EmpiricalBayes, post: bmx.Posterior
) -> None:
    new = pd.DataFrame({"x": [0.0, 1.0], "g": ["g01", "new"], "n": [1000, 0]})
    for fit in (eb, post):
        p = fit.predict(new.drop(columns="n"), kind="probability")
        counts = fit.predict(new, kind="response", seed=1)
        assert counts["category"].tolist() == list("abcabc")
        np.testing.assert_allclose(counts["estimate"][:3], 1000 * p["estimate"][:3], rtol=0.05)
        assert (counts["estimate"].to_numpy()[3:] == 0).all()
        draws = fit.predict_draws(new, kind="response", draws=100, seed=1)
        assert (draws.sum("response_category").to_numpy() == [1000, 0]).all()
        with pytest.raises(DataError, match=r"number of trials of each row.*no column `n`"):
            fit.predict(new.drop(columns="n"), kind="response")
    sums = bmx.Model("cbind(a, b, c) ~ x", DATA, family="multinomial").fit_eb("ml")
    assert sums.predict(DATA.head(2), kind="response", seed=1)["estimate"].sum() == pytest.approx(
        DATA["n"].head(2).sum()
    )
    with pytest.raises(DataError, match=r"\| trials\(n\) ~ ... names a column of totals"):
        sums.predict(new, kind="response")


def test_replicates_can_be_put_into_the_data(eb: bmx.EmpiricalBayes, post: bmx.Posterior) -> None:
    for fit in (eb, post):
        found = fit.simulate(2, seed=1)
        assert found.columns.tolist() == [(f"sim_{k}", c) for k in (1, 2) for c in "abc"]
        assert (found["sim_2"].sum(axis=1) == DATA["n"]).all()
        again = fit.model.update(data=DATA.assign(**found["sim_1"]))
        np.testing.assert_array_equal(again.y, found["sim_1"])
    drawn = post.posterior_predictive(draws=50)["posterior_predictive"]["y"]
    assert drawn.coords["response_category"].to_numpy().tolist() == list("abc")
    mean = drawn.mean(("chain", "draw", "row")).to_numpy()
    np.testing.assert_allclose(mean, DATA[list("abc")].mean(), atol=0.2)


def test_one_category_has_means_and_checks(eb: bmx.EmpiricalBayes, post: bmx.Posterior) -> None:
    p = post.predict_draws(kind="probability")
    for category in "abc":
        found = post.of_category(category).predictions(by="g", groups="conditional")
        for g, estimate in zip(found["g"], found["estimate"], strict=True):
            at = (DATA["g"] == g).to_numpy()
            counts = p.sel(response_category=category)[..., at] * DATA["n"].to_numpy()[at]
            assert estimate == pytest.approx(float(counts.mean()), rel=1e-8)
    slopes = [post.of_category(c).comparisons("x")["estimate"].iloc[0] for c in "abc"]
    assert sum(slopes) == pytest.approx(0.0, abs=1e-10)
    for fit in (eb, post):
        assert fit.check(seed=1).axes
        assert fit.of_category("c").check(seed=1).axes
        with pytest.raises(NotSupportedError, match=r"of_category"):
            fit.residuals("quantile")
        with pytest.raises(NotSupportedError, match=r"no order have no mean.*of_category"):
            fit.predict()


def test_rows_and_groups_are_left_out(post: bmx.Posterior) -> None:
    loo, kfold = post.loo(), post.kfold(3, seed=1, progress=False)
    assert loo.elpd == pytest.approx(kfold.elpd, abs=15)
    none = bmx.Model("cbind(a, b, c) ~ 1", DATA, family="multinomial")
    other = none.fit(draws=500, tune=300, chains=2, seed=1, progress=False).loo()
    assert other.elpd < loo.elpd - 20


def test_files_keep_the_counts(eb: bmx.EmpiricalBayes, post: bmx.Posterior, tmp_path) -> None:  # type: ignore[no-untyped-def]
    for name, fit in (("post.nc", post), ("eb.nc", eb)):
        fit.save(tmp_path / name)
        again = bmx.load(tmp_path / name)
        pd.testing.assert_frame_equal(
            again.predict(kind="probability"), fit.predict(kind="probability")
        )
        np.testing.assert_array_equal(again.model.y, DATA[list("abc")])


def test_updates_keep_the_left_hand_side(eb: bmx.EmpiricalBayes) -> None:
    assert eb.model.update(". ~ . + f").formula.response.text == "cbind(a, b, c)"
    some = eb.model.update(data=DATA.head(100))
    assert some.y.shape == (100, 3)


def test_words_name_the_categories(eb: bmx.EmpiricalBayes) -> None:
    said = repr(eb.model)
    assert "counts, categories b, c against a" in said
    assert "mu3 (log odds of c against a)" in said
    equation = eb.model.equation()
    assert r"\operatorname{Multinomial}(n_i, \operatorname{softmax}(0, \eta_i" in equation


def test_scenarios_draw_counts_of_given_totals(eb: bmx.EmpiricalBayes) -> None:
    numbers = {"Intercept": 0.2, "x": 1.0, "mu3_beta(Intercept)": -1.0, "mu3_beta(x)": 0.0}
    text = "cbind(a, b, c) | trials(n) ~ x"
    frame = bmx.simulate(text, DATA[["x", "n"]], numbers, "multinomial", seed=1)
    assert (frame[list("abc")].sum(axis=1) == frame["n"]).all()
    fit = bmx.Model(text, frame, family="multinomial").fit_eb("ml")
    table = fit.fixed_effects(parameter="all")
    assert ((table["estimate"] - list(numbers.values())).abs() < 3 * table["sd"]).all()
    again = bmx.Scenario.of_fit(eb).simulate(seed=2)
    assert (again[list("abc")].sum(axis=1) == DATA["n"]).all()


def test_left_hand_sides_of_r_and_brms_are_read() -> None:
    for text, total in (
        ("cbind(a, b, c) ~ x", "a + b + c"),
        ("cbind(a, b, c) | trials(n) ~ x", "n"),
        ("weighted(cbind(a, m - a), w) ~ x", "a + (m - a)"),
        ("cbind(`one a`, b) | trials(`all of it`) ~ x", "all of it"),
    ):
        formula = parse_formula(text)
        assert formula.extras["trials"].text == total
        assert len(formula.counts) >= 2
        assert formula.predictor_columns == ("x",)


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("cbind(a, b, c) ~ x", {"b": 0.5}, r"counts `b` are 0.5 in row 0: whole numbers from 0"),
        ("cbind(a, b, c) ~ x", {"b": -1}, r"counts `b` are -1 in row 0: whole numbers from 0"),
        ("cbind(a, b, c) ~ x", {"a": 0, "b": 0, "c": 0}, "all counts of .* are zero in row 0"),
        ("cbind(a, b, c) | trials(n) ~ x", {"n": 99}, r"add up to \d+ in row 0.*`n` are 99"),
        ("cbind(a, b, f) ~ x", {}, "counts `f` hold text"),
        ("cbind(a, b, c) ~ x", {"a": np.nan}, "missing value"),
    ],
)
def test_counts_that_cannot_be_are_named(
    text: str, changes: dict[str, float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        bmx.Model(text, DATA.assign(**changes), family="multinomial", missing="raise")


@pytest.mark.parametrize(
    ("text", "family", "message"),
    [
        ("a ~ x", "multinomial", r"wants the counts of categories, cbind\(a, b, c\)"),
        ("cbind(a) ~ x", "multinomial", "1 category: .* two or more"),
        ("cbind(a, b, a) ~ x", "multinomial", "`a` is counted twice"),
        ("cbind(a, b, d) ~ x", "multinomial", "no column `d`"),
        ("cbind(a, b, c) ~ a", "multinomial", "`a` is also a predictor"),
        ("cbind(a, b, size=2) ~ x", "multinomial", "no argument `size`"),
        ("cbind(a, b) ~ x", "binomial", r"proportion\(a, a \+ b\)"),
        ("cbind(a, b, c) ~ x", "poisson", r'are for family="multinomial"'),
        ("cbind(a, b, c) ~ x", "categorical", r'are for family="multinomial"'),
        ("x ~ cbind(a, b, c)", "gaussian", "are a left-hand side"),
    ],
)
def test_what_is_wrong_with_the_formula_is_said(text: str, family: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        bmx.Model(text, DATA, family=family)


def test_binomial_is_not_changed_by_its_neighbour() -> None:
    assert Binomial().has_counts is False
