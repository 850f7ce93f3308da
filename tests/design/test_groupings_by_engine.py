"""Related levels and memberships by both engines: one posterior, within Monte Carlo error."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

pytestmark = pytest.mark.slow

CASES = {
    "related": ("y ~ x + (x | gr(g, cov=A)) + (1 | h)", "gaussian"),
    "related counts": ("c ~ x + (1 | gr(g, cov=A))", "poisson"),
    "by level": ("y ~ x + (1 | gr(g, by=f))", "gaussian"),
    "memberships": ("y ~ x + (1 | mm(a, b, weights=[v, w]))", "gaussian"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_engines_agree(name: str) -> None:
    rng = np.random.default_rng(6)
    n, G = 200, 16
    calves = np.arange(G)
    parents = {"sire": 100 + calves % 4, "dam": 200 + calves % 3}
    A = bmx.relationship({"animal": calves, **parents})
    u = np.linalg.cholesky(A.matrix(calves)) @ rng.normal(size=G)
    g, a, b = rng.integers(0, G, (3, n))
    d = pd.DataFrame({"g": g, "a": a, "b": b, "f": (g % 2).astype(str), "h": rng.integers(0, 6, n)})
    d = d.assign(x=rng.normal(size=n), v=rng.uniform(0.1, 1, n), w=rng.uniform(0.1, 1, n))
    d["y"] = d["x"] + u[g] * (1 + d["x"] / 2) + u[a] + rng.normal(size=n)
    d["c"] = rng.poisson(np.exp(0.3 * d["x"] + u[g] / 2))
    formula, family = CASES[name]
    model = bmx.Model(formula, d, family=family, matrices={"A": A})
    fast = model.fit(seed=1, engine="fast", draws=2000, progress=False)
    pymc = model.fit(seed=2, engine="pymc", draws=1500, progress=False, target_accept=0.95)
    for variable in fast.idata["posterior"].data_vars:
        values = [post.idata["posterior"][variable].values for post in (fast, pymc)]
        flat = [v.reshape(*v.shape[:2], -1) for v in values]
        for k in range(flat[0].shape[2]):
            one, two = flat[0][:, :, k], flat[1][:, :, k]
            if np.ptp(one) < 1e-12:
                continue
            errors = [v.std() / np.sqrt(float(az.ess(v))) for v in (one, two)]
            assert abs(one.mean() - two.mean()) < 5 * np.hypot(*errors), (variable, k)
