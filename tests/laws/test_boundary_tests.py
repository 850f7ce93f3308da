"""Laws of likelihood ratios of variances at zero."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from bayesmix.laws.boundary_tests import exact_null_draws, mixture_p


def test_mixtures_are_those_of_self_and_liang() -> None:
    t = 3.2
    assert mixture_p(t, 0, 1) == pytest.approx(0.5 * stats.chi2.sf(t, 1))
    # A slope beside a correlated intercept: in equal parts one and two degrees of freedom.
    both = 0.5 * stats.chi2.sf(t, 1) + 0.5 * stats.chi2.sf(t, 2)
    assert mixture_p(t, 1, 1) == pytest.approx(both)
    assert mixture_p(0.0, 0, 1) == 1.0


@pytest.mark.parametrize("weighted", [False, True])
def test_the_exact_law_is_that_of_refits(weighted: bool) -> None:
    """Restricted likelihood ratios of simulated responses, maximised on a fine grid."""
    rng = np.random.default_rng(4)
    n, K = 24, 5
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    Z = np.eye(K)[rng.integers(0, K, n)]
    w = rng.uniform(0.3, 3, n) if weighted else np.ones(n)
    ratio = np.concatenate([[0.0], np.exp(np.linspace(-7, 7, 120))])
    Y = rng.normal(size=(n, 3000)) / np.sqrt(w)[:, None]
    values = []
    for each in ratio:
        V = np.diag(1 / w) + each * Z @ Z.T
        half = np.linalg.inv(V)
        A = half - half @ X @ np.linalg.solve(X.T @ half @ X, X.T @ half)
        log_det = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ half @ X)[1]
        values.append((n - 2) * np.log(np.einsum("ib,ij,jb->b", Y, A, Y, optimize=True)) + log_det)
    best = values[0] - np.min(values, axis=0)
    draws = exact_null_draws(X, sparse.csr_array(Z), w if weighted else None, 20_000, 5)
    for t in (0.01, 0.5, 1.5, 3.0):
        mine, theirs = (draws > t).mean(), (best > t).mean()
        assert mine == pytest.approx(theirs, abs=4 * np.sqrt(0.25 / 3000))


def test_effects_that_fixed_ones_explain_have_no_ratio() -> None:
    Z = np.repeat(np.eye(3), 4, axis=0)
    assert (exact_null_draws(Z, Z, None, 100, 1) == 0).all()
