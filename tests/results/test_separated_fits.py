"""Fits in which a coefficient runs away: what is said of it, and of the others."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import (
    BayesmixWarning,
    DataError,
    NotEstimableWarning,
    NotSupportedError,
    SeparationWarning,
)
from bayesmix.results.laplace_fit import LaplaceFit

FORMULA = "{} ~ x + c + (1 | f)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """No success and no count in level c; groups do not differ, so that these are GLMs."""
    rng = np.random.default_rng(4)
    n = 1000
    d = pd.DataFrame(
        {
            "x": rng.uniform(size=n),
            "c": np.array(list("abcd"))[np.arange(n) % 4],
            "f": np.repeat(np.arange(20), 50).astype(str),
        }
    )
    d["y"] = rng.binomial(1, 0.45, n)
    d["k"] = rng.poisson(2, n)
    d["m"] = 3
    d["s"] = rng.binomial(3, 0.45, n)
    d.loc[d["c"] == "c", ["y", "k", "s"]] = 0
    return d


def _fit(text: str, data: pd.DataFrame, family: Any, **options: Any) -> LaplaceFit:
    with pytest.warns(SeparationWarning, match=r"separates? the outcomes"):
        fit = bmx.Model(text, data, family=family).fit_eb(**options)
    assert isinstance(fit, LaplaceFit)
    return fit


@pytest.fixture(scope="module")
def binary(data: pd.DataFrame) -> LaplaceFit:
    return _fit(FORMULA.format("y"), data, "bernoulli")


def _by_newton(X: np.ndarray, y: np.ndarray, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and standard errors of a Poisson (trials 0) or logistic regression."""
    beta = np.zeros(X.shape[1])
    for _ in range(30):
        mu = np.exp(X @ beta) if trials == 0 else trials * special.expit(X @ beta)
        W = mu if trials == 0 else mu * (1 - mu / trials)
        covariance = np.linalg.inv((X.T * W) @ X)
        beta = beta + covariance @ X.T @ (y - mu)
    return beta, np.sqrt(np.diag(covariance))


@pytest.mark.parametrize(
    ("response", "family", "trials"),
    [("y", "bernoulli", 1), ("k", "poisson", 0), ("proportion(s, m)", "binomial", 3)],
)
def test_others_have_the_standard_errors_without_the_separated_rows(
    data: pd.DataFrame, response: str, family: str, trials: int
) -> None:
    fit = _fit(FORMULA.format(response), data, family)
    assert fit.converged
    assert fit.variance_components()["sd"][0] == 0
    assert fit.separation.startswith("c[T.c] separates the outcomes")
    rest = data[data["c"] != "c"]
    X = np.column_stack([np.ones(len(rest)), rest["x"], rest["c"] == "b", rest["c"] == "d"])
    column = {"y": "y", "k": "k"}.get(response, "s")
    beta, se = _by_newton(X.astype(float), rest[column].to_numpy(), trials)
    table = fit.fixed_effects().set_index("term")
    known = table.drop("c[T.c]")
    np.testing.assert_allclose(known["estimate"], beta, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(known["sd"], se, rtol=1e-4)
    assert table.loc["c[T.c]", ["sd", "lower", "upper"]].isna().all()
    assert table.loc["c[T.c]", "estimate"] < -10


def test_the_fit_says_so_in_its_summary(binary: LaplaceFit) -> None:
    text = " ".join(str(binary).split())
    assert "Separation: c[T.c] separates the outcomes" in text
    assert 'method="map"' in text


def test_it_is_said_beside_other_fits_and_in_the_methods(binary: LaplaceFit) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)
        other = binary.update(". ~ . - x")
    beside = " ".join(str(bmx.compare_estimates(all=binary, fewer=other)).split())
    assert f"all: {' '.join(binary.separation.split())}." in beside
    assert f"fewer: {' '.join(other.separation.split())}." in beside
    assert " ".join(binary.separation.split()) in " ".join(str(binary.methods()).split())


def test_a_prior_holds_the_estimate(data: pd.DataFrame) -> None:
    fit = bmx.Model(FORMULA.format("y"), data, family="bernoulli").fit_eb("map")
    assert fit.separation == ""
    assert np.isfinite(fit.fixed_effects()["sd"]).all()


def test_a_flat_prior_does_not(data: pd.DataFrame) -> None:
    """The intercept's prior, at the means of the predictors, would hold the level as well."""
    priors = {"Intercept": bmx.Prior("Flat"), "c[T.c]": bmx.Prior("Flat")}
    with pytest.warns(SeparationWarning, match=r"c\[T.c\] separates"):
        fit = bmx.Model(FORMULA.format("y"), data, family="bernoulli", priors=priors).fit_eb("map")
    assert fit.fixed_effects().set_index("term")["sd"].isna().sum() == 1


def test_the_covariance_matrix_and_tests_know_the_rest(binary: LaplaceFit) -> None:
    V = binary.vcov()
    assert V["c[T.c]"].isna().all()
    known = V.drop(index="c[T.c]", columns="c[T.c]")
    assert np.isfinite(known.to_numpy()).all()
    table = binary.hypothesis(["x = 0", "c[T.b] = c[T.d]", "c[T.c] = 0", "c[T.b] > c[T.c]"]).table
    np.testing.assert_allclose(table["sd"][0], np.sqrt(V.loc["x", "x"]), rtol=1e-6)
    b_d = V.loc["c[T.b]", "c[T.b]"] + V.loc["c[T.d]", "c[T.d]"] - 2 * V.loc["c[T.b]", "c[T.d]"]
    np.testing.assert_allclose(table["sd"][1], np.sqrt(b_d), rtol=1e-6)
    assert table["sd"][2:].isna().all()
    assert table["note"][2:].str.contains("flat").all()


def test_a_joint_test_of_the_others_is_not_lost(binary: LaplaceFit) -> None:
    row = binary.fixed_effects().set_index("term").loc["x"]
    (found,) = binary.test(["x = 0"]).itertuples()
    assert found.chisq == pytest.approx((row["estimate"] / row["sd"]) ** 2)
    assert 0 < found.p < 1
    assert binary.test(["x = 0", "c[T.b] = 0"])["p"].notna().all()
    assert binary.test(["x = 0", "c[T.c] = 0"])["p"].isna().all()


