"""A Prior is checked where it is written."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from bayesmix import Prior
from bayesmix.errors import PriorError


def test_it_prints_as_it_is_written() -> None:
    assert repr(Prior("HalfCauchy", beta=10)) == 'Prior("HalfCauchy", beta=10)'
    assert str(Prior("Normal", mu=0, sigma=2.5)) == "Normal(mu=0, sigma=2.5)"


def test_it_is_a_value() -> None:
    prior = Prior("Normal", mu=0, sigma=1)
    assert prior == Prior("Normal", sigma=1.0, mu=0.0)
    assert prior != Prior("Normal", mu=0, sigma=2)
    assert len({prior, Prior("Normal", mu=0, sigma=1)}) == 1
    assert pickle.loads(pickle.dumps(prior)) == prior  # noqa: S301
    assert copy.deepcopy(prior) == prior
    with pytest.raises(AttributeError, match="does not change"):
        prior.distribution = "Cauchy"


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("HalfCauchy", {"beta": -1}, "above zero"),
        ("HalfCauchy", {"beta": 0}, "above zero"),
        ("HalfCauchy", {"beta": np.nan}, "not a number"),
        ("HalfCauchy", {"beta": np.inf}, "must be finite"),
        ("HalfCauchy", {"beta": "10"}, "are numbers"),
        ("HalfCauchy", {"beta": True}, "are numbers"),
        ("HalfCauchy", {"beta": [1, 2]}, "are numbers"),
        ("HalfCauchy", {}, "needs beta"),
        ("HalfCauchy", {"scale": 1}, "no parameter 'scale'; it has beta"),
        ("Normal", {"mu": 0, "sigma": 1, "tau": 1}, "takes sigma or tau, not sigma and tau"),
        ("Exponential", {"lam": 1, "scale": 1}, "needs lam or scale, not lam and scale"),
        ("Gamma", {"alpha": 2, "mu": 1, "beta": 1},
         "needs alpha and beta, or mu and sigma, not alpha and mu and beta"),
        ("Gamma", {"mu": 1, "beta": 2}, "needs alpha and beta, or mu and sigma, not mu and beta"),
        ("Gamma", {"alpha": 2, "sigma": 3}, "not alpha and sigma"),
        ("Gamma", {}, "needs alpha and beta, or mu and sigma$"),
        ("InverseGamma", {"mu": 1}, "or mu and sigma, or alpha, not mu"),
        ("InverseGamma", {"alpha": 2, "sigma": 3}, "not alpha and sigma"),
        ("Beta", {"alpha": 1, "nu": 3}, "needs alpha and beta, or mu and sigma, or mu and nu"),
        ("Beta", {"mu": 1.5, "nu": 3}, "mean must lie between 0 and 1"),
        ("Beta", {"mu": 0.5, "sigma": 0.5}, r"must be below 0\.5"),
        ("Uniform", {"lower": 2, "upper": 1}, "lower < upper"),
        ("LKJ", {"eta": 0}, "above zero"),
        ("Norml", {}, "did you mean Normal"),
        ("Poisson", {"mu": 3}, "not a distribution of one continuous number"),
        ("Dirichlet", {"a": 3}, "."),
        ("ICAR", {"W": 1}, "ICAR"),
        ("TruncatedNormal", {"mu": 0, "sigma": -1}, "PyMC refuses"),
        ("Normal", {"mu": 10**400, "sigma": 1}, "must be finite"),
        ("Model", {}, "no distribution 'Model'"),
        ("SkewNormal", {"mu": 0, "nope": 1}, "no parameter 'nope'; it has"),
    ],
)  # fmt: skip
def test_what_is_no_prior_is_refused(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        Prior(name, **parameters)


def test_parameters_go_by_name() -> None:
    with pytest.raises(PriorError, match="Normal was given 0, 1: parameters go by name"):
        Prior("Normal", 0, 1)


def test_any_distribution_of_pymc_is_accepted() -> None:
    assert Prior("ChiSquared", nu=2).distribution == "ChiSquared"
    assert Prior("SkewNormal", mu=0, sigma=1, alpha=2).distribution == "SkewNormal"
    assert Prior("Normal", mu=np.float64(1), sigma=np.int64(2)).parameters == {"mu": 1, "sigma": 2}


def test_priors_of_pymc_extras_are_accepted() -> None:
    foreign = SimpleNamespace(
        distribution="HalfNormal", parameters={"sigma": 2}, dims=None, transform=None
    )
    assert Prior.from_any(foreign, "sigma") == Prior("HalfNormal", sigma=2)
    nested = SimpleNamespace(distribution="Normal", parameters={"mu": foreign, "sigma": 1})
    with pytest.raises(PriorError, match="are numbers"):
        Prior.from_any(nested, "x")
    with pytest.raises(PriorError, match="dims or a transform"):
        Prior.from_any(SimpleNamespace(**{**vars(foreign), "dims": ("a",)}), "sigma")
    with pytest.raises(PriorError, match=r"bmx\.Prior"):
        Prior.from_any(3.0, "sigma")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("HalfT", 'Prior("HalfStudentT", nu=..., sigma=...)'),
        ("half_t", 'Prior("HalfStudentT", nu=..., sigma=...)'),
        ("half-t", 'Prior("HalfStudentT", nu=..., sigma=...)'),
        ("half_student_t", 'Prior("HalfStudentT", nu=..., sigma=...)'),
        ("student_t", 'Prior("StudentT", nu=..., mu=..., sigma=...)'),
        ("student_t(3, 0, 10)", 'Prior("StudentT", nu=..., mu=..., sigma=...)'),
        ("t", 'Prior("StudentT", nu=..., mu=..., sigma=...)'),
        ("normal", 'Prior("Normal", mu=..., sigma=...)'),
        ("gaussian", 'Prior("Normal", mu=..., sigma=...)'),
        ("norm", 'Prior("Normal", mu=..., sigma=...)'),
        ("half_normal", 'Prior("HalfNormal", sigma=...)'),
        ("exponential", 'Prior("Exponential", lam=...)'),
        ("exp", 'Prior("Exponential", lam=...)'),
        ("cauchy", 'Prior("Cauchy", alpha=..., beta=...)'),
        ("half_cauchy", 'Prior("HalfCauchy", beta=...)'),
        ("gamma", 'Prior("Gamma", alpha=..., beta=...)'),
        ("inv_gamma", 'Prior("InverseGamma", alpha=..., beta=...)'),
        ("inverse_gamma", 'Prior("InverseGamma", alpha=..., beta=...)'),
        ("lognormal", 'Prior("LogNormal", mu=..., sigma=...)'),
        ("double_exponential", 'Prior("Laplace", mu=..., b=...)'),
        ("uniform", 'Prior("Uniform", lower=..., upper=...)'),
        ("beta", 'Prior("Beta", alpha=..., beta=...)'),
        ("weibull", 'Prior("Weibull", alpha=..., beta=...)'),
        ("flat", 'Prior("Flat")'),
        ("lkj", 'Prior("LKJ", eta=...)'),
        ("lkj_corr_cholesky", 'Prior("LKJ", eta=...)'),
    ],
)
def test_words_of_other_packages_get_pymcs_that_works(word: str, written: str) -> None:
    with pytest.raises(PriorError) as caught:
        Prior(word, nu=3)
    assert f": {written}" in str(caught.value)
    numbers = written.replace("lower=...", "lower=0").replace("upper=...", "upper=1")
    assert eval(numbers.replace("...", "2"), {"Prior": Prior})  # noqa: S307
