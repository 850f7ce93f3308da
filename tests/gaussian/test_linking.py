"""Kernels that call each other by name, and the buffers that they read."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numba import carray

import bayesmix as bmx
from bayesmix.errors import CacheWarning
from bayesmix.gaussian import kernel_files
from bayesmix.gaussian.linking import FLOATS, f8, i8, kernel
from bayesmix.inference import nutpie_joint
from bayesmix.inference.nutpie_native import _expand_function, _logp_function, whitened_density


@kernel(f8, i8, FLOATS)
def total(n, x):  # type: ignore[no-untyped-def]
    """Sum of n numbers."""
    return carray(x, (n,)).sum()


_total = total.external


@kernel(f8, i8, FLOATS, needs=(total,))
def twice(n, x):  # type: ignore[no-untyped-def]
    return 2.0 * _total(n, x)


def test_a_kernel_calls_another_by_name() -> None:
    assert "not loaded" in repr(twice)
    assert twice(3, np.asarray([1.0, 2.0, 4.0])) == 14.0
    assert twice.is_compiled()
    assert total.is_compiled()
    assert "not" not in repr(total)
    assert total.__doc__ == "Sum of n numbers."


def test_kernels_compile_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    for function in (whitened_density, nutpie_joint.whitened_joint):
        function.load()
    monkeypatch.setattr(kernel_files._KernelFiles, "__init__", refuse)
    monkeypatch.setattr(kernel_files, "_SAID", set())
    with pytest.warns(CacheWarning, match="no locator available"):
        assert _logp_function.__wrapped__().address
    assert nutpie_joint._function.__wrapped__().address
    assert _expand_function.__wrapped__().address


@pytest.mark.parametrize("x", [np.arange(3), np.arange(6.0)[::2]], ids=["ints", "strided"])
def test_arrays_that_a_kernel_would_misread_are_refused(x: np.ndarray) -> None:
    with pytest.raises(TypeError, match="total takes contiguous arrays of float64"):
        total(3, x)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])  # noqa: S301
def test_copies_of_equations_are_views_of_their_own_buffers(how) -> None:  # type: ignore[no-untyped-def]
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    eq = model.gaussian_problem.equations
    other = how(eq)
    np.testing.assert_array_equal(other.ints, eq.ints)
    np.testing.assert_array_equal(other.floats, eq.floats)
    other.K[:] = 0.0
    assert (other.floats == 0).sum() > (eq.floats == 0).sum()
    assert np.abs(eq.K).max() > 0
    changed = eq.replace(yy=np.ones(1))
    assert changed.yy[0] == 1.0
    assert np.shares_memory(changed.yy, changed.floats)
    assert eq.yy[0] != 1.0


def test_unknown_arrays_are_refused() -> None:
    model = bmx.Model("Reaction ~ Days + (1 | Subject)", bmx.load_dataset("sleepstudy"))
    with pytest.raises(TypeError, match="unknown arrays: extra"):
        model.gaussian_problem.equations.replace(extra=np.ones(1))
