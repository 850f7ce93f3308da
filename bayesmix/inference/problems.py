"""The algebra's view of a stated model, made once for each and kept as long as the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from bayesmix.design import Design, LinearPredictor
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.problem import Problem, build_problem
from bayesmix.inference.kernel_cache import announce_compilation
from bayesmix.inference.streamed_problem import streamed_problem
from bayesmix.residual import ResidualParameter, RowScale
from bayesmix.statement.stated import StatedModel
from bayesmix.streaming import design_of_batch

if TYPE_CHECKING:
    from bayesmix.glmm.problem import GlmmProblem
    from bayesmix.inference.row_file import RowFile
    from bayesmix.inference.row_table import RowTable

__all__ = ["gaussian_problem", "glmm_problem", "model_of_rows", "row_scale", "table_of_rows"]

_GAUSSIAN: WeakKeyDictionary[StatedModel, Problem] = WeakKeyDictionary()
_GLMM: WeakKeyDictionary[StatedModel, GlmmProblem] = WeakKeyDictionary()
_TABLES: WeakKeyDictionary[StatedModel, RowTable] = WeakKeyDictionary()
_BY_ROW: WeakKeyDictionary[StatedModel, GlmmProblem] = WeakKeyDictionary()
_IN_MEMORY: WeakKeyDictionary[StatedModel, GlmmProblem] = WeakKeyDictionary()


def gaussian_problem(model: StatedModel) -> Problem:
    """Return the cross-products of a normal model: all that its algebra needs.

    Parameters
    ----------
    model : StatedModel

    Returns
    -------
    Problem
    """
    if model not in _GAUSSIAN:
        scale = row_scale(model, model.design)
        structure = model.residual
        structured = scale is not None or (structure is not None and bool(structure.parameters))
        announce_compilation(normal=True, structured=structured)
        if model.design.streamed is not None and structure is not None:
            _GAUSSIAN[model] = streamed_problem(model.design.mu, model.design.streamed, structure)
            return _GAUSSIAN[model]
        _GAUSSIAN[model] = build_problem(
            model.design.mu, model.y, residual=structure, rows=model.rows, scale=scale
        )
    return _GAUSSIAN[model]


def row_scale(model: StatedModel, design: Design) -> RowScale | None:
    """Return what the predictor of sigma is to the algebra: a coefficient each, by stratum.

    Rows with the same values of its columns are one stratum. Where the intercept has its
    prior at the columns' means the coefficients are those of centred columns, and all are those
    of columns near one.

    Parameters
    ----------
    model : StatedModel
    design : Design
        That of the model, or the same in another order of the rows.

    Raises
    ------
    NotSupportedError
        If the predictor has no coefficient.
    """
    if "sigma" not in design.predictors or not model.family.is_normal:
        return None
    predictor = design.predictors["sigma"]
    n, p = predictor.X.shape
    if not p:
        raise NotSupportedError(
            f"`{predictor.formula}` leaves no coefficient of sigma to estimate: keep the "
            "intercept, or give known standard deviations by known_se="
        )
    offset = np.zeros(n) if predictor.offset is None else predictor.offset
    found, stratum = np.unique(np.column_stack([predictor.X, offset]), axis=0, return_inverse=True)
    X, change = found[:, :p].copy(), np.eye(p)
    if model.prior_entries.predictors["sigma"].intercept_is_centered:
        at, slopes = predictor.fixed_effects.index("Intercept"), list(predictor.slopes)
        X[:, slopes] -= predictor.means[slopes]
        change[at, slopes] = -predictor.means[slopes]
    units = _units_of_sigma(model, predictor, X)
    X, change = X * units, change * units
    return RowScale(
        X=X, offset=found[:, p], stratum=stratum.reshape(-1).astype(np.int64),
        parameters=tuple(
            ResidualParameter(
                name=f"sigma: {name}", support="real", start=0.0, prior=("Flat", {}), unit=unit
            )
            for name, unit in zip(predictor.fixed_effects, units.tolist(), strict=True)
        ),
        variable=model.names.of("sigma").beta,
        change=change,
    )  # fmt: skip


def _units_of_sigma(model: StatedModel, predictor: LinearPredictor, X: np.ndarray) -> np.ndarray:
    """Powers of ten that bring sigma's columns near one, shape (p,); no digit changes by them.

    A search takes steps in units of the coefficients, and so do differences. Priors that are
    not normal are of the formula's coefficients, and leave these as they are.
    """
    sizes = np.sqrt(np.mean(X**2, axis=0))
    units = 10.0 ** -np.round(np.log10(np.where(sizes > 0, sizes, 1.0)))
    for j, name in enumerate(predictor.fixed_effects):
        prior = model.prior_entries.of_residual(f"sigma: {name}").prior
        if prior.distribution not in {"Normal", "Flat"}:
            units[j] = 1.0
    return units


def glmm_problem(
    model: StatedModel, *, every_row: bool = False, in_memory: bool = False
) -> GlmmProblem:
    """Return rows, layout and coordinates of a model beyond the normal.

    Parameters
    ----------
    model : StatedModel
    every_row : bool
        Whether each row of the data has to be one, also where rows that are alike are many.
    in_memory : bool
        Whether rows have to be in memory, also where these are read in batches and many differ.
        Those of `every_row` are.

    Returns
    -------
    GlmmProblem
    """
    known = _BY_ROW if every_row else _GLMM
    if in_memory and not every_row and model in known and known[model].rows.is_stored:
        known = _IN_MEMORY
    if model not in known:
        from bayesmix.glmm.compressed import compressed

        announce_compilation(normal=False)
        if model.design.streamed is not None:
            in_memory = in_memory or every_row
            known[model] = _problem_of_batches(model, every_row=every_row, in_memory=in_memory)
        else:
            gp = _built(model)
            known[model] = gp if every_row else compressed(gp)
    return known[model]


def _built(model: StatedModel, table: RowTable | RowFile | None = None) -> GlmmProblem:
    """The problem of the model's own rows, or of a table in their place."""
    from bayesmix.glmm.problem import build_glmm_problem

    return build_glmm_problem(
        model.design.predictors,
        model.family,
        model.y,
        model.rows,
        model.prior_entries,
        {name: len(labels) for name, labels in model.names.parameter_labels.items()},
        table,
    )


