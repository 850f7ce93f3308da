"""Relationships of pedigrees, against the recursive definition of A."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, NotSupportedError


def recursive(pedigree: pd.DataFrame) -> pd.DataFrame:
    """A by its definition: a(i, j) is the mean of j's parents' with i, where j is younger."""
    parents = {row.animal: (row.sire, row.dam) for row in pedigree.itertuples()}
    for pair in list(parents.values()):
        for parent in pair:
            if parent is not None:
                parents.setdefault(parent, (None, None))
    age: dict[Any, int] = {}

    def depth(animal: Any) -> int:
        if animal not in age:
            known = [parent for parent in parents[animal] if parent is not None]
            age[animal] = 1 + max(map(depth, known), default=0)
        return age[animal]

    order = sorted(parents, key=depth)
    place = {animal: i for i, animal in enumerate(order)}
    A = np.zeros((len(order), len(order)))
    for j, animal in enumerate(order):
        known = [place[parent] for parent in parents[animal] if parent is not None]
        for i in range(j):
            A[i, j] = A[j, i] = sum(A[i, parent] for parent in known) / 2
        A[j, j] = 1 + (A[known[0], known[1]] / 2 if len(known) == 2 else 0)
    return pd.DataFrame(A, index=order, columns=order)


def random_pedigree(rng: np.random.Generator, n: int, *, selfing: bool) -> pd.DataFrame:
    """Closely inbred: parents are among the last twelve, and some are unknown."""
    rows = []
    for i in range(n):
        near = range(max(0, i - 12), i)
        sexes = (
            (near, near)
            if selfing
            else ([j for j in near if j % 2], [j for j in near if not j % 2])
        )
        pair = [
            f"a{rng.choice(list(sex))}" if len(sex) and rng.random() < 0.9 else None
            for sex in sexes
        ]
        rows.append((f"a{i}", *pair))
    return pd.DataFrame(rows, columns=["animal", "sire", "dam"], dtype=object)


@pytest.mark.parametrize("selfing", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_is_the_recursive_one_and_the_inverse_its_inverse(
    selfing: bool, shuffled: bool, rng: np.random.Generator
) -> None:
    pedigree = random_pedigree(rng, 70, selfing=selfing)
    if shuffled:
        pedigree = pedigree.sample(frac=1, random_state=1)
    found = bmx.relationship(pedigree, hermaphrodites=selfing)
    A = found.matrix()
    wanted = recursive(pedigree)
    pd.testing.assert_frame_equal(A, wanted.loc[A.index, A.columns], check_names=False, atol=1e-13)
    np.testing.assert_allclose(found.precision @ A.to_numpy(), np.eye(len(A)), atol=1e-9)
    np.testing.assert_allclose(found.inbreeding, np.diag(A) - 1, atol=1e-13)
    assert found.inbreeding.max() > 0.3
    assert list(A.index[:70]) == pedigree["animal"].tolist()


def test_generations_of_full_sibs_and_of_selfing_have_their_known_inbreeding() -> None:
    sibs = {"animal": [], "sire": [], "dam": []}  # type: dict[str, list[str]]
    for t in range(1, 6):
        for sex in "mf":
            sibs["animal"].append(f"{sex}{t}")
            sibs["sire"].append(f"m{t - 1}")
            sibs["dam"].append(f"f{t - 1}")
    F = bmx.relationship(sibs).inbreeding
    assert [F[f"m{t}"] for t in range(1, 6)] == [0, 0.25, 0.375, 0.5, 0.59375]
    line = {"animal": [1, 2, 3, 4], "sire": [0, 1, 2, 3], "dam": [0, 1, 2, 3]}
    selfed = bmx.relationship(line, hermaphrodites=True)
    assert selfed.inbreeding.tolist() == [0, 0.5, 0.75, 0.875]
    assert selfed.labels.tolist() == [1, 2, 3, 4]  # 0 is nobody


def test_unknown_parents_are_written_in_many_ways() -> None:
    unknown = [None, float("nan"), "", "0", 0, ".", "NA", " "]
    pedigree = pd.DataFrame(
        {"animal": [f"a{i}" for i in range(8)], "sire": unknown, "dam": unknown[::-1]}
    )
    found = bmx.relationship(pedigree)
    assert found.labels.tolist() == pedigree["animal"].tolist()
    np.testing.assert_array_equal(found.matrix(), np.eye(8))
    named = bmx.relationship({"animal": ["0", "b"], "sire": [None, "0"], "dam": [None, None]})
    assert named.matrix().loc["0", "b"] == 0.5


def test_numbers_with_gaps_are_the_same_animals() -> None:
    pedigree = pd.DataFrame(
        {"id": [3, 4, 5], "father": [np.nan, 3.0, 3.0], "mother": [7, np.nan, 7]}
    )
    found = bmx.relationship(pedigree, animal="id", sire="father", dam="mother")
    assert found.labels.tolist() == [3, 4, 5, 7]
    assert found.labels.name == "id"
    assert found.matrix().loc[3, 5] == 0.75  # a sire mated with his dam


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_any_table_will_do(kind: str, rng: np.random.Generator) -> None:
    pedigree = random_pedigree(rng, 20, selfing=False)
    if kind == "polars":
        import polars

        table: Any = polars.from_pandas(pedigree)
    else:
        import pyarrow

        table = pyarrow.Table.from_pandas(pedigree)
    wanted = bmx.relationship(pedigree).matrix()
    pd.testing.assert_frame_equal(bmx.relationship(table).matrix(), wanted)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a", "b", None), ("b", None, "c"), ("c", "a", None)],
         "animal 'a' is its own ancestor: the sire of 'a' is 'b', the dam of 'b' is 'c', the sire "
         "of 'c' is 'a'; correct one"),
        ([("x", "a", None), ("a", None, "b"), ("b", "a", None)],
         "animal 'a' is its own ancestor: the dam of 'a' is 'b', the sire of 'b' is 'a'"),
        ([("a", "a", None)], "animal 'a' is its own sire; correct its row"),
        ([(f"a{i}", f"a{(i + 1) % 40}", None) for i in range(40)],
         "animal 'a0' is its own ancestor, by a loop of 40 animals: 'a0', 'a1'.*, ...; correct"),
        ([("a", "s", "d"), ("b", "s", "d"), ("a", "s", None)],
         "animal 'a' is in the pedigree twice with different parents: sire 's' and dam 'd' in row "
         "0, sire 's' and dam unknown in row 2"),
        ([("a", "s", "d"), ("b", "d", "e")],
         "animal 'd' is the sire of 'b' and the dam of 'a'; .*hermaphrodites=True"),
        ([("a", "s", "s")], "animal 's' is the sire of 'a' and the dam of 'a'"),
        ([("a", "s", "d"), (None, "s", "d")], "row 1 of the pedigree has no animal"),
        ([], "the pedigree has no rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(rows: list[tuple[Any, ...]], words: str) -> None:
    pedigree = pd.DataFrame(rows, columns=["animal", "sire", "dam"], dtype=object)
    with pytest.raises(DataError, match=words):
        bmx.relationship(pedigree)


def test_a_row_may_be_there_twice() -> None:
    twice = {"animal": ["a", "a"], "sire": ["s", "s"], "dam": ["d", "d"]}
    assert len(bmx.relationship(twice)) == 3


def test_a_lost_column_or_animal_is_named() -> None:
    pedigree = {"animal": ["anna1"], "father": ["s1"], "dam": ["d1"]}
    with pytest.raises(DataError, match="the pedigree has no column `sire`; there are `animal`"):
        bmx.relationship(pedigree)
    found = bmx.relationship(pedigree, sire="father")
    with pytest.raises(
        DataError, match=r"animal 'anna2' is not among .* 3 of .*; did you mean 'anna1'"
    ):
        found.matrix(["anna2"])


def test_lines_that_are_completely_inbred_are_copies() -> None:
    line = {"animal": list(range(1, 80)), "sire": list(range(79)), "dam": list(range(79))}
    with pytest.raises(DataError, match=r"inbred so far .* that it is their copy"):
        bmx.relationship(line, hermaphrodites=True)


def test_it_says_what_it_is() -> None:
    found = bmx.relationship({"animal": ["<b>"], "sire": ["s"], "dam": [None]})
    assert repr(found) == "<Relationship: animals 2, founders 1, inbred 0>"
    assert "<td>2</td>" in found._repr_html_()


def test_a_dense_matrix_that_memory_does_not_hold_is_refused(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = bmx.relationship(random_pedigree(rng, 30, selfing=False))
    monkeypatch.setattr("bayesmix.memory.available_bytes", lambda: 1e3)
    with pytest.raises(NotSupportedError, match="the relationship matrix of 30 animals would take"):
        found.matrix()
    assert found.matrix(["a3", "a4"]).shape == (2, 2)


def test_fifty_thousand_animals_take_seconds(rng: np.random.Generator) -> None:
    n, size = 50_000, 1_000  # fifty generations
    start = np.arange(n) // size * size - size
    pedigree = pd.DataFrame({
        "animal": np.arange(1, n + 1),
        "sire": np.where(start < 0, 0, start + rng.integers(0, 20, n) + 1),
        "dam": np.where(start < 0, 0, start + rng.integers(20, size, n) + 1),
    })  # fmt: skip
    began = process_time()
    found = bmx.relationship(pedigree)
    assert process_time() - began < 120  # mostly 3; a dense one: 20 GB
    some = [50, n // 2, n - 1, n]
    A = found.matrix(some)
    np.testing.assert_allclose(np.diag(A) - 1, found.inbreeding[some], atol=1e-12)
    unit = np.zeros(n)
    unit[-1] = 1.0
    from scipy.sparse.linalg import cg

    column, _ = cg(found.precision, unit, rtol=1e-12)
    np.testing.assert_allclose(column[np.array(some) - 1], A[n], atol=1e-8)


@pytest.mark.parametrize("huge", [np.inf, -np.inf, 1e300])
def test_numbers_that_no_integer_holds_are_names_or_refused(huge: float) -> None:
    pedigree = pd.DataFrame({"animal": [1.0, 2.0], "sire": [np.nan, huge], "dam": np.nan})
    if np.isinf(huge):
        with pytest.raises(DataError, match="'sire' holds an infinite number"):
            bmx.relationship(pedigree)
    else:
        assert len(bmx.relationship(pedigree).labels) == 3
