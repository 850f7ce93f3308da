"""What smooths have learned, as arrays and JSON, and back: bases are not found anew from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.design import Design, LinearPredictor
from bayesmix.design.smooths import FixedColumns, SmoothColumns
from bayesmix.errors import FileError
from bayesmix.smooths import Smooth

__all__ = ["saved_smooths", "with_saved_smooths"]


def saved_smooths(design: Design, arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Describe the smooths of a design, each term once.

    Parameters
    ----------
    design : Design
    arrays : dict of str to ndarray
        Filled with what is no JSON.

    Returns
    -------
    list of dict
        In the order of the predictors and their terms; empty without smooths.
    """
    found: list[dict[str, Any]] = []
    for parameter, predictor in design.predictors.items():
        for term, own in {one.term.name: one for one in predictor.smooths}.items():
            state: dict[str, dict[str, Any]] = {}
            for key, value in own.smooth.state().items():
                state[key] = {"shape": list(value.shape)}
                if value.dtype.kind == "f" and value.ndim and value.size:
                    name = f"smooth_{len(found)}_{key.replace('.', '_')}"
                    state[key]["array"], arrays[name] = name, np.ravel(value)
                else:
                    state[key]["values"] = np.ravel(value).tolist()
            found.append({"parameter": parameter, "term": term, "state": state})
    return found


def with_saved_smooths(
    design: Design, saved: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]
) -> Design:
    """Take the bases of a file in the place of those that the data gave.

    Parameters
    ----------
    design : Design
        Built from the data of the file.
    saved : sequence of mapping
        As `saved_smooths` makes it, from a file that is not trusted.
    arrays : mapping of str to ndarray

    Returns
    -------
    Design

    Raises
    ------
    FileError
        If they are not the smooths of the formula.
    """
    smooths = {(str(one["parameter"]), str(one["term"])): _smooth(one, arrays) for one in saved}
    predictors = {
        parameter: _restored(predictor, {t: s for (p, t), s in smooths.items() if p == parameter},
                             design)
        for parameter, predictor in design.predictors.items()
    }  # fmt: skip
    return replace(design, predictors=predictors)


def _smooth(saved: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Smooth:
    state = {}
    for key, described in saved["state"].items():
        values = (
            arrays[described["array"]]
            if "array" in described
            else np.asarray(described["values"], dtype=None if described["values"] else float)
        )
        state[str(key)] = np.reshape(values, [int(size) for size in described["shape"]])
    return Smooth.from_state(state)


def _restored(
    predictor: LinearPredictor, smooths: Mapping[str, Smooth], design: Design
) -> LinearPredictor:
    """A predictor with the columns of its smooths from other bases."""
    X, groups = predictor.X.copy(), []
    made: dict[str, SmoothColumns] = {}
    for group in predictor.groups:
        own = group.smooth
        if own is None:
            groups.append(group)
        else:
            known = smooths.get(own.term.name)
            if known is None or _shape(known) != _shape(own.smooth):
                raise FileError(f"the file does not hold the smooth {own.term.name} of its formula")
            own = made[own.name] = replace(own, smooth=known)
            fixed, penalised = own.build(design.frame)
            for k, name in enumerate(own.fixed_names):
                if name in predictor.fixed_effects:
                    X[:, predictor.fixed_effects.index(name)] = fixed[:, k]
            groups.append(replace(group, smooth=own, Z=penalised))
    columns = predictor.fixed_columns
    return replace(
        predictor,
        X=X,
        groups=tuple(groups),
        fixed_columns=FixedColumns(
            terms=columns.terms, smooths=tuple(made[one.name] for one in columns.smooths)
        ),
    )


def _shape(smooth: Smooth) -> list[tuple[str, bool, tuple[int, ...]]]:
    return [(part.name, part.penalised, part.map.shape) for part in smooth.parts]
