"""Sums of parts merge to the sums of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.design.rank import aliased_columns
from bayesmix.errors import NotSupportedError
from bayesmix.spread import largest, root_mean_square, sample_sd
from bayesmix.streaming.moments import ColumnSums, Triangle
from bayesmix.summed import Summed


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    X = rng.normal(size=(500, 3)) + np.asarray([1e6, 0.0, -3.0])
    return np.column_stack([np.ones(500), X, 2 * X[:, 0] - 7])


def test_column_sums_of_parts_merge(X: np.ndarray) -> None:
    one, other = ColumnSums(5), ColumnSums(5)
    for start, stop in ((0, 7), (7, 200)):
        one.update(X[start:stop])
    other.update(X[200:])
    one.merge(other)
    found = one.summed(slice(None), "columns", "nowhere")
    assert found.shape == X.shape
    for j, column in enumerate(found.T):
        assert column.mean() == pytest.approx(X[:, j].mean(), rel=1e-13)
        assert sample_sd(column) == pytest.approx(sample_sd(X[:, j]), rel=1e-10, abs=1e-12)
        assert root_mean_square(column) == pytest.approx(root_mean_square(X[:, j]), rel=1e-12)
    np.testing.assert_array_equal(largest(found), largest(X))
    np.testing.assert_allclose(found[:, [1, 2]].second_moments(), X[:, 1:3].T @ X[:, 1:3] / 500)


def test_triangles_of_parts_merge_and_find_aliased_columns(
    X: np.ndarray, rng: np.random.Generator
) -> None:
    y = rng.normal(size=500)
    shift = X[0] * [0, 1, 1, 1, 1]
    one, other = Triangle(shift, 0.0), Triangle(shift, 0.0)
    one.update(X[:90], y[:90], None)
    other.update(X[90:], y[90:], None)
    one.merge(other)
    few = one.stand_in(X.mean(axis=0), 500)
    assert aliased_columns(few).tolist() == aliased_columns(X).tolist() == [4]
    R = one.columns(np.zeros(5), np.ones(5))[:, [0, 2, 3]]
    expected = np.linalg.lstsq(X[:, [0, 2, 3]], y, rcond=None)[0]
    found = np.linalg.lstsq(R, one.response, rcond=None)[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_sums_are_no_rows() -> None:
    column = Summed(n=3, what="the response", source="a file", flat=True)
    assert len(column) == 3
    for use in (
        lambda: column + 1, lambda: np.ones(3) * column, lambda: np.ones((2, 3)) @ column,
        lambda: np.asarray(column), lambda: list(column), lambda: column[0],
        lambda: column.astype(float), lambda: np.mean(column), lambda: column > 0, column.mean,
    ):  # fmt: skip
        with pytest.raises(NotSupportedError, match=r"the response.* a file only sums"):
            use()
