"""Estimates from a table as R's broom and broom.mixed write it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.errors import DataError, FileError
from bayesmix.results.beside.estimates import Estimates, frame
from bayesmix.results.beside.matching import GroupNames, TermNames

__all__ = ["read_tidy", "tidy_estimates"]

_PARAMETER = re.compile(r"^(?P<kind>sd|cor|var|cov)_{1,2}(?P<what>.+)$")
_NUMBERS = {"estimate": "estimate", "std.error": "sd", "conf.low": "lower", "conf.high": "upper"}


def read_tidy(path: str | Path) -> pd.DataFrame:
    """Read a CSV file; levels stay text.

    Raises
    ------
    FileError
        If the file cannot be read as a table.
    """
    try:
        return pd.read_csv(path, dtype={"level": "str", "term": "str", "group": "str"})
    except FileNotFoundError:
        raise FileError(f"there is no file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise FileError(f"{str(path)!r} cannot be read as a CSV file: {error}") from None


def tidy_estimates(
    table: pd.DataFrame, name: str, ci_prob: float, terms: TermNames, groups: GroupNames
) -> Estimates:
    """Sort the rows of a tidy table by what they estimate.

    Where the table has no intervals, normal ones are made from its standard errors.
    A row that fits no table stays as a fixed effect of its own name.

    Parameters
    ----------
    table : DataFrame
        With term and estimate, and as broom.mixed has them effect ("fixed",
        "ran_pars", "ran_vals", "ran_coefs"), group, level, std.error, conf.low,
        conf.high, component. A table of bayesmix (sd, lower, upper) will do as well.
    name : str
    ci_prob : float
    terms : TermNames
    groups : GroupNames

    Returns
    -------
    Estimates

    Raises
    ------
    DataError
        If columns are missing or do not hold numbers.
    """
    rows = _prepared(table, name, ci_prob)
    kind = rows["effect"]
    is_own = kind.isin(["ran_pars", "ran_vals", "ran_coefs"])
    fixed = rows[~is_own]
    parameters = rows[kind == "ran_pars"]
    values = rows[kind == "ran_vals"]
    if values.empty:
        values = _without_fixed(rows[kind == "ran_coefs"], fixed, terms, groups)
    components, correlations, left = _parameters(parameters, groups)
    fixed_rows = [(terms.name(r.term), r.estimate, r.sd, r.lower, r.upper) for r in _each(fixed)]
    given = rows.loc[~is_own, "given"].any() or rows.loc[kind == "ran_vals", "given"].any()
    return Estimates(
        name=name,
        n_obs=None,
        fixed_effects=frame("fixed_effects", fixed_rows + left),
        variance_components=frame("variance_components", components),
        correlations=frame("correlations", correlations),
        covariance_parameters=frame("covariance_parameters", []),
        group_effects=frame(
            "group_effects",
            [
                (groups.group(r.group), groups.level(r.group, r.level),
                 groups.effect(groups.group(r.group), r.term), r.estimate, r.sd, r.lower, r.upper)
                for r in _each(values)
            ],
        ),
        note=f"The intervals of {name} are those of its table." if given else "",
    )  # fmt: skip


def _each(rows: pd.DataFrame) -> Any:
    return rows.itertuples(index=False)


def _prepared(table: pd.DataFrame, name: str, ci_prob: float) -> pd.DataFrame:
    """The columns that are read, under bayesmix's names, complete and of the right type."""
    own = {"group", "level", "effect", "estimate"} <= set(table.columns)
    if own and "term" not in table.columns:
        raise DataError(
            f"{name!r} is a table of group coefficients or effects; compare_estimates takes fits, "
            "tables of fixed effects, and tables as broom.mixed writes them"
        )
    missing = [column for column in ("term", "estimate") if column not in table.columns]
    if missing:
        raise DataError(
            f"{name!r} has no column {' or '.join(map(repr, missing))}; wanted is a table as "
            "broom.mixed's tidy() writes it, with effect, group, level, term, estimate, "
            f"std.error; it has {', '.join(map(str, list(table.columns)[:8]))}"
        )
    out = pd.DataFrame(index=range(len(table)))
    for column in ("effect", "group", "level", "term", "component"):
        empty = [""] * len(table)
        out[column] = _text(table[column]) if column in table.columns else empty
    for theirs, ours in _NUMBERS.items():
        column = theirs if theirs in table.columns else ours
        try:
            out[ours] = (
                pd.to_numeric(table[column]).to_numpy(dtype=float, na_value=np.nan)
                if column in table.columns
                else np.nan
            )
        except (ValueError, TypeError) as error:
            raise DataError(f"{column!r} of {name!r} does not hold numbers: {error}") from None
    out["given"] = out["lower"].notna()
    z = special.ndtri((1 + ci_prob) / 2)
    wald = ~out["given"] & (out["effect"] != "ran_pars")
    out.loc[wald, "lower"] = out["estimate"] - z * out["sd"]
    out.loc[wald, "upper"] = out["estimate"] + z * out["sd"]
    other = ~out["component"].isin(["", "cond"])  # glmmTMB's zi and disp
    out.loc[other, "term"] = out["component"] + "." + out["term"]
    return out


