"""How long the fast engine warms up."""

from __future__ import annotations

import numpy as np
import pandas as pd

import bayesmix as bmx


def test_large_crossed_models_warm_up_for_less(rng: np.random.Generator) -> None:
    n = 3000
    data = pd.DataFrame(
        {"y": rng.normal(size=n), "a": rng.integers(0, 700, n), "b": rng.integers(0, 600, n),
         "c": rng.integers(0, 5, n)}
    )  # fmt: skip
    assert bmx.Model("y ~ 1 + (1 | a) + (1 | b)", data)._fast_tune() == 100
    assert bmx.Model("y ~ 1 + (1 | a) + (1 | c)", data)._fast_tune() == 300
    assert bmx.Model("y ~ 1 + (1 | a)", data)._fast_tune() == 300