def test_a_difference_of_two_that_run_away_together_is_tested(rng: np.random.Generator) -> None:
    # Off the line u + v = 0 the sum tells every outcome; on it u - v has the slope of u alone.
    n = 400
    d = pd.DataFrame({"u": rng.normal(size=n), "v": rng.normal(size=n), "g": np.arange(n) % 20})
    on = np.arange(n) % 2 == 0
    d.loc[on, "v"] = -d["u"]
    chance = special.expit(0.8 * d["u"] + 0.6 * rng.normal(size=20)[d["g"]])
    d["y"] = np.where(on, rng.uniform(size=n) < chance, d["u"] + d["v"] > 0).astype(int)
    both = _fit("y ~ u + v + (1 | g)", d, "bernoulli")
    alone = bmx.Model("y ~ u + (1 | g)", d[on], family="bernoulli").fit_eb()
    for texts, same in (
        ("u = v", "u = 0"),
        (["u = v", "Intercept = 0"], ["u = 0", "Intercept = 0"]),
    ):
        found, wanted = both.test(texts), alone.test(same)
        assert found["chisq"][0] == pytest.approx(wanted["chisq"][0], rel=1e-4)
        assert found["df"][0] == wanted["df"][0]
    assert np.isnan(both.test("u + v = 0")["chisq"][0])


def test_predictions_of_other_rows_keep_their_intervals(
    binary: LaplaceFit, data: pd.DataFrame
) -> None:
    split = (data["c"] == "c").to_numpy()
    for kind in ("mean", "linear", "response"):
        for groups in ("conditional", "population"):
            table = binary.predict(
                kind=kind, groups=groups, draws=200 if kind == "response" else None
            )
            assert np.isfinite(table[~split].to_numpy()).all()
            assert table.loc[split, ["sd", "lower", "upper"]].isna().all(axis=None)
            assert np.isfinite(table["estimate"]).all()
    x = np.array([1.0, 0.3, 0, 0, 1])
    row = pd.DataFrame({"x": [0.3], "c": ["d"]})
    V = np.nan_to_num(binary.vcov().to_numpy())
    found = binary.predict(row, kind="linear", groups="population")["sd"][0]
    np.testing.assert_allclose(found, np.sqrt(x @ V @ x), rtol=1e-6)


def test_averages_are_lost_where_all_their_rows_are(binary: LaplaceFit) -> None:
    by = binary.predictions(by="c", groups="population").set_index("c")
    assert np.isfinite(by.drop("c").to_numpy()).all()
    assert by.loc["c", "estimate"] < 1e-6
    assert by.loc["c", ["sd", "lower", "upper"]].isna().all()
    assert np.isfinite(binary.predictions(groups="population")["sd"][0])
    table = binary.comparisons("c", groups="population").set_index("contrast")
    assert table["sd"].isna().tolist() == [("c" in name.split(" - ")) for name in table.index]
    linear = binary.comparisons("x", kind="linear", groups="population")
    sd = float(np.sqrt(binary.vcov().loc["x", "x"]))
    np.testing.assert_allclose(linear["sd"], sd, rtol=0.1)  # from draws


def test_a_separated_reference_level_takes_all_that_is_compared_with_it(
    data: pd.DataFrame,
) -> None:
    d = data.assign(c=data["c"].replace({"c": "A"}))
    fit = _fit(FORMULA.format("y"), d, "bernoulli")
    table = fit.fixed_effects().set_index("term")
    assert table["sd"].notna()[["x"]].all()
    assert table["sd"].drop("x").isna().all()
    hypothesis = fit.hypothesis("c[T.b] = c[T.d]").table  # the reference is not in it
    assert np.isfinite(hypothesis["sd"][0])