def _problem_of_batches(model: StatedModel, *, every_row: bool, in_memory: bool) -> GlmmProblem:
    """The same of rows that are read in batches: those that differ, or all in a file."""
    from bayesmix.glmm.rows import ROW_KERNELS
    from bayesmix.inference.row_file import MOST_ROWS, RowFile

    table, adds = table_of_rows(model, np.inf if in_memory else MOST_ROWS), False
    if table is None:
        own = RowFile(own=model.design.mu, streamed=model.design.streamed, family=model.family)
        gp = _built(model, own)
    else:
        adds = ROW_KERNELS[model.family.row_kernel].adds and not every_row
        gp = _built(model, table.added() if adds else table)
    # The table has more rows than a problem that adds them up, and a file has none in memory.
    return replace(gp, row_of=np.zeros(0, dtype=np.int64)) if adds or table is None else gp


def table_of_rows(model: StatedModel, most: float = np.inf) -> RowTable | None:
    """Return the rows that differ of a model beyond the normal, read in batches.

    Parameters
    ----------
    model : StatedModel
    most : float
        How many there may be; with more there is no table.
    """
    from bayesmix.inference.row_table import row_table

    if model.family.is_linear_normal:
        raise NotSupportedError(
            "a normal model of data that are read in batches has cross-products and no table of "
            "rows: take gaussian_problem"
        )
    if model not in _TABLES:
        design = model.design
        found = row_table(design.mu, design.streamed, model.family, most)
        if found is None:
            return None
        _TABLES[model] = found
    return _TABLES[model]


def model_of_rows(model: StatedModel) -> StatedModel:
    """Return the model with rows that stand for all of its data, where these are read in batches.

    Parameters
    ----------
    model : StatedModel
        One beyond the normal.

    Returns
    -------
    StatedModel
        Itself where it has its rows.
    """
    if model.design.streamed is None:
        return model
    table = table_of_rows(model)
    assert table is not None  # noqa: S101, for mypy
    design = design_of_batch(model.design, table.batch())
    return model.with_parts(design=design, y=table.y)
