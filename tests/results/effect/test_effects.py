"""Averages, comparisons and slopes are what plain numpy makes of the draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import DataError, NotSupportedError
from tests.builders import fake_posterior, family_posterior
from tests.families.cases import LEFT_SIDE, ORDINARY, family_data

NUMBERS = ["estimate", "sd", "lower", "upper"]
TEXT = "y ~ x * f + np.log(u) + offset(z) + (x | g) + (1 | h/ward)"


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    return fake_posterior(bmx.Model(TEXT, data), rng)


@pytest.fixture
def binary(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    data = data.assign(won=(data["y"] > 50).astype(int))
    return family_posterior(bmx.Model("won ~ x * f + (1 | g)", data, family="bernoulli"), rng)


def draws_of(post: bmx.Posterior, data: pd.DataFrame, **options) -> np.ndarray:
    """All draws of all rows, shape (S, n), which `predict_draws` is tested for."""
    values = post.predict_draws(data, **options).values
    return values.reshape(-1, values.shape[-1])


def summary_of(draws: np.ndarray, ci_prob: float = 0.95) -> list[float]:
    tail = (1 - ci_prob) / 2
    return [draws.mean(), draws.std(ddof=1), *np.quantile(draws, [tail, 1 - tail])]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("predictions", {"by": None}, "by=None must be a column's name"),
        ("predictions", {"by": 1}, "by=1 must be a column's name"),
        ("predictions", {"by": {"g": ["a"]}}, r"by=\{'g': \['a'\]\} must be a column's name"),
        ("predictions", {"by": ["g", ["a"]]}, r"by=\['g', \['a'\]\] must be a column's name"),
        ("comparisons", {"variables": None}, "variables=None must be the name"),
        ("comparisons", {"variables": {"x": [0, 2]}}, r"go into contrast=.*contrast=\(0, 2\)"),
        ("comparisons", {"variables": ("x", [0, 2])}, r"\[0, 2\] is no name of a predictor"),
        ("slopes", {"variables": {"x": 1}}, "variables={'x': 1} must be the name"),
        ("slopes", {"variables": 2}, "variables=2 must be the name"),
        ("slopes", {"variables": "x", "step": "a"}, "step='a' must be a number above zero"),
        ("slopes", {"variables": "x", "step": [1]}, r"step=\[1\] must be a number above zero"),
    ],
)
def test_arguments_of_another_kind_are_refused(
    post: bmx.Posterior, method: str, options: dict, message: str
) -> None:
    with pytest.raises(NotSupportedError, match=message):
        getattr(post, method)(**options)


def test_subgroups_are_averaged_draw_by_draw(post: bmx.Posterior, data: pd.DataFrame) -> None:
    draws = draws_of(post, data)
    table = post.predictions(["f", "flag"], data=data, groups="conditional", ci_prob=0.8)
    assert list(table.columns) == ["f", "flag", *NUMBERS]
    assert len(table) == 6
    for _, row in table.iterrows():
        inside = ((data["f"] == row["f"]) & (data["flag"] == row["flag"])).to_numpy()
        expected = summary_of(draws[:, inside].mean(axis=1), 0.8)
        np.testing.assert_allclose(row[NUMBERS].astype(float), expected)
    everyone = post.predictions()
    np.testing.assert_allclose(everyone[NUMBERS].iloc[0], summary_of(draws.mean(axis=1)))


def test_other_tables_are_read(binary: bmx.Posterior, data: pd.DataFrame) -> None:
    given = data[["x", "f", "g"]]
    expected = binary.predictions("f", data=given)
    pd.testing.assert_frame_equal(binary.predictions("f", data=pl.from_pandas(given)), expected)
    as_dict = {name: given[name].tolist() for name in given}
    pd.testing.assert_frame_equal(binary.predictions(["f"], data=as_dict), expected)
    with pytest.raises(DataError, match="no column `g`"):
        binary.predictions(data=given[["x", "f"]])
    assert len(binary.predictions(data=given[["x", "f"]], groups="population")) == 1


def test_missing_groups_are_a_subgroup(binary: bmx.Posterior, data: pd.DataFrame) -> None:
    kind = np.where(np.arange(len(data)) % 3 == 0, None, data["h"].astype(str))
    table = binary.predictions("kind", data=data.assign(kind=kind))
    assert len(table) == 6
    assert table["kind"].isna().sum() == 1


def test_rows_apart_are_predict(post: bmx.Posterior) -> None:
    pd.testing.assert_frame_equal(post.predictions(by=False), post.predict())


def test_counterfactual_values_are_given_to_all_rows(
    binary: bmx.Posterior, data: pd.DataFrame
) -> None:
    table = binary.predictions("g", at={"x": [0, 2], "f": ["low"]})
    assert list(table.columns) == ["x", "f", "g", *NUMBERS]
    assert len(table) == 2 * 8
    draws = draws_of(binary, data.assign(x=2.0, f="low"))
    inside = (data["g"] == "c").to_numpy()
    row = table.query("x == 2 and g == 'c'").iloc[0]
    expected = summary_of(draws[:, inside].mean(axis=1))
    np.testing.assert_allclose(row[NUMBERS].astype(float), expected)
    assert data["f"].nunique() == 3  # the caller's frame is as it was


def test_a_typical_row_has_means_and_the_commonest_levels(
    binary: bmx.Posterior, data: pd.DataFrame
) -> None:
    table = binary.predictions(at={"x": [1]}, others="typical", groups="population")
    common = data["f"].mode()[0]
    expected = binary.predict({"x": [1.0], "f": [common]}, groups="population")
    np.testing.assert_allclose(table[NUMBERS], expected)
    by = binary.predictions("f", others="typical", groups="population")
    new = pd.DataFrame({"x": data["x"].mean(), "f": by["f"]})
    np.testing.assert_allclose(by[NUMBERS], binary.predict(new, groups="population"))
    # The uncertainty of an unknown group is that of the whole population.
    unknown = binary.predictions(at={"x": [1]}, others="typical", groups="conditional")
    assert unknown["sd"].iloc[0] > 1.2 * table["sd"].iloc[0]
    known = binary.predictions(at={"x": [1], "g": ["a"]}, others="typical")
    new = binary.predict({"x": [1.0], "f": [common], "g": ["a"]})
    np.testing.assert_allclose(known[NUMBERS], new)


def test_an_indicator_is_compared_between_0_and_1() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"t": np.repeat([0, 1], 100), "g": np.tile(np.arange(20), 10)})
    data["y"] = rng.poisson(np.exp(0.2 + 1.2 * data["t"]))
    fit = bmx.Model("y ~ t + (1 | g)", data, family="poisson").fit_eb()
    table = fit.comparisons("t")
    pd.testing.assert_frame_equal(table, fit.comparisons("t", contrast=(0, 1)))
    step = fit.comparisons("t", contrast=1)  # which takes the rows at 1 to 2
    assert step["estimate"][0] > 1.5 * table["estimate"][0]


def test_comparisons_of_numbers(binary: bmx.Posterior, data: pd.DataFrame) -> None:
    up, here = draws_of(binary, data.assign(x=data["x"] + 1)), draws_of(binary, data)
    these = {"groups": "conditional"}
    table = binary.comparisons("x", **these)
    assert table[["term", "contrast"]].iloc[0].tolist() == ["x", "+1"]
    np.testing.assert_allclose(table[NUMBERS].iloc[0], summary_of((up - here).mean(axis=1)))
    high, low = (draws_of(binary, data.assign(x=v)).mean(axis=1) for v in (5.0, 1.0))
    made = {
        "ratio": high / low,
        "lnratio": np.log(high / low),
        "odds_ratio": (high / (1 - high)) / (low / (1 - low)),
        "lnor": special.logit(high) - special.logit(low),
    }
    for compare, expected in made.items():
        table = binary.comparisons("x", contrast=(1, 5), compare=compare, **these)
        assert table["contrast"][0] == "5 / 1"
        np.testing.assert_allclose(table[NUMBERS].iloc[0], summary_of(expected))
    sd = data["x"].std()
    around = binary.comparisons("x", contrast="2sd")
    pair = binary.comparisons("x", contrast=(data["x"].mean() - sd, data["x"].mean() + sd))
    np.testing.assert_allclose(around[NUMBERS], pair[NUMBERS])
    assert len(binary.comparisons("x", contrast="iqr")) == 1


def test_comparisons_of_levels(binary: bmx.Posterior, data: pd.DataFrame) -> None:
    table = binary.comparisons("f", at={"x": [0, 1]}, groups="conditional")
    assert table["contrast"].tolist() == ["low - high"] * 2 + ["mid - high"] * 2
    mid, high = (draws_of(binary, data.assign(x=1.0, f=f)) for f in ("mid", "high"))
    np.testing.assert_allclose(table[NUMBERS].iloc[3], summary_of((mid - high).mean(axis=1)))
    assert len(binary.comparisons("f", contrast="pairwise")) == 3
    assert binary.comparisons("f", contrast="sequential")["contrast"].tolist() == [
        "low - high", "mid - low",
    ]  # fmt: skip
    groups = binary.comparisons("g", contrast=("a", "d"), kind="linear")
    b = binary.idata["posterior"]["b_g"].values
    expected = (b[:, :, 3, 0] - b[:, :, 0, 0]).ravel()
    np.testing.assert_allclose(groups[NUMBERS].iloc[0], summary_of(expected))


def test_on_the_link_scale_a_comparison_is_the_coefficient(binary: bmx.Posterior) -> None:
    beta = binary.idata["posterior"]["beta"]
    slope = beta.sel(fixed_effect="x") + beta.sel(fixed_effect="x:f[T.low]")
    for table in (
        binary.comparisons("x", at={"f": "low"}, kind="linear"),
        binary.slopes("x", at={"f": "low"}, kind="linear"),
    ):
        np.testing.assert_allclose(table[NUMBERS].iloc[0], summary_of(slope.values), rtol=1e-7)


def test_slopes_are_derivatives(binary: bmx.Posterior, data: pd.DataFrame) -> None:
    p = draws_of(binary, data)
    beta = binary.idata["posterior"]["beta"].values.reshape(len(p), -1)
    names = list(binary.model.design.mu.fixed_effects)
    slope = np.repeat(beta[:, names.index("x"), None], len(data), axis=1)
    for level in ("low", "mid"):
        inside = (data["f"] == level).to_numpy()
        slope[:, inside] += beta[:, names.index(f"x:f[T.{level}]"), None]
    exact = p * (1 - p) * slope
    table = binary.slopes("x", by="f", groups="conditional")
    for _, row in table.iterrows():
        inside = (data["f"] == row["f"]).to_numpy()
        expected = summary_of(exact[:, inside].mean(axis=1))
        np.testing.assert_allclose(row[NUMBERS].astype(float), expected, rtol=1e-6)
    apart = binary.slopes("x", by=False, groups="conditional")
    np.testing.assert_allclose(apart["estimate"], exact.mean(axis=0), rtol=1e-6, atol=1e-9)
    assert apart.index.equals(data.index)


def test_transformed_predictors_are_differentiated(
    post: bmx.Posterior, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    beta = post.idata["posterior"]["beta"].sel(fixed_effect="np.log(u)").values.ravel()
    table = post.slopes("u", data=data)
    np.testing.assert_allclose(
        table[NUMBERS].iloc[0], summary_of(beta * (1 / data["u"]).mean()), rtol=1e-3
    )
    text = "y ~ poly(x, 2) + bs(u, df=5) + np.log(w) + (1 | g)"
    smooth = fake_posterior(bmx.Model(text, data.assign(w=data["u"] - data["u"].min() + 1)), rng)
    # At the outermost rows neither the spline nor its differences leave the knots.
    at = smooth.slopes("u", at={"u": [data["u"].min(), data["u"].max(), 2.0]})
    assert np.isfinite(at[NUMBERS]).all(axis=None)
    h = 1e-5
    up, down = (smooth.predictions(at={"u": [2.0 + s]})["estimate"][0] for s in (h, -h))
    assert at["estimate"][2] == pytest.approx((up - down) / (2 * h), rel=1e-4)
    low = data["u"].min()
    right = smooth.predictions(at={"u": [low, low + h]})["estimate"]
    assert at["estimate"][0] == pytest.approx((right[1] - right[0]) / h, rel=1e-3)


def test_where_a_logarithm_ends_the_slope_is_one_sided(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"x": np.repeat([1e-6, 0.5, 1.0], 20), "y": rng.normal(size=60)})
    post = fake_posterior(bmx.Model("y ~ np.log(x)", data), rng)
    beta = post.idata["posterior"]["beta"].values[..., 1].mean()
    slope = post.slopes("x", at={"x": [1e-6]})["estimate"][0]
    assert slope == pytest.approx(beta * 1e6, rel=0.1)


def test_trials_count_unless_odds_are_compared(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    data = data.assign(n=5, k=rng.integers(0, 6, len(data)))
    model = bmx.Model("proportion(k, n) ~ x + (1 | g)", data, family="binomial")
    post = family_posterior(model, rng)
    counts = post.predictions(data=data)["estimate"][0]
    shares = post.predictions(at={"n": 1}, groups="conditional")["estimate"][0]
    assert counts == pytest.approx(5 * shares)
    p1, p0 = (draws_of(post, data.assign(n=1, x=v)).mean(axis=1) for v in (1.0, 0.0))
    table = post.comparisons("x", contrast=(0, 1), compare="lnor", groups="conditional")
    np.testing.assert_allclose(
        table[NUMBERS].iloc[0], summary_of(special.logit(p1) - special.logit(p0))
    )


def test_the_number_of_trials_may_be_a_predictor(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    data = data.assign(n=rng.integers(1, 9, len(data)))
    data["k"] = rng.binomial(data["n"], 0.4)
    post = family_posterior(
        bmx.Model("proportion(k, n) ~ n + (1 | g)", data, family="binomial"), rng
    )
    beta = post.idata["posterior"]["beta"].values.reshape(-1, 2)
    one = data.assign(n=2.5)  # expected counts are of any number of trials
    p = special.expit(beta @ [1.0, 2.5])
    found = post.predict(one, groups="population")["estimate"]
    np.testing.assert_allclose(found, 2.5 * p.mean())
    slope = post.slopes("n", at={"n": [2.5]})["estimate"][0]
    assert slope == pytest.approx((p + 2.5 * beta[:, 1] * p * (1 - p)).mean(), rel=1e-4)
    line = post.plot_predictions("n").axes[0].lines
    assert all(np.isfinite(np.asarray(each.get_ydata(), dtype=float)).all() for each in line)
    with pytest.raises(DataError, match=r"2\.5 in row .*: whole numbers from 0"):
        post.predict(one, kind="response")


def test_the_average_over_groups_is_not_the_middle_group(binary: bmx.Posterior) -> None:
    data = binary.model.design.frame
    for options in ({"marginal": True}, {"groups": "population"}):
        table = binary.predictions(at={"x": 3}, **options)
        expected = draws_of(binary, data.assign(x=3.0), **options).mean(axis=1)
        np.testing.assert_allclose(table[NUMBERS].iloc[0], summary_of(expected))


def test_new_levels_are_the_same_in_both_versions(binary: bmx.Posterior) -> None:
    new = pd.DataFrame({"x": [0.0, 1.0], "f": ["low", "mid"], "g": ["new", None]})
    table = binary.comparisons("x", data=new, kind="linear", by=False, groups="conditional")
    slope = binary.comparisons("x", data=new, kind="linear", by=False, groups="population")
    pd.testing.assert_frame_equal(table, slope)
    assert list(table.index) == [0, 1]


def test_results_do_not_depend_on_threads(binary: bmx.Posterior) -> None:
    data = pd.concat([binary.model.design.frame] * 40)
    tables = [binary.predictions("f", data=data) for _ in range(3)]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)


def test_without_groups_and_without_fixed_effects(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    plain = fake_posterior(bmx.Model("y ~ x", data), rng)
    slope = plain.slopes("x")
    np.testing.assert_allclose(slope["estimate"], plain.fixed_effects()["estimate"][1])
    only = fake_posterior(bmx.Model("y ~ 0 + (x | g)", data), rng)
    b = only.idata["posterior"]["b_g"].values[..., 1]
    share = data["g"].value_counts().sort_index().to_numpy() / len(data)
    np.testing.assert_allclose(
        only.slopes("x")[NUMBERS].iloc[0], summary_of((b @ share).ravel()), rtol=1e-7
    )
    assert only.slopes("x", groups="population")["estimate"][0] == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p.predictions(by="sex"), DataError, "by='sex': there is no such column"),
        (lambda p: p.predictions(at={"xx": 1}), DataError, "`xx` is no predictor.*mean `x`"),
        (lambda p: p.predictions(at={"f": "none"}), DataError, "has the level 'none'"),
        (lambda p: p.predictions(at=[1]), NotSupportedError, "must be a dict"),
        (lambda p: p.predictions(at={"x": []}), NotSupportedError, "names no value of `x`"),
        (
            lambda p: p.predictions(at={"x": range(10**9)}),
            NotSupportedError,
            "at= names 1000000000 values, each of which is a copy of all .* rows; 10000 are",
        ),
        (
            lambda p: p.slopes("x", at={"x": np.arange(1000), "f": ["low", "mid"] * 10}),
            NotSupportedError,
            "at= names 1000 x 20 = 20000 values",
        ),
        (lambda p: p.predictions(kind="response"), NotSupportedError, "new observations"),
        (lambda p: p.predictions(kind="probability"), NotSupportedError, "is not one of 'mean'"),
        (lambda p: p.predictions(others="mean"), NotSupportedError, "others='mean' is not one"),
        (lambda p: p.predictions(False, others="typical"), NotSupportedError, "take by=True"),
        (lambda p: p.predictions(data=pd.DataFrame({"x": []})), DataError, "no rows"),
        (lambda p: p.comparisons("f", contrast=("low", "up")), DataError, "no level 'up'"),
        (lambda p: p.comparisons("f", contrast=1), NotSupportedError, "`f` has levels"),
        (lambda p: p.comparisons("f", at={"f": "low"}), NotSupportedError, "leave it out of at="),
        (lambda p: p.comparisons("x", contrast=0), NotSupportedError, "compares nothing"),
        (lambda p: p.comparisons("x", contrast="range"), NotSupportedError, "`x` is a number"),
        (lambda p: p.comparisons("x", compare="odds"), NotSupportedError, "compare='odds' is not"),
        (lambda p: p.comparisons([]), NotSupportedError, "names no predictor"),
        (lambda p: p.comparisons("x", compare="lnor", kind="linear"), NotSupportedError, "proba"),
        (lambda p: p.slopes("f"), NotSupportedError, "comparisons\\('f'\\) compares its levels"),
        (lambda p: p.slopes("x", step=0), NotSupportedError, "step=0 must be"),
        (lambda p: p.slopes("y"), DataError, "`y` is no predictor"),
    ],
)
def test_errors_name_the_way_out(binary: bmx.Posterior, call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call(binary)


def test_very_many_levels_want_a_pair(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"y": rng.normal(size=2400), "g": np.repeat(np.arange(1200), 2)})
    post = fake_posterior(bmx.Model("y ~ 1 + (1 | g)", data), rng, n_draws=5)
    with pytest.raises(NotSupportedError, match="1199 comparisons are more than 1000"):
        post.comparisons("g")
    assert len(post.comparisons("g", contrast=(3, 7))) == 1


def test_a_column_of_the_tables_own_name_is_refused(
    binary: bmx.Posterior, data: pd.DataFrame
) -> None:
    with pytest.raises(NotSupportedError, match="column `sd` of its own; rename"):
        binary.predictions("sd", data=data.assign(sd=1))


def test_a_group_that_is_not_known_is_drawn(binary: bmx.Posterior) -> None:
    table = binary.predictions(at={"g": [None, "a"]}, kind="linear")
    assert table["g"].isna().tolist() == [True, False]
    # Each row has a group of its own: the population's spread averages out.
    middle = binary.predictions(kind="linear", groups="population")
    assert table["estimate"][0] == pytest.approx(middle["estimate"][0], abs=0.05)


@pytest.mark.parametrize("name", ORDINARY)
def test_every_family_has_effects(name: str, rng: np.random.Generator) -> None:
    data = family_data()
    model = bmx.Model(f"{LEFT_SIDE[name]} ~ x + (1 | g)", data, family=name)
    post = family_posterior(model, rng)
    expected = draws_of(post, data.assign(x=1.0)).mean(axis=1)
    these = {"data": data, "groups": "conditional"}
    table = post.predictions(at={"x": 1}, **these)
    np.testing.assert_allclose(table[NUMBERS].iloc[0], summary_of(expected))
    low = draws_of(post, data.assign(x=0.999)).mean(axis=1)
    slope = post.slopes("x", at={"x": 0.9995}, **these)["estimate"][0]
    assert slope == pytest.approx((expected - low).mean() / 1e-3, rel=1e-4)
    if name in {"sratio", "cratio", "acat", "von_mises"}:
        for ask in (post.r2, post.icc, post.variance_partition):
            with pytest.raises(NotSupportedError, match="not defined for it"):
                ask()
        return
    r2 = post.r2()
    assert r2[NUMBERS].notna().all(axis=None)
    assert r2["estimate"].between(0, 1).all()
    # The groups explain something, and cannot explain less than nothing.
    assert r2["estimate"][1] > r2["estimate"][0]
    icc = post.icc()
    assert 0 < icc["estimate"][0] < 1
    parts = post.variance_partition(point="mean")
    assert parts["estimate"].sum() == pytest.approx(1)


def test_odds_want_probabilities(post: bmx.Posterior) -> None:
    with pytest.raises(NotSupportedError, match=r"family gaussian .* has none"):
        post.comparisons("x", compare="lnor")
