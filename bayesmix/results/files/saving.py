"""`save`: a result into a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.results.files.saved_model import saved_model
from bayesmix.results.files.storage import MODEL_GROUP, write_tree
from bayesmix.results.tabular.tree import versions

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.statement.stated import FittableModel

__all__ = ["SavesDraws", "SavesEstimates"]


class SavesDraws:
    """A posterior in a file."""

    model: FittableModel
    idata: xr.DataTree

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the draws and the model into a file that `bmx.load` reads.

        The file holds all groups of `idata`, the formula, the family, the priors, and
        the rows and columns of the data that the model uses, so that a loaded posterior
        predicts, checks and refits. Functions of your own are not in it.

        Parameters
        ----------
        path : str or path
            Ending in .nc (netCDF 4, one file, which ArviZ and xarray read as well) or
            .zarr (a folder). A former file is replaced when the new one is complete.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If the ending is another, or the place cannot be written (a full disk, say).
            What was there before, and the draws, are as they were.
        """
        import xarray as xr

        groups = {name: _plain(node.to_dataset()) for name, node in self.idata.children.items()}
        groups[MODEL_GROUP] = saved_model(self.model)
        groups["/"] = _plain(xr.Dataset(attrs=self.idata.attrs))
        return write_tree(xr.DataTree.from_dict(groups), path)


class SavesEstimates:
    """An empirical Bayes fit in a file."""

    model: FittableModel
    method: Any

    if TYPE_CHECKING:

        @property
        def loglik(self) -> float: ...  # noqa: D102

        @property
        def _fit_options(self) -> dict[str, Any]: ...

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model with its data into a file; `bmx.load` repeats the fit.

        Parameters
        ----------
        path : str or path
            Ending in .nc (netCDF 4, one file) or .zarr (a folder). A former file is
            replaced when the new one is complete.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If the ending is another, or the place cannot be written.
        """
        import xarray as xr

        attributes = {
            "method": self.method,
            "fit_options": json.dumps(self._fit_options),
            "loglik": self.loglik,
            **versions(),
        }
        groups = {"/": xr.Dataset(attrs=attributes), MODEL_GROUP: saved_model(self.model)}
        return write_tree(xr.DataTree.from_dict(groups), path)


def _plain(data: xr.Dataset) -> xr.Dataset:
    """A data set without the attributes and encodings that a file cannot hold."""
    out = data.copy()
    parts: list[Any] = [out, *out.variables.values()]
    for values in parts:
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.attrs.items()}
        values.attrs = {k: v for k, v in plain.items() if isinstance(v, str | int | float)}
        values.encoding = {}
    return out
