"""A model as arrays and JSON, and back: its formula, data, family and priors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.design.between import Between, Matrices
from bayesmix.errors import BayesmixError, FileError
from bayesmix.families import FAMILIES
from bayesmix.priors.model_priors import ModelPriors, PredictorPriors, PriorInForce
from bayesmix.priors.prior import Prior
from bayesmix.results.files.saved_columns import (
    column_from_saved,
    index_from_saved,
    saved_column,
    saved_index,
)
from bayesmix.results.files.saved_matrices import matrix_from_saved, saved_matrix
from bayesmix.results.files.saved_smooths import saved_smooths, with_saved_smooths
from bayesmix.results.files.saved_sums import described_sums, remembered, saved_sums
from bayesmix.statement.specification import Specification
from bayesmix.statement.stated import StatedModel

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["model_from_saved", "saved_model"]

# 2: with the model whose levels, knots and priors were kept; 3: with several linear predictors;
# 4: with known covariances between levels; 5: with smooths; 6: with a residual structure;
# 7: with sums in the place of rows.
_FORMAT = 7
_LEARNED = "learned_from_"


def saved_model(model: StatedModel) -> xr.Dataset:
    """Describe a model by arrays and one JSON text.

    The data are the rows and columns that the model uses.

    Parameters
    ----------
    model : Model

    Returns
    -------
    Dataset
        The attribute `specification` is the JSON text.
    """
    import xarray as xr

    design, given = model.design, model.specification
    arrays: dict[str, np.ndarray] = {}
    known = saved_sums(model, arrays) if design.streamed is not None else None
    frame = design.frame if known is None else known.frame
    columns = [
        {"name": str(name), **saved_column(frame[name], f"column_{i}", arrays)}
        for i, name in enumerate(frame.columns)
    ]
    described: dict[str, Any] = {
        "format": _format(model),
        "formula": given.formula,
        "family": given.family.name,
        "link": given.family.link,
        "parametrization": given.parametrization,
        "functions": sorted(
            {name for p in design.predictors.values() for name in p.formula.called}
            & set(given.functions)
        ),
        "user_priors": {
            name: _saved_prior(Prior.from_any(prior, name)) for name, prior in given.priors.items()
        },
        "priors": _saved_priors(model.prior_entries),
        "columns": columns,
        "row_columns": model.row_columns,
        "n_rows_given": design.n_rows_given,
    }
    if known is None:
        name = design.row_labels.name
        described["row_labels"] = saved_index(design.row_labels, "row_labels", arrays)
        described["row_name"] = None if name is None else str(name)
    else:
        described["sums"] = described_sums(known)
    others = [name for name in design.predictors if name != "mu"]
    if others:
        predictors = model.prior_entries.predictors
        described["others"] = {
            name: _saved_priors(ModelPriors(predictors={"mu": predictors[name]}, family={}))
            for name in others
        }
    related = _related(model)
    if related:
        described["matrices"] = [
            saved_matrix(between, f"matrix_{k}", arrays) for k, between in enumerate(related)
        ]
    smooths = saved_smooths(design, arrays)
    if smooths:
        described["smooths"] = smooths
    if design.rows is not None and known is None:
        arrays["rows"] = design.rows
    if model.learned_from is not None:
        whole = saved_model(model.learned_from)
        described["learned_from"] = json.loads(whole.attrs["specification"])
        arrays |= {f"{_LEARNED}{name}": a.to_numpy() for name, a in whole.data_vars.items()}
    beside = {"weights": design.weights, "known_se": design.known_se} if known is None else {}
    arrays |= {name: values for name, values in beside.items() if values is not None}
    data = {name: ([f"{name}_dim"], values) for name, values in arrays.items()}
    return xr.Dataset(data, attrs={"specification": json.dumps(described)})


def model_from_saved[M: StatedModel](
    make: Callable[..., M], saved: xr.Dataset, functions: Mapping[str, Callable[..., Any]] | None
) -> M:
    """Make the model again.

    Parameters
    ----------
    make : callable
        The class of the model, called as `Model` is.
    saved : Dataset
        As `saved_model` makes it, from a file that is not trusted.
    functions : mapping of str to callable, optional
        The user's functions that the formula calls.

    Returns
    -------
    Model

    Raises
    ------
    FileError
        If the description makes no model, or functions are missing.
    """
    arrays = {str(name): values.to_numpy() for name, values in saved.data_vars.items()}
    return _model(make, _described(saved), arrays, functions)


def _model[M: StatedModel](
    make: Callable[..., M],
    described: dict[str, Any],
    arrays: Mapping[str, np.ndarray],
    functions: Mapping[str, Callable[..., Any]] | None,
) -> M:
    whole = _whole(make, described, arrays, functions)
    missing = [name for name in described["functions"] if name not in (functions or {})]
    if missing:
        raise FileError(
            f"the formula calls {', '.join(missing)}, and a file holds no functions: "
            f"load(path, functions={{{missing[0]!r}: ...}})"
        )
    if described["family"] not in FAMILIES:
        raise FileError(f"there is no family {described['family']!r}")
    frame = pd.DataFrame(
        {column["name"]: column_from_saved(column, arrays) for column in described["columns"]}
    )
    formula = described["formula"]
    sums = described.get("sums")
    data: Any
    if sums is None:
        data, given = _with_row_data(frame, described, arrays)
    else:
        data = remembered(sums, frame, described["n_rows_given"], arrays)
        given = data.beside
    try:
        specification = Specification(
            formula=tuple(formula) if isinstance(formula, list) else formula,
            family=FAMILIES[described["family"]](link=described["link"]),
            priors={n: _prior_from_saved(p) for n, p in described["user_priors"].items()},
            functions=functions or {},
            parametrization=described["parametrization"],
            matrices=Matrices(
                dict(matrix_from_saved(one, arrays) for one in described.get("matrices", ()))
            ),
            **given,
        )
        model = specification.build(make, data, learned_from=whole)
        priors = _priors_from_saved(described["priors"])
        others = {n: _priors_from_saved(p).mu for n, p in described.get("others", {}).items()}
        priors = replace(priors, predictors={**priors.predictors, **others})
    except BayesmixError as error:
        raise FileError(f"the file describes no model: {error}") from error
    found = [entry.parameter for entry in priors]
    if found != [entry.parameter for entry in model.prior_entries]:
        raise FileError("the priors in the file are not those of its formula")
    note = "a fit from a file has the columns that it used"
    if sums is not None:
        return model.with_parts(priors=priors, data_note=note)
    labels = index_from_saved(described["row_labels"], arrays).rename(described["row_name"])
    rows = arrays.get("rows")
    if len(labels) != model.design.n_obs or (rows is not None and len(rows) != len(labels)):
        raise FileError(f"the file has {len(labels)} labels for {model.design.n_obs} rows")
    design = model.design
    if described.get("smooths"):
        design = with_saved_smooths(design, described["smooths"], arrays)
    design = replace(
        design, row_labels=labels, rows=rows, n_rows_given=int(described["n_rows_given"])
    )
    return model.with_parts(design=design, priors=priors, data_note=note)


def _whole[M: StatedModel](
    make: Callable[..., M],
    described: dict[str, Any],
    arrays: Mapping[str, np.ndarray],
    functions: Mapping[str, Callable[..., Any]] | None,
) -> M | None:
    """The model that this one has learned from, if there is one."""
    if described.get("learned_from") is None:
        return None
    if not isinstance(described["learned_from"], dict) or any(
        n.startswith(2 * _LEARNED) for n in arrays
    ):
        raise FileError("the file does not say what its model learned from")
    theirs = {n.removeprefix(_LEARNED): a for n, a in arrays.items() if n.startswith(_LEARNED)}
    return _model(make, described["learned_from"], theirs, functions)


def _with_row_data(
    frame: pd.DataFrame, described: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Weights and standard errors as arguments, as columns where they were columns."""
    given: dict[str, Any] = {}
    for name in ("weights", "known_se"):
        if name in arrays:
            given[name] = arrays[name]
            column = described["row_columns"].get(name)
            if column is not None:
                frame = frame if column in frame else frame.assign(**{column: arrays[name]})
                given[name] = column
    return frame, given


