"""Words of other packages lead to ours, and are no attributes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix import answering, words_of_others
from bayesmix.errors import ConvergenceWarning, NotApplicableError, NotSupportedError
from tests.builders import fake_posterior


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> Any:
    return fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng)


@pytest.fixture
def eb(data: pd.DataFrame) -> Any:
    return bmx.Model("y ~ x + (x | g)", data).fit_eb()


@pytest.fixture
def laplace(data: pd.DataFrame) -> Any:
    data["count"] = (data["u"] * 3).astype(int)
    return bmx.Model("count ~ x + (1 | g)", data, family="poisson").fit_eb()


ASKED = ["ranef", "fixef", "VarCorr", "confint", "coef", "emmeans", "conf_int", "pp_check",
         "conditional_effects", "marginal_effects", "params", "bse", "pvalues", "logLik", "AIC",
         "BIC", "isSingular"]  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_a_word_of_another_package_names_ours(name: str, post: Any, eb: Any, laplace: Any) -> None:
    for fit in (post, eb, laplace):
        assert not hasattr(fit, name)
        assert getattr(fit, name, None) is None
        with pytest.raises(AttributeError, match=f"{type(fit).__name__}' has no '{name}'; take"):
            getattr(fit, name)


def test_every_signpost_leads_somewhere(post: Any, eb: Any) -> None:
    for fit, words in ((post, type(post)._signposts), (eb, type(eb)._signposts)):
        for name, advice in words.items():
            assert not hasattr(fit, name), name
            ours = re.findall(r"^([a-z_0-9]+)|(?:, | or | and )([a-z_0-9]+)\(", advice)
            found = [a or b for a, b in ours if (a or b) not in {"that", "the", "bayesmix"}]
            for method in found:
                # What needs draws is a method of the other kind of fit.
                assert hasattr(fit, method), (name, method)


def test_what_needs_draws_says_so(eb: Any, post: Any) -> None:
    with pytest.raises(AttributeError, match=r"anova.*needs draws, which fit_eb\(\) has none of"):
        eb.loo()
    with pytest.raises(AttributeError, match=r"take family_parameters\(\)"):
        post.sigma  # noqa: B018


def test_other_words_have_the_usual_error(eb: Any, post: Any) -> None:
    for fit in (eb, post):
        with pytest.raises(AttributeError, match=f"'{type(fit).__name__}' object has no attribute"):
            fit.nonsense  # noqa: B018
        assert not hasattr(fit, "_repr_mimebundle_")


def test_an_error_inside_a_property_is_not_hidden() -> None:
    class Broken(answering.Answers):
        _signposts = words_of_others.OF_DRAWS

        @property
        def sigma(self) -> float:
            return object().inside  # type: ignore[attr-defined, no-any-return]

    with pytest.raises(AttributeError, match="no attribute 'inside'"):
        Broken().sigma  # noqa: B018


def test_fits_are_copied_and_pickled(post: Any, eb: Any) -> None:
    for fit in (post, eb):
        for made in (copy.copy(fit), copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):  # noqa: S301
            assert made.fixed_effects().equals(fit.fixed_effects())


def test_an_opened_pymc_model_stands_in_the_way_of_no_copy() -> None:
    """PyMC's own can be neither pickled nor, with ordered thresholds, copied."""
    data = pd.DataFrame({"y": pd.Categorical([*"abc"] * 4, ordered=True), "x": range(12)})
    model = bmx.Model("y ~ x", data, family="cumulative")
    opened = model.pymc_model
    for made in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert repr(made) == repr(model)
        assert made.pymc_model is not opened


@pytest.mark.parametrize("how", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])  # noqa: S301
def test_a_changed_pymc_model_goes_along_with_a_copy(how: Any) -> None:
    import pymc as pm

    model = bmx.Model("y ~ x", pd.DataFrame({"y": [1.0, 3, 2, 5], "x": range(4)}))
    with model.pymc_model:
        pm.Potential("less", -model.pymc_model["sigma"])
    made = how(model)
    assert made.pymc_changes == model.pymc_changes
    with pytest.raises(bmx.errors.NotSupportedError, match="the potential `less` is new"):
        made.fit(engine="fast")


