"""Names of variables and dimensions."""

from __future__ import annotations

import numpy as np
import pandas as pd

import bayesmix as bmx


def test_dimensions_have_no_commas_at_which_nutpie_would_part_them() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=40), "a": rng.integers(0, 5, 40),
                         "b": rng.integers(0, 5, 40), "u,v": rng.integers(0, 4, 40)})  # fmt: skip
    model = bmx.Model("y ~ 1 + (1 | mm(a, b)) + (1 | `u,v`)", data)
    dims = {dim for of_one in model.pymc_model.named_vars_to_dims.values() for dim in of_one}
    assert "u;v_level" in dims
    assert not [dim for dim in dims if "," in dim]
    assert "b_u,v" in model.pymc_model.named_vars
    post = model.fit(seed=1, progress=False)
    assert "u;v_level" in post.idata["posterior"]["b_u,v"].dims
    assert post.group_effects("u,v")["level"].tolist() == ["0", "1", "2", "3"]