def _format(model: StatedModel) -> int:
    """The first version of the format that can hold a model, so that older readers can, too."""
    if model.design.streamed is not None:
        return _FORMAT
    if model.design.residual is not None:
        return 6
    if any(predictor.smooths for predictor in model.design.predictors.values()):
        return 5
    if _related(model):
        return 4
    if len(model.design.predictors) > 1:
        return 3
    return 1 if model.learned_from is None else 2


def _related(model: StatedModel) -> list[Between]:
    """The known covariances that its grouping factors have, each once."""
    found = {
        group.between.name: group.between
        for predictor in model.design.predictors.values()
        for group in predictor.groups
        if group.between is not None
    }
    return list(found.values())


def _described(saved: xr.Dataset) -> dict[str, Any]:
    text = saved.attrs.get("specification")
    if not isinstance(text, str):
        raise FileError("the file does not say what its model is")
    described = json.loads(text)
    if not isinstance(described, dict) or not isinstance(described.get("format"), int):
        raise FileError("the file does not say what its model is")
    if described["format"] > _FORMAT:
        raise FileError(
            f"the file has format {described['format']} and this bayesmix knows {_FORMAT}: upgrade"
        )
    return described


def _saved_prior(prior: Prior) -> list[Any]:
    return [prior.distribution, dict(prior.parameters)]


