"""What a response must be: each error names what was found, where, and what is wanted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, FormulaError, NotSupportedError
from tests.families.cases import family_data


@pytest.fixture
def rows() -> pd.DataFrame:
    data = family_data()
    data.index = pd.Index([f"r{i}" for i in range(len(data))])
    data["text"] = np.where(data["binary"] == 1, "yes", "no")
    data["three"] = np.resize(["a", "b", "c"], len(data))
    return data


@pytest.mark.parametrize(
    ("left", "family", "column", "value", "message"),
    [
        ("count", "poisson", "count", -1, r"`count` is -1 in row r3: .* whole numbers from 0"),
        ("count", "negative_binomial", "count", 1.5, r"`count` is 1.5 in row r3"),
        ("count", "hurdle_poisson", "count", -2, "hurdle_poisson family wants counts"),
        ("positive", "gamma", "positive", 0, r"is 0 in row r3: .* there is hurdle_gamma"),
        ("positive", "weibull", "positive", -3, "is -3 in row r3: .* numbers above zero"),
        ("positive", "lognormal", "positive", 0, "is 0 in row r3: the lognormal family wants"),
        ("positive", "hurdle_gamma", "positive", -1, "is -1 in row r3: .* numbers from 0"),
        ("fraction", "beta", "fraction", 1, "is 1 in row r3: .* above 0 and below 1"),
        ("binary", "bernoulli", "binary", 2, r"is 2 in row r3: .* 0 or 1.*proportion\(successes"),
        ("proportion(k, m)", "binomial", "k", 99, r"`k` is 99 in row r3: of \d+ trials"),
        ("proportion(k, 1)", "binomial", "k", 1.2, r"`k` is 1.2 in row r3.*: of 1 trials"),
        ("proportion(k, m)", "beta_binomial", "m", -1, r"trials `m` are -1 in row r3"),
        ("proportion(k, m)", "binomial", "m", 7.5, "are 7.5 in row r3: whole numbers from 0"),
        ("weighted(real, w)", "gaussian", "w", -1, r"weights of weighted\(y, w\) `w` are -1"),
        ("truncated(count, 0, 50)", "poisson", "count", 51, "is 51 in row r3, outside the limits"),
        ("truncated(count, 0.5, 50)", "poisson", "count", 1, r"limit .* 0.5 in row r0: .* whole"),
        ("truncated(count, m, 0)", "poisson", "m", 3, "must be below the upper one"),
        ("censored(real, status)", "gaussian", "status", "dead", "is 'dead' in row r3: it must be"),
    ],
)
def test_an_impossible_value_names_its_row(
    rows: pd.DataFrame, left: str, family: str, column: str, value: object, message: str
) -> None:
    rows[column] = rows[column].astype(object if isinstance(value, str) else float)
    if column == "k" and value == 1.2:
        rows["k"] = np.minimum(rows["k"], 1)
    rows.loc["r3", column] = value
    with pytest.raises(DataError, match=message):
        bmx.Model(f"{left} ~ x", rows, family=family)


@pytest.mark.parametrize(
    ("left", "family", "message"),
    [
        ("three", "bernoulli", r"has 3 levels \('a', 'b', 'c'\); .* wants two"),
        ("three", "poisson", "is not numeric: it holds 'a'"),
        ("text", "cumulative", r"categories without an order \('no', 'yes'\)"),
        ("count", "cumulative", r"holds numbers; .* ordered=True\)"),
        ("k", "binomial", r"wants proportion\(successes, trials\)"),
        ("proportion(k, m)", "bernoulli", 'does not go with the bernoulli family; take family="bi'),
        ("proportion(k, m)", "poisson", "does not go with the poisson family"),
        ("censored(binary, status)", "bernoulli", r"censored\(y, status\) does not go with"),
        ("truncated(count, 1)", "hurdle_poisson", r"truncated\(y, lower, upper\) does not go"),
    ],
)
def test_a_response_of_the_wrong_kind_is_refused_at_its_place(
    rows: pd.DataFrame, left: str, family: str, message: str
) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        bmx.Model(f"{left} ~ x", rows, family=family)
    assert caught.value.start == 0


def test_the_second_level_is_success(rows: pd.DataFrame) -> None:
    model = bmx.Model("text ~ x", rows, family="bernoulli")
    np.testing.assert_array_equal(model.y, rows["binary"])
    assert "  success is 'yes', failure 'no'" in repr(model).splitlines()
    turned = rows.assign(text=pd.Categorical(rows["text"], categories=["yes", "no"]))
    other = bmx.Model("text ~ x", turned, family="bernoulli")
    np.testing.assert_array_equal(other.y, 1 - rows["binary"])
    boolean = bmx.Model("b ~ x", rows.assign(b=rows["binary"] == 1), family="bernoulli")
    np.testing.assert_array_equal(boolean.y, rows["binary"])


def test_rows_carry_what_the_left_hand_side_says(rows: pd.DataFrame) -> None:
    model = bmx.Model("weighted(proportion(k, k + m), w) ~ x", rows, family="binomial")
    assert set(model.rows) == {"trials", "exponent"}
    np.testing.assert_array_equal(model.rows["trials"], rows["k"] + rows["m"])
    assert model.y.dtype == np.float64
    model = bmx.Model("truncated(censored(real, status), upper=99) ~ x", rows)
    assert set(model.rows) == {"status", "upper"}
    expected = rows["status"].map({"left": -1.0, "none": 0.0, "right": 1.0})
    np.testing.assert_array_equal(model.rows["status"], expected)
    assert f"{(expected == 1).sum()} right-censored" in repr(model)
    assert "truncated" in repr(model)
    assert r"y_i \le u_i" in model.equation()
    assert "w_i" in bmx.Model("weighted(real, w) ~ x", rows).equation()


def test_missing_values_beside_the_response_count(rows: pd.DataFrame) -> None:
    rows["w"] = rows["w"].astype(float)
    rows.loc["r3", "w"] = np.nan
    with pytest.warns(DataWarning, match=r"1 of 60 rows .*`w` 1"):
        model = bmx.Model("weighted(real, w) ~ x", rows)
    assert len(model.rows["exponent"]) == len(model.y) == 59


def test_thresholds_take_the_place_of_the_intercept(rows: pd.DataFrame) -> None:
    model = bmx.Model("grade ~ x + three + (1 | g)", rows, family="cumulative")
    assert model.design.mu.fixed_effects == ("x", "three[T.b]", "three[T.c]")
    assert model.names.parameter_labels == {"thresholds": ("poor|fair", "fair|good", "good|best")}
    assert model.y.min() == 1
    assert model.y.max() == 4
    unit = 2.5 / rows["x"].std()
    assert model.prior_entries.coefficients[0].prior.parameters["sigma"] == pytest.approx(unit)
    with pytest.raises(FormulaError, match="take the 0 or -1 out"):
        bmx.Model("grade ~ 0 + x", rows, family="cumulative")
    assert bmx.Model("grade ~ 1 + (1 | g)", rows, family="cumulative").design.mu.X.shape == (60, 0)


def test_new_data_meet_the_same_columns_without_the_intercept(rows: pd.DataFrame) -> None:
    from bayesmix.design.newdata import design_rows

    model = bmx.Model("grade ~ x + three", rows, family="cumulative")
    np.testing.assert_array_equal(design_rows(model.design, rows).X, model.design.mu.X)


def test_the_intercept_is_centred_where_the_link_puts_the_mean(rows: pd.DataFrame) -> None:
    for left, family, center in (
        ("count", "poisson", np.log(rows["count"].mean())),
        ("binary", "bernoulli", np.log(rows["binary"].mean() / (1 - rows["binary"].mean()))),
        ("proportion(k, m)", "binomial", np.log(rows["k"].sum() / (rows["m"] - rows["k"]).sum())),
        ("positive", "gamma", np.log(rows["positive"].mean())),
        ("positive", "lognormal", np.log(rows["positive"]).mean()),
    ):
        model = bmx.Model(f"{left} ~ x + (1 | g)", rows, family=family)
        prior = model.prior_entries.intercept.prior
        assert prior.parameters["mu"] == pytest.approx(center)
        if family != "lognormal":
            assert prior.parameters["sigma"] == 2.5
            assert model.prior_entries.sd["g"][0].prior.parameters["beta"] == 1


@pytest.mark.parametrize(
    ("left", "family"),
    [("count", "poisson"), ("binary", "bernoulli"), ("proportion(k, m)", "binomial"),
     ("count", "hurdle_negative_binomial"), ("k", "zero_inflated_poisson")],
)  # fmt: skip
def test_without_a_single_success_the_priors_are_finite(
    rows: pd.DataFrame, left: str, family: str
) -> None:
    model = bmx.Model(f"{left} ~ x", rows.assign(count=0, binary=0, k=0), family=family)
    assert np.isfinite(model.prior_entries.intercept.prior.parameters["mu"])
    if family == "binomial":
        none = rows.assign(k=0, m=0)
        assert np.isfinite(bmx.Model("proportion(k, m) ~ x", none, family="binomial").y).all()


def test_an_exposure_shifts_the_intercept(rows: pd.DataFrame) -> None:
    model = bmx.Model("count ~ x + offset(np.log(m + 1))", rows, family="poisson")
    expected = np.log(rows["count"].mean()) - np.log(rows["m"] + 1).mean()
    assert model.prior_entries.intercept.prior.parameters["mu"] == pytest.approx(expected)


def test_what_the_fast_engine_cannot_take_and_who_has_precisions(rows: pd.DataFrame) -> None:
    for left, why in (
        ("censored(real, status)", r"of censored.* beside weights"),
        ("truncated(real, None, 99)", r"of truncated.* beside weights"),
        ("weighted(real, w)", r"of weighted.*exponent of the likelihood beside weights"),
    ):
        model = bmx.Model(f"{left} ~ x + (1 | g)", rows, weights=np.ones(len(rows)))
        with pytest.raises(NotSupportedError, match=why):
            model.fit(engine="fast")
    bounded = {"zi": bmx.Prior("Uniform", lower=0, upper=0.5)}
    zeros = bmx.Model("count ~ x", rows, family="zero_inflated_poisson", priors=bounded)
    with pytest.raises(NotSupportedError, match="of the prior zi ~ Uniform"):
        zeros.fit(engine="fast")
    with pytest.raises(NotSupportedError, match=r"normal responses.*weighted\(y, w\)"):
        bmx.Model("count ~ x", rows, family="poisson", weights="w")


def test_probabilities_take_a_prior_on_the_unit_interval(rows: pd.DataFrame) -> None:
    uniform = bmx.Prior("Uniform", lower=0, upper=0.5)
    model = bmx.Model("count ~ x", rows, family="zero_inflated_poisson", priors={"zi": uniform})
    assert model.priors["prior"].iloc[-1] == "Uniform(lower=0, upper=0.5)"
    bmx.Model("count ~ x", rows, family="hurdle_poisson",
              priors={"hu": bmx.Prior("Kumaraswamy", a=2, b=3)})  # fmt: skip
    for wrong in (bmx.Prior("HalfNormal", sigma=1), bmx.Prior("Uniform", lower=0, upper=2)):
        with pytest.raises(bmx.errors.PriorError, match="a probability, between 0 and 1"):
            bmx.Model("count ~ x", rows, family="hurdle_poisson", priors={"hu": wrong})


def test_a_family_is_a_name_or_an_object(rows: pd.DataFrame) -> None:
    assert bmx.Model("binary ~ x", rows, family="logistic").family.name == "bernoulli"
    assert bmx.Model("count ~ x", rows, family="nbinom2").family.name == "negative_binomial"
    with pytest.raises(FormulaError, match=r"proportion.*take family=\"bernoulli\""):
        bmx.Model("binary ~ x", rows, family="binomial")
    probit = bmx.families.Binomial(link="probit")
    model = bmx.Model("proportion(k, m) ~ x", rows, family=probit)
    assert str(model.family) == "binomial (probit link)"
    assert "coefficients and group effects are on the probit scale" in repr(model)
    assert bmx.Model("grade ~ x", rows, family="ordinal").family.name == "cumulative"
    with pytest.raises(NotSupportedError, match="there is 'logit', 'probit', 'cloglog'"):
        bmx.families.Beta(link="cauchit")


@pytest.mark.parametrize("name", list(bmx.families.FAMILIES))
def test_every_family_has_words_and_an_equation(rows: pd.DataFrame, name: str) -> None:
    from tests.families.cases import LEFT_SIDE

    model = bmx.Model(f"{LEFT_SIDE[name]} ~ x + (1 | g)", rows, family=name)
    assert f"family {name} " in repr(model)
    equation = model.equation()
    assert equation.count("{") == equation.count("}")
    assert "None" not in equation
