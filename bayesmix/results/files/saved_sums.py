"""Sums in the place of rows, as arrays and JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.errors import BayesmixError, FileError
from bayesmix.inference.problems import gaussian_problem, table_of_rows
from bayesmix.statement.stated import StatedModel
from bayesmix.streaming import Remembered

__all__ = ["described_sums", "remembered", "saved_sums"]

_SUM, _PRODUCTS = "sum_", "products"
_BESIDE = ("weights", "known_se")


def saved_sums(model: StatedModel, arrays: dict[str, np.ndarray]) -> Remembered:
    """Put the sums of a model into `arrays`.

    Parameters
    ----------
    model : StatedModel
        One of data that are read in batches.
    arrays : dict of str to ndarray
        Receives them.

    Returns
    -------
    Remembered

    Raises
    ------
    FileError
        If the formula does not make the same columns of labels and sums alone.
    """
    if model.family.is_linear_normal:
        gaussian_problem(model)  # which has the cross-products, and leaves them there
    else:
        n = model.design.n_obs
        found = table_of_rows(model, n // 2)  # which leaves it there
        if found is None or 2 * len(found.y) > n:
            raise FileError(
                f"a fit of the family {model.family} to {model.design.streamed.name} stands on "
                f"its rows, of which more than half of {n:,} differ, and files keep no rows: round "
                "columns that need not be so fine, write the tables of the fit (bmx.tables, "
                "report), or fit the model to a frame and save that"
            )
    design = model.design
    known: Remembered = design.streamed.remembered(model.formula.text, design.n_rows_given)
    _check_made_again(model, known)
    arrays |= {f"{_SUM}{name}": values for name, values in known.arrays.items()}
    arrays[_PRODUCTS] = known.products
    return known


def _check_made_again(model: StatedModel, known: Remembered) -> None:
    """Refuse to write what could not be read."""
    why = ""
    try:
        again = model.specification.build(StatedModel, known)
    except BayesmixError as error:
        why = f": {error}"
    else:
        mine, other = (
            (d.mu.fixed_effects, [(g.name, g.effects, list(g.levels.labels)) for g in d.mu.groups])
            for d in (model.design, again.design)
        )
        if mine == other:
            return
    raise FileError(
        f"`{model.formula}` cannot be built from sums alone, and the rows are not kept{why}; "
        "make the columns of its terms in the data, or read them into a frame"
    )


def described_sums(known: Remembered) -> dict[str, Any]:
    """What JSON holds of the sums."""
    return {
        "source": known.name, "formula": known.formula, "beside": known.beside,
        "states": known.states, "n_obs": known.n_obs,
    }  # fmt: skip


def remembered(
    described: Any, frame: pd.DataFrame, n_given: Any, arrays: Mapping[str, np.ndarray]
) -> Remembered:
    """Read what `saved_sums` wrote, from a file that is not trusted.

    Raises
    ------
    FileError
        If it is no description of sums.
    """
    n_obs, n_given, products = int(described["n_obs"]), int(n_given), arrays.get(_PRODUCTS)
    beside = {str(name): str(column) for name, column in dict(described["beside"]).items()}
    if not 0 < n_obs <= n_given or not set(beside) <= set(_BESIDE):
        raise FileError("the file does not say what its sums are of")
    if products is None or products.dtype.kind != "f" or products.ndim != 1:
        raise FileError("the file lacks the cross-products")
    return Remembered(
        str(described["source"]), formula=str(described["formula"]), beside=beside, frame=frame,
        states=dict(described["states"]), products=products, n_given=n_given, n_obs=n_obs,
        arrays={
            name.removeprefix(_SUM): values for name, values in arrays.items()
            if name.startswith(_SUM)
        },
    )  # fmt: skip