def _prior_from_saved(saved: Any) -> Prior:
    distribution, parameters = saved
    return Prior(distribution, **parameters)


def _saved_entry(entry: PriorInForce) -> dict[str, Any]:
    return {
        "parameter": entry.parameter, "prior": _saved_prior(entry.prior),
        "origin": entry.origin, "note": entry.note,
    }  # fmt: skip


def _entry_from_saved(saved: Any) -> PriorInForce:
    return PriorInForce(
        parameter=str(saved["parameter"]),
        prior=_prior_from_saved(saved["prior"]),
        origin="user" if saved["origin"] == "user" else "default",
        note=str(saved["note"]),
    )


def _saved_priors(priors: ModelPriors) -> dict[str, Any]:
    return {
        "intercept": None if priors.intercept is None else _saved_entry(priors.intercept),
        "intercept_is_centered": priors.intercept_is_centered,
        "coefficients": [_saved_entry(e) for e in priors.coefficients],
        "sd": {name: [_saved_entry(e) for e in entries] for name, entries in priors.sd.items()},
        "corr": {name: _saved_entry(e) for name, e in priors.corr.items()},
        "family": {name: _saved_entry(e) for name, e in priors.family.items()},
        "residual": {name: _saved_entry(e) for name, e in priors.residual.items()},
        "structure": {
            group: {name: _saved_entry(e) for name, e in own.items()}
            for group, own in priors.structure.items()
        },
    }


def _priors_from_saved(saved: Any) -> ModelPriors:
    intercept = saved["intercept"]
    mu = PredictorPriors(
        intercept=None if intercept is None else _entry_from_saved(intercept),
        intercept_is_centered=bool(saved["intercept_is_centered"]),
        coefficients=tuple(_entry_from_saved(e) for e in saved["coefficients"]),
        sd={n: tuple(_entry_from_saved(e) for e in found) for n, found in saved["sd"].items()},
        corr={name: _entry_from_saved(e) for name, e in saved["corr"].items()},
        structure={
            group: {name: _entry_from_saved(e) for name, e in own.items()}
            for group, own in saved.get("structure", {}).items()
        },
    )
    family = {name: _entry_from_saved(e) for name, e in saved["family"].items()}
    residual = {name: _entry_from_saved(e) for name, e in saved.get("residual", {}).items()}
    return ModelPriors(predictors={"mu": mu}, family=family, residual=residual)
