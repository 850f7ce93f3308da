"""Large squares that are mostly zero take memory where something stands."""

from __future__ import annotations

import ctypes
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.gaussian import crossproducts, packing
from bayesmix.gaussian.dense import factor_root, root_inverse
from bayesmix.gaussian.pages import copy_written, lazy_zeros
from bayesmix.inference.problems import gaussian_problem


def resident() -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("RssAnon:"))
    return 1024 * int(line.split()[1])


def test_zeros_may_be_written_and_handed_to_c() -> None:
    values = lazy_zeros(1000)
    assert values.shape == (1000,)
    assert not values.any()
    values[7] = 3.0
    assert ctypes.c_double.from_buffer(values, 7 * 8).value == 3.0
    assert lazy_zeros(0).shape == (0,)


@pytest.mark.parametrize("n", [0, 5, 512, 5000])
def test_copies_are_equal(n: int, rng: np.random.Generator) -> None:
    values = np.where(rng.random(n) < 0.001, rng.normal(size=n), 0.0)
    to = np.zeros(n)
    copy_written(values, to)
    np.testing.assert_array_equal(to, values)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_diagonal_takes_a_page_a_row() -> None:
    n = 4000
    before = resident()
    square = lazy_zeros(n * n).reshape(n, n)
    np.fill_diagonal(square, 1.0)
    copy = lazy_zeros(n * n).reshape(n, n)
    copy_written(square, copy)
    np.testing.assert_array_equal(copy[17], square[17])
    assert resident() - before < 0.5 * square.nbytes  # 2 x 16 MB of 2 x 128


def test_a_large_inverse_is_that_of_its_lower_triangle(rng: np.random.Generator) -> None:
    n, used = 90, 80
    A = rng.normal(size=(n, n))
    A = A @ A.T + n * np.eye(n)
    root = np.tril(A) + np.triu(np.full((n, n), np.nan), 1)  # nothing above is looked at
    assert factor_root(root.ravel(), n) == 1
    for part in (n, used):
        factor = root.copy()
        root_inverse(factor.ravel(), n, part, factor.ravel())
        np.testing.assert_allclose(
            np.tril(factor)[:part, :part], np.tril(np.linalg.inv(A[:part, :part])), atol=1e-12
        )
        assert not np.tril(factor)[part:].any()
        assert np.isnan(factor[np.triu_indices(n, 1)]).all()


FORMULAS = (
    "y ~ x + (1 | g) + (1 | h)", "y ~ x + (1 | g) + (1 | h) + (1 | k)",
    "y ~ x + (x | g) + (1 | h)", "y ~ x + (1 | g) + (x | h)",
    "y ~ x + (1 | g) + (1 | gr(h, cov=A))", "y ~ x + (x | g) + (x | h)",
)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 700
    g, h, k = (rng.integers(0, m, n) for m in (120, 80, 7))
    y = rng.normal(size=120)[g] + rng.normal(size=80)[h] + rng.normal(size=7)[k]
    return pd.DataFrame({"y": y + rng.normal(size=n), "x": rng.normal(size=n),
                         "g": g, "h": h, "k": k})  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_half_a_root_has_the_numbers_of_a_whole_one(
    formula: str, data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    A = pd.DataFrame(np.eye(80) + 0.2, index=range(80), columns=range(80))

    def answers() -> list[pd.DataFrame]:
        model = bmx.Model(formula, data, matrices={"A": A} if "cov=A" in formula else None)
        eb = model.fit_eb()
        eb.fixed_effects(ddf="satterthwaite")
        return [
            eb.fixed_effects(ddf="satterthwaite"), eb.variance_components(ci_method="wald"),
            eb.group_effects("g"), eb.predict(data.iloc[:9]),
            model.fit(20, chains=1, seed=1, sampler="independent", progress=False)
            .group_effects("g", diagnostics=False),
        ]  # fmt: skip

    with pytest.warns(bmx.errors.ConvergenceWarning):
        whole = answers()
    for module in (crossproducts, packing):
        monkeypatch.setattr(module, "_LARGE", 20)
    monkeypatch.setattr("bayesmix.gaussian.independence._LARGE", 20)
    with pytest.warns(bmx.errors.ConvergenceWarning):
        half = answers()
    for a, b in zip(whole, half, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_only_the_lower_triangle_of_a_large_root_is_filled(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossproducts, "_LARGE", 20)
    monkeypatch.setattr(packing, "_LARGE", 20)
    eq = gaussian_problem(bmx.Model(FORMULAS[1], data)).equations
    n = len(eq.root_y)
    root = eq.root.reshape(n, n)
    assert not np.triu(root, 1).any()
    assert np.tril(root, -1).any()
    again = pickle.loads(pickle.dumps(eq))  # noqa: S301
    np.testing.assert_array_equal(again.floats, eq.floats)
    whole = gaussian_problem(bmx.Model(FORMULAS[5], data)).equations  # blocks of two
    m = len(whole.root_y)
    np.testing.assert_array_equal(whole.root.reshape(m, m), whole.root.reshape(m, m).T)