@pytest.mark.parametrize(
    "name", ["lmer", "glmer", "brm", "mixedlm", "prior", "set_prior", "loo_compare"]
)
def test_the_package_has_signposts_too(name: str) -> None:
    assert not hasattr(bmx, name)
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; take bayesmix\.\w+\("):
        getattr(bmx, name)


@pytest.mark.parametrize(
    ("argument", "ours"),
    [
        ("iter", "draws= .* tune="), ("warmup", "tune="), ("random_seed", "seed="),
        ("n_chains", "chains="), ("nuts_sampler", 'sampler="nutpie"'),
        ("adapt_delta", "target_accept="), ("priors", r"Model\(formula, data, priors=...\)"),
    ],
)  # fmt: skip
def test_arguments_of_other_packages_are_named(
    argument: str, ours: str, data: pd.DataFrame
) -> None:
    model: Any = bmx.Model("y ~ x + (1 | g)", data)
    with pytest.raises(NotSupportedError, match=rf"fit\(\) has no {argument}=.*{ours}"):
        model.fit(**{argument: 2})
    with pytest.raises(TypeError, match="nonsense"):
        model.fit(nonsense=1)
    with pytest.raises(NotSupportedError, match=r"fit_eb\(\) has no REML=.*method="):
        model.fit_eb(REML=False)


def test_capitals_are_seen_through(data: pd.DataFrame, post: Any) -> None:
    with pytest.raises(NotSupportedError, match="did you mean 'reml'"):
        bmx.Model("y ~ x + (1 | g)", data).fit_eb("REML")  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match="did you mean 'hdi'"):
        post.fixed_effects(ci_kind="HDI")


@pytest.mark.parametrize("method", ["reml", "ml", "map"])
def test_python_can_look_at_every_fit_and_model(method: Any, data: pd.DataFrame) -> None:
    data["count"] = (data["u"] * 3).astype(int)
    normal = bmx.Model("y ~ x + (x | g)", data)
    counts = bmx.Model("count ~ x + (1 | g)", data, family="negative_binomial")
    ordinal = bmx.Model("f ~ x + (1 | g)", data.assign(
        f=pd.Categorical(data["f"], ["low", "mid", "high"], ordered=True)
    ), family="cumulative")  # fmt: skip
    fits = [normal.fit_eb(method), counts.fit_eb("map" if method == "map" else "ml")]
    for what in (*fits, normal, counts, ordinal):
        members = dict(inspect.getmembers(what))
        assert ("reml_criterion" in members) == (what is fits[0] and method == "reml")
        assert all(hasattr(what, name) for name in members)
    assert hasattr(fits[0], "sigma")
    assert not hasattr(fits[1], "sigma")
    assert getattr(fits[1], "reml_criterion", None) is None


def test_python_can_look_at_every_posterior(post: Any, data: pd.DataFrame) -> None:
    options: dict[str, Any] = {"draws": 40, "tune": 40, "chains": 1, "seed": 1, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        moments = bmx.Model("y ~ x + (x | g)", data).fit(group_draws="moments", **options)
    for fit in (post, moments):
        assert {"idata", "fixed_effects", "diagnostics"} <= dict(inspect.getmembers(fit)).keys()
        assert not hasattr(fit, "reml_criterion")


def test_what_does_not_apply_says_why(eb: Any, laplace: Any) -> None:
    ml = eb.model.fit_eb("ml")
    with pytest.raises(NotApplicableError, match='method="ml" has no REML criterion'):
        ml.reml_criterion  # noqa: B018
    with pytest.raises(NotSupportedError, match="no residual standard deviation"):
        laplace.sigma  # noqa: B018
    with pytest.raises(AttributeError, match=r"family_parameters\(\)"):
        laplace.sigma  # noqa: B018


def test_a_normal_response_around_another_link_has_a_sigma() -> None:
    """Without groups it is that of least squares, with n in the place of degrees of freedom."""
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"x": rng.normal(size=120), "f": np.repeat(["a", "b"], 60)})
    data["y"] = np.exp(1 + 0.3 * data["x"]) + rng.normal(scale=0.5, size=120)
    family = 'gaussian(link="log")'
    fit = bmx.Model("y ~ x", data, family=family).fit_eb()
    residuals = data["y"] - np.exp(np.column_stack([np.ones(120), data["x"]]) @ [
        *fit.fixed_effects()["estimate"]
    ])  # fmt: skip
    assert fit.sigma == pytest.approx(np.sqrt(np.mean(residuals**2)), rel=1e-5)
    unequal = bmx.Model(["y ~ x", "sigma ~ f"], data, family=family).fit_eb()
    with pytest.raises(NotApplicableError, match="sigma differs from row to row"):
        unequal.sigma  # noqa: B018
    assert not hasattr(unequal, "sigma")
