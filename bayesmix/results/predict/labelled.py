"""Draws of rows with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.laws.base import Law
    from bayesmix.laws.rows import Rows
    from bayesmix.statement.stated import StatedModel

__all__ = ["labelled_draws"]


def labelled_draws(
    model: StatedModel, law: Law, values: np.ndarray, rows: Rows, draws: int | None, name: str
) -> xr.DataArray:
    """Label the draws of some rows.

    Parameters
    ----------
    model : StatedModel
    law : Law
        Which drew them.
    values : ndarray, shape (S, n)
    rows : Rows
    draws : int or None
        How many were asked for.
    name : str

    Returns
    -------
    DataArray, dims (chain, draw, row)
    """
    import xarray as xr

    chains, each = law.draw_labels(draws)
    row = model.names.obs_dim
    return xr.DataArray(
        values.reshape(len(chains), len(each), rows.n_rows),
        dims=("chain", "draw", row),
        coords={"chain": chains, "draw": each, row: rows.positions},
        name=name,
    )