def _text(column: pd.Series[Any]) -> list[str]:
    def word(value: Any) -> str:
        if pd.isna(value):
            return ""
        whole = isinstance(value, float | np.floating) and value == np.floor(value)
        return str(int(value)) if whole else str(value)

    return [word(value) for value in column.astype(object)]


def _without_fixed(
    coefficients: pd.DataFrame, fixed: pd.DataFrame, terms: TermNames, groups: GroupNames
) -> pd.DataFrame:
    """Coefficients per level less the fixed effects: the group effects, without errors."""
    center = {terms.name(row.term): row.estimate for row in _each(fixed)}
    out = coefficients.copy()
    effects = [groups.effect(groups.group(r.group), r.term) for r in _each(coefficients)]
    out["estimate"] -= [center.get(effect, 0.0) for effect in effects]
    out[["sd", "lower", "upper"]] = np.nan
    return out


def _parameters(
    rows: pd.DataFrame, groups: GroupNames
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Standard deviations, correlations, and what is neither; variances become sds."""
    components: list[tuple[Any, ...]] = []
    pairs: list[tuple[str, str, str, float, float, float]] = []
    covariances: list[tuple[str, str, str, float]] = []
    left: list[tuple[Any, ...]] = []
    sds: dict[tuple[str, str], float] = {}
    for r in _each(rows):
        found = _PARAMETER.match(r.term)
        what = "" if found is None else found["what"]
        group = r.group
        if found is not None and not group and "." in what:  # broom of old: sd_x.Subject
            what, group = what.rsplit(".", 1)
        group = groups.group(group)
        if found is None:
            left.append((f"{r.term} ({r.group})" if r.group else r.term,
                         r.estimate, r.sd, r.lower, r.upper))  # fmt: skip
        elif found["kind"] in {"sd", "var"}:
            residual = what == "Observation" or (group == "Residual")
            where = ("Residual", "") if residual else (group, groups.effect(group, what))
            ends = [r.estimate, r.lower, r.upper]
            if found["kind"] == "var":
                ends = [v if np.isnan(v) else float(np.sqrt(max(v, 0.0))) for v in ends]
            sds[where] = ends[0]
            components.append((*where, ends[0] ** 2, *ends))
        else:
            one, two = _pair(group, what, groups)
            if found["kind"] == "cor":
                pairs.append((group, one, two, r.estimate, r.lower, r.upper))
            else:
                covariances.append((group, one, two, r.estimate))
    for group, one, two, covariance in covariances:
        scale = sds.get((group, one), np.nan) * sds.get((group, two), np.nan)
        rho = covariance / scale if scale > 0 else np.nan
        pairs.append((group, one, two, rho, np.nan, np.nan))
    return components, list(pairs), left


def _pair(group: str, text: str, groups: GroupNames) -> tuple[str, str]:
    """The two effects of ``(Intercept).Days``, whose names may hold dots themselves."""
    dots = [i for i, c in enumerate(text) if c == "."]
    cuts = [(text[:i], text[i + 1 :]) for i in dots] or [(text, "")]
    known = [
        cut for cut in cuts if all(groups.has_effect(group, part) for part in cut)
    ]  # fmt: skip
    one, two = (groups.effect(group, part) for part in (known or cuts)[0])
    if groups.order(group, one) > groups.order(group, two):
        return two, one
    return one, two
