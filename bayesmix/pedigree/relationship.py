"""Additive relationships of a pedigree: A on request, its sparse inverse always."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.answering import answering
from bayesmix.arguments import did_you_mean
from bayesmix.errors import DataError
from bayesmix.memory import check_memory
from bayesmix.pedigree.inbreeding import inbreeding
from bayesmix.pedigree.reading import Pedigree, read_pedigree

__all__ = ["Relationship", "relationship"]

_COLUMNS = 256  # of A at a time


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Relationship:
    """Additive (numerator) relationships between the animals of a pedigree.

    Made by `relationship`.

    Attributes
    ----------
    labels : Index, length n
        Animals as they come in the pedigree, then parents without a row of their own.
    precision : scipy.sparse.csc_array, shape (n, n)
        Inverse of the relationship matrix A, in the order of `labels`.
    inbreeding : Series, length n
        Inbreeding coefficients F, by label; the diagonal of A is 1 + F.
    pedigree : Pedigree
        Each animal's parents, as places among `labels`; all else follows from them.
    """

    labels: pd.Index[Any]
    precision: Any
    inbreeding: pd.Series[Any]
    pedigree: Pedigree
    _descent: Any
    _variances: np.ndarray

    def __len__(self) -> int:
        """Number of animals."""
        return len(self.labels)

    def matrix(self, animals: Iterable[Any] | None = None) -> pd.DataFrame:
        """Relationship matrix A, of all animals or of some.

        Parameters
        ----------
        animals : iterable, optional
            Labels of the rows and columns wanted, all animals by default. Relationships
            through animals that are left out are counted.

        Returns
        -------
        DataFrame, shape (m, m)
            Labelled by the animals. Twice the coefficient of coancestry; 1 + F on the
            diagonal.

        Raises
        ------
        DataError
            If an animal is not in the pedigree.
        NotSupportedError
            If memory does not hold m times m numbers.
        """
        places = np.arange(len(self)) if animals is None else self._places(animals)
        check_memory(
            f"the relationship matrix of {len(places):,} animals", len(places) ** 2,
            "take .precision, which is sparse, or ask for fewer: matrix(animals=[...])",
        )  # fmt: skip
        A = self.blocks(places, places)
        labels = self.labels[places]
        return pd.DataFrame((A + A.T) / 2, index=labels, columns=labels)

    def blocks(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Relationships of some animals with others, by their places among `labels`.

        Parameters
        ----------
        rows, columns : ndarray of int

        Returns
        -------
        ndarray, shape (n_rows, n_columns)
        """
        by_age = np.argsort(self.pedigree.order)
        block = np.empty((len(rows), len(columns)))
        for start in range(0, len(columns), _COLUMNS):
            some = by_age[columns[start : start + _COLUMNS]]
            block[:, start : start + _COLUMNS] = self._columns(some)[by_age[rows]]
        return block

    def _columns(self, wanted: np.ndarray) -> np.ndarray:
        """Columns of T D T' in the order of age, by two substitutions."""
        from scipy.sparse.linalg import splu

        unit = np.zeros((len(self), len(wanted)))
        unit[wanted, np.arange(len(wanted))] = 1.0
        # T^-1 has ones on its diagonal and parents to the left: factored, it is itself.
        factor = splu(self._descent, permc_spec="NATURAL", diag_pivot_thresh=0.0)
        up = factor.solve(unit, trans="T")
        result: np.ndarray = factor.solve(self._variances[:, None] * up)
        return result

    def _places(self, animals: Iterable[Any]) -> np.ndarray:
        wanted = list(animals)
        places = self.labels.get_indexer(pd.Index(wanted))
        if (places < 0).any():
            lost = wanted[int(np.flatnonzero(places < 0)[0])]
            near = did_you_mean(lost, (str(label) for label in self.labels))
            raise DataError(
                f"animal {lost!r} is not among the {len(self):,} of the pedigree; {near}"
                "add a row for it (its parents may be unknown)"
            )
        return np.asarray(places)

    def _facts(self) -> dict[str, str]:
        F = self.inbreeding.to_numpy()
        inbred = F > 1e-12
        founders = int(((self.pedigree.sire < 0) & (self.pedigree.dam < 0)).sum())
        facts = {"animals": f"{len(self):,}", "founders": f"{founders:,}"}
        facts["inbred"] = f"{int(inbred.sum()):,}"
        if inbred.any():
            facts["largest inbreeding"] = f"{F.max():.3g} ({self.inbreeding.idxmax()})"
        return facts

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"<Relationship: {facts}>"

    def _repr_html_(self) -> str:
        """Return the facts as a small table, for notebooks."""
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self._facts().items()
        )
        return f"<table><caption>Additive relationships</caption>{rows}</table>"


