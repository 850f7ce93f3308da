"""Compact letters: means that share one are not told apart."""

from __future__ import annotations

import string

import numpy as np

__all__ = ["compact_letters"]


def compact_letters(estimate: np.ndarray, different: np.ndarray) -> list[str]:
    """Find letters such that two means share none if and only if they are different.

    Parameters
    ----------
    estimate : ndarray, shape (K,)
        NaN for a mean without an estimate, which has no letter.
    different : ndarray of bool, shape (K, K)
        Symmetric.

    Returns
    -------
    list of str, length K
        The largest mean has the first letter, ``a``.

    References
    ----------
    Piepho, H.-P. (2004). An algorithm for a letter-based representation of all-pairwise
    comparisons. Journal of Computational and Graphical Statistics 13, 456-466.
    """
    known = np.flatnonzero(np.isfinite(estimate))
    order = known[np.argsort(-estimate[known], kind="stable")]
    columns: list[frozenset[int]] = [frozenset(order.tolist())] if len(order) else []
    for place, i in enumerate(order.tolist()):
        for j in order[place + 1 :].tolist():
            if not different[i, j]:
                continue
            split: list[frozenset[int]] = []
            for column in columns:
                split += [column - {i}, column - {j}] if {i, j} <= column else [column]
            # A column within another says nothing more.
            distinct = list(dict.fromkeys(split))
            columns = [c for c in distinct if not any(c < other for other in distinct)]
    rank = {k: place for place, k in enumerate(order.tolist())}
    columns.sort(key=lambda column: sorted(rank[k] for k in column))
    names = [_name(k) for k in range(len(columns))]
    pairs = list(zip(names, columns, strict=True))
    return ["".join(name for name, column in pairs if k in column) for k in range(len(estimate))]


def _name(k: int) -> str:
    alphabet = string.ascii_letters
    return alphabet[k] if k < len(alphabet) else f"({k + 1})"