def test_a_predictor_of_groups_separates_although_they_vary() -> None:
    """The marginal likelihood rises as well; the rest is the fit to the other groups."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(40), 8)
    u = rng.normal(0, 1, 40)[g]
    d = pd.DataFrame({"g": g.astype(str), "old": (g >= 32).astype(int), "x": rng.normal(size=320)})
    d["y"] = rng.binomial(1, special.expit(0.3 + 0.7 * d["x"] + u))
    d.loc[d["old"] == 1, "y"] = 1
    fit = _fit("y ~ x + old + (1 | g)", d, "bernoulli")
    assert fit.separation.startswith("old separates")
    rest = bmx.Model("y ~ x + (1 | g)", d[d["old"] == 0], family="bernoulli").fit_eb()
    found, right = fit.fixed_effects(), rest.fixed_effects()
    np.testing.assert_allclose(found.loc[:1, "estimate"], right["estimate"], rtol=1e-4)
    np.testing.assert_allclose(found.loc[:1, "sd"], right["sd"], rtol=1e-4)
    here, there = (f.variance_components().iloc[0] for f in (fit, rest))
    for name in ("sd", "sd_lower", "sd_upper"):
        assert here[name] == pytest.approx(there[name], rel=1e-3)
    # Their groups are as if never seen.
    effects = fit.group_effects().set_index("level").loc[[str(k) for k in range(32, 40)]]
    np.testing.assert_allclose(effects["estimate"], 0, atol=1e-3)
    np.testing.assert_allclose(effects["sd"], here["sd"], rtol=1e-3)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("text", ["y ~ x + (1 | f)", "y ~ x + c + (1 | f)"])
def test_a_predictor_that_tells_every_outcome_separates(link: str, text: str) -> None:
    rng = np.random.default_rng(7)
    d = pd.DataFrame({"x": rng.normal(size=200), "f": np.arange(200) % 10})
    d["c"] = np.array(list("abcd"))[rng.integers(0, 4, 200)]
    d["y"] = (d["x"] > 0.5).astype(int)
    fit = _fit(text, d, bmx.families.Bernoulli(link=link))
    assert fit.converged
    assert fit.loglik == pytest.approx(0.0, abs=1e-3)
    assert fit.fixed_effects()["sd"].isna().all()


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_a_slope_that_separates_within_a_level_leaves_quadrature_to_the_others(
    link: str, recwarn: pytest.WarningsRecorder
) -> None:
    """Rows of the level have weights of exactly zero, and say nothing of the approximation."""
    rng = np.random.default_rng(21)
    n = 300
    d = pd.DataFrame({"g": np.repeat(np.arange(15), 20), "a": rng.choice(list("abc"), n)})
    d["z"] = rng.normal(size=n)
    chance = 1 / (1 + np.exp(-0.7 * rng.normal(size=15)[d["g"]]))
    d["y"] = np.where(d["a"] == "a", d["z"] > 0, rng.random(n) < chance).astype(int)
    model = bmx.Model("y ~ a * z + (1 | g)", d, family=bmx.families.Bernoulli(link=link))
    rest = bmx.Model(
        "y ~ a * z + (1 | g)", d[d["a"] != "a"], family=bmx.families.Bernoulli(link=link)
    )
    for n_quadrature in (1, 15):
        fit = model.fit_eb(n_quadrature=n_quadrature)
        right = rest.fit_eb(n_quadrature=n_quadrature)
        assert isinstance(fit, LaplaceFit)
        assert isinstance(right, LaplaceFit)
        assert fit.converged
        assert fit.separation
        assert fit.approximation == right.approximation
        assert fit.loglik == pytest.approx(right.loglik, abs=1e-5)
        sd, right_sd = (f.variance_components()["sd"][0] for f in (fit, right))
        assert sd == pytest.approx(right_sd, rel=1e-4)
    assert {w.category for w in recwarn} == {SeparationWarning}


def test_groups_of_one_outcome_each_say_nothing_of_their_spread() -> None:
    """With larger effects the likelihood does no worse; Laplace's own maximum is no estimate."""
    g = np.repeat(np.arange(12), 5)
    d = pd.DataFrame({"g": g.astype(str), "y": (g % 3 == 0).astype(int)})
    with pytest.warns(SeparationWarning, match="effects of g with the fixed ones reproduce"):
        fit = bmx.Model("y ~ 1 + (1 | g)", d, family="bernoulli").fit_eb()
    assert fit.fixed_effects()["sd"].isna().all()
    table = fit.variance_components().iloc[0]
    assert not np.isfinite(table["sd_upper"])
    # The profile of the approximation comes down again where the integral does not.
    many = pd.DataFrame({"g": np.arange(400) % 20, "x": np.random.default_rng(7).normal(size=400)})
    many["y"] = many["g"] % 2
    with pytest.warns(SeparationWarning, match="effects of g with the fixed ones reproduce"):
        fit = bmx.Model("y ~ x + (1 | g)", many, family="bernoulli").fit_eb()
    table = fit.variance_components(ci_method="profile")
    assert table.loc[0, ["sd_lower", "sd_upper"]].isna().all()
    held = bmx.Model("y ~ 1 + (1 | g)", d, family="bernoulli").fit_eb("map")
    assert held.separation == ""  # type: ignore[attr-defined]
    assert np.isfinite(held.fixed_effects()["sd"]).all()


def test_rare_events_and_large_coefficients_are_not_separation() -> None:
    """A coefficient of 40 per unit of x is a number like any other."""
    rng = np.random.default_rng(3)
    x = rng.uniform(-0.5, 0.5, 600)
    d = pd.DataFrame({"x": x, "g": rng.integers(0, 10, 600).astype(str)})
    d["y"] = (rng.random(600) < special.expit(40 * x)).astype(int)
    d["rare"] = (rng.random(600) < 0.01).astype(int)
    steep = bmx.Model("y ~ x + (1 | g)", d, family="bernoulli").fit_eb()
    assert steep.separation == ""
    assert steep.fixed_effects()["estimate"][1] > 25
    rare = bmx.Model("rare ~ x + (1 | g)", d, family="bernoulli").fit_eb()
    assert rare.separation == ""
    assert np.isfinite(rare.fixed_effects()["sd"]).all()


def test_a_flat_family_parameter_does_not_spoil_the_coefficients() -> None:
    """Without overdispersion alpha has no estimate, and the Poisson model's numbers hold."""
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"x": rng.normal(size=300), "g": np.repeat(np.arange(30), 10).astype(str)})
    d["y"] = rng.binomial(20, 0.1 * np.exp(0.3 * np.tanh(d["x"])), 300)
    fit = bmx.Model("y ~ x + (1 | g)", d, family="negative_binomial").fit_eb()
    poisson = bmx.Model("y ~ x + (1 | g)", d, family="poisson").fit_eb()
    assert "no overdispersion" in fit.singular
    for name in ("estimate", "sd"):
        np.testing.assert_allclose(
            fit.fixed_effects()[name], poisson.fixed_effects()[name], rtol=1e-3
        )


