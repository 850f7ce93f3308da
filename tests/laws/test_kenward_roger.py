"""Kenward and Roger's covariance against matrices with a row for each observation."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.laws.kenward_roger import LinearFactor, kenward_roger

SIGMA = 1.7


def factors(rng: np.random.Generator, n: int, kind: str) -> list[LinearFactor]:
    x = rng.normal(size=n)
    fine, coarse = rng.integers(0, 14, n), rng.integers(0, 4, n)
    slopes = LinearFactor(
        index=fine, n_levels=14, Z=np.column_stack([np.ones(n), x]),
        root=np.asarray([[1.0, 0.0], [0.4, 0.7]]), entries=(((0, 0),), ((0, 1),), ((1, 1),)),
    )  # fmt: skip
    crossed = LinearFactor(
        index=coarse, n_levels=4, Z=np.ones((n, 1)), root=np.asarray([[0.8]]),
        entries=(((0, 0),),),
    )  # fmt: skip
    nested = LinearFactor(
        index=fine // 4, n_levels=4, Z=np.ones((n, 1)), root=np.asarray([[0.6]]),
        entries=(((0, 0),),),
    )  # fmt: skip
    shared = LinearFactor(
        index=fine, n_levels=14, Z=rng.normal(size=(n, 3)), root=0.5 * np.eye(3),
        entries=(((0, 0), (1, 1), (2, 2)),),
    )  # fmt: skip
    nothing = LinearFactor(
        index=fine, n_levels=14, Z=np.ones((n, 1)), root=np.zeros((1, 1)), entries=(((0, 0),),)
    )
    return {
        "slopes": [slopes], "crossed": [slopes, crossed], "nested": [slopes, nested],
        "one sd for three effects": [shared, crossed], "a variance of zero": [nothing, crossed],
        "none": [],
    }[kind]  # fmt: skip


def dense(
    X: np.ndarray, w: np.ndarray, parts: list[LinearFactor], *, sigma_is_known: bool
) -> tuple[np.ndarray, np.ndarray]:
    n = len(X)
    V, by = np.diag(SIGMA**2 / w), []
    for part in parts:
        q = part.Z.shape[1]
        Z = np.zeros((n, part.n_levels * q))
        for a in range(q):
            Z[np.arange(n), part.index * q + a] = part.Z[:, a]
        levels = np.eye(part.n_levels)
        V = V + SIGMA**2 * Z @ np.kron(levels, part.root @ part.root.T) @ Z.T
        for entries in part.entries:
            E = np.zeros((q, q))
            for a, b in entries:
                E[a, b] = E[b, a] = 1.0
            by.append(Z @ np.kron(levels, E) @ Z.T)
    if not sigma_is_known:
        by.append(np.diag(1 / w))
    inverse = np.linalg.inv(V)
    C = np.linalg.inv(X.T @ inverse @ X)
    P = [-X.T @ inverse @ v @ inverse @ X for v in by]
    Q = [[X.T @ inverse @ a @ inverse @ b @ inverse @ X for b in by] for a in by]
    r = range(len(by))
    information = np.asarray(
        [[np.trace(inverse @ by[i] @ inverse @ by[j])
          - np.trace(C @ (2 * Q[i][j] - P[i] @ C @ P[j])) for j in r] for i in r]
    )  # fmt: skip
    W = 2 * np.linalg.inv(information)
    middle = sum(W[i, j] * (Q[i][j] - P[i] @ C @ P[j]) for i in r for j in r)
    return C, C + 2 * C @ middle @ C


@pytest.mark.parametrize("sigma_is_known", [False, True])
@pytest.mark.parametrize(
    "kind", ["slopes", "crossed", "nested", "one sd for three effects", "a variance of zero"]
)
def test_covariances_are_those_of_dense_algebra(kind: str, sigma_is_known: bool) -> None:
    rng = np.random.default_rng(1)
    n = 70
    X = np.column_stack([np.ones(n), rng.normal(size=n), rng.normal(size=n) + 5])
    w = rng.uniform(0.5, 2, n)
    parts = factors(rng, n, kind)
    found = kenward_roger(X, w, parts, sigma=SIGMA, sigma_is_known=sigma_is_known)
    plain, adjusted = dense(X, w, parts, sigma_is_known=sigma_is_known)
    np.testing.assert_allclose(found.plain, plain, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.covariance, adjusted, rtol=1e-8, atol=1e-12)


def test_without_groups_it_is_the_f_test_of_regression() -> None:
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(20), rng.normal(size=(20, 2))])
    found = kenward_roger(X, None, [], sigma=2.0, sigma_is_known=False)
    df, scale = found.test(np.eye(3)[1:])
    assert df == pytest.approx(17, rel=1e-6)
    assert scale == pytest.approx(1, rel=1e-9)
    np.testing.assert_allclose(found.covariance, 4 * np.linalg.inv(X.T @ X), rtol=1e-10)


def test_columns_far_from_zero_lose_few_digits() -> None:
    rng = np.random.default_rng(3)
    n = 60
    x = rng.normal(size=n)
    parts = factors(rng, n, "crossed")
    near, far = (
        kenward_roger(
            np.column_stack([np.ones(n), x + shift]), None, parts, sigma=SIGMA,
            sigma_is_known=False,
        )
        for shift in (0.0, 1e6)
    )  # fmt: skip
    slope = np.asarray([[0.0, 1.0]])
    assert far.test(slope)[0] == pytest.approx(near.test(slope)[0], rel=1e-5)
    assert far.covariance[1, 1] == pytest.approx(near.covariance[1, 1], rel=1e-5)
