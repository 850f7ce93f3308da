"""Tables of a fit, one function each: labels beside what the law of its parameters says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesmix.covariance import covariance_of
from bayesmix.design import GroupingFactor, LinearPredictor
from bayesmix.errors import NotSupportedError
from bayesmix.families import Family

if TYPE_CHECKING:
    from bayesmix.laws.base import Asked, Law

__all__ = [
    "correlations_table",
    "covariance_parameters_table",
    "exponentiated",
    "family_parameters_table",
    "fixed_effects_table",
    "group_table",
    "smooths_table",
    "text_column",
    "variance_components_table",
    "wide_table",
    "with_aliased_terms",
]


def fixed_effects_table(law: Law, asked: Asked) -> pd.DataFrame:
    """One row per coefficient, NaN for one that was left out as aliased."""
    own = law.linear_predictor
    table = pd.DataFrame({"term": text_column(own.fixed_effects), **law.coefficients(asked)})
    return with_aliased_terms(table, own)


def family_parameters_table(law: Law, asked: Asked) -> pd.DataFrame:
    """One row per parameter of the family; a vector of thresholds has one for each."""
    names, columns = law.own_parameters(asked)
    return pd.DataFrame({"parameter": text_column(names), **columns})


def group_table(
    law: Law, group: GroupingFactor, asked: Asked, *, with_fixed: bool, n_levels: int | None = None
) -> pd.DataFrame:
    """One row per level and effect of a grouping factor.

    Parameters
    ----------
    law : Law
    group : GroupingFactor
    asked : Asked
    with_fixed : bool
        Whether the fixed effect of the same name is added, so that the interval knows
        their covariance.
    n_levels : int, optional
        Only the first so many levels.
    """
    columns = law.effects(group, asked, with_fixed=with_fixed, n_levels=n_levels)
    if group.is_membership:  # its effects are the levels
        return pd.DataFrame(
            {
                "group": text_column([group.name] * group.n_effects),
                "level": text_column(group.effects),
                "effect": text_column(["Intercept"] * group.n_effects),
                **columns,
            }
        )
    levels = group.levels.labels[:n_levels]
    table = pd.DataFrame(
        {
            "group": text_column([group.name] * (len(levels) * group.n_effects)),
            "level": text_column(np.repeat(levels, group.n_effects)),
            "effect": text_column(group.effects * len(levels)),
            **columns,
        }
    )
    if group.present is None:
        return table
    return table[group.present[:n_levels].ravel()].reset_index(drop=True)


def variance_components_table(law: Law, asked: Asked) -> pd.DataFrame:
    """One row per standard deviation of a group's effect, and the residual's."""
    return _labelled(("group", "effect"), *law.components(asked))


def smooths_table(law: Law, asked: Asked) -> pd.DataFrame:
    """One row per standard deviation of a smooth; without smooths there are none."""
    mu = law.model.design.mu
    smooths = [group for group in mu.groups if group.smooth is not None]
    if not smooths:
        return pd.DataFrame()
    degrees = law.smooth_degrees()
    rows: list[tuple[str, str, int, float, str]] = []
    for group in smooths:
        own = group.smooth
        assert own is not None  # noqa: S101
        basis = own.smooth.basis
        n_fixed = sum(name in mu.fixed_effects for name in own.fixed_names)
        edf = degrees[group.name] + n_fixed
        for label in covariance_of(group).sd_labels:
            part = "" if label == group.name else label
            rows.append((group.name, own.term.kind, basis.n_columns, edf, part))
    return pd.DataFrame(
        {
            "term": text_column([row[0] for row in rows]),
            "basis": text_column([row[1] for row in rows]),
            "k": np.asarray([row[2] for row in rows], dtype=np.int64),
            "edf": np.asarray([row[3] for row in rows], dtype=np.float64),
            "part": text_column([row[4] for row in rows]),
            **law.smooth_sds(asked),
        }
    )


def correlations_table(law: Law, asked: Asked) -> pd.DataFrame:
    """One row per pair of effects whose correlation is estimated."""
    return _labelled(("group", "effect_1", "effect_2"), *law.correlations(asked))


def covariance_parameters_table(law: Law, asked: Asked) -> tuple[pd.DataFrame, str]:
    """One row per parameter of a covariance structure, and why limits are missing."""
    labels, columns, notes = law.covariance_parameters(asked)
    return _labelled(("group", "parameter"), labels, columns), "; ".join(notes)


def _labelled(
    names: Sequence[str], labels: Sequence[Sequence[str]], columns: dict[str, np.ndarray]
) -> pd.DataFrame:
    texts = {name: text_column([row[i] for row in labels]) for i, name in enumerate(names)}
    return pd.DataFrame(texts | columns)


def exponentiated(table: pd.DataFrame, family: Family, parameter: str = "mu") -> pd.DataFrame:
    """Turn coefficients of a linear predictor into ratios: odds ratios, rate ratios.

    Estimate and interval are exponentiated, so a median or an equal-tailed interval is
    that of the ratio; sd is the ratio times the sd of the coefficient (delta method).

    Raises
    ------
    NotSupportedError
        If exp(coefficient) means nothing under the family's link.
    """
    of_response = parameter == "mu" or family.is_nominal
    ratio = family.ratio if of_response else family.parameter_link(parameter).ratio
    if not ratio:
        whose = "its coefficients" if parameter == "mu" else f"the coefficients of {parameter}"
        raise NotSupportedError(
            f"exponentiate=True makes no sense for the family {family}: {whose} are "
            "no logarithms of ratios, as they are with the logit, log and cloglog links"
        )
    ratios = table.copy()
    with np.errstate(over="ignore"):  # per unit of a predictor of tiny values a ratio is infinite
        for name in ("estimate", "lower", "upper"):
            ratios[name] = np.exp(table[name])
    ratios["sd"] = ratios["estimate"] * table["sd"]
    return ratios


def with_aliased_terms(table: pd.DataFrame, predictor: LinearPredictor) -> pd.DataFrame:
    """Put coefficients that were left out as aliased in their place, with NaN."""
    if not predictor.aliased:
        return table
    return table.set_index("term").reindex(list(predictor.all_fixed_columns)).reset_index()


def wide_table(table: pd.DataFrame) -> pd.DataFrame:
    """Turn a table of group effects into a row per level and a column per effect."""
    wide = table.pivot_table(
        index=["group", "level"], columns="effect", values="estimate", sort=False
    )
    return wide.rename_axis(columns=None).reset_index()


def text_column(values: Sequence[str] | np.ndarray) -> pd.Series[str]:
    """Return a column of text, of pandas' own text type also where it is empty."""
    return pd.Series(list(values), dtype="str")