def test_nearly_collinear_columns_keep_their_standard_errors() -> None:
    """Columns that are 100 +- 0.01 times a level's indicator: no direction is flat."""
    rng = np.random.default_rng(5)
    n = 240
    x = rng.normal(100, 0.01, n)
    c = np.arange(n) % 3
    d = pd.DataFrame({"x": x, "c": np.array(list("abc"))[c], "g": (np.arange(n) // 12).astype(str)})
    d["y"] = rng.binomial(1, 0.5, n)
    far, near = (
        bmx.Model("y ~ x * c + (1 | g)", d.assign(x=x - shift), family="bernoulli").fit_eb()
        for shift in (0, 100)
    )
    assert far.separation == ""
    slopes = ["x", "x:c[T.b]", "x:c[T.c]"]
    found, right = (fit.fixed_effects().set_index("term").loc[slopes, "sd"] for fit in (far, near))
    np.testing.assert_allclose(found, right, rtol=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_no_standard_error_is_missing_without_a_reason(seed: int) -> None:
    """Twenty rows, eight coefficients, effects that the data hardly determine."""
    rng = np.random.default_rng(seed)
    n = 24
    d = pd.DataFrame(
        {
            "z": rng.normal(size=n),
            "c": np.array(list("abc"))[rng.integers(0, 3, n)],
            "g": rng.integers(0, 5, n).astype(str),
        }
    )
    eta = -0.5 + d["z"] + 2 * (d["c"] == "c")
    d["y"] = rng.binomial(1, special.expit(eta))
    d["k"] = rng.poisson(np.exp(eta - 1))
    for response, family in (("y", "bernoulli"), ("k", "poisson"), ("k", "negative_binomial")):
        term = ("(1 | g)", "(z | g)", "(0 + c | g)", "(z || g)")[seed % 4]
        model = bmx.Model(f"{response} ~ z * c + {term}", d, family=family)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", BayesmixWarning)
            fit: Any = model.fit_eb()
            table, text = fit.fixed_effects(), " ".join(str(fit).split())
        missing = table.loc[table["sd"].isna() & table["estimate"].notna(), "term"]
        assert np.isfinite(table.loc[table["sd"].notna(), ["sd", "lower", "upper"]]).all(axis=None)
        reasons = " ".join(text[text.find(w) :] for w in ("Separation:", "Flat:") if w in text)
        assert all(term in reasons or "reproduce every" in reasons for term in missing)


def test_a_runaway_coefficient_explains_no_known_share(binary: LaplaceFit) -> None:
    with pytest.warns(NotEstimableWarning, match=r"c\[T.c\] ran away"):
        assert binary.r2()["estimate"].isna().all()
    with pytest.warns(NotEstimableWarning, match=r"c\[T.c\] ran away"):
        parts = binary.variance_partition().set_index("component")["variance"]
    assert parts.notna().tolist() == [False, True, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert binary.icc()["estimate"].notna().all()  # no part of it


def test_pictures_survive_a_runaway_coefficient(binary: LaplaceFit, tmp_path: Any) -> None:
    for figure in (binary.plot_fixed_effects(), binary.plot_group_effects()):
        figure.savefig(tmp_path / "picture.png")
    assert binary.fixed_effects(exponentiate=True)["sd"].isna().sum() == 1
    drawn = binary.plot_fixed_effects().axes[0]
    assert min(drawn.get_xlim()) > -2  # the axis is that of the others


@pytest.mark.slow
def test_the_report_says_so(binary: LaplaceFit, tmp_path: Any) -> None:
    path = tmp_path / "report.html"
    binary.report(path)
    assert "separates the outcomes" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("family", ["cumulative", "sratio", "cratio", "acat"])
def test_a_level_of_the_lowest_category_alone_separates(family: str) -> None:
    rng = np.random.default_rng(2)
    n, f, g = 450, np.tile(list("abc"), 150), rng.integers(0, 15, 450)
    eta = (f == "b") * 0.8 + rng.normal(0, 0.5, 15)[g]
    y = np.where(f == "c", 0, np.digitize(eta + rng.logistic(size=n), [-0.5, 0.8]))
    names = ["lo", "mid", "hi"]
    data = pd.DataFrame({"y": pd.Categorical.from_codes(y, names, ordered=True), "f": f, "g": g})
    with pytest.warns(SeparationWarning, match=r"f\[T\.c\] separates the outcomes"):
        fit = bmx.Model("y ~ f + (1 | g)", data, family=family).fit_eb()
    assert "f[T.c] separates" in fit.separation
    others = bmx.Model("y ~ f + (1 | g)", data[f != "c"], family=family).fit_eb()
    assert others.separation == ""
    found, wanted = fit.fixed_effects(), others.fixed_effects()
    assert np.isnan(found["sd"][1])
    np.testing.assert_allclose(
        found.loc[0, ["estimate", "sd"]].astype(float),
        wanted.loc[0, ["estimate", "sd"]].astype(float), rtol=1e-4,
    )  # fmt: skip


def test_a_zero_inflation_that_is_nowhere_has_no_standard_error() -> None:
    """Level c has no zeros: its rows have the likelihood of plain counts."""
    rng = np.random.default_rng(1)
    f, g = np.repeat(list("abc"), 200), np.tile(np.arange(20), 30)
    mu = np.exp(1.5 + rng.normal(0, 0.3, 20)[g])
    zi = np.select([f == "a", f == "b"], [0.2, 0.4], 0.0)
    y = np.where(rng.random(600) < zi, 0, rng.poisson(mu))
    y = np.where((f == "c") & (y == 0), 1, y)
    data = pd.DataFrame({"y": y, "f": f, "g": g})
    formulas = ["y ~ 1 + (1 | g)", "zi ~ f"]
    model = bmx.Model(formulas, data, family="zero_inflated_poisson")
    with pytest.warns(SeparationWarning, match=r"no bound to zi: f\[T\.c\]"):
        fit = model.fit_eb()
    assert "f[T.c]" in fit.separation
    assert "f[T.b]" not in fit.separation
    assert fit.separation in " ".join(str(fit.summary()).split())
    table = fit.fixed_effects(parameter="zi")
    assert np.isnan(table.loc[2, ["sd", "lower", "upper"]].astype(float)).all()
    assert np.isfinite(table.loc[:1, "sd"]).all()
    row = data.iloc[[450]]
    of_zi = fit.predict(row, parameter="zi")
    assert of_zi.loc[450, "estimate"] < 1e-6
    assert np.isnan(of_zi.loc[450, ["sd", "lower", "upper"]].astype(float)).all()
    # The mean of c is that of its counts, with an error of their size.
    mean = fit.predictions(by="f").set_index("f").loc["c"]
    ratio = mean["estimate"] / y[f == "c"].mean()
    assert 0.9 < ratio < 1.1
    assert 0.05 < mean["sd"] < 0.5
    held = model.fit_eb("map")
    assert held.separation == ""
    assert np.isfinite(held.fixed_effects(parameter="zi")["sd"]).all()
    assert bmx.Model(formulas, data[f != "c"], family="zero_inflated_poisson").fit_eb(
    ).separation == ""  # fmt: skip


@pytest.mark.parametrize("family", ["exponential", "weibull", "lognormal", "gamma", "gaussian"])
def test_a_level_without_an_event_has_no_finite_mean(family: str) -> None:
    rng = np.random.default_rng(2)
    f, g = rng.choice(list("abc"), 150), rng.integers(0, 8, 150)
    t, end = rng.exponential(5, 150), rng.uniform(0, 10, 150)
    status = np.where(f == "c", 0, t < end)
    data = pd.DataFrame({"t": np.minimum(t, end), "status": status, "f": f, "g": g})
    formula = "event(t, status) ~ f + (1 | g)"
    with pytest.warns(SeparationWarning, match=r"f\[T\.c\] separates"):
        fit = bmx.Model(formula, data, family=family).fit_eb()
    others = bmx.Model(formula, data[f != "c"], family=family).fit_eb()
    assert others.separation == ""
    found, wanted = fit.fixed_effects(), others.fixed_effects()
    assert np.isnan(found["sd"][2])
    np.testing.assert_allclose(found["estimate"][:2], wanted["estimate"], atol=2e-3)
    np.testing.assert_allclose(found["sd"][:2], wanted["sd"], rtol=0.02)


def lone_level() -> pd.DataFrame:
    """Level c has one row and a mean of its own: nothing is left to tell its sigma."""
    rng = np.random.default_rng(1)
    x, f = rng.normal(size=41), np.repeat(list("abc"), [20, 20, 1])
    return pd.DataFrame({"x": x, "f": f, "y": x + rng.normal(size=41), "g": np.arange(41) % 8})


@pytest.mark.parametrize("formula", ["y ~ f + x", "y ~ f + x + (1 | g)"])
def test_a_sigma_that_the_rows_say_nothing_of_has_no_standard_error(formula: str) -> None:
    data = lone_level()
    with pytest.warns(SeparationWarning, match=r"flat in sigma: f\[T\.c\], which has"):
        fit = bmx.Model([formula, "sigma ~ f"], data).fit_eb()
    others = bmx.Model([formula, "sigma ~ f"], data[data["f"] != "c"]).fit_eb()
    found, wanted = (one.fixed_effects(parameter="sigma") for one in (fit, others))
    assert np.isnan(found["sd"][2])
    np.testing.assert_allclose(found["estimate"][:2], wanted["estimate"], atol=1e-4)
    np.testing.assert_allclose(found["sd"][:2], wanted["sd"], rtol=1e-3)
    assert "Flat: the likelihood is flat in sigma" in " ".join(str(fit.summary()).split())
    rows = fit.predict(data.iloc[[0, 40]], parameter="sigma")
    assert np.isnan(rows["sd"]).tolist() == [False, True]
    means = fit.marginal_means("f", parameter="sigma").table
    assert np.isnan(means["sd"]).tolist() == [False, False, True]
    levels = fit.comparisons("f", parameter="sigma")
    assert np.isnan(levels["sd"]).tolist() == [False, True]


@pytest.mark.filterwarnings("ignore::bayesmix.errors.SeparationWarning")
@pytest.mark.parametrize("between", [0.0, 1.0])
def test_a_row_of_unknown_sigma_leaves_the_limits_of_group_sds_alone(between: float) -> None:
    """REML does not see the row, and ML, which profiles are of, has no maximum."""
    data = lone_level()
    data["y"] += between * np.random.default_rng(8).normal(size=8)[data["g"]]
    formulas = ["y ~ f + x + (1 | g)", "sigma ~ f"]
    fit = bmx.Model(formulas, data).fit_eb()
    others = bmx.Model(formulas, data[data["f"] != "c"]).fit_eb()
    found, wanted = fit.variance_components(), others.variance_components(ci_method="wald")
    limits = ["sd", "sd_lower", "sd_upper"]
    np.testing.assert_allclose(found.loc[0, limits], wanted.loc[0, limits], rtol=1e-3)
    assert np.isnan(found.loc[1, "sd"])  # a mean over rows, one of which is unknown
    assert np.isnan(fit.icc()["estimate"]).all()
    assert np.isnan(fit.r2()["estimate"]).all()
    for table in (fit.variance_components, fit.fixed_effects):
        with pytest.raises(NotSupportedError, match=r"the sigma of row 40 falls.*\"wald\""):
            table(ci_method="profile")
    held = bmx.Model(formulas, data).fit_eb("map")
    assert np.isfinite(held.variance_components()["sd"]).all()


@pytest.mark.filterwarnings("ignore::bayesmix.errors.SeparationWarning")
@pytest.mark.parametrize("formula", ["y ~ f + x", "y ~ f + x + (1 | g)"])
def test_a_mean_that_rests_on_a_row_of_unknown_sigma_has_no_standard_error(formula: str) -> None:
    """Level c has one row: its mean is that row, and its sd would be the sigma nobody knows."""
    data = lone_level()
    fit = bmx.Model([formula, "sigma ~ f"], data).fit_eb()
    others = bmx.Model([formula, "sigma ~ f"], data[data["f"] != "c"]).fit_eb()
    found, wanted = fit.fixed_effects(), others.fixed_effects()
    known = found["term"] != "f[T.c]"
    assert np.isnan(found.loc[~known, ["sd", "lower", "upper"]]).all(axis=None)
    assert np.isfinite(found.loc[~known, "estimate"]).all()
    np.testing.assert_allclose(found.loc[known, "sd"], wanted["sd"], rtol=1e-3)
    tested = fit.fixed_effects(ddf="satterthwaite")
    assert np.isnan(tested.loc[~known, ["sd", "df", "t", "p"]]).all(axis=None)
    V = fit.vcov()
    assert np.isnan(V["f[T.c]"]).all()
    np.testing.assert_allclose(V.loc[known.to_numpy(), known.to_numpy()], others.vcov(), rtol=3e-3)
    assert np.isnan(fit.test(["f[T.c] = 0"])["p"][0])
    assert np.isfinite(fit.test(["f[T.b] = 0"])["p"][0])
    assert np.isnan(fit.anova().set_index("term").loc["f", "p"])
    only_c = [False, False, True]
    assert np.isnan(fit.predictions(by="f")["sd"]).tolist() == only_c
    assert np.isnan(fit.predictions()["sd"]).all()  # of which it is a part
    assert np.isnan(fit.predict(data.iloc[[0, 39, 40]])["sd"]).tolist() == only_c
    assert np.isnan(fit.marginal_means("f").table["sd"]).tolist() == only_c
    contrasts = fit.marginal_means("f").contrasts("pairwise").table
    assert np.isnan(contrasts["sd"]).tolist() == [False, True, True]
    assert np.isnan(fit.comparisons("f")["sd"]).tolist() == [False, True]
    hypothesis = fit.hypothesis(["`f[T.c]` = 0", "`f[T.b]` = 0"]).table
    assert np.isnan(hypothesis["sd"]).tolist() == [True, False]
    rows = data.iloc[[0, 39, 40]]
    for settings in ({}, {"kind": "linear"}, {"kind": "response"}, {"parameter": "sigma"}):
        with pytest.warns(
            NotEstimableWarning, match=r"1 of 3 predictions \(row 40\).*flat in sigma"
        ):
            draws = fit.predict_draws(rows, draws=50, **settings)
        assert np.isnan(draws).all(["chain", "draw"]).values.tolist() == only_c
        assert np.isfinite(draws[..., :2]).all()
    held = bmx.Model([formula, "sigma ~ f"], data).fit_eb("map")
    assert np.isfinite(held.fixed_effects()["sd"]).all()
    assert np.isfinite(held.predict_draws(rows, draws=50)).all()


@pytest.mark.filterwarnings("ignore::bayesmix.errors.SeparationWarning")
def test_responses_of_unknown_sigma_are_not_known_where_their_mean_is() -> None:
    """Level c of mu and of sigma are one row; a new row has sigma's c and mu's a."""
    data = lone_level().assign(h=lambda d: d["f"])
    fit = bmx.Model(["y ~ f + x", "sigma ~ h"], data).fit_eb()
    new = pd.DataFrame({"f": ["a", "a"], "h": ["a", "c"], "x": [0.0, 0.0]})
    assert np.isfinite(fit.predict(new)["sd"]).all()
    responses = fit.predict(new, kind="response")
    assert np.isnan(responses["sd"]).tolist() == [False, True]
    assert np.isfinite(fit.predict_draws(new, draws=20)).all()
    with pytest.warns(NotEstimableWarning, match="sigma"):
        draws = fit.predict_draws(new, kind="response", draws=20)
    assert np.isnan(draws).all(["chain", "draw"]).values.tolist() == [False, True]


def test_draws_of_separated_rows_have_no_spread_to_draw_from(binary: LaplaceFit) -> None:
    rows = binary.model.design.frame.drop_duplicates("c")
    lost = (rows["c"] == "c").tolist()
    for kind in ("mean", "linear", "response"):
        assert binary.predict(rows, kind=kind)["sd"].isna().tolist() == lost
        with pytest.warns(NotEstimableWarning, match=r"c\[T.c\] separates"):
            draws = binary.predict_draws(rows, kind=kind, draws=20)
        assert np.isnan(draws).all(["chain", "draw"]).values.tolist() == lost


@pytest.mark.parametrize("formula", ["y ~ f + x", "y ~ f + x + (1 | g)"])
def test_a_likelihood_that_rises_as_a_sigma_falls_is_refused(formula: str) -> None:
    with pytest.raises(DataError, match="sigma is estimated as zero in row 40"):
        bmx.Model([formula, "sigma ~ f"], lone_level()).fit_eb("ml")
    held = bmx.Model([formula, "sigma ~ f"], lone_level()).fit_eb("map")
    assert np.isfinite(held.fixed_effects(parameter="sigma")["sd"]).all()


def test_a_time_of_one_row_has_no_sd_of_its_own() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"u": np.repeat(np.arange(10), 3), "t": np.tile([1, 2, 3], 10)})
    data = pd.concat([data, pd.DataFrame({"u": [0], "t": [4]})], ignore_index=True)
    data["y"] = rng.normal(size=31)
    formulas = ["y ~ C(t)", "residual ~ us(t | u)"]
    with pytest.raises(DataError, match="sigma is estimated as zero in row 30"):
        bmx.Model(formulas, data).fit_eb("ml")
    with pytest.warns(SeparationWarning, match="flat in the residual sd of row 30, which has no"):
        fit = bmx.Model(formulas, data).fit_eb()
    table = fit.covariance_parameters()
    assert np.isfinite(table["sd"][:3]).all()
    assert np.isnan(table["sd"][3])
    assert np.isnan(fit.fixed_effects()["sd"]).tolist() == [False, False, False, True]
    others = bmx.Model(formulas, data[:30]).fit_eb().fixed_effects()
    np.testing.assert_allclose(fit.fixed_effects()["sd"][:3], others["sd"], rtol=1e-3)


def test_thresholds_that_single_rows_hold_have_no_standard_error() -> None:
    rng = np.random.default_rng(3)
    f, x = rng.choice(list("abc"), 300), rng.normal(size=300)
    latent = 0.8 * x + rng.logistic(size=300) / np.where(f == "b", 2, 1)
    labels = ["lo", "mid", "high", "top"]
    cut = pd.cut(latent, [-np.inf, -1, 0.5, 1.5, np.inf], labels=labels).astype(object)
    categories = pd.CategoricalDtype(labels, ordered=True)

    def fit(y: Any, rows: Any = slice(None)) -> Any:
        data = pd.DataFrame({"y": pd.Series(y).astype(categories), "x": x, "f": f})[rows]
        return bmx.Model(["y ~ x", "disc ~ f"], data, family="cumulative").fit_eb()

    with pytest.warns(BayesmixWarning):
        sharp = fit(np.where(f == "c", "high", cut))
    assert "thresholds" in sharp.separation
    assert sharp.family_parameters()[["sd", "lower", "upper"]].isna().all(axis=None)
    # The search found no end: no other estimate is one.
    assert "nor has any other estimate" in sharp.separation
    assert sharp.fixed_effects(parameter="all")["sd"].isna().all()
    assert "f[T.b]" not in sharp.separation
    # Where disc goes to zero instead the thresholds are those of the other rows.
    with pytest.warns(SeparationWarning, match="disc"):
        level = fit(np.where(f == "c", "lo", cut)).family_parameters()
    pd.testing.assert_frame_equal(level, fit(cut, f != "c").family_parameters(), rtol=1e-3)


@pytest.mark.parametrize(("mu", "category"), [("y ~ 1", "mid"), ("y ~ x", "lo")])
def test_a_disc_that_runs_away_leaves_the_others_as_they_are(mu: str, category: str) -> None:
    """Rows in the middle of a category hold no threshold, nor do those whose disc is zero."""
    rng = np.random.default_rng(3)
    f, x = rng.choice(list("abc"), 300), rng.normal(size=300)
    latent = 0.8 * x + rng.logistic(size=300) / np.where(f == "b", 2, 1)
    labels = ["lo", "mid", "high", "top"]
    cut = pd.cut(latent, [-np.inf, -1, 0.5, 1.5, np.inf], labels=labels).astype(object)
    y = pd.Categorical(np.where(f == "c", category, cut), labels, ordered=True)
    data = pd.DataFrame({"y": y, "x": x, "f": f})
    with pytest.warns(SeparationWarning, match=r"disc: f\[T\.c\]"):
        fit = bmx.Model([mu, "disc ~ f"], data, family="cumulative").fit_eb()
    others = bmx.Model([mu, "disc ~ f"], data[f != "c"], family="cumulative").fit_eb()
    found = fit.fixed_effects(parameter="all").set_index(["parameter", "term"])
    wanted = others.fixed_effects(parameter="all").set_index(["parameter", "term"])
    assert np.isnan(found.loc[("disc", "f[T.c]"), "sd"])
    pd.testing.assert_frame_equal(found.loc[wanted.index], wanted, rtol=1e-3)
    pd.testing.assert_frame_equal(fit.family_parameters(), others.family_parameters(), rtol=1e-3)


def counts_with_a_level(size: int, of_c: int) -> pd.DataFrame:
    """Counts above zero, of which those of level c are all one number; and zeros beside them."""
    rng = np.random.default_rng(1)
    f, x = np.tile(list("abcd"), 100), rng.normal(size=400)
    y = np.clip(rng.poisson(np.exp(0.8 + 0.3 * x + 0.4 * (f == "b"))), 1, size)
    y = np.where(f == "c", of_c, y)
    zero = np.where(rng.random(400) < 0.3, 0, y)
    return pd.DataFrame({"y": y, "zero": zero, "f": f, "x": x, "g": rng.integers(0, 8, 400)})


@pytest.mark.parametrize("family", ["hurdle_poisson", "hurdle_negative_binomial"])
@pytest.mark.parametrize("formula", ["zero ~ f + x + (1 | g)", ["zero ~ f + x", "hu ~ f"]])
def test_ones_alone_above_a_hurdle_separate(family: str, formula: Any) -> None:
    """A count above zero is one for sure as its mean falls to zero; zeros say nothing of it."""
    data = counts_with_a_level(100, 1)
    with pytest.warns(SeparationWarning, match=r"f\[T\.c\]"):
        fit = bmx.Model(formula, data, family=family).fit_eb()
    others = bmx.Model(formula, data[data["f"] != "c"], family=family).fit_eb()
    found, wanted = (one.fixed_effects().set_index("term") for one in (fit, others))
    assert np.isnan(found.loc["f[T.c]", "sd"])
    pd.testing.assert_frame_equal(found.loc[wanted.index], wanted, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize(
    ("of_c", "way", "family"),
    [(1, -1, "poisson"), (1, -1, "negative_binomial"), (9, 1, "poisson")],
)
def test_counts_at_the_end_of_a_truncated_range_separate(of_c: int, way: int, family: str) -> None:
    data = counts_with_a_level(9, of_c)
    formula = "truncated(y, lower=1, upper=9) ~ f + x"
    with pytest.warns(SeparationWarning, match=r"f\[T\.c\] separates"):
        fit = bmx.Model(formula, data, family=family).fit_eb()
    others = bmx.Model(formula, data[data["f"] != "c"], family=family).fit_eb()
    found, wanted = (one.fixed_effects().set_index("term") for one in (fit, others))
    assert way * found.loc["f[T.c]", "estimate"] > 3
    assert np.isnan(found.loc["f[T.c]", "sd"])
    # Far in a tail the search loses digits, and says so.
    columns = list(wanted) if way < 0 else ["estimate"]
    near = {"rtol": 1e-4} if way < 0 else {"rtol": 1e-2, "atol": 1e-3}
    pd.testing.assert_frame_equal(found.loc[wanted.index, columns], wanted[columns], **near)


def test_a_count_that_is_the_only_one_says_nothing() -> None:
    families = bmx.families
    y, rows = np.array([2.0, 2.0, 3.0]), {"lower": np.full(3, 2.0), "upper": np.array([2.0, 9, 3])}
    np.testing.assert_array_equal(families.Poisson().rises(y, rows), [np.nan, -1, 1])
    np.testing.assert_array_equal(families.NegativeBinomial().rises(y, rows), [np.nan, -1, 0])
    hurdle = families.HurdlePoisson().rises(np.array([0.0, 1, 2]))
    np.testing.assert_array_equal(hurdle, [np.nan, -1, 0])


def test_degrees_of_freedom_without_a_bound_leave_sigma_its_standard_error() -> None:
    """Rows with short tails: the model is the normal one, whose numbers hold."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    y = np.clip(1 + x + rng.normal(size=400), -2, 4)
    data = pd.DataFrame({"x": x, "y": y, "g": rng.integers(0, 10, 400)})
    fit = bmx.Model("y ~ x + (1 | g)", data, family="student").fit_eb()
    normal = bmx.Model("y ~ x + (1 | g)", data).fit_eb("ml")
    own = fit.family_parameters().set_index("parameter")
    assert np.isnan(own.loc["nu", "sd"])
    assert own.loc["nu", "upper"] == np.inf
    wanted = normal.family_parameters().set_index("parameter").loc["sigma"]
    assert own.loc["sigma", "estimate"] == pytest.approx(wanted["estimate"], rel=1e-3)
    assert own.loc["sigma", "sd"] == pytest.approx(wanted["sd"], rel=0.02)
    np.testing.assert_allclose(fit.fixed_effects()["sd"], normal.fixed_effects()["sd"], rtol=5e-3)


@pytest.mark.parametrize("hu", ["hu ~ z", "hu ~ f + z"])
def test_a_level_of_zeros_tells_nothing_of_what_lies_above_a_hurdle(hu: str) -> None:
    rng = np.random.default_rng(505)
    n = 300
    d = pd.DataFrame({"f": np.array(list("abc"))[np.arange(n) % 3], "z": rng.normal(size=n)})
    d["y"] = np.where(rng.random(n) < 0.3, 0.0, rng.gamma(2, np.exp(0.4 * d["z"])))
    d.loc[d["f"] == "c", "y"] = 0.0
    with pytest.warns(SeparationWarning, match=r"no row says anything of f\[T\.c\]"):
        fit = bmx.Model(["y ~ f + z", hu], d, family="hurdle_gamma").fit_eb()
    positive = bmx.Model("y ~ f + z", d[d["y"] > 0], family="gamma").fit_eb()
    new = pd.DataFrame({"f": list("abc"), "z": 0.5})

    assert fit.fixed_effects()["estimate"].isna().tolist() == [False, False, True, False]
    assert "no row of the data says anything" in str(fit.hypothesis("f[T.c] = 0"))
    assert fit.hypothesis("z = 0").table["estimate"].notna().all()
    means = fit.predict(new, parameter="mu")
    assert means["estimate"].isna().tolist() == [False, False, True]
    right = positive.predict(new[:2])
    np.testing.assert_allclose(means["estimate"][:2], right["estimate"], rtol=1e-6)
    np.testing.assert_allclose(means["sd"][:2], right["sd"], rtol=1e-3)
    # Behind a hurdle that no row of the level passes the mean is zero; else it is not known.
    of_all = fit.predict(new)["estimate"]
    averages = fit.predictions(by="f")["estimate"]
    compared = fit.comparisons("f")["estimate"]
    shown = fit.marginal_means("f").table["estimate"]
    if hu == "hu ~ z":
        assert np.isnan(of_all[2])
        assert np.isnan(averages[2])
        assert np.isnan(compared[1])
    else:
        assert abs(of_all[2]) < 1e-6
        assert abs(averages[2]) < 1e-6
        of_a = fit.predict(d.assign(f="a"))["estimate"].mean()
        assert compared[1] == pytest.approx(-of_a)
    assert np.isfinite([*of_all[:2], *averages[:2], compared[0], *shown[:2]]).all()
    assert np.isnan(shown[2])


def test_a_level_without_trials_leaves_the_others_their_standard_errors() -> None:
    rng = np.random.default_rng(1)
    n = 90
    d = pd.DataFrame({"f": np.array(list("abc"))[np.arange(n) % 3]})
    d["t"] = np.where(d["f"] == "c", 0, 10)
    d["y"] = rng.binomial(d["t"], 0.3)
    with pytest.warns(SeparationWarning, match=r"no row says anything of f\[T\.c\]"):
        fit = bmx.Model("proportion(y, t) ~ f", d, family="binomial").fit_eb()
    sums = d.groupby("f")[["y", "t"]].sum()
    p = (sums["y"] / sums["t"])[:2]
    information = sums["t"][:2] * p * (1 - p)
    table = fit.fixed_effects()
    right = np.sqrt([1 / information.iloc[0], (1 / information).sum()])
    np.testing.assert_allclose(table["sd"][:2], right, rtol=1e-4)
    assert table.loc[2, ["estimate", "sd"]].isna().all()
    predicted = fit.predict(pd.DataFrame({"f": list("abc"), "t": 10}))
    np.testing.assert_allclose(predicted["estimate"][:2], 10 * p, rtol=1e-6)
    assert predicted.iloc[2].isna().all()


def test_amounts_that_are_all_zero_separate() -> None:
    """The others have glmmTMB's numbers without the level: it is `without` the level, too."""
    rng = np.random.default_rng(102)
    n, g = 400, np.arange(400) % 16
    between = rng.normal(size=16) * 0.5
    f, x = np.array(list("abcd"))[rng.integers(0, 4, n)], rng.normal(size=n)
    mu = np.exp(0.4 + 0.3 * x + 0.5 * (f == "b") - 0.3 * (f == "d") + between[g])
    number = rng.poisson(mu**0.5 / (1.3 * 0.5))
    y = np.where(number > 0, rng.gamma(np.maximum(number, 1)) * 1.3 * 0.5 * mu**0.5, 0.0)
    data = pd.DataFrame({"y": np.where(f == "c", 0.0, y), "x": x, "f": f, "g": g})
    with pytest.warns(SeparationWarning, match=r"f\[T.c\] separates the outcomes"):
        eb = bmx.Model("y ~ x + f + (1 | g)", data, family="tweedie").fit_eb()
    assert "f[T.c]" in eb.separation
    assert "Separation: f[T.c]" in str(eb.summary())
    found = eb.fixed_effects()
    without = bmx.Model("y ~ x + f + (1 | g)", data[f != "c"], family="tweedie").fit_eb()
    assert np.isnan(found["sd"][3])
    np.testing.assert_allclose(eb.loglik, without.loglik, atol=1e-5)
    # R, glmmTMB(family = tweedie) of the rows without level c.
    np.testing.assert_allclose(eb.loglik, -621.753208, atol=1e-5)
    kept = found.drop(index=3)
    wanted = [0.640587087, 0.279770164, 0.446684207, -0.436888109]
    np.testing.assert_allclose(kept["estimate"], wanted, atol=2e-5)
    wanted = [0.1630416478, 0.0624303602, 0.1412024459, 0.1603001799]
    np.testing.assert_allclose(kept["sd"], wanted, rtol=2e-5)
