"""Draws with their labels: ArviZ's DataTree."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.covariance import covariance_of
from bayesmix.design import Design, LinearPredictor
from bayesmix.inference.draws import Draws
from bayesmix.statement.names import CATEGORY, Names, PredictorNames

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MOMENTS_GROUP", "build_tree", "coordinates", "posterior_dims", "versions"]

MOMENTS_GROUP = "group_moments_data"


def posterior_dims(design: Design, names: Names) -> dict[str, list[str]]:
    """Dimensions of each posterior variable, behind chain and draw."""
    dims = {name: [names.parameter_dim(name)] for name in names.parameter_labels}
    dims |= {name: list(own) for name, own in names.residual_dims.items()}
    for parameter, predictor in design.predictors.items():
        called = names.of(parameter)
        dims[called.beta] = [called.fixed_effect]
        for group in predictor.groups:
            g = group.name
            effect = called.effect_dim(g)
            dims[called.sd(g)] = [called.sd_dim(group)]
            dims |= {called.parameter(p, g): [] for p in covariance_of(group).parameters()}
            dims[called.corr(g)] = [effect, called.effect_dim_bis(g)]
            dims[called.b(g)] = [called.level_dim(g), effect]
    return dims


def build_tree(
    design: Design,
    names: Names,
    y: np.ndarray,
    draws: Draws,
    attributes: Mapping[str, str | float | int],
) -> xr.DataTree:
    """Label the draws and put the data beside them.

    Parameters
    ----------
    design : Design
    names : Names
    y : ndarray, shape (n,) or (n, K)
    draws : Draws
    attributes : mapping
        Written at the root; text and numbers only, so that netCDF can hold them.

    Returns
    -------
    DataTree
        With the groups posterior (prior for draws from the prior),
        sample_stats, observed_data and constant_data; without the latter two where no rows are
        kept.
    """
    import xarray as xr

    coords = coordinates(design, names)
    constant: dict[str, Any] = dict(design.row_data)
    dims = posterior_dims(design, names) | {names.observed: list(names.observed_dims)}
    dims |= {name: [names.obs_dim] for name in constant}
    for parameter, predictor in design.predictors.items():
        arrays, own_dims = _columns(predictor, names.of(parameter))
        constant |= arrays
        dims |= own_dims
    groups: dict[str, Mapping[str, Any]] = {"posterior": draws.posterior}
    if draws.sample_stats:
        groups["sample_stats"] = draws.sample_stats
    if draws.group_moments:
        groups[MOMENTS_GROUP], moment_dims = _moments(draws, names)
        dims |= moment_dims
    # Without ArviZ's conversion, which copies all labels for each variable.
    nodes = {name: _drawn(values, dims, coords, name) for name, values in groups.items()}
    if design.streamed is None:
        nodes["observed_data"] = _data({names.observed: y}, dims, coords)
        nodes["constant_data"] = _data(constant, dims, coords)
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs |= dict(attributes)
    tree["posterior"].attrs |= dict(attributes)
    return tree


def _drawn(
    values: Mapping[str, np.ndarray], dims: Mapping[str, list[str]], coords: Mapping[str, Any],
    group: str,
) -> xr.Dataset:  # fmt: skip
    """Label a group of variables as ArviZ does."""
    import xarray as xr

    first = [] if group == MOMENTS_GROUP else ["chain", "draw"]
    variables: dict[str, Any] = {}
    used: dict[str, Any] = {}
    for name, array in values.items():
        own = [*first, *dims.get(name, [])]
        # What a user added to the PyMC model has dimensions without a name.
        own += [f"{name}_dim_{k}" for k in range(np.ndim(array) - len(own))]
        variables[name] = (own, array)
        used |= {
            dim: coords[dim] if dim in coords else np.arange(size)
            for dim, size in zip(own, np.shape(array), strict=True)
            if dim not in used
        }
    return xr.Dataset(variables, used, attrs=_attributes(first))


def _attributes(sample_dims: list[str]) -> dict[str, Any]:
    """What ArviZ writes beside a group; importing it to say so takes as long as a small fit."""
    return {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
        "creation_library": "ArviZ",
        "creation_library_version": _version("arviz-base"),
        "creation_library_language": "Python",
        "sample_dims": list(sample_dims),
    }


def _columns(
    predictor: LinearPredictor, names: PredictorNames
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Arrays of one linear predictor, and their dimensions."""
    arrays: dict[str, np.ndarray] = {}
    dims: dict[str, list[str]] = {}
    if predictor.fixed_effects:
        arrays[names.own("X")] = predictor.X
        dims[names.own("X")] = [names.obs_dim, names.fixed_effect]
    if predictor.offset is not None:
        arrays[names.own("offset")] = predictor.offset
        dims[names.own("offset")] = [names.obs_dim]
    for group in predictor.groups:
        g = group.name
        arrays |= {names.Z(g): group.Z, names.index(g): group.index}
        dims |= {names.Z(g): [names.obs_dim, names.effect_dim(g)], names.index(g): [names.obs_dim]}
    return arrays, dims


