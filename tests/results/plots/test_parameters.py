"""Pictures of the family's parameters along a predictor, and of one category."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import bayesmix as bmx
from bayesmix.errors import ArgumentError, NotSupportedError
from tests.builders import several_data

DATA = several_data()


@pytest.fixture(autouse=True)
def closed() -> object:
    yield
    plt.close("all")


def test_a_parameter_has_its_line_and_the_levels_of_its_own_formula() -> None:
    fit = bmx.Model(["k ~ x", "zi ~ x + (1 | g)"], DATA, family="zero_inflated_poisson").fit_eb()
    axes = fit.plot_predictions("x", parameter="zi").axes[0]
    assert axes.get_ylabel() == "zi"
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) > 2]
    at = np.array(next(line.get_ydata() for line in lines if len(line.get_xdata()) > 50))
    grid = np.linspace(DATA["x"].min(), DATA["x"].max(), len(at))
    expected = fit.predict(pd.DataFrame({"x": grid}), groups="population", parameter="zi")
    np.testing.assert_allclose(at, expected["estimate"], rtol=1e-6)
    assert len(lines) > 5  # levels of zi's groups
    linear = fit.plot_predictions("x", parameter="zi", kind="linear", group=False).axes[0]
    assert linear.get_ylabel() == "zi, on the logit scale"
    with pytest.raises(NotSupportedError, match="has no group effects"):
        fit.plot_predictions("x", parameter="mu", group="g")
    with pytest.raises(ArgumentError, match="parameter"):
        fit.plot_predictions("x", parameter="hu")


def test_draws_have_pictures_of_parameters_too() -> None:
    model = bmx.Model(["normal ~ x + (1 | g)", "sigma ~ x"], DATA)
    post = model.fit(draws=500, tune=400, chains=2, seed=1, progress=False)
    axes = post.plot_predictions("x", parameter="sigma").axes[0]
    assert axes.get_ylabel() == "sigma"


def test_the_axis_names_the_category() -> None:
    text = "cbind(a, b, c) ~ x"
    counts = bmx.Model(text, DATA, family="multinomial").fit_eb("ml")
    for category in "bc":
        axes = counts.of_category(category).plot_predictions("x").axes[0]
        assert axes.get_ylabel() == f"{category} / (a + b + c)"
        low, high = axes.get_ylim()
        assert low > -0.2
        assert high < 1.2
    single = bmx.Model("y ~ x", DATA, family="categorical").fit_eb("ml")
    axes = single.of_category("w").plot_predictions("x").axes[0]
    assert axes.get_ylabel() == "probability that y = w"
