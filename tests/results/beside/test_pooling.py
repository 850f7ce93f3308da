"""A regression per level and one for all: the extremes beside partial pooling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, NotSupportedError, SeparationWarning
from tests.builders import fake_posterior

LEVELS = ["group", "level", "effect", "estimate", "sd", "lower", "upper", "note"]
TERMS = ["term", "estimate", "sd", "lower", "upper", "note"]
RESPONSES = {
    "gaussian": "v", "student_t": "v", "lognormal": "pos", "laplace": "v", "gamma": "pos",
    "inverse_gaussian": "pos", "exponential": "pos", "weibull": "pos", "poisson": "k",
    "negative_binomial": "k", "bernoulli": "two", "binomial": "proportion(s, n)",
    "beta_binomial": "proportion(s, n)", "beta": "frac", "zero_inflated_poisson": "k",
    "hurdle_poisson": "k", "hurdle_gamma": "pos", "cumulative": "grade",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 600
    d = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("abcd"), n)})
    eta = 0.5 + 0.4 * d["x"]
    d["v"] = eta + 0.5 * rng.standard_t(5, n)
    d["pos"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    d["k"] = rng.poisson(np.exp(eta) * rng.gamma(3.0, 1 / 3, n))
    d["two"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(int)
    d["n"] = rng.integers(4, 9, n)
    d["s"] = rng.binomial(d["n"], rng.beta(4 * d["two"] + 2, 3.0))
    d["frac"] = rng.beta(3, 4, n)
    d["grade"] = pd.Categorical(np.clip(d["k"], 0, 3), ordered=True)
    return d


@pytest.mark.parametrize("family", RESPONSES)
def test_every_family_has_its_regression(family: str, rows: pd.DataFrame) -> None:
    """The estimates are where the log likelihood of all rows is largest."""
    model = bmx.Model(f"{RESPONSES[family]} ~ x + (x | g)", rows, family=family)
    everywhere = model.complete_pooling()
    assert list(everywhere.columns) == TERMS
    assert (everywhere["note"] == "").all()
    assert (everywhere["sd"] > 0).all()
    table = model.no_pooling()
    assert list(table.columns) == LEVELS
    assert (table["note"] == "").all()
    assert table["effect"].tolist() == ["Intercept", "x"] * 4
    from bayesmix.results.beside.regression import fit_regression

    fit = fit_regression(model.family, model.y, model.design.mu.X, None, model.rows)
    np.testing.assert_allclose(fit.beta, everywhere["estimate"])
    parameters = dict(fit.parameters) or ({"sigma": 1.0} if family == "gaussian" else {})

    def loglik(beta: np.ndarray) -> float:
        eta = model.design.mu.X @ beta
        return float(model.family.log_prob(model.y, eta, parameters, model.rows).sum())

    best = loglik(fit.beta)
    for j in range(len(fit.beta)):
        for sign in (-1, 1):
            moved = fit.beta.copy()
            moved[j] += sign * 0.02
            assert loglik(moved) < best


def test_laplace_approximation_without_groups_is_the_same_regression(rows: pd.DataFrame) -> None:
    model = bmx.Model("k ~ x + (1 | g)", rows, family="negative_binomial")
    table = model.complete_pooling()
    fit = model.update("k ~ x").fit_eb().fixed_effects()
    np.testing.assert_allclose(table["estimate"], fit["estimate"], rtol=1e-5)
    np.testing.assert_allclose(table["sd"], fit["sd"], rtol=1e-4)
    np.testing.assert_allclose(table["lower"], fit["lower"], rtol=1e-4)


def test_complete_pooling_is_weighted_least_squares(rows: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    data = rows.assign(w=rng.uniform(0.5, 2, len(rows)), o=rng.normal(size=len(rows)))
    table = bmx.Model("v ~ x + offset(o) + (1 | g)", data, weights="w").complete_pooling()
    X = np.column_stack([np.ones(len(data)), data["x"]])
    W = data["w"].to_numpy()
    y = (data["v"] - data["o"]).to_numpy()
    XWX = X.T @ (W[:, None] * X)
    beta = np.linalg.solve(XWX, X.T @ (W * y))
    s2 = np.sum(W * (y - X @ beta) ** 2) / (len(data) - 2)
    np.testing.assert_allclose(table["estimate"], beta)
    np.testing.assert_allclose(table["sd"], np.sqrt(s2 * np.diag(np.linalg.inv(XWX))))


def test_known_standard_errors_leave_nothing_to_estimate() -> None:
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "se": [1.0, 2.0, 1.0, 0.5], "g": list("abcd")})
    model = bmx.Model("y ~ 1 + (1 | g)", data, known_se="se")
    table = model.no_pooling()
    np.testing.assert_allclose(table["estimate"], data["y"])
    np.testing.assert_allclose(table["sd"], data["se"])
    w = 1 / data["se"] ** 2
    everywhere = model.complete_pooling()
    assert everywhere.loc[0, "estimate"] == pytest.approx(np.average(data["y"], weights=w))
    assert everywhere.loc[0, "sd"] == pytest.approx(w.sum() ** -0.5)


def test_what_a_level_cannot_tell_is_missing_with_a_note() -> None:
    data = pd.DataFrame(
        {
            "y": [1.0, 2, 4, 3, 3, 5, 1, 2, 2.5],
            "x": [0.0, 1, 2, 1, 1, 1, 4, 0, 1],
            "g": list("aaabbbcdd"),
        }
    )
    model = bmx.Model("y ~ x + (x | g)", data)
    table = model.no_pooling().set_index(["level", "effect"])
    assert (table.loc["a", "note"] == "").all()
    assert table.loc[("d", "x"), "estimate"] == pytest.approx(0.5)
    assert table.loc[("d", "x"), "sd"] > 0  # from the levels' common residual
    for level, why in (("b", "do not determine"), ("c", "too few rows: 1 row for 2")):
        assert table.loc[level, ["estimate", "sd", "lower", "upper"]].isna().all(axis=None)
        assert table.loc[level, "note"].str.contains(why).all()
    own = model.no_pooling(sigma="own").set_index(["level", "effect"])
    assert np.isnan(own.loc[("d", "x"), "sd"])
    assert own.loc[("d", "x"), "note"] == "no residual degrees of freedom"


def test_a_treatment_of_a_whole_level_is_in_its_intercept(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "day": np.tile(np.arange(5.0), 6)})
    data["treated"] = data["g"].isin(["a", "b", "c"]).astype(float)
    data["y"] = 2 + data["day"] * (1 + data["treated"]) + rng.normal(size=30)
    model = bmx.Model("y ~ day * treated + (day | g)", data)
    table = model.no_pooling().set_index(["level", "effect"])
    for level, part in data.groupby("g"):
        slope, intercept = np.polyfit(part["day"], part["y"], 1)
        assert table.loc[(level, "Intercept"), "estimate"] == pytest.approx(intercept)
        assert table.loc[(level, "day"), "estimate"] == pytest.approx(slope)
        absorbed = table.loc[[(level, "treated"), (level, "day:treated")]]
        assert absorbed["estimate"].isna().all()
        assert (absorbed["note"] == "does not vary within the level").all()


def test_a_predictor_that_varies_needs_rows_of_its_own() -> None:
    data = pd.DataFrame({"y": [1.0, 2, 4, 7, 3], "x": [0.0, 1, 2, 4, 1], "g": list("aaabb")})
    data.loc[5] = [2.0, 3.0, "c"]
    table = bmx.Model("y ~ x + (1 | g)", data).no_pooling().set_index(["level", "effect"])
    assert table["estimate"].notna().loc[["a", "b"]].all()
    assert table.loc["c", "estimate"].isna().all()  # and not the row itself as its intercept


def test_separated_levels_have_a_note_and_no_number() -> None:
    data = pd.DataFrame(
        {
            "y": [0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1],
            "x": [0.0, 1, 2, 3] * 3,
            "g": list("aaaabbbbcccc"),
        }
    )
    model = bmx.Model("y ~ x + (x | g)", data, family="bernoulli")
    table = model.no_pooling()
    for level in ("a", "b"):
        part = table[table["level"] == level]
        assert part["estimate"].isna().all()
        assert part["note"].str.startswith("separation").all()
    assert table.query("level == 'c'")["estimate"].abs().max() < 5
    counts = bmx.Model("y ~ 1 + (1 | g)", data, family="poisson").no_pooling()
    assert counts["note"].str.startswith("separation").tolist() == [False, True, False]
    np.testing.assert_allclose(counts["estimate"].to_numpy()[[0, 2]], np.log(0.5))


def test_one_separated_term_leaves_the_others() -> None:
    """A factor level that never fails has no finite coefficient; the intercept has one."""
    data = pd.DataFrame({"y": [0, 1, 0, 1, 1, 1, 1, 1], "f": list("aaaabbbb"), "g": list("pq") * 4})
    table = bmx.Model("y ~ f + (1 | g)", data, family="bernoulli").complete_pooling()
    assert table.loc[0, "estimate"] == pytest.approx(0.0, abs=1e-6)
    assert table.loc[0, "note"] == ""
    assert np.isnan(table.loc[1, "estimate"])
    assert table.loc[1, "note"].startswith("separation")


def test_a_steep_slope_is_no_separation_and_a_separated_level_leaves_the_slope() -> None:
    rng = np.random.default_rng(6)
    x = rng.uniform(-0.5, 0.5, 300)
    f = np.tile(list("abc"), 100)
    steep = (rng.random(300) < 1 / (1 + np.exp(-40 * x))).astype(int)
    d = pd.DataFrame({"x": x, "f": f, "g": np.repeat(list("pq"), 150), "y": steep})
    table = bmx.Model("y ~ x + (1 | g)", d, family="bernoulli").complete_pooling()
    assert (table["note"] == "").all()
    assert table.loc[1, "estimate"] > 20
    d["k"] = rng.poisson(np.exp(0.5 * x)) * (f != "c")
    whole = bmx.Model("k ~ x + f + (1 | g)", d, family="poisson").complete_pooling()
    rest = bmx.Model("k ~ x + f + (1 | g)", d[f != "c"], family="poisson").complete_pooling()
    whole = whole.set_index("term")
    assert whole.loc["f[T.c]", "note"].startswith("separation")
    for name in ("estimate", "sd"):
        np.testing.assert_allclose(whole.drop("f[T.c]")[name], rest[name], rtol=1e-5)


def test_which_grouping_factor(data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x + (1 | h / ward) + (1 | g)", data)
    assert set(model.no_pooling()["group"]) == {"h"}
    nested = model.no_pooling("h:ward")
    assert nested["level"].nunique() == model.design.mu.group("h:ward").n_levels
    at = (data["h"] == 1) & (data["ward"] == 2)
    slope = np.polyfit(data.loc[at, "x"], data.loc[at, "y"], 1)[0]
    found = nested.query("level == '1:2' and effect == 'x'")["estimate"].item()
    assert found == pytest.approx(slope)
    with pytest.raises(DataError, match="no grouping factor `nobody`"):
        model.no_pooling("nobody")


def test_what_is_refused(data: pd.DataFrame) -> None:
    with pytest.raises(NotSupportedError, match=r"complete_pooling\(\)"):
        bmx.Model("y ~ x", data).no_pooling()
    model = bmx.Model("y ~ x + (1 | g)", data)
    with pytest.raises(NotSupportedError, match="sigma='both'"):
        model.no_pooling(sigma="both")  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match="ci_prob=95"):
        model.complete_pooling(95)
    with pytest.raises(NotSupportedError, match="student_t"):
        bmx.Model("y ~ x", data, family=bmx.families.Laplace(link="log")).complete_pooling()


def test_censored_rows_count_as_censored(rows: pd.DataFrame) -> None:
    """Exponential times: events over the time at risk."""
    data = rows.assign(t=np.minimum(rows["pos"], 2.0), s=np.where(rows["pos"] > 2, "right", "none"))
    table = bmx.Model("censored(t, s) ~ 1 + (1 | g)", data, family="exponential").no_pooling()
    found = table.set_index("level")["estimate"]
    for level, part in data.groupby("g"):
        mean = part["t"].sum() / (part["s"] == "none").sum()
        assert found[level] == pytest.approx(np.log(mean), abs=1e-7)


def test_shrinkage_of_counts_is_on_the_link_scale(
    rows: pd.DataFrame, rng: np.random.Generator
) -> None:
    fit = bmx.Model("k ~ x + (1 | g)", rows, family="poisson").fit_eb()
    shrunk = fit.shrinkage()
    beta = fit.fixed_effects()["estimate"].to_numpy()
    for level, part in rows.groupby("g"):
        exposure = np.exp(beta[1] * part["x"]).sum()
        at = list(shrunk.levels).index(level)
        assert shrunk.no_pooling[at, 0] == pytest.approx(np.log(part["k"].sum() / exposure))
    coefficients = fit.group_coefficients()["estimate"]
    np.testing.assert_allclose(shrunk.partial_pooling.ravel(), coefficients)
    low = np.minimum(shrunk.no_pooling, shrunk.fixed_effect) - 0.02
    high = np.maximum(shrunk.no_pooling, shrunk.fixed_effect) + 0.02
    assert ((low < shrunk.partial_pooling) & (shrunk.partial_pooling < high)).all()
    np.testing.assert_allclose(
        shrunk.complete_pooling, fit.model.complete_pooling()["estimate"][:1]
    )
    assert fit.plot_shrinkage().axes
    with pytest.raises(NotSupportedError, match="no group effects"):
        bmx.Model("k ~ x", rows, family="poisson").fit_eb().plot_shrinkage()


def test_an_effect_that_ran_away_has_no_shrinkage(rng: np.random.Generator) -> None:
    n = 240
    d = pd.DataFrame({"x": rng.normal(size=n), "c": rng.choice(list("abc"), n)})
    d["g"] = np.repeat([f"g{i:02}" for i in range(12)], 20)
    d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"] + np.repeat(rng.normal(size=12), 20)))
    # The reference has no counts: what is compared with it, and the intercept, run away.
    d["y"] = d["y"].where(d["c"] != "a", 0)
    with pytest.warns(SeparationWarning):
        fit = bmx.Model("y ~ x + c + (x | g)", d, family="poisson").fit_eb()
    with pytest.warns(DataWarning, match=r"shrinkage by `g` is NaN for Intercept: the fixed"):
        shrunk = fit.shrinkage()
    assert np.isnan(shrunk.fixed_effect).tolist() == [True, False]
    for values in (shrunk.no_pooling, shrunk.partial_pooling):
        assert np.isnan(values[:, 0]).all()
        assert np.isfinite(values[:, 1]).all()
    # The slopes are those of the rows that have counts to tell of.
    rest = d[d["c"] != "a"].assign(c=lambda d: d["c"].astype(str))
    beside = bmx.Model("y ~ x + c + (x | g)", rest, family="poisson").fit_eb().shrinkage()
    np.testing.assert_allclose(shrunk.no_pooling[:, 1], beside.no_pooling[:, 1], atol=1e-3)
    np.testing.assert_allclose(
        shrunk.partial_pooling[:, 1], beside.partial_pooling[:, 1], atol=1e-3
    )


def test_extremes_of_a_changed_pymc_model_are_refused(data: pd.DataFrame) -> None:
    import pymc as pm

    model = bmx.Model("y ~ x + (1 | g)", data)
    before = model.no_pooling()
    with model.pymc_model:
        pm.Potential("held", -1e6 * model.pymc_model["beta"][1] ** 2)
    for ask in (model.no_pooling, model.complete_pooling):
        with pytest.raises(NotSupportedError, match="the potential `held` is new"):
            ask()
    del model.pymc_model
    pd.testing.assert_frame_equal(model.no_pooling(), before)


def test_shrinkage_of_a_posterior_and_of_its_mode_share_no_pooling(
    sleepstudy: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy)
    a, b = fake_posterior(model, rng).shrinkage(), model.fit_eb().shrinkage()
    np.testing.assert_allclose(a.no_pooling, b.no_pooling)
    table = model.no_pooling()
    np.testing.assert_allclose(a.no_pooling.ravel(), table["estimate"])
    np.testing.assert_allclose(b.complete_pooling, model.complete_pooling()["estimate"])


@pytest.mark.parametrize("scale", [1e-6, 1e9])
@pytest.mark.parametrize("family", ["student_t", "laplace", "gaussian"])
def test_units_do_not_matter(scale: float, family: str, rows: pd.DataFrame) -> None:
    """Nor does a predictor far from zero, such as a year."""
    data = rows.assign(year=2000 + 10 * rows["x"])
    model = bmx.Model("v ~ year + (1 | g)", data, family=family)
    scaled = model.update(data=data.assign(v=scale * data["v"]))
    columns = ["estimate", "sd", "lower", "upper"]
    for table in ("complete_pooling", "no_pooling"):
        small, large = getattr(model, table)(), getattr(scaled, table)()
        np.testing.assert_allclose(large[columns] / scale, small[columns], rtol=1e-4)


def test_a_family_at_its_limit_keeps_its_coefficients(rows: pd.DataFrame) -> None:
    """Where nothing is overdispersed the negative binomial is the Poisson distribution."""
    rng = np.random.default_rng(3)
    even = rows.assign(k=rng.binomial(8, 1 / (1 + np.exp(-rows["x"]))))
    wide = bmx.Model("k ~ x + (1 | g)", even, family="negative_binomial").complete_pooling()
    narrow = bmx.Model("k ~ x + (1 | g)", even, family="poisson").complete_pooling()
    assert (wide["note"] == "").all()
    np.testing.assert_allclose(wide["estimate"], narrow["estimate"], rtol=1e-3)
    np.testing.assert_allclose(wide["sd"], narrow["sd"], rtol=1e-2)


def test_each_level_has_the_knots_and_scales_of_all_rows(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.uniform(0, 10, 60), rng.uniform(3, 7, 20)])
    data = pd.DataFrame({"x": x, "g": np.repeat([1, 2, 3, 4], 20), "y": rng.normal(size=80)})
    model = bmx.Model("y ~ bs(x, df=4) + (1 | g)", data)
    table = model.no_pooling().set_index(["level", "effect"])["estimate"]
    for level in (1, 4):
        rows = (data["g"] == level).to_numpy()
        right = np.linalg.lstsq(model.design.mu.X[rows], data["y"][rows], rcond=None)[0]
        np.testing.assert_allclose(table[str(level)].to_numpy(), right, rtol=1e-6)


@pytest.mark.parametrize(
    ("second", "said"),
    [("residual ~ ar1(t | g)", r"residual ~ \.\.\."), ("sigma ~ t", r"sigma ~ \.\.\.")],
)
def test_other_formulas_are_not_dropped_without_a_word(second: str, said: str) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"t": np.tile(range(4), 8), "g": np.repeat(range(8), 4)})
    data["y"] = rng.normal(size=32)
    model = bmx.Model(["y ~ t + (1 | g)", second], data)
    for regress in (model.no_pooling, model.complete_pooling):
        with pytest.raises(NotSupportedError, match=said):
            regress()
    assert len(bmx.Model("y ~ t + (1 | g)", data).no_pooling())


def test_a_level_has_the_effects_of_its_own_condition() -> None:
    """Each level has one value of c, so that the columns of the other are zero there."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(list("abcd"), 8), "x": rng.normal(size=32)})
    data["c"], data["y"] = np.where(data["g"] < "c", "p", "q"), rng.normal(size=32)
    model = bmx.Model("y ~ x + (x | gr(g, by=c))", data)
    table = model.no_pooling()
    alone = bmx.Model("y ~ x + (x | g)", data).no_pooling()
    known = table[table["note"] == ""]
    assert known["effect"].tolist() == ["Intercept:c[p]", "x:c[p]"] * 2 + [
        "Intercept:c[q]", "x:c[q]"
    ] * 2  # fmt: skip
    for column in ("estimate", "sd", "lower", "upper"):
        np.testing.assert_allclose(known[column], alone[column])
    others = table[table["note"] != ""]
    assert others["estimate"].isna().all()
    assert "is zero in the level's rows" in set(others["note"])
    shrunk = model.fit_eb().shrinkage().no_pooling
    assert np.isfinite(shrunk).sum() == 8


def test_what_a_level_s_own_effects_contain_has_no_coefficient_there() -> None:
    """A mean of each kind in each level: the intercept is the sum of their columns."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(list("abc"), 12), "f": np.tile(list("uvw"), 12)})
    data["x"], data["y"] = rng.normal(size=36), rng.normal(size=36)
    table = bmx.Model("y ~ x + (0 + f | g)", data).no_pooling("g")
    assert set(table.loc[table["effect"] == "Intercept", "note"]) == {
        "does not vary within the level"
    }
    for level, rows in data.groupby("g"):
        own = table[(table["level"] == level) & (table["effect"] != "Intercept")]
        X = np.column_stack([*(rows["f"] == kind for kind in "uvw"), rows["x"]]).astype(float)
        np.testing.assert_allclose(own["estimate"], np.linalg.lstsq(X, rows["y"])[0])
