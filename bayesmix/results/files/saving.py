"""`save`: a result into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.results.files.saved_model import saved_model
from bayesmix.results.files.storage import MODEL_GROUP, write_tree
from bayesmix.results.having_law import HasLaw

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Saves"]


class Saves(HasLaw):
    """A fit in a file."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fit and its model into a file that `bmx.load` reads.

        The file holds the formula, the family, the priors, and the rows and columns of the
        data that the model uses, so that a loaded fit predicts, checks and refits; of a
        posterior also all groups of `idata`. An empirical Bayes fit is repeated when it is
        loaded. Functions of your own are not in it. Of data that were read in batches it holds
        levels, states of transforms and sums, and no rows; the loaded fit answers what the fit
        did, and a changed formula needs ``update(..., data=...)``.

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
            What was there before, and the fit, are as they were.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> with TemporaryDirectory() as folder:
        ...     bmx.load(eb.save(Path(folder) / "sleep.nc")).method
        'reml'
        """
        import xarray as xr

        groups = {name: _plain(data) for name, data in self._to_save().items()}
        groups[MODEL_GROUP] = saved_model(self.model)
        return write_tree(xr.DataTree.from_dict(groups), path)

    def _to_save(self) -> dict[str, xr.Dataset]:
        """What a file holds beside the model, by group; "/" has the attributes."""
        raise NotImplementedError


def _plain(data: xr.Dataset) -> xr.Dataset:
    """A data set without the attributes and encodings that a file cannot hold."""
    out = data.copy()
    parts: list[Any] = [out, *out.variables.values()]
    for values in parts:
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.attrs.items()}
        values.attrs = {k: v for k, v in plain.items() if isinstance(v, str | int | float)}
        values.encoding = {}
    return out
