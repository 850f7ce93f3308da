"""The default priors are those of the design, and the most specific name wins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix import Prior
from bayesmix.errors import PriorError


def table(text: str, data: pd.DataFrame, **priors: Prior) -> pd.DataFrame:
    return bmx.Model(text, data, priors=priors or None).priors.set_index("parameter")


def numbers(model: bmx.Model) -> dict[str, dict[str, float]]:
    return {entry.parameter: dict(entry.prior.parameters) for entry in model.prior_entries}


def test_defaults_scale_with_the_data(data: pd.DataFrame) -> None:
    found = numbers(bmx.Model("y ~ x + f + (x | g)", data))
    s_y, s_x = data["y"].std(), data["x"].std()
    s_low = (data["f"] == "low").std()
    assert found["Intercept"] == pytest.approx({"mu": data["y"].mean(), "sigma": 2.5 * s_y})
    assert found["x"] == pytest.approx({"mu": 0, "sigma": 2.5 * s_y / s_x})
    assert found["f[T.low]"] == pytest.approx({"mu": 0, "sigma": 2.5 * s_y / s_low})
    assert found["sd(g, Intercept)"] == pytest.approx({"beta": s_y})
    assert found["sd(g, x)"] == pytest.approx({"beta": s_y / s_x})
    assert found["sigma"] == pytest.approx({"beta": s_y})
    assert found["corr(g)"] == {"eta": 2}


def test_without_an_intercept_the_unit_is_the_root_mean_square(data: pd.DataFrame) -> None:
    found = numbers(bmx.Model("y ~ 0 + x", data))
    rms_y, rms_x = np.sqrt((data["y"] ** 2).mean()), np.sqrt((data["x"] ** 2).mean())
    assert found["x"]["sigma"] == pytest.approx(2.5 * rms_y / rms_x)
    assert "Intercept" not in found


def test_an_offset_is_taken_off_the_response_first(data: pd.DataFrame) -> None:
    found = numbers(bmx.Model("y ~ x + offset(1000 * h)", data))
    rest = data["y"] - 1000 * data["h"]
    assert found["Intercept"] == pytest.approx({"mu": rest.mean(), "sigma": 2.5 * rest.std()})


def test_a_scale_of_zero_becomes_one(data: pd.DataFrame) -> None:
    data["seven"] = 7.0
    found = numbers(bmx.Model("y ~ x + (0 + seven | g)", data))
    assert found["sd(g, seven)"]["beta"] == pytest.approx(data["y"].std())


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_defaults_follow_the_unit_of_the_response(data: pd.DataFrame, scale: float) -> None:
    plain = numbers(bmx.Model("y ~ x + (x | g)", data))
    scaled = numbers(bmx.Model("y ~ x + (x | g)", data.assign(y=data["y"] * scale)))
    for name in ("Intercept", "x", "sd(g, x)", "sigma"):
        for key, value in plain[name].items():
            assert scaled[name][key] == pytest.approx(value * scale)


def test_the_most_specific_name_wins(data: pd.DataFrame) -> None:
    wide, narrow, one = (Prior("HalfNormal", sigma=s) for s in (9, 3, 1))
    found = table(
        "y ~ x + (x | g) + (1 | h)", data, **{"sd": wide, "sd(g)": narrow, "sd(g,x)": one}
    )
    assert found.loc["sd(h, Intercept)", "prior"] == str(wide)
    assert found.loc["sd(g, Intercept)", "prior"] == str(narrow)
    assert found.loc["sd(g, x)", "prior"] == str(one)
    assert (found.loc[found.index.str.startswith("sd"), "origin"] == "user").all()
    assert found.loc["sigma", "origin"] == "default"


def test_a_term_names_all_its_columns_and_fixed_the_rest(data: pd.DataFrame) -> None:
    of_term, of_column, rest = (Prior("Normal", mu=0, sigma=s) for s in (1, 2, 3))
    found = table("y ~ x + f", data, **{"f": of_term, "f[T.mid]": of_column, "fixed": rest})
    assert found.loc["f[T.low]", "prior"] == str(of_term)
    assert found.loc["f[T.mid]", "prior"] == str(of_column)
    assert found.loc["x", "prior"] == str(rest)
    assert found.loc["Intercept", "origin"] == "default"


def test_a_given_intercept_holds_as_the_formula_writes_it(data: pd.DataFrame) -> None:
    default = table("y ~ x", data)
    given = table("y ~ x", data, Intercept=Prior("Normal", mu=0, sigma=1))
    assert default.loc["Intercept", "note"] == "at the predictors' means"
    assert given.loc["Intercept", "note"] == "as the formula writes it"


def test_columns_called_like_parameters_are_reached_with_beta(data: pd.DataFrame) -> None:
    data = data.rename(columns={"x": "sigma", "z": "fixed"})
    priors = {
        "beta(sigma)": Prior("Normal", mu=0, sigma=1),
        "sigma": Prior("HalfNormal", sigma=2),
        "beta(fixed)": Prior("Normal", mu=0, sigma=3),
    }
    found = bmx.Model("y ~ sigma + fixed", data, priors=priors).priors
    assert list(found["prior"][1:]) == [
        "Normal(mu=0, sigma=1)",
        "Normal(mu=0, sigma=3)",
        "HalfNormal(sigma=2)",
    ]


@pytest.mark.parametrize(
    ("name", "prior", "message"),
    [
        ("sigm", Prior("HalfNormal", sigma=1), "did you mean 'sigma'"),
        ("sd(gg)", Prior("HalfNormal", sigma=1), r"did you mean 'sd\(g\)'"),
        ("corr(h)", Prior("LKJ", eta=1), "no parameter"),
        ("sigma", Prior("Normal", mu=0, sigma=1), "it is not negative"),
        ("sd", Prior("Uniform", lower=-1, upper=1), "it is not negative"),
        ("sd", Prior("SkewNormal", mu=0, sigma=1, alpha=3), "not negative"),
        ("sd", Prior("LKJ", eta=1), "not negative"),
        ("corr", Prior("Normal", mu=0, sigma=1), 'Prior\\("LKJ", eta=...\\)'),
        ("x", Prior("LKJ", eta=1), "one number"),
        ("sigma", 3.0, r"bmx\.Prior"),
    ],
)
def test_a_prior_must_name_a_parameter_and_fit_it(
    data: pd.DataFrame, name: str, prior: Prior, message: str
) -> None:
    with pytest.raises(PriorError, match=message):
        bmx.Model("y ~ x + (x | g) + (1 | h)", data, priors={name: prior})


@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("x", Prior("Normal", mu=1, sigma=1e-200)),
        ("x", Prior("Normal", mu=-1e150, sigma=1)),
        ("sd(g)", Prior("HalfNormal", sigma=1e-200)),
        ("sigma", Prior("HalfCauchy", beta=10**150)),
        ("sigma", Prior("Gamma", mu=1e-60, sigma=1)),
    ],
    ids=str,
)
def test_numbers_that_no_density_survives_are_refused(
    data: pd.DataFrame, name: str, prior: Prior
) -> None:
    with pytest.raises(PriorError, match=r"must lie between 1e-100 and 1e\+100 in size"):
        bmx.Model("y ~ x + (1 | g)", data, priors={name: prior})


def test_default_priors_of_columns_beyond_all_sizes_are_refused_where_they_are_used(
    data: pd.DataFrame,
) -> None:
    """Columns may be as far from 1 as is allowed, each, but in opposite directions."""
    model = bmx.Model("y ~ far + (1 | g)", data.assign(far=1e90 * data["x"], y=1e-30 * data["y"]))
    with pytest.raises(PriorError, match="rescale the data"):
        model.fit(draws=20, tune=20, chains=1, progress=False)
    plain = bmx.Model("y ~ x + (1 | g)", data).fit_eb()
    assert 1e30 * model.fit_eb().sigma == pytest.approx(plain.sigma, rel=1e-6)


def test_priors_must_be_a_mapping(data: pd.DataFrame) -> None:
    with pytest.raises(PriorError, match="takes a dict"):
        bmx.Model("y ~ x", data, priors=[Prior("Flat")])  # type: ignore[arg-type]


def test_positive_distributions_that_only_pymc_knows(data: pd.DataFrame) -> None:
    prior = Prior("TruncatedNormal", mu=1, sigma=1, lower=0)
    assert table("y ~ x", data, sigma=prior).loc["sigma", "prior"] == str(prior)


def test_spaces_in_names_matter_where_they_decide(data: pd.DataFrame) -> None:
    data = data.rename(columns={"x": "a b", "z": "ab"})
    one = Prior("Normal", mu=0, sigma=1)
    found = table("y ~ `a b` + ab", data, **{"a b": one})
    assert found.loc["a b", "origin"] == "user"
    assert found.loc["ab", "origin"] == "default"
    with pytest.raises(PriorError, match="no parameter 'a  b'"):
        table("y ~ `a b` + ab", data, **{"a  b": one})
