"""`load`: a result out of a file that is not trusted."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable, Mapping
from numbers import Integral, Number
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.answering import answering
from bayesmix.covariance import covariance_of
from bayesmix.errors import OWN_FILES, DataWarning, FileError
from bayesmix.model.model import Model
from bayesmix.residual import Residual
from bayesmix.results.empirical_bayes import EmpiricalBayes
from bayesmix.results.files.saved_model import model_from_saved
from bayesmix.results.files.storage import MODEL_GROUP, read_tree
from bayesmix.results.posterior import Posterior
from bayesmix.results.tabular.tree import MOMENTS_GROUP, coordinates, posterior_dims
from bayesmix.statement.names import posterior_variables

if TYPE_CHECKING:
    import xarray as xr


__all__ = ["check_supports", "load"]

_LARGEST = 1e150  # of a draw: of larger ones no square is a number
_ROUNDING = 1e-6  # of correlations, which may be held in single precision


@answering
def load(
    path: str | os.PathLike[str], *, functions: Mapping[str, Callable[..., Any]] | None = None
) -> Posterior | EmpiricalBayes:
    """Read a fit that `save` wrote.

    Nothing in the file is unpickled or executed: the formula goes through the same
    checks as one that is typed. A posterior has its draws from the file; an empirical
    Bayes fit is repeated on the data in the file.

    Nothing is read that lies outside the file, or that `save` did not write. The file is
    checked first, a netCDF file by a child process: links of any kind, arrays in other
    files, references, a group within a group, more than 10,000 arrays and groups, in
    netCDF any compression and more bytes of arrays than the file has, in zarr more than
    a hundred bytes of arrays for each on disk (beyond 256 MB) or more than a million
    files are refused, and so are arrays that memory does not hold. A check that takes
    more than 10 s of the processor, and one more for each 50 MB, is given up.

    Parameters
    ----------
    path : str or path
        Ending in .nc or .zarr.
    functions : mapping of str to callable, optional
        The functions of your own that the formula calls: a file holds none.

    Returns
    -------
    Posterior or EmpiricalBayes

    Raises
    ------
    FileError
        If there is no such file, it is damaged (its numbers are held against checksums,
        which files of earlier versions do not have) or is not one of bayesmix, a
        draw is outside of its parameter's range, or the formula does not make the columns
        of the fit again.

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
    tree = read_tree(path)
    try:
        return _result(tree, functions)
    except FileError as error:
        raise FileError(f"{str(path)!r}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError,
            MemoryError, OverflowError, ArithmeticError) as error:  # fmt: skip
        raise FileError(
            f"{str(path)!r} was not written by bayesmix, or is damaged: {error!r}"
        ) from error


def _result(
    tree: xr.DataTree, functions: Mapping[str, Callable[..., Any]] | None
) -> Posterior | EmpiricalBayes:
    if MODEL_GROUP not in tree.children:
        raise FileError("not a fit that bayesmix saved")
    model = model_from_saved(Model, tree[MODEL_GROUP].to_dataset(), functions)
    if "posterior" not in tree.children:
        return _repeated(model, tree.attrs)
    del tree[MODEL_GROUP]
    _check_run(tree.attrs)
    _check_posterior(model, tree)
    return Posterior.from_tree(model, _with_labels(model, tree))


def _check_run(attributes: Mapping[Any, Any]) -> None:
    """Hold what the file says about the run against what a fit reads of it."""
    for name in ("seed", "tune", "prior_only", "interrupted"):
        if not isinstance(attributes.get(name), Integral) or attributes[name] < 0:
            raise FileError(f"its {name} is {attributes.get(name)!r}, which is no whole number")
    if not isinstance(attributes["seconds"], Number):
        raise FileError(f"its seconds are {attributes['seconds']!r}, which is no number")
    for name in ("engine", "choice", "pymc_changes"):  # a summary prints them
        words = attributes.get(name, None if name == "engine" else "")
        if not isinstance(words, str) or not words.isprintable():
            raise FileError(f"its {name} is {words!r}, which is no line of text")
    options = json.loads(attributes["fit_options"])
    known = inspect.signature(Model.fit).parameters
    if not isinstance(options, dict) or not options.keys() <= known.keys():
        raise FileError(f"its fit_options are {attributes['fit_options']!r}, which name none")


