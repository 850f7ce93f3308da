"""Series of rows are levels of a factor of the same columns, with the same numbers."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

RNG = np.random.default_rng(2)
FRAME = pd.DataFrame(
    {
        "number": np.repeat([30, -4, 7, 8], 6),
        "word": pd.Categorical(np.repeat(["b", "a", "d", "c"], 6), categories=list("dcbaz")),
        "plot": np.tile(np.repeat(["p", "q"], 3), 4),
        "t": np.tile([1, 2, 3], 8),
        "y": RNG.normal(size=24),
    }
)


@pytest.mark.parametrize("series", ["number", "word:plot", "number:plot"])
def test_series_have_the_numbers_and_labels_of_the_factor(series: str) -> None:
    data = FRAME if ":" in series else FRAME.assign(t=np.tile(np.arange(6), 4))
    residual = f"residual ~ ar1(t | {series})"
    beside, alone = (
        bmx.Model([f"y ~ 1{group}", residual], data).design.residual
        for group in (f" + (1 | {series})", "")
    )
    assert beside is not None
    assert alone is not None
    assert np.array_equal(beside.index, alone.index)
    assert beside.index.dtype == alone.index.dtype
    assert beside.levels.labels.tolist() == alone.levels.labels.tolist()
    pd.testing.assert_frame_equal(
        pd.DataFrame(beside.levels.values), pd.DataFrame(alone.levels.values)
    )
