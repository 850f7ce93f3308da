"""The normal family checks its response and knows its scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, FormulaError, NotSupportedError
from bayesmix.families import Gaussian, get_family


def test_a_response_that_is_not_numeric_is_refused_at_its_place(data: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match="`f` is not numeric: it holds 'high'") as caught:
        bmx.Model("f ~ x", data)
    assert (caught.value.start, caught.value.stop) == (0, 1)


def test_a_constant_response_is_refused(data: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"constant \(3 in all 240 rows\)"):
        bmx.Model("y ~ x", data.assign(y=3))


def test_responses_of_any_number_type(data: pd.DataFrame) -> None:
    assert bmx.Model("flag ~ x", data).y.dtype == np.float64
    assert bmx.Model("h ~ x", data).y.dtype == np.float64
    np.testing.assert_allclose(bmx.Model("np.log(y) ~ x", data).y, np.log(data["y"]))
    np.testing.assert_allclose(bmx.Model("{y - x} ~ z", data).y, data["y"] - data["x"])


def test_an_infinite_response_names_its_row(data: pd.DataFrame) -> None:
    data.loc[5, "y"] = np.inf
    with pytest.raises(DataError, match=r"`y` is inf in row 5"):
        bmx.Model("y ~ x", data)
    with pytest.raises(DataError, match=r"`np.log\(z\)` is nan in row"):
        bmx.Model("np.log(z) ~ x", data)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quasipoisson", "take 'negative_binomial'"),
        ("quasibinomial", "take 'beta_binomial'"),
        ("truncated_poisson", r"truncated\(y, 1\) ~ ... with family='poisson'"),
        ("probit", r"bmx.families.Bernoulli\(link='probit'\)"),
    ],
)
def test_a_family_of_other_packages_gets_what_serves_instead(name: str, said: str) -> None:
    with pytest.raises(NotSupportedError, match=said) as caught:
        get_family(name)
    assert "known:" not in str(caught.value)
    assert "'binomial'" not in str(caught.value)


def test_families_are_found_by_name() -> None:
    assert get_family("normal") == get_family("Gaussian") == get_family(Gaussian) == Gaussian()
    assert get_family("nb").name == get_family("nbinom2").name == "negative_binomial"
    assert get_family("nbinom1").name == "negative_binomial1"
    assert get_family("genpois").name == "generalized_poisson"
    assert get_family("zinb") == get_family("zero_inflated_negbinomial")
    with pytest.raises(NotSupportedError, match=r"mean 'hurdle_poisson' or .* or 'hurdle_gamma'"):
        get_family("hurdle")
    with pytest.raises(NotSupportedError, match=r"did you mean 'gaussian'\?$"):
        get_family("gausian")
    with pytest.raises(NotSupportedError, match=r"'foo'; known: gaussian, student_t, .*hurdle_gam"):
        get_family("foo")
    with pytest.raises(NotSupportedError, match="no link 'cloglog'; there is 'identity', 'log'"):
        Gaussian(link="cloglog")
    assert str(Gaussian()) == "gaussian (identity link)"
