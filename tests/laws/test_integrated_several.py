"""Groups left out of models with several predictors: their effects integrated out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning
from bayesmix.laws.integrated import integrated_log_density
from bayesmix.laws.integrated_several import integrated_of_several
from bayesmix.laws.rows import rows_of_fit
from bayesmix.results.check.loo import group_log_density


def counts(n_groups: int = 10, n_each: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(n_groups), n_each)
    x = rng.normal(size=len(g))
    b, c = rng.normal(0, 0.6, n_groups), rng.normal(0, 0.9, n_groups)
    zero = rng.random(len(g)) < special.expit(-0.6 + c[g])
    y = np.where(zero, 0, rng.poisson(np.exp(1 + 0.3 * x + b[g])))
    return pd.DataFrame({"x": x, "g": [f"g{k}" for k in g], "y": y})


DATA = counts()
N_GROUPS = 3


def fitted(formulas: str | Sequence[str], family: str) -> bmx.Posterior:
    model = bmx.Model(formulas, DATA, family=family)
    with pytest.warns(ConvergenceWarning):  # so few draws are not to be trusted
        return model.fit(draws=4, tune=500, chains=2, seed=1, progress=False)


def zip_log_prob(y: np.ndarray, mu: np.ndarray, zi: np.ndarray) -> np.ndarray:
    p = special.expit(zi)
    at = stats.poisson(np.exp(mu)).logpmf(y)
    return np.where(y == 0, np.log(p + (1 - p) * np.exp(at)), np.log1p(-p) + at)


def by_a_fine_grid(post: bmx.Posterior, roots: np.ndarray) -> np.ndarray:
    """Trapezoids over both standard normal effects of the first groups, shape (S, groups)."""
    draws = post.idata.posterior
    beta = draws["beta"].to_numpy().reshape(-1, 2)
    of_zi = draws["zi_beta"].to_numpy().reshape(-1)
    grid = np.linspace(-6.5, 6.5, 201)
    Z = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    log_w = stats.norm.logpdf(Z).sum(axis=1) + 2 * np.log(grid[1] - grid[0])
    out = []
    for level in post.model.design.mu.group("g").levels.labels[:N_GROUPS]:
        own = DATA[DATA["g"] == level]
        found = []
        for b, c, L in zip(beta, of_zi, roots, strict=True):
            u = Z @ L.T
            mu = b[0] + b[1] * own["x"].to_numpy() + u[:, :1]
            zi = c + 0 * mu + u[:, 1:]
            rows = zip_log_prob(own["y"].to_numpy(), mu, zi).sum(axis=1)
            found.append(special.logsumexp(rows + log_w))
        out.append(found)
    return np.array(out).T


def left_out(post: bmx.Posterior) -> np.ndarray:
    member = post.model.design.mu.group("g").index.astype(np.int64)
    found = group_log_density(post._law, member)
    return found.reshape(-1, found.shape[-1])[:, :N_GROUPS]


def test_effects_of_both_predictors_are_integrated_out() -> None:
    post = fitted(["y ~ x + (1 | g)", "zi ~ 1 + (1 | g)"], "zero_inflated_poisson")
    sd = [post.idata.posterior[v].to_numpy().ravel() for v in ("sd_g", "zi_sd_g")]
    roots = np.array([np.diag(pair) for pair in zip(*sd, strict=True)])
    np.testing.assert_allclose(left_out(post), by_a_fine_grid(post, roots), atol=0.05)


def test_effects_that_predictors_share_are_integrated_out_together() -> None:
    post = fitted(["y ~ x + (1 | p | g)", "zi ~ 1 + (1 | p | g)"], "zero_inflated_poisson")
    sd = post.idata.posterior["sd_g"].to_numpy().reshape(-1, 2)
    corr = post.idata.posterior["corr_g"].to_numpy().reshape(-1, 2, 2)
    roots = sd[:, :, None] * np.linalg.cholesky(corr)
    np.testing.assert_allclose(left_out(post), by_a_fine_grid(post, roots), atol=0.05)


def test_one_predictor_is_a_case_of_several() -> None:
    post = fitted("y ~ x + (1 | g)", "poisson")
    index = post.model.design.mu.group("g").index.astype(np.int64)
    rows, law = rows_of_fit(post.model, "linear"), post._law
    parameters = law.draw({"g": np.arange(10)}, None, 1)
    y, labels = post.model.y, {"g": index}
    several = integrated_of_several(post.model, parameters, rows, y, index, {"mu": labels}, 1)
    one = integrated_log_density(post.model.family, parameters, rows, y, index, labels, 1)
    np.testing.assert_allclose(several, one, atol=1e-4)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_categories_and_folds_of_groups() -> None:
    data = DATA.assign(kind=np.select([DATA["y"] == 0, DATA["y"] < 4], ["none", "few"], "many"))
    model = bmx.Model("kind ~ x + (1 | g)", data, family="categorical")
    post = model.fit(draws=500, tune=500, chains=2, seed=1, progress=False)
    loo = post.loo(by="g")
    folds = post.kfold(4, by="g", draws=300, seed=2, progress=False)
    assert loo.elpd == pytest.approx(folds.elpd, abs=8)
