"""Draws of nutpie are the arrays that its own conversion would give."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

from bayesmix.inference.lean_nutpie import nutpie
from bayesmix.inference.nutpie_run import run_nutpie
from bayesmix.inference.settings import SamplerSettings
from bayesmix.inference.traces import arrays_of


def test_arrays_are_those_of_the_tree() -> None:
    with pm.Model() as model:
        pm.Normal("one")
        pm.Normal("many", shape=(2, 3))
    compiled = nutpie.compile_pymc_model(model)
    settings = SamplerSettings.checked(
        draws=30, tune=40, chains=3, cores=1, seed=5, target_accept=0.9, progress=False
    )
    found, stats = run_nutpie(compiled, ["one", "many"], settings, {})
    tree = nutpie.sample(
        compiled, draws=30, tune=40, chains=3, cores=1, seed=5, target_accept=0.9,
        progress_bar=False, save_warmup=False,
    )  # fmt: skip
    for name in ("one", "many"):
        np.testing.assert_array_equal(found[name], tree["posterior"][name])
    for ours, theirs in (("diverging", "diverging"), ("lp", "logp"), ("tree_depth", "depth")):
        np.testing.assert_array_equal(stats[ours], tree["sample_stats"][theirs])
        assert stats[ours].dtype == tree["sample_stats"][theirs].dtype


@pytest.mark.parametrize("kept", [[4, 2], [0, 3], [0, 0]])
def test_chains_that_were_cut_off_are_padded(kept: list[int]) -> None:
    import pyarrow

    batches = []
    for n in kept:
        flat = pyarrow.array(np.arange(2.0 * (n + 1)))
        field = pyarrow.field("z", pyarrow.list_(pyarrow.float64(), 2), metadata={"shape": "2"})
        z = pyarrow.FixedSizeListArray.from_arrays(flat, 2)
        steps = pyarrow.field("n_steps", pyarrow.int64(), metadata={"shape": ""})
        batches.append(
            pyarrow.record_batch(
                [z, pyarrow.array(np.arange(n + 1))], schema=pyarrow.schema([field, steps])
            )
        )
    tuning = [np.arange(n + 1) == 0 for n in kept]
    found = arrays_of(batches, tuning, ["z", "n_steps", "absent"])
    assert list(found) == ["z", "n_steps"]
    assert found["z"].shape == (2, max(kept), 2)
    for chain, n in enumerate(kept):
        np.testing.assert_array_equal(
            found["z"][chain, :n], np.arange(2.0, 2 * n + 2).reshape(n, 2)
        )
        assert np.isnan(found["z"][chain, n:]).all()
        np.testing.assert_array_equal(found["n_steps"][chain, :n], np.arange(1, n + 1))