@answering
def relationship(
    pedigree: Any, *, animal: str = "animal", sire: str = "sire", dam: str = "dam",
    hermaphrodites: bool = False,
) -> Relationship:  # fmt: skip
    """Additive relationships between animals, from who their parents are.

    The inverse of the relationship matrix is made by Henderson's rules, with inbreeding,
    and is sparse; the matrix itself is made on request only.

    Parameters
    ----------
    pedigree : pandas, polars or pyarrow table, or mapping of str to sequence
        A row for each animal, in any order. Parents without a row of their own are
        founders, taken as unrelated and not inbred. The same row twice does no harm.
    animal, sire, dam : str
        Names of the columns with the animal, its father and its mother. Unknown parents
        are missing, empty, or "0", ".", "*" or "NA" if no animal has this name.
    hermaphrodites : bool
        Whether an animal may be both sire and dam, and may be both of one offspring
        (selfing), as plants are.

    Returns
    -------
    Relationship

    Raises
    ------
    DataError
        If a column is missing, an animal is its own ancestor (the message shows the
        loop), is listed twice with different parents, or is sire and dam.

    References
    ----------
    Henderson (1976), Biometrics 32, 69-83; inbreeding as in Colleau (2002), Genetics
    Selection Evolution 34, 409-421.

    Examples
    --------
    Two full sibs, mated:

    >>> import bayesmix as bmx
    >>> pedigree = {
    ...     "animal": ["ann", "bob", "cat"],
    ...     "sire": ["adam", "adam", "bob"],
    ...     "dam": ["eve", "eve", "ann"],
    ... }
    >>> A = bmx.relationship(pedigree)
    >>> A
    <Relationship: animals 5, founders 2, inbred 1, largest inbreeding 0.25 (cat)>
    >>> A.matrix(["ann", "bob", "cat"]).loc["cat"].tolist()
    [0.75, 0.75, 1.25]
    """
    read = read_pedigree(pedigree, animal, sire, dam, hermaphrodites=hermaphrodites)
    return _related(read)


def _related(read: Pedigree) -> Relationship:
    """Henderson's rules: A^-1 = (I - P)' D^-1 (I - P), P with 1/2 at each known parent."""
    from scipy import sparse

    n = len(read.labels)
    place = np.empty(n, dtype=np.int64)
    place[read.order] = np.arange(n)
    sire, dam = (
        np.where(parents >= 0, place[parents], -1)[read.order] for parents in (read.sire, read.dam)
    )
    F, D = inbreeding(sire, dam)
    copies = np.flatnonzero(D < 1e-10)
    if copies.size:
        raise DataError(
            f"the parents of animal {read.labels[read.order[copies[0]]]!r} are inbred so far (F = "
            "1) that it is their copy, and the relationship matrix has no inverse; give the "
            "copies one name"
        )
    children = np.concatenate([np.flatnonzero(sire >= 0), np.flatnonzero(dam >= 0)])
    parents = np.concatenate([sire[sire >= 0], dam[dam >= 0]])
    halves = sparse.coo_array((np.full(len(children), 0.5), (children, parents)), shape=(n, n))
    descent = (sparse.eye_array(n, format="csc") - halves).tocsc()
    inverse = (descent.T @ sparse.diags_array(1 / D) @ descent).tocsc()
    precision = inverse[place][:, place].tocsc()
    precision.sort_indices()
    return Relationship(
        labels=read.labels,
        precision=precision,
        inbreeding=pd.Series(F[place], index=read.labels, name="inbreeding"),
        pedigree=read,
        _descent=descent,
        _variances=D,
    )
