"""What results hold of a model with several linear predictors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesmix.inference import Draws
from bayesmix.results.tabular.tree import build_tree, posterior_dims
from bayesmix.statement.names import posterior_variables
from bayesmix.statement.stated import StatedModel


@pytest.fixture(scope="module")
def model() -> StatedModel:
    rng = np.random.default_rng(3)
    n = 60
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "y": rng.normal(size=n),
            "g": rng.choice(list("abcde"), n),
        }
    )
    return StatedModel(["y ~ x + (1 | g)", "sigma ~ z + offset(z) + (x | g)"], data)


def made_draws(model: StatedModel, n_chains: int = 2, n_draws: int = 5) -> Draws:
    """Draws of every variable, invented."""
    rng = np.random.default_rng(1)
    names = posterior_variables(model.design, model.names, model.family)
    sizes = {
        "beta": (2,), "sd_g": (1,), "b_g": (5, 1),
        "sigma_beta": (2,), "sigma_sd_g": (2,), "sigma_corr_g": (2, 2), "sigma_b_g": (5, 2),
    }  # fmt: skip
    posterior = {name: rng.gamma(5, 0.1, (n_chains, n_draws, *sizes[name])) for name in names}
    return Draws(posterior=posterior, sample_stats={}, engine="none", seconds={}, seed=1, tune=0)


def test_a_tree_has_the_variables_and_the_columns_of_each(model: StatedModel) -> None:
    tree = build_tree(model.design, model.names, model.y, made_draws(model), {})
    posterior, constant = tree["posterior"], tree["constant_data"]
    assert posterior["sigma_b_g"].dims[2:] == ("sigma_g_level", "sigma_g_effect")
    assert posterior["b_g"].dims[2:] == ("g_level", "g_effect")
    assert posterior["sigma_beta"].coords["sigma_fixed_effect"].values.tolist() == [
        "Intercept",
        "z",
    ]
    own = model.design.predictors["sigma"]
    np.testing.assert_array_equal(constant["sigma_X"], own.X)
    np.testing.assert_array_equal(constant["sigma_offset"], own.offset)
    np.testing.assert_array_equal(constant["sigma_Z_g"], own.groups[0].Z)
    assert "offset" not in constant
    assert set(posterior_dims(model.design, model.names)) == {*posterior.data_vars, "corr_g"}
