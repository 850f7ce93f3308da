"""Arguments are checked in one way, and the nearest known word is offered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.arguments import (
    check_probability,
    checked_seed,
    did_you_mean,
    nearest,
    one_of,
    one_or_several,
)
from bayesmix.errors import ArgumentError, BayesmixError, NotSupportedError, PriorError
from bayesmix.inference.settings import SamplerSettings


def test_capitals_do_not_hide_a_word() -> None:
    assert nearest("SUBJECT", ["Subject", "Days"]) == ["Subject"]
    assert nearest("reaction", ["Reaction", "REACTION", "x"], n=3) == ["Reaction", "REACTION"]
    assert nearest("zzz", ["Subject", "Days"]) == []
    assert nearest(308, ["308", "309"]) == ["308"]


def test_advice_is_a_question_or_nothing() -> None:
    assert did_you_mean("plto", ["plot", "x"]) == "did you mean 'plot'? "
    assert did_you_mean("plto", ["plot", "plt"], "`", n=2) == "did you mean `plt` or `plot`? "
    assert did_you_mean("plto", []) == ""


@pytest.mark.parametrize("value", [0, 1, 95, -0.1, True, "0.9", None, float("nan")])
def test_what_is_no_probability_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match="ci_prob="):
        check_probability("ci_prob", value)
    check_probability("ci_prob", np.float32(0.9))


@pytest.mark.parametrize("value", [None, "REML", 3, ["reml"]])
def test_a_word_is_one_of_those_known(value: object) -> None:
    with pytest.raises(ArgumentError, match="is not one of 'reml', 'ml'"):
        one_of("method", value, ["reml", "ml"])
    one_of("method", "ml", ["reml", "ml"])


@pytest.mark.parametrize("value", [-1, 1.5, True, "1"])
def test_a_seed_is_a_whole_number(value: object) -> None:
    with pytest.raises(ArgumentError, match="seed="):
        checked_seed(value, 0)
    assert checked_seed(None, 7) == 7
    assert checked_seed(np.int64(3), 7) == 3


def test_whoever_caught_requests_that_are_not_supported_catches_wrong_arguments_too() -> None:
    assert issubclass(ArgumentError, NotSupportedError)
    assert issubclass(ArgumentError, BayesmixError)
    assert issubclass(ArgumentError, ValueError)


@pytest.mark.parametrize(
    "arguments",
    [{"seed": -1}, {"seed": 2**70}, {"draws": "many"}, {"chains": 0}, {"target_accept": 1.5}],
    ids=str,
)
def test_a_sampler_refuses_a_value_that_it_never_takes(arguments: dict[str, object]) -> None:
    good = {"draws": 10, "tune": 20, "chains": 1, "cores": 1, "seed": 1, "target_accept": 0.8}
    with pytest.raises(ArgumentError, match=f"{next(iter(arguments))}="):
        SamplerSettings.checked(**(good | arguments), progress=False)
    assert SamplerSettings.checked(**good, progress=False).seed == 1


def test_one_name_may_stand_for_a_list_of_names() -> None:
    assert one_or_several("terms", "x") == ["x"]
    assert one_or_several("terms", ("x", "z")) == ["x", "z"]
    with pytest.raises(ArgumentError, match="terms=3 must be a name, or a list of names"):
        one_or_several("terms", 3)


@pytest.fixture(scope="module")
def eb() -> bmx.EmpiricalBayes:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(list("abcdef"), 6), "x": np.tile(np.arange(6.0), 6)})
    data["y"] = data["x"] + rng.normal(size=6).repeat(6) + rng.normal(size=36)
    return bmx.Model("y ~ x + (1 | g)", data).fit_eb()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("predict", {"kind": 3}),
        ("predict", {"marginal": "yes"}),
        ("simulate", {"n": 0}),
        ("simulate", {"seed": -1}),
        ("fixed_effects", {"ci_prob": 95}),
        ("slopes", {"variables": 3}),
        ("slopes", {"variables": "x", "step": 0}),
        ("comparisons", {"variables": "x", "contrast": 0}),
        ("predictions", {"at": 3}),
        ("hypothesis", {"hypotheses": 3}),
        ("plot_predictions", {"x": ["x"]}),
        ("plot_predictions", {"at": 3}),
        ("plot_predictions", {"max_levels": 0}),
        ("plot_fixed_effects", {"terms": 3}),
        ("plot_group_effects", {"effects": 3}),
        ("plot_group_effects", {"max_levels": "all"}),
    ],
    ids=str,
)
def test_a_wrong_argument_is_named(
    eb: bmx.EmpiricalBayes, method: str, arguments: dict[str, object]
) -> None:
    wrong = list(arguments)[-1]
    with pytest.raises(ArgumentError, match=wrong):
        getattr(eb, method)(**arguments)


def test_what_another_model_would_answer_is_no_wrong_argument(eb: bmx.EmpiricalBayes) -> None:
    with pytest.raises(NotSupportedError) as caught:
        eb.predict(kind="probability")
    assert not isinstance(caught.value, ArgumentError)


def test_priors_that_are_no_dict_are_refused_by_an_update(eb: bmx.EmpiricalBayes) -> None:
    with pytest.raises(PriorError, match="priors= takes a dict, not int"):
        eb.model.update(priors=3)