def _data(
    values: Mapping[str, np.ndarray], dims: Mapping[str, list[str]], coords: Mapping[str, Any]
) -> xr.Dataset:
    import xarray as xr

    used = {dim: coords[dim] for name in values for dim in dims[name]}
    return xr.Dataset({n: (dims[n], v) for n, v in values.items()}, coords=used)


def _moments(draws: Draws, names: Names) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Means and standard deviations that stand for draws of the group effects."""
    values, dims = {}, {}
    for g, found in draws.group_moments.items():
        for name, array in (
            (f"{names.b(g)}_mean", found.mean),
            (f"{names.b(g)}_sd", found.sd),
            (f"coefficient_{g}_mean", found.coefficient_mean),
            (f"coefficient_{g}_sd", found.coefficient_sd),
        ):
            values[name] = array
            dims[name] = [names.level_dim(g), names.effect_dim(g)]
    return values, dims


def versions() -> dict[str, str]:
    """Versions of what a result depends on, as attributes of a tree."""
    packages = ("bayesmix", "pymc", "pytensor", "nutpie", "arviz-base", "formulaic")
    return {f"version_{name}": _version(name) for name in packages}


@functools.cache
def _version(name: str) -> str:
    """Version of a package; its description is read once in a process."""
    return importlib.metadata.version(name)


def coordinates(design: Design, names: Names) -> dict[str, Any]:
    """Labels along each dimension of a tree, chain and draw apart."""
    coords: dict[str, Any] = {}
    if design.streamed is None:
        # A range for all rows: it takes no memory, and a million of them are not searched.
        rows = pd.RangeIndex(design.n_obs) if design.rows is None else design.rows
        coords[names.obs_dim] = rows
    for name, labels in names.parameter_labels.items():
        coords[names.parameter_dim(name)] = np.asarray(labels, dtype=object)
    if names.counted:
        coords[CATEGORY] = np.asarray(names.counted, dtype=object)
    for dim, labels in names.residual_coords.items():
        coords[dim] = np.asarray(labels, dtype=object)
    for parameter, predictor in design.predictors.items():
        called = names.of(parameter)
        if predictor.fixed_effects:
            coords[called.fixed_effect] = np.asarray(predictor.fixed_effects, dtype=object)
        for group in predictor.groups:
            g = group.name
            effects = np.asarray(group.effects, dtype=object)
            coords[called.level_dim(g)] = group.levels.labels
            coords[called.effect_dim(g)] = effects
            covariance = covariance_of(group)
            if covariance.tied:
                coords[called.sd_dim(group)] = np.asarray(covariance.sd_labels, dtype=object)
            if covariance.has_correlations:
                coords[called.effect_dim_bis(g)] = effects
    return coords
