"""Known covariances between levels: what is refused, and roots of what is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bayesmix as bmx
from bayesmix.design.known_covariance import known_covariance
from bayesmix.design.levels_root import LevelsRoot
from bayesmix.errors import DataError, NotSupportedError

LABELS = ["cow1", "cow2", "cow3", "cow4", "cow5", "cow6"]


@pytest.fixture
def A(rng: np.random.Generator) -> pd.DataFrame:
    X = rng.normal(size=(6, 9))
    return pd.DataFrame(X @ X.T / 9, index=LABELS, columns=LABELS)


@pytest.fixture
def inverse(A: pd.DataFrame) -> Any:
    return sparse.csc_array(np.linalg.inv(A))


def test_the_root_is_a_root_over_the_levels_of_the_data(A: pd.DataFrame, inverse: Any) -> None:
    levels = ["cow5", "cow1", "cow4"]
    shuffled = A.loc[LABELS[::-1]]  # rows and columns need not be in one order
    for known in (known_covariance(shuffled, "A"), known_covariance(inverse, "A", LABELS)):
        found = LevelsRoot.triangular(known, levels, "A")
        np.testing.assert_allclose(found.root @ found.root.T, A.loc[levels, levels], atol=1e-12)
        assert np.all(np.triu(found.root, 1) == 0)


def test_levels_without_data_follow_their_conditional_law(A: pd.DataFrame) -> None:
    levels, others = LABELS[:3], [*LABELS[3:], "cow2"]
    root = LevelsRoot.triangular(known_covariance(A, "A"), levels, "A")
    for own in (root, root.diagonal(np.array([2.0, 5.0, 1.0]))[0]):
        given, rest = own.others(others, "A")
        both = given @ given.T + rest @ rest.T
        np.testing.assert_allclose(both, A.loc[others, others], atol=1e-12)
        np.testing.assert_allclose(given @ own.root.T, A.loc[others, levels], atol=1e-12)
        np.testing.assert_allclose(rest[-1], 0, atol=1e-6)  # cow2 has data


def test_eigenvectors_make_the_equations_diagonal(
    A: pd.DataFrame, rng: np.random.Generator
) -> None:
    weights = rng.uniform(0.5, 4, 6)
    root = LevelsRoot.triangular(known_covariance(A, "A"), LABELS, "A")
    turned, values = root.diagonal(weights)
    inner = turned.root.T @ np.diag(weights) @ turned.root
    np.testing.assert_allclose(inner, np.diag(values), atol=1e-12)
    np.testing.assert_allclose(turned.root @ turned.root.T, A, atol=1e-12)
    np.testing.assert_allclose(root.diagonal(np.ones(6))[1], np.linalg.eigvalsh(A))


def test_a_pedigree_is_a_known_covariance() -> None:
    pedigree = {"animal": [1, 2, 3, 4], "sire": [0, 0, 1, 3], "dam": [0, 0, 2, 2]}
    found = bmx.relationship(pedigree)
    root = LevelsRoot.triangular(known_covariance(found, "A"), [4.0, 3, "1"], "A")
    np.testing.assert_allclose(root.root @ root.root.T, found.matrix([4, 3, 1]), atol=1e-14)
    given, rest = root.others([2], "A")
    assert (given @ given.T + rest @ rest.T).item() == pytest.approx(1)


def broken(A: pd.DataFrame, what: str) -> pd.DataFrame:
    B = A.copy()
    if what == "equal":
        B.loc["cow6"] = B.loc["cow3"]
        B["cow6"] = B["cow3"]
    elif what == "sum":
        other = B.loc["cow1"] + B.loc["cow2"]
        B.loc["cow6"] = other
        B["cow6"] = [*other[:5], other["cow1"] + other["cow2"]]
    elif what == "indefinite":
        B.iloc[:, :] = np.eye(6)
        for i, j, value in ((0, 1, 0.9), (1, 2, 0.9), (0, 2, -0.9)):
            B.iloc[i, j] = B.iloc[j, i] = value
    elif what == "nan":
        B.loc["cow2", "cow5"] = np.nan
    elif what == "skew":
        B.loc["cow2", "cow5"] += 0.1
    elif what == "zero":
        B.loc["cow4", "cow4"] = 0.0
    elif what == "large":
        B.loc["cow1", "cow2"] = B.loc["cow2", "cow1"] = 99.0
    return B


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            "equal",
            "rows 'cow3' and 'cow6' of A are equal: their correlation is 1; give the two one",
        ),
        ("sum", "A is singular: .* most of all .*'cow1', 'cow2', .*'cow6'"),
        ("indefinite", r"not positive definite: .* eigenvalue -0.8, most of all by 'cow1', 'cow2'"),
        ("nan", "A has nan in row 'cow2', column 'cow5'"),
        ("skew", "A is not symmetric: .* in row 'cow2', column 'cow5'"),
        ("zero", "A has 0 on its diagonal for 'cow4'; a variance is above 0"),
        ("large", "A has 99 between 'cow1' and 'cow2', more than their own"),
    ],
)
def test_what_is_wrong_with_a_matrix_is_said_with_its_place(
    what: str, words: str, A: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=words):
        known_covariance(broken(A, what), "A")


def test_labels_must_be_the_levels(A: pd.DataFrame, inverse: Any) -> None:
    with pytest.raises(DataError, match="A has 6 rows and 5 columns"):
        known_covariance(A.iloc[:, :5], "A")
    with pytest.raises(DataError, match=r"row '0' of A has no column .*: A.index = A.columns"):
        known_covariance(A.reset_index(drop=True), "A")
    with pytest.raises(DataError, match="level 'cow1' is twice in A"):
        known_covariance(A.rename(index={"cow2": "cow1"}, columns={"cow2": "cow1"}), "A")
    with pytest.raises(DataError, match="without labels"):
        known_covariance(inverse, "A")
    with pytest.raises(DataError, match="of type ndarray; give a DataFrame"):
        known_covariance(A.to_numpy(), "A")
    known = known_covariance(A, "A")
    with pytest.raises(DataError, match="'cow8' and 1 more of the data is not among the 6 levels"):
        LevelsRoot.triangular(known, ["cow1", "cow8", "cow9"], "A")


def test_a_sparse_inverse_is_checked_too(inverse: Any) -> None:
    wrong = inverse.tolil()
    wrong[1, 4] += 0.5
    with pytest.raises(DataError, match="is not symmetric in 'cow5' and 'cow2'"):
        known_covariance(wrong, "A", LABELS)
    chain = sparse.diags_array([np.ones(6), np.full(5, 0.9), np.full(5, 0.9)], offsets=[0, 1, -1])
    with pytest.raises(DataError, match="the inverse A is not positive definite"):
        known_covariance(chain, "A", LABELS)
    with pytest.raises(DataError, match="A is 6 by 6 with 5 labels"):
        known_covariance(inverse, "A", LABELS[:5])


def test_a_root_that_memory_does_not_hold_is_refused(
    A: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = known_covariance(A, "A")
    monkeypatch.setattr("bayesmix.memory.available_bytes", lambda: 100.0)
    with pytest.raises(NotSupportedError, match="the covariance of 6 with 6 levels would take"):
        LevelsRoot.triangular(known, LABELS, "A")