def _check_posterior(model: Model, tree: xr.DataTree) -> None:
    """Hold the draws and the arrays of the data against what the model has."""
    design, names = model.design, model.names
    posterior = tree["posterior"].to_dataset()
    sizes = {name: len(labels) for name, labels in coordinates(design, names).items()}
    sizes |= {name: _some(posterior.sizes[name]) for name in ("chain", "draw")}
    in_moments = set(tree[MOMENTS_GROUP].data_vars) if MOMENTS_GROUP in tree.children else set()
    for name in posterior_variables(design, names, model.family):
        if f"{name}_mean" in in_moments:
            continue
        if name not in posterior:
            raise FileError(f"the file has no draws of {name}")
        wanted = ("chain", "draw", *posterior_dims(design, names).get(name, ()))
        found = posterior[name]
        if set(found.dims) != set(wanted) or found.dtype.kind != "f":
            raise FileError(f"the draws of {name} have the dimensions {found.dims}")
        for dim in wanted:
            if found.sizes[dim] != sizes[dim]:
                raise FileError(
                    f"the draws of {name} have {found.sizes[dim]} values along {dim}, "
                    f"and the model {sizes[dim]}"
                )
        if not tree.attrs.get("prior_only"):  # a prior may be wide
            _check_size(name, found.to_numpy())
    if not tree.attrs.get("pymc_changes"):  # what was changed by hand may have another support
        check_supports(model, posterior)
    if in_moments:
        _check_moments(tree[MOMENTS_GROUP].to_dataset())
    if design.streamed is not None:
        return  # there are no rows, and the sums are of this design
    observed = tree["observed_data"][names.observed].to_numpy()
    _check_equal("the response", observed, model.y)
    _check_predictors(model, tree["constant_data"])


def _some(n_draws: int) -> int:
    if not n_draws:
        raise FileError("the file has no draws")
    return n_draws


def _check_size(name: str, draws: np.ndarray) -> None:
    if not np.isfinite(draws).all():
        raise FileError(f"the draws of {name} are not all finite")
    largest = np.abs(draws).max(initial=0.0)
    if largest > _LARGEST:
        raise FileError(f"a draw of {name} is {largest:.4g} in size, and none of a fit is so large")


def _check_predictors(model: Model, constant: Any) -> None:
    """Hold the columns of each linear predictor against those of the file."""
    for parameter, predictor in model.design.predictors.items():
        called = model.names.of(parameter)
        if predictor.fixed_effects:
            X = constant[called.own("X")]
            _check_equal("the fixed effects", X.to_numpy(), predictor.X)
        for group in predictor.groups:
            Z, index = constant[called.Z(group.name)], constant[called.index(group.name)]
            _check_equal(f"the effects by {group.name}", Z.to_numpy(), group.Z)
            _check_equal(f"the levels of {group.name}", index.to_numpy(), group.index)


def _check_moments(moments: xr.Dataset) -> None:
    for name, found in moments.data_vars.items():
        values = found.to_numpy()
        if not np.isfinite(values).all() or (str(name).endswith("_sd") and (values < 0).any()):
            raise FileError(f"{name} is not what means and standard deviations can be")


