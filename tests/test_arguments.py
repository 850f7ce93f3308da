"""Arguments are checked in one way, and the nearest known word is offered."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.arguments import (
    check_probability,
    checked_seed,
    did_you_mean,
    nearest,
    one_of,
)
from bayesmix.errors import ArgumentError, BayesmixError, NotSupportedError
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
