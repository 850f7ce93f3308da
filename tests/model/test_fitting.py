"""Which engine a model is given to, and how long it warms up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from bayesmix.model.fitting import warm_up_steps


def test_large_crossed_models_warm_up_for_less(rng: np.random.Generator) -> None:
    n = 3000
    data = pd.DataFrame(
        {"y": rng.normal(size=n), "a": rng.integers(0, 700, n), "b": rng.integers(0, 600, n),
         "c": rng.integers(0, 5, n)}
    )  # fmt: skip
    assert warm_up_steps(bmx.Model("y ~ 1 + (1 | a) + (1 | b)", data)) == 100
    assert warm_up_steps(bmx.Model("y ~ 1 + (1 | a) + (1 | c)", data)) == 300
    assert warm_up_steps(bmx.Model("y ~ 1 + (1 | a)", data)) == 300


def test_a_prior_does_not_hide_what_else_is_in_the_way(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pd.DataFrame(
        {"y": rng.poisson(2, 90), "prior_a": np.arange(90) % 10, "b": np.arange(90) % 7}
    )
    priors = {"sd(b)": bmx.Prior("Weibull", alpha=1, beta=1)}  # which maximum likelihood ignores
    model = bmx.Model("y ~ 1 + (1 | prior_a) + (1 | b)", data, family="poisson", priors=priors)
    monkeypatch.setattr("bayesmix.gaussian.structure.MAX_ROOT", 5)
    with pytest.raises(NotSupportedError, match="crossed with `prior_a` have 7 columns"):
        model.fit_eb()
    with pytest.raises(NotSupportedError, match="does not know the prior"):
        model.fit_eb("map")
