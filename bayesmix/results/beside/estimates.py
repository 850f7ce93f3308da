"""What one fit estimates, in one form for whoever fitted it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesmix.results.beside.matching import GroupNames, TermNames
from bayesmix.results.fit import Fit

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["COLUMNS", "TEXT", "Estimates", "frame", "names_to_match", "own_estimates"]

COLUMNS = {
    "fixed_effects": ("term", "estimate", "sd", "lower", "upper"),
    "variance_components": ("group", "effect", "variance", "sd", "sd_lower", "sd_upper"),
    "correlations": ("group", "effect_1", "effect_2", "estimate", "lower", "upper"),
    "covariance_parameters": ("group", "parameter", "estimate", "sd", "lower", "upper"),
    "group_effects": ("group", "level", "effect", "estimate", "sd", "lower", "upper"),
}
TEXT = ("term", "group", "effect", "effect_1", "effect_2", "parameter", "level")


def frame(table: str, rows: Any) -> pd.DataFrame:
    """Make one of the tables of `Estimates` from rows in the order of its columns."""
    columns = list(COLUMNS[table])
    return pd.DataFrame(rows, columns=columns).astype(
        {name: "str" if name in TEXT else float for name in columns}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Estimates of one fit; a table without rows where there are none.

    Attributes
    ----------
    name : str
        What the fit is called if the user does not say.
    n_obs : int or None
        Rows of the data, where that is known.
    fixed_effects, variance_components, correlations, covariance_parameters,
    group_effects : DataFrame
        With the columns of `COLUMNS`.
    note : str
        What the reader of the intervals should know; may be empty.
    is_own : bool
        Whether bayesmix made the fit.
    """

    name: str
    n_obs: int | None
    fixed_effects: pd.DataFrame
    variance_components: pd.DataFrame
    correlations: pd.DataFrame
    covariance_parameters: pd.DataFrame
    group_effects: pd.DataFrame
    note: str = ""
    is_own: bool = False


def own_estimates(fit: Fit, ci_prob: float) -> Estimates:
    """Collect the tables of a fit by bayesmix."""
    quick = fit._law.quick
    tables = {
        "fixed_effects": fit.fixed_effects(ci_prob, **quick),
        "variance_components": fit.variance_components(ci_prob, **quick),
        "correlations": fit.correlations(ci_prob, **quick),
        "covariance_parameters": fit.covariance_parameters(ci_prob, **quick),
    }
    if fit.model.design.mu.grouping:
        tables["group_effects"] = fit.group_effects(ci_prob=ci_prob, **quick)
    found: dict[str, Any] = {
        key: tables[key][list(columns)] if key in tables else frame(key, [])
        for key, columns in COLUMNS.items()
    }
    reasons = fit._without_estimate()
    return Estimates(
        name=fit._called(), n_obs=fit.model.design.n_obs, is_own=True,
        note=f"{reasons}." if reasons else "", **found,
    )  # fmt: skip


def names_to_match(models: list[FittableModel]) -> tuple[TermNames, GroupNames]:
    """Gather the names that other programs' names are to be matched with."""
    terms = {name: None for model in models for name in model.design.mu.all_fixed_columns}
    effects: dict[str, dict[str, None]] = {}
    levels: dict[str, set[str]] = {}
    for model in models:
        for group in model.design.mu.grouping:
            effects.setdefault(group.name, {}).update(dict.fromkeys(group.effects))
            levels.setdefault(group.name, set()).update(group.levels.labels.tolist())
            terms.update(dict.fromkeys(group.effects))
    known = TermNames(terms)
    return known, GroupNames({g: tuple(e) for g, e in effects.items()}, levels, known)
