"""Draws of rows with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.statement.names import CATEGORY

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
    values : ndarray, shape (S, n), or (S, n, K) of the categories of the response
    rows : Rows
    draws : int or None
        How many were asked for.
    name : str

    Returns
    -------
    DataArray, dims (chain, draw, row) and response_category
    """
    import xarray as xr

    chains, each = law.draw_labels(draws)
    dims: tuple[str, ...] = ("chain", "draw", model.names.obs_dim)
    coords: dict[str, Any] = {"chain": chains, "draw": each, model.names.obs_dim: rows.positions}
    if values.ndim > 2:
        dims += (CATEGORY,)
        labels = model.family.categories(model.design.response)
        coords[CATEGORY] = [str(label) for label in labels]
    return xr.DataArray(
        values.reshape(len(chains), len(each), *values.shape[1:]),
        dims=dims, coords=coords, name=name,
    )  # fmt: skip