def check_supports(model: Model, posterior: xr.Dataset) -> None:
    """Refuse draws that no value of a parameter can be.

    Parameters
    ----------
    model : Model
    posterior : Dataset

    Raises
    ------
    FileError
        Naming the variable and the value.
    """
    names, family = model.names, model.family
    for parameter, predictor in model.design.predictors.items():
        called = names.of(parameter)
        for group in predictor.groups:
            _check_range(posterior, called.sd(group.name), 0.0, np.inf)
            covariance = covariance_of(group)
            for name, own in covariance.parameters().items():
                _check_range(posterior, called.parameter(name, group.name), own.lower, own.upper)
            if covariance.has_correlations:
                name = called.corr(group.name)
                dims = called.effect_dim(group.name), called.effect_dim_bis(group.name)
                _check_correlations(posterior, name, dims)
    for name in model.parameters:
        support = family.parameters[name].support
        if support in {"positive", "unit"}:
            _check_range(posterior, name, 0.0, 1.0 if support == "unit" else np.inf)
        elif support == "ordered" and (posterior[name].diff(names.parameter_dim(name)) < 0).any():
            raise FileError(f"the draws of {name} are not in order")
    if model.residual is not None:
        _check_residual(model.residual, posterior)


def _check_residual(residual: Residual, posterior: xr.Dataset) -> None:
    """The same for what a residual structure has in the posterior: numbers, vectors, matrices."""
    known = {one.name: one for one in (*residual.scale_parameters, *residual.parameters)}
    for name, dims in residual.dims.items():
        if name in known:
            one = known[name]
            if one.support != "real":
                upper = one.upper if one.support == "interval" else np.inf
                _check_range(posterior, name, one.lower, upper)
        elif len(dims) == 2:
            _check_correlations(posterior, name, dims)
        elif residual.scale_parameters:
            _check_range(posterior, name, 0.0, np.inf)
        else:
            _check_range(posterior, name, -1 - _ROUNDING, 1 + _ROUNDING)


def _check_correlations(posterior: xr.Dataset, name: str, dims: tuple[str, ...]) -> None:
    _check_range(posterior, name, -1 - _ROUNDING, 1 + _ROUNDING)
    corr = posterior[name].transpose(..., *dims).to_numpy()
    if (np.abs(np.diagonal(corr, axis1=-2, axis2=-1) - 1) > _ROUNDING).any():
        raise FileError(f"the draws of {name} are no correlation matrices")


def _check_range(posterior: xr.Dataset, name: str, lower: float, upper: float) -> None:
    values = posterior[name].to_numpy()
    wrong = values[(values < lower) | (values > upper)]
    if wrong.size:
        ends = f"lie beyond {lower:.4g} and {upper:.4g}" if upper < np.inf else "be below 0"
        raise FileError(f"the draws of {name} cannot {ends}, and one is {wrong[0]:.6g}")


def _check_equal(what: str, saved: np.ndarray, made: np.ndarray) -> None:
    if saved.shape != made.shape or not np.allclose(saved, made, rtol=1e-9, atol=1e-12):
        raise FileError(
            f"the formula does not make {what} again as saved: another version of a package, "
            "or another function of the same name"
        )


def _with_labels(model: Model, tree: xr.DataTree) -> xr.DataTree:
    """The tree with the labels as they were: files bring text back in other types."""
    import xarray as xr

    labels = coordinates(model.design, model.names)
    groups = {}
    for name, node in tree.children.items():
        data = node.to_dataset()
        own = {dim: values for dim, values in labels.items() if dim in data.coords}
        groups[name] = data.assign_coords(own)
    return xr.DataTree.from_dict({**groups, "/": xr.Dataset(attrs=tree.attrs)})


def _repeated(model: Model, attributes: Mapping[Any, Any]) -> EmpiricalBayes:
    method, options = attributes["method"], json.loads(attributes["fit_options"])
    eb = model.fit_eb(
        method, n_quadrature=int(options.get("n_quadrature", 1)),
        algebra=options.get("algebra", "auto"),
    )  # fmt: skip
    before = float(attributes["loglik"])
    if not abs(eb.loglik - before) <= 1e-6 * max(1.0, abs(before)):
        warnings.warn(
            f"the log-likelihood was {before:.6f} when the fit was saved and is now "
            f"{eb.loglik:.6f}",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )
    return eb
