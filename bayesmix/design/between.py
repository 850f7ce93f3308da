"""What is known between the levels of a grouping factor: a covariance A, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg

from bayesmix.arguments import did_you_mean
from bayesmix.design.known_covariance import KnownCovariance, known_covariance
from bayesmix.design.levels_root import LevelsRoot
from bayesmix.errors import ArgumentError, DataError, FormulaError
from bayesmix.formula import Formula, GroupTerm
from bayesmix.formula.grouping import Grouping

__all__ = ["Between", "Matrices", "levels_of_between"]


class Between:
    """A known covariance A between all levels of a grouping factor.

    With effects b = u L' of G levels by q effects, cov(u) is A between levels and 1
    within: b ~ Normal(0, A x L L').

    Parameters
    ----------
    known : KnownCovariance
    name : str
        What the formula calls it.
    """

    def __init__(self, known: KnownCovariance, name: str) -> None:
        self.known = known
        self.name = name
        self._turned: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        """Number of levels G."""
        return len(self.known.labels)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it is given; roots and inverses are made again."""
        return Between, (self.known, self.name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Between:
        return self  # nothing in it changes

    @cached_property
    def root(self) -> np.ndarray:
        """Lower triangular root of A, shape (G, G)."""
        return np.linalg.cholesky(self.covariance)

    @cached_property
    def covariance(self) -> np.ndarray:
        """A itself, shape (G, G)."""
        everything = np.arange(len(self))
        A = self.known.blocks(everything, everything)
        return (A + A.T) / 2

    def same_as(self, other: Between | None) -> bool:
        """Whether another is the same covariance of the same levels."""
        if other is None or self is other:
            return self is other
        return self.known.labels == other.known.labels and np.allclose(
            self.covariance, other.covariance, rtol=1e-9, atol=0.0
        )

    @property
    def precision(self) -> np.ndarray:
        """Inverse of A, shape (G, G)."""
        return self.precision_buffer[1:].reshape(len(self), len(self))

    @cached_property
    def precision_buffer(self) -> np.ndarray:
        """log|A|, then the inverse of A by rows: what kernels are shown."""
        return np.concatenate([[self.log_det], self._inverse().ravel()])

    def _inverse(self) -> np.ndarray:
        source = self.known.source
        sparse = getattr(source, "precision", None)
        if sparse is not None:
            inverse = np.asarray(sparse.toarray(), dtype=np.float64)
        else:
            inverse = linalg.cho_solve((self.root, True), np.eye(len(self)))
        symmetric: np.ndarray = (inverse + inverse.T) / 2
        return symmetric

    def turned(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Root R of A with R' diag(weights) R diagonal, and that diagonal; see `LevelsRoot`.

        What was found last is kept: a fit asks for the same weights several times.
        """
        if self._turned is None or not np.array_equal(self._turned[0], weights):
            places = np.arange(len(self))
            plain = LevelsRoot(known=self.known, places=places, root=self.root)
            found, values = plain.diagonal(weights)
            self._turned = weights, found.root, values
        return self._turned[1], self._turned[2]

    @cached_property
    def log_det(self) -> float:
        """Log determinant of A."""
        return 2.0 * float(np.log(np.diagonal(self.root)).sum())

    @cached_property
    def variances(self) -> np.ndarray:
        """Diagonal of A: each level's variance in units of sd^2, shape (G,)."""
        return np.diagonal(self.covariance).copy()


class Matrices:
    """The known covariances that a model is given, each read and checked once.

    Parameters
    ----------
    given : mapping of str to object, optional
        By the names that formulas have for them.

    Raises
    ------
    ArgumentError
        If it is no mapping of names.
    """

    def __init__(self, given: Any = None) -> None:
        self.given: dict[str, Any] = {}
        self._read: dict[str, Between] = {}
        if isinstance(given, Matrices):  # what was read stays
            self.given, self._read = given.given, given._read
            return
        given = {} if given is None else given
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise ArgumentError(
                'matrices= takes a dict of names and known covariances, {"A": A}, not '
                f"{type(given).__name__}"
            )
        self.given = dict(given)

    def with_others(self, given: Any) -> Matrices:
        """Return these and others, which take the place of those of the same name."""
        others = Matrices(given)
        found = Matrices({**self.given, **others.given})
        found._read = {n: between for n, between in self._read.items() if n not in others.given}
        return found

    def of(self, term: GroupTerm, formula: Formula) -> Between | None:
        """Return the known covariance that a group term names.

        Parameters
        ----------
        term : GroupTerm
        formula : Formula

        Returns
        -------
        Between, or None
            None where levels are independent.

        Raises
        ------
        FormulaError
            If there is no matrix of this name.
        DataError
            Saying what is wrong with it and where.
        """
        grouping = term.grouping
        if grouping is None or grouping.matrix is None:
            return None
        name = grouping.matrix
        if name not in self.given:
            word = "precision" if grouping.is_precision else "cov"
            listed = ", ".join(self.given) or "none"
            raise FormulaError(
                f"{word}={name} names a matrix that is not given; "
                f"{did_you_mean(name, self.given)}there is {listed}: "
                f'Model(..., matrices={{"{name}": ...}})',
                text=formula.text,
                start=term.start,
                stop=term.stop,
            )
        if name not in self._read:
            self._read[name] = _read(self.given[name], grouping)
        return self._read[name]


def _read(given: Any, grouping: Grouping) -> Between:
    name = str(grouping.matrix)
    if isinstance(given, KnownCovariance):  # as a file had it
        return Between(given, name)
    column = grouping.columns[0]
    if not grouping.is_precision:
        if isinstance(given, tuple) or hasattr(given, "tocsc"):
            raise DataError(
                f"{name} is sparse, as inverses are: write gr({column}, precision={name}), and "
                f'matrices={{"{name}": ({name}, labels)}}'
            )
        return Between(known_covariance(given, name), name)
    if hasattr(given, "blocks"):
        raise DataError(
            f"{name} is a pedigree's relationships, not an inverse: write "
            f"gr({column}, cov={name}), which uses its sparse inverse"
        )
    return Between(known_covariance(*_inverse(given, name)), name)


def _inverse(given: Any, name: str) -> tuple[Any, str, Any]:
    """The sparse inverse, its name, and labels."""
    from scipy import sparse

    if isinstance(given, pd.DataFrame):
        rows, columns = given.index.map(str), given.columns.map(str)
        if list(rows) != list(columns):
            raise DataError(
                f"the rows and columns of {name} have different labels; label both by the levels, "
                "in one order"
            )
        return sparse.csc_array(given.to_numpy(dtype=np.float64)), name, given.index
    if isinstance(given, tuple) and len(given) == 2 and hasattr(given[0], "tocsc"):
        return given[0], name, given[1]
    raise DataError(
        f"{name} is of type {type(given).__name__}; an inverse is a DataFrame whose index and "
        "columns are the levels, or a pair (scipy.sparse matrix, labels)"
    )


def levels_of_between(between: Between, values: pd.Series[Any]) -> pd.Series[Any]:
    """The value of the grouping column at each level, of the column's type where that is possible.

    Parameters
    ----------
    between : Between
    values : Series
        The column in the data.
    """
    labels = pd.Series(list(between.known.labels), dtype=object, name=values.name)
    if isinstance(values.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(
        values.dtype
    ):
        return labels.astype(str)
    numbers = pd.to_numeric(labels, errors="coerce")
    if numbers.isna().any():
        return labels.astype(str)
    return numbers.astype(values.dtype) if (numbers % 1 == 0).all() else numbers
