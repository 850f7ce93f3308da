"""Hypotheses are read without running code, and weighed as by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import FormulaError, NotSupportedError
from bayesmix.priors import Prior
from bayesmix.results.effect.expressions import parse_hypothesis
from bayesmix.results.effect.prior_density import density_at_zero, draws_density
from tests.builders import fake_posterior, family_posterior

KNOWN = {
    name: name
    for name in (
        "x", "x:z", "z", "f[T.low]", "x:f[T.low]", "np.log(u)", "I(x ** 2)", "poly(x, 2)[1]",
        "a-b", "sd(g, Intercept)", "sigma", "thresholds[low|mid]", "log(x)",
    )
}  # fmt: skip


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    return fake_posterior(bmx.Model("y ~ x * f + z + (x | g) + (1 | h)", data), rng)


@pytest.mark.parametrize(
    ("text", "expected", "relation"),
    [
        ("x > 0", 2.0, ">"),
        ("x:z = 1", 4.0, "="),
        ("x + z < x:z", 0.0, "<"),
        ("f[T.low] == x:f[T.low]", -1.0, "="),
        ("np.log(u)>=2*x", 4.0, ">"),
        ("I(x**2) <= 0", 9.0, "<"),
        ("poly(x,2)[1] - -x > (1 + 2)^2 / 3", 9.0, ">"),
        ("a-b > 0", 11.0, ">"),
        ("`a-b` > x", 9.0, ">"),
        ("sd(g,Intercept)/sigma > 1", 12 / 13 - 1, ">"),
        ("thresholds[low|mid] < exp(0)", 13.0, "<"),
        ("log(x) > log(1)", 15.0, ">"),
        ("1e1 * x - .5 = 2^-1", 19.0, "="),
        ("-x^2 = 0", -4.0, "="),
    ],
)
def test_names_are_found_before_arithmetic(text: str, expected: float, relation: str) -> None:
    values = {
        "x": 2.0, "x:z": 5.0, "z": 3.0, "f[T.low]": 6.0, "x:f[T.low]": 7.0, "np.log(u)": 8.0,
        "I(x ** 2)": 9.0, "poly(x, 2)[1]": 10.0, "a-b": 11.0, "sd(g, Intercept)": 12.0,
        "sigma": 13.0, "thresholds[low|mid]": 14.0, "log(x)": 15.0,
    }  # fmt: skip
    parsed = parse_hypothesis(text, KNOWN)
    assert parsed.relation == relation
    assert float(parsed.difference.value(values)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "has no relation"),
        ("x > 0 > z", "one relation"),
        ("x ~ 0", "one relation"),
        ("x != 0", "`!=` is not weighed: write ="),
        ("x <> 0", "`<>` is not weighed: write ="),
        ("x > 0, z > 0", r"give a list of them, \['x > 0', 'z > 0'\]"),
        ("x > 0; z > 0", r"give a list of them, \['x > 0', 'z > 0'\]"),
        ("x > 0 & z > 0", r"give a list of them, \['x > 0', 'z > 0'\]"),
        ("x > (0) and z > 0", r"give a list of them, \['x > \(0\)', 'z > 0'\]"),
        ("x > exp(z, 0)", "no parameter ','"),
        ("sd(g, Slope) > 0", r"no parameter 'sd\(g, Slope\)'; did you mean 'sd\(g, Intercept\)'"),
        ("sd(g, I(q ** 2)) > 0", r"no parameter 'sd\(g, I\(q \*\* 2\)\)'"),
        ("sd(g, > 0", r"no parameter 'sd\(g,'"),
        ("x >", "nothing on one side"),
        ("y > 0", "no parameter 'y'; known are|did you mean"),
        ("x:zz > 0", r"no parameter 'x:zz'; did you mean 'x:z'"),
        ("x[T.a] = 0", r"no parameter 'x\[T.a\]'"),
        ("`x > 0", "no parameter"),
        ("2x > 0", "no arithmetic"),
        ("x z > 0", "no arithmetic"),
        ("(x > 0", "one relation|no arithmetic"),
        ("exp(x, z) > 0", "no parameter ','"),
        ("exp > 0", "no parameter 'exp'"),
        ("__import__('os').getcwd() > 0", "no parameter"),
        ("x.real > 0", "no parameter 'x.real'"),
        ("x // z > 0", "no arithmetic"),
        ("(lambda: 1)() > 0", "no parameter 'lambda:'"),
        ("", "is text such as"),
        ("x > " + "(" * 300 + "1" + ")" * 300, "more than|no arithmetic"),
        ("x > " + "-" * 5000 + "1", "more than 400 parts"),
        ("x" * 20_000, "has 20000 characters"),
    ],
)
def test_what_is_no_hypothesis_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_hypothesis(text, KNOWN)


def test_huge_powers_do_not_hang() -> None:
    parsed = parse_hypothesis("9^9^9^9 > x", KNOWN)
    assert np.isinf(parsed.difference.value({"x": 1.0}))


def test_linear_expressions_are_recognised() -> None:
    def linear(text: str) -> object:
        return parse_hypothesis(text, KNOWN).difference.linear()

    assert linear("2 * (x - z) / 4 > -(3 + x)") == (3.0, {"x": 1.5, "z": -0.5})
    assert linear("x * exp(0) = 2") == (-2.0, {"x": 1.0})
    assert linear("x * z = 0") is None
    assert linear("exp(x) = 1") is None
    assert linear("x / 0 = 1") is None


def test_directions_are_shares_of_the_draws(post: bmx.Posterior) -> None:
    tree = post.idata["posterior"]
    x = tree["beta"].sel(fixed_effect="x").values
    low = tree["beta"].sel(fixed_effect="f[T.low]").values
    found = post.hypothesis(["x > 0.3", "f[T.low] < 2 * x"], rope=(-0.5, 0.5), ci_prob=0.8)
    table = found.table
    assert list(table.columns) == [
        "hypothesis", "estimate", "sd", "lower", "upper", "direction", "probability",
        "evidence_ratio", "rope", "note",
    ]  # fmt: skip
    for row, difference, sign in zip(
        table.itertuples(), (x - 0.3, low - 2 * x), (1, -1), strict=True
    ):
        assert row.estimate == pytest.approx(difference.mean())
        assert row.sd == pytest.approx(difference.std(ddof=1))
        assert row.lower == pytest.approx(np.quantile(difference, 0.1))
        p = (sign * difference > 0).mean()
        assert row.probability == pytest.approx(p)
        assert row.evidence_ratio == pytest.approx(p / (1 - p))
        assert row.direction == pytest.approx(max(p, 1 - p))
        assert row.rope == pytest.approx((np.abs(difference) <= 0.5).mean())
    sure = post.hypothesis("sigma > 0").table.iloc[0]
    assert sure["probability"] == 1
    assert np.isinf(sure["evidence_ratio"])


def test_every_parameter_has_a_name(post: bmx.Posterior) -> None:
    tree = post.idata["posterior"]
    sd = tree["sd_g"].sel(g_effect="x") / tree["sd_h"].values[..., 0]
    rho = tree["corr_g"].values[:, :, 0, 1]
    table = post.hypothesis(
        ["sd(g, x) / sd(h) > 1", "corr(g, x, Intercept) < 0", "corr(g) < 0", "beta(x) > sigma"]
    ).table
    assert table["estimate"][0] == pytest.approx(float(sd.mean()) - 1)
    assert table["probability"][1] == table["probability"][2] == pytest.approx((rho < 0).mean())


def test_a_coefficient_called_sigma_needs_beta(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ sigma", data.rename(columns={"x": "sigma"})), rng)
    tree = post.idata["posterior"]
    table = post.hypothesis(["sigma > 0", "beta(sigma) > 0"]).table
    assert table["estimate"][0] == pytest.approx(tree["sigma"].values.mean())
    assert table["estimate"][1] == pytest.approx(tree["beta"].values[..., 1].mean())


def test_thresholds_have_names(data: pd.DataFrame, rng: np.random.Generator) -> None:
    grade = pd.cut(data["y"], 3, labels=["low", "mid", "high"])
    post = family_posterior(
        bmx.Model("grade ~ x + (1 | g)", data.assign(grade=grade), family="cumulative"), rng
    )
    table = post.hypothesis(["thresholds[low|mid] < thresholds[mid|high]", "x = 0"]).table
    assert table["probability"][0] == 1
    assert np.isfinite(table["evidence_ratio"][1])
    note = post.hypothesis("thresholds[low|mid] = 0").table["note"][0]
    assert "prior density of thresholds[low|mid] is not known" in note


def test_the_ratio_of_a_normal_posterior_is_exact(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    priors = {"x": Prior("Normal", mu=1, sigma=2), "z": Prior("Normal", mu=-1, sigma=3)}
    post = fake_posterior(bmx.Model("y ~ x + z", data, priors=priors), rng, n_draws=4000)
    table = post.hypothesis(["x = 0.5", "2 * x - z = 1"]).table
    # Invented draws are standard normal.
    first = stats.norm.pdf(0.5) / stats.norm(1, 2).pdf(0.5)
    second = stats.norm(0, 5**0.5).pdf(1) / stats.norm(3, (4 * 4 + 9) ** 0.5).pdf(1)
    np.testing.assert_allclose(table["evidence_ratio"], [first, second], rtol=0.05)
    ratio = table["evidence_ratio"]
    np.testing.assert_allclose(table["probability"], ratio / (1 + ratio))
    assert (table["note"] == "").all()


def test_the_default_intercept_has_its_prior_at_the_means(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model("y ~ x + z", data)
    entries = {e.parameter: e.prior.parameters for e in model.prior_entries}
    mx, mz = data["x"].mean(), data["z"].mean()
    mean = entries["Intercept"]["mu"] - 40
    variance = (
        entries["Intercept"]["sigma"] ** 2
        + (mx * entries["x"]["sigma"]) ** 2
        + ((mz - 1) * entries["z"]["sigma"]) ** 2
    )
    parsed = parse_hypothesis("I + z = 40", {"I": "beta(Intercept)", "z": "beta(z)"})
    density, note = density_at_zero(model, parsed.difference)
    assert density == pytest.approx(stats.norm(mean, variance**0.5).pdf(0))
    assert note == ""
    # The same by draws: an expression that is not recognised as linear.
    parsed = parse_hypothesis("(I + z) * log(exp(I) / exp(I) + 1) / log(2) = 40",
                              {"I": "beta(Intercept)", "z": "beta(z)"})  # fmt: skip
    drawn, note = density_at_zero(model, parsed.difference)
    assert drawn == pytest.approx(density, rel=0.03)
    assert "from draws" in note


def test_one_parameter_of_any_prior_is_exact(data: pd.DataFrame) -> None:
    priors = {
        "x": Prior("StudentT", nu=3, mu=0, sigma=2),
        "sd(g)": Prior("Gamma", alpha=2, beta=0.5),
        "sigma": Prior("HalfCauchy", beta=2),
        "corr(g)": Prior("LKJ", eta=3),
    }
    model = bmx.Model("y ~ x + (x | g)", data, priors=priors)
    known = {"x": "beta(x)", "sd": "sd(g, x)", "sigma": "sigma", "r": "corr(g, Intercept, x)"}
    for text, expected in {
        "2 * x = 3": stats.t(3, 0, 2).pdf(1.5) / 2,
        "sd = 4": stats.gamma(2, scale=2).pdf(4),
        "sigma = 1": stats.halfcauchy(scale=2).pdf(1),
        "r = 0.5": stats.beta(3, 3).pdf(0.75) / 2,
    }.items():
        density, note = density_at_zero(model, parse_hypothesis(text, known).difference)
        assert density == pytest.approx(expected)
        assert note == ""
    drawn, note = density_at_zero(model, parse_hypothesis("sd = sigma", known).difference)
    grid = np.linspace(1e-6, 80, 200_001)
    both = stats.gamma(2, scale=2).pdf(grid) * stats.halfcauchy(scale=2).pdf(grid)
    exact = np.trapezoid(both, grid)
    assert drawn == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(
    ("text", "priors", "reason"),
    [
        ("x = 0", {"x": Prior("Flat")}, "prior of beta(x) is flat"),
        ("sd(g) = 0", {}, "edge of what is possible"),
        ("sigma = -1", {}, "edge of what is possible"),
        ("x = x", {}, "always the same"),
        ("log(x) = 0", {}, "no value at part of the prior's draws"),
        ("x = 0", {"x": Prior("SkewNormal", mu=0, sigma=1, alpha=2)}, "not known here"),
    ],
)
def test_where_the_prior_has_no_density_the_reason_is_given(
    text: str, priors: dict, reason: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    if "SkewNormal" in str(priors):
        pytest.importorskip("pymc")
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data, priors=priors), rng)
    post.idata["posterior"]["beta"].values[:] = np.abs(post.idata["posterior"]["beta"].values)
    found = post.hypothesis(text)
    assert np.isnan(found.table["evidence_ratio"][0])
    assert reason in found.table["note"][0]
    assert "no ratio" in str(found)


def test_the_kernel_keeps_the_density_of_normal_draws() -> None:
    rng = np.random.default_rng(8)
    for shift in (0.0, 1.0, 2.0):
        draws = rng.normal(shift, 1, 100_000)
        assert draws_density(draws) == pytest.approx(stats.norm.pdf(shift), rel=0.03)
    heavy = rng.standard_cauchy(200_000)
    assert draws_density(heavy) == pytest.approx(1 / np.pi, rel=0.03)


def test_far_points_have_the_normal_tail(data: pd.DataFrame, rng: np.random.Generator) -> None:
    priors = {"x": Prior("Normal", mu=0, sigma=4)}
    post = fake_posterior(bmx.Model("y ~ x", data, priors=priors), rng, n_draws=4000)
    row = post.hypothesis("x = 6").table.iloc[0]
    expected = stats.norm.logpdf(6) - stats.norm(0, 4).logpdf(6)
    assert np.log(row["evidence_ratio"]) == pytest.approx(expected, abs=1)
    assert "fewer than ten draws" in row["note"]


def test_they_print(post: bmx.Posterior) -> None:
    short = str(post.hypothesis("x > 0"))
    assert "x > 0" in short.splitlines()[2]
    many = post.hypothesis(["f[T.low] + x:f[T.low] * 10 > f[T.mid] + x:f[T.mid] * 10", "x = 0"])
    text = str(many)
    assert "H1: f[T.low] + x:f[T.low] * 10 > f[T.mid] + x:f[T.mid] * 10" in " ".join(text.split())
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "<td>x = 0</td>" in many._repr_html_()
    assert "&gt;" in many._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hypotheses": []}, "there is no hypothesis"),
        ({"hypotheses": 5}, 'hypotheses=5 must be text such as "x > 0"'),
        ({"hypotheses": None}, "hypotheses=None must be text"),
        ({"hypotheses": {"a": "x > 0"}}, "must be text .* or a list"),
        ({"hypotheses": "x > 0", "rope": (1, -1)}, "lower and an upper end"),
        ({"hypotheses": "x > 0", "rope": 0.1}, "lower and an upper end"),
        ({"hypotheses": "x > 0", "ci_prob": 95}, "ci_prob=95"),
        ({"hypotheses": "log(x) > 0"}, "no finite value at"),
    ],
)
def test_arguments_are_checked(post: bmx.Posterior, arguments: dict, message: str) -> None:
    with pytest.raises(NotSupportedError, match=message):
        post.hypothesis(**arguments)


# -- empirical Bayes --------------------------------------------------------------------


def test_wald_tests_are_those_of_the_tables() -> None:
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy")).fit_eb()
    table = eb.hypothesis(
        ["Days > 5", "Intercept + 3 * Days = 280", "Days < 5"], rope=(-1, 8)
    ).table
    fixed, V = eb.fixed_effects(), eb.vcov().to_numpy()
    beta, se = fixed["estimate"].to_numpy(), fixed["sd"].to_numpy()
    assert table["z"][0] == pytest.approx((beta[1] - 5) / se[1])
    assert table["p_value"][0] == pytest.approx(stats.norm.sf((beta[1] - 5) / se[1]))
    assert table["p_value"][2] == pytest.approx(1 - table["p_value"][0])
    w = np.array([1.0, 3.0])
    sd = np.sqrt(w @ V @ w)
    assert table["sd"][1] == pytest.approx(sd)
    assert table["p_value"][1] == pytest.approx(2 * stats.norm.sf(abs(w @ beta - 280) / sd))
    inside = stats.norm.cdf((8 - beta[1] + 5) / se[1]) - stats.norm.cdf((-1 - beta[1] + 5) / se[1])
    assert table["rope"][0] == pytest.approx(inside)
    # Standard deviations on the log scale have the interval of variance_components.
    log_sd = eb.hypothesis("log(sd(Subject, Days)) = 0").table.iloc[0]
    components = eb.variance_components(ci_method="wald").iloc[1]
    for end in ("lower", "upper"):
        assert np.exp(log_sd[end]) == pytest.approx(components[f"sd_{end}"], rel=1e-6)
    assert eb.hypothesis("corr(Subject) = 0").table["estimate"][0] == pytest.approx(
        eb.correlations()["estimate"][0]
    )
    assert eb.hypothesis("sigma > 0").table["estimate"][0] == pytest.approx(eb.sigma)


def test_wald_tests_beyond_the_normal() -> None:
    data = pd.read_csv(Path(__file__).parents[2] / "reference" / "glmm.csv")
    fit = bmx.Model("over ~ x + (x | g)", data, family="negative_binomial").fit_eb()
    table = fit.hypothesis(["x = 0", "alpha > 0", "log(sd(g, x)) = 0", "x > sd(g, x)"]).table
    fixed, own = fit.fixed_effects(), fit.family_parameters()
    assert table["sd"][0] == pytest.approx(fixed["sd"][1])
    assert table["estimate"][1] == pytest.approx(own["estimate"][0])
    assert table["sd"][1] == pytest.approx(own["sd"][0], rel=1e-6)
    components = fit.variance_components().iloc[1]
    assert np.exp(table["upper"][2]) == pytest.approx(components["sd_upper"], rel=1e-6)
    assert np.isfinite(table["p_value"]).all()


def test_at_a_boundary_there_is_no_wald_test(data: pd.DataFrame) -> None:
    even = data.assign(y=data["y"] - data.groupby("g")["y"].transform("mean"))
    eb = bmx.Model("y ~ x + (1 | g)", even).fit_eb()
    row = eb.hypothesis("sd(g) = 0").table.iloc[0]
    assert row["estimate"] == 0
    assert np.isnan(row["p_value"])
    assert "boundary" in row["note"]
    assert np.isfinite(eb.hypothesis("x > 0").table["p_value"][0])


@pytest.mark.parametrize("text", ["x / 0 > 1", "1 / (x - x) > 0", "log(-abs(x)) > 0"])
def test_what_has_no_value_at_the_modes_is_refused(data: pd.DataFrame, text: str) -> None:
    eb = bmx.Model("y ~ x + (1 | g)", data).fit_eb()
    with pytest.raises(NotSupportedError, match="has no finite value at the estimates"):
        eb.hypothesis(text)


def test_known_standard_errors_have_no_sigma() -> None:
    studies = pd.DataFrame({"effect": [0.1, 0.4, 0.5, 0.9], "se": 0.1, "study": list("abcd")})
    eb = bmx.Model("effect ~ 1 + (1 | study)", studies, known_se="se").fit_eb()
    assert np.isfinite(eb.hypothesis("Intercept / sd(study) > 1").table["z"][0])
    with pytest.raises(FormulaError, match="no parameter 'sigma'"):
        eb.hypothesis("sigma > 0")


@pytest.mark.parametrize("number", ["9" * 400, "1e999", "1e400 / 1e399"])
def test_numbers_that_no_double_holds_are_refused(number: str) -> None:
    with pytest.raises(FormulaError, match="a number beyond 1e308"):
        parse_hypothesis(f"x > {number}", {"x": "x"})
