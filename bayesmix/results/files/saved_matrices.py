"""Known covariances between levels, as arrays and JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.between import Between
from bayesmix.design.known_covariance import KnownCovariance, known_covariance
from bayesmix.errors import FileError

__all__ = ["matrix_from_saved", "saved_matrix"]


def saved_matrix(between: Between, name: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Describe a known covariance; of a sparse inverse the entries that are not zero.

    Parameters
    ----------
    between : Between
    name : str
        What its arrays are called.
    arrays : dict of str to ndarray
        Receives them.

    Returns
    -------
    dict
        For JSON.
    """
    labels = list(between.known.labels)
    sparse = getattr(between.known.source, "precision", None)
    if sparse is None:
        below = np.tril_indices(len(labels))
        arrays[name] = between.covariance[below]
        return {"name": between.name, "array": name, "labels": labels, "sparse": False}
    entries = sparse.tocoo()
    arrays |= {
        name: np.asarray(entries.data, dtype=np.float64),
        f"{name}_row": np.asarray(entries.row, dtype=np.int64),
        f"{name}_column": np.asarray(entries.col, dtype=np.int64),
    }
    return {"name": between.name, "array": name, "labels": labels, "sparse": True}


def matrix_from_saved(saved: Any, arrays: Mapping[str, np.ndarray]) -> tuple[str, KnownCovariance]:
    """Read and check what `saved_matrix` describes, from a file that is not trusted.

    Raises
    ------
    FileError
        If it is no matrix.
    DataError
        If it is no covariance.
    """
    from scipy import sparse

    name, labels = str(saved["name"]), [str(label) for label in saved["labels"]]
    n, values = len(labels), arrays.get(str(saved["array"]))
    if values is None or values.dtype.kind != "f" or values.ndim != 1:
        raise FileError(f"the file does not have the known covariance {name}")
    if saved["sparse"]:
        places = [arrays.get(f"{saved['array']}_{part}") for part in ("row", "column")]
        for at in places:
            fits = at is not None and at.dtype.kind == "i" and at.shape == values.shape
            if at is None or not fits or (len(at) and not (at.min() >= 0 and at.max() < n)):
                raise FileError(f"the known covariance {name} of the file is no {n} by {n} matrix")
        inverse = sparse.coo_array((values, tuple(places)), shape=(n, n)).tocsc()
        return name, known_covariance(inverse, name, labels)
    if len(values) != n * (n + 1) // 2:
        raise FileError(f"the known covariance {name} of the file is no {n} by {n} matrix")
    A = np.zeros((n, n))
    A[np.tril_indices(n)] = values
    A = A + np.tril(A, -1).T
    return name, known_covariance(pd.DataFrame(A, index=labels, columns=labels), name)
