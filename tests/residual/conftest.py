"""Data that tests of residual structures share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 6)
    t = np.tile(np.array([0, 1, 2, 4, 5, 6]), 12)
    x = rng.normal(5, 1, len(g))
    frame = pd.DataFrame({
        "g": g, "t": t, "x": x, "f": np.tile(list("aab"), 24), "h": rng.integers(0, 5, len(g)),
        "y": 2 + 0.5 * x + rng.normal(0, 1, 12)[g] + rng.normal(0, 1, len(g)),
        "w": rng.uniform(0.5, 2, len(g)), "u": t + rng.uniform(-0.3, 0.3, len(g)),
        "s": np.tile(["a0", "a1", "b2"], 24), "k": np.repeat(np.arange(24), 3),
    })  # fmt: skip
    # Series of different lengths, in no order.
    return frame.drop(index=[3, 17, 40, 41]).sample(frac=1, random_state=1).reset_index(drop=True)
