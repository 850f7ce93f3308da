"""A separate regression per level and one for all, to set beside partial pooling."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.arguments import check_probability, one_of
from bayesmix.design import GroupingFactor
from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.families.base import Rows
from bayesmix.inference.announce import announce
from bayesmix.results.beside.regression import (
    Regression,
    Values,
    check_regression,
    fit_regression,
    is_least_squares,
)
from bayesmix.results.tabular.tables import text_column, with_aliased_terms

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["Sigma", "coefficients_by_level", "complete_pooling", "no_pooling"]

Sigma = Literal["pooled", "own"]

_SLOW = 150  # levels; a regression beyond least squares takes about 10 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """The regression of one level: the columns it has, and what came out."""

    columns: np.ndarray
    fit: Regression
    note: str


def complete_pooling(model: FittableModel, ci_prob: float) -> pd.DataFrame:
    """Fit one regression to all rows, as if there were no groups.

    Parameters
    ----------
    model : Model
    ci_prob : float

    Returns
    -------
    DataFrame
        term, estimate, sd, lower, upper, note.
    """
    _check(model, ci_prob)
    design = model.design
    found = fit_regression(model.family, model.y, design.mu.X, design.mu.offset, model.rows)
    variance = found.rss / found.df if np.isfinite(found.df) and found.df > 0 else 1.0
    if found.df == 0:
        variance = np.nan
    sd = np.sqrt(np.diag(found.unscaled) * variance)
    estimate, sd, lower, upper = _intervals(found.beta, sd, found.df, ci_prob)
    table = pd.DataFrame(
        {
            "term": text_column(design.mu.fixed_effects),
            "estimate": estimate,
            "sd": sd,
            "lower": lower,
            "upper": upper,
            "note": text_column([found.note if np.isnan(b) else "" for b in estimate]),
        }
    )
    table = with_aliased_terms(table, design.mu)
    if design.mu.aliased:
        table.loc[table["term"].isin(design.mu.aliased), "note"] = "left out as aliased"
    return table


def no_pooling(
    model: FittableModel, group: str | None, ci_prob: float, sigma: Sigma
) -> pd.DataFrame:
    """Fit a separate regression to the rows of each level.

    Parameters
    ----------
    model : Model
    group : str, optional
        A grouping factor; the first by default.
    ci_prob : float
    sigma : {"pooled", "own"}

    Returns
    -------
    DataFrame
        group, level, effect, estimate, sd, lower, upper, note.
    """
    _check(model, ci_prob)
    one_of("sigma", sigma, get_args(Sigma))
    design, family = model.design, model.family
    if not design.mu.grouping:
        raise NotSupportedError(
            f"the model {model.formula} has no group effects: there is nothing to fit apart; "
            "complete_pooling() is its regression"
        )
    chosen = _one_group(model, group)
    least_squares = is_least_squares(family, model.rows)
    if not least_squares and chosen.n_levels > _SLOW:
        announce(
            f"Fitting {chosen.n_levels} regressions, about {chosen.n_levels * 0.012:.0f} s ...",
            progress=True,
        )
    held, start = _family_parameters(model)
    names, columns, varies = _columns(model, chosen)
    fits = [
        _one_level(
            family,
            model.y[rows],
            columns[rows],
            None if design.mu.offset is None else design.mu.offset[rows],
            {name: values[rows] for name, values in model.rows.items()},
            n_own=chosen.n_effects,
            varies=varies,
            start=start,
            held=held,
        )
        for rows in _rows_by_level(chosen)
    ]
    return _table(chosen, names, fits, ci_prob, pooled=least_squares and sigma == "pooled")


def coefficients_by_level(
    family: Family, group: GroupingFactor, y: np.ndarray, offset: np.ndarray, rows: Rows,
    held: Values,
) -> np.ndarray:  # fmt: skip
    """Regress y on Z within each level.

    Parameters
    ----------
    family : Family
    group : GroupingFactor
        With G levels and q effects.
    y : ndarray, shape (n,)
    offset : ndarray, shape (n,)
        The part of the linear predictor that does not vary by this grouping factor.
    rows : mapping of str to ndarray, shape (n,)
    held : mapping
        The family's parameters, which are taken as known.

    Returns
    -------
    ndarray, shape (G, q)
        NaN for a level whose rows do not determine its coefficients, or whose
        likelihood has no maximum, and for effects that are zero in all of its rows.
    """
    found = np.full((group.n_levels, group.n_effects), np.nan)
    for level, at in enumerate(_rows_by_level(group)):
        there = _there(group.Z[at])
        found[level, there] = fit_regression(
            family, y[at], group.Z[np.ix_(at, there)], offset[at],
            {name: values[at] for name, values in rows.items()}, held=held,
        ).beta  # fmt: skip
    return found


def _one_group(model: FittableModel, group: str | None) -> GroupingFactor:
    mu = model.design.mu
    if group is not None:
        chosen = mu.group(group)
    else:
        chosen = next((g for g in mu.grouping if not g.is_membership), mu.grouping[0])
    if chosen.is_membership:
        raise NotSupportedError(
            f"rows belong to several levels of {chosen.name}, so no level has a regression of its "
            "own; complete_pooling() is that of all rows"
        )
    return chosen


def _check(model: FittableModel, ci_prob: float) -> None:
    check_probability("ci_prob", ci_prob)
    check_regression(model.family, model.rows)
    changes = model.pymc_changes
    if changes:
        raise NotSupportedError(
            f"model.pymc_model was changed by hand ({changes.words}), and regressions without "
            "pooling go by what the formula says (`del model.pymc_model` brings the formula's back)"
        )
    smooths = model.design.mu.smooths
    if smooths:
        raise NotSupportedError(
            f"regressions without pooling have no penalties, and the model has {smooths[0].name}; "
            "put bs(x, df=...) in the place of s(x)"
        )
    others = [f"{name} ~ ..." for name in model.design.predictors if name != "mu"]
    if model.residual is not None and model.residual.correlated:
        others.append("residual ~ ...")
    if others:
        raise NotSupportedError(
            "regressions without pooling have independent rows of one distribution, and the model "
            f"has {' and '.join(others)}; ask a model of its first formula alone"
        )
    categories = model.family.categories(model.design.response)
    for k, category in enumerate(categories, start=1):
        if not np.any(model.y == k):
            raise NotSupportedError(
                f"no row has the category {category!r}, whose threshold has no finite estimate by "
                "maximum likelihood; fit() has a posterior"
            )


def _rows_by_level(group: GroupingFactor) -> Iterator[np.ndarray]:
    order = np.argsort(group.index, kind="stable")
    bounds = np.searchsorted(group.index[order], np.arange(group.n_levels + 1))
    for start, stop in itertools.pairwise(bounds):
        yield order[start:stop]


def _family_parameters(model: FittableModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Thresholds are held at those of all rows together; the others start there."""
    family, design = model.family, model.design
    if is_least_squares(family, model.rows) or not family.parameters:
        return {}, {}
    everywhere = fit_regression(
        family, model.y, design.mu.X, design.mu.offset, model.rows
    ).parameters
    vectors = family.vector_parameters
    held = {name: value for name, value in everywhere.items() if name in vectors}
    return held, {name: value for name, value in everywhere.items() if name not in vectors}


def _columns(
    model: FittableModel, group: GroupingFactor
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """The group's effects, then the other fixed effects; and which of these vary in a level."""
    mu = model.design.mu
    others = [j for j in range(len(mu.fixed_effects)) if j not in group.fixed_column]
    names = (*group.effects, *(mu.fixed_effects[j] for j in others))
    columns = np.concatenate([group.Z, mu.X[:, others]], axis=1)
    varies = np.zeros(len(others), dtype=bool)
    for rows in _rows_by_level(group):
        if varies.all():
            break
        varies |= ~_contained(columns[rows], group.n_effects)
    return names, columns, varies


def _contained(X: np.ndarray, n_own: int) -> np.ndarray:
    """Which columns behind the first `n_own` those have in their span."""
    own, others = X[:, :n_own], X[:, n_own:]
    scale = np.sqrt((own**2).sum(axis=0))
    own = own[:, scale > 0] / scale[scale > 0]
    left = others - own @ np.linalg.lstsq(own, others, rcond=1e-10)[0]
    return np.asarray((left**2).sum(axis=0) <= 1e-20 * (others**2).sum(axis=0))


def _there(Z: np.ndarray) -> np.ndarray:
    """Effects that a level has: those of its own condition, where they are gr(g, by=f)'s."""
    return np.flatnonzero(Z.any(axis=0)) if len(Z) else np.arange(Z.shape[1])


def _one_level(
    family: Family, y: np.ndarray, X: np.ndarray, offset: np.ndarray | None, rows: Rows, *,
    n_own: int, varies: np.ndarray, start: Values, held: Values,
) -> _Level:  # fmt: skip
    absorbed = _contained(X, n_own)
    if len(X) <= n_own:  # so few rows that any column looks like a multiple
        absorbed &= ~varies
    columns = np.append(_there(X[:, :n_own]), n_own + np.flatnonzero(~absorbed))
    fit = fit_regression(family, y, X[:, columns], offset, rows, start=start, held=held)
    return _Level(columns=columns, fit=fit, note=fit.note)


def _table(
    group: GroupingFactor, names: Sequence[str], levels: Sequence[_Level], ci_prob: float, *,
    pooled: bool,
) -> pd.DataFrame:  # fmt: skip
    p, q = len(names), group.n_effects
    estimate, sd = np.full((len(levels), p), np.nan), np.full((len(levels), p), np.nan)
    df = np.full((len(levels), p), np.inf)
    note = np.full((len(levels), p), "does not vary within the level", dtype=object)
    done = [level.fit for level in levels if not np.isnan(level.fit.beta).any()]
    all_df = sum(fit.df for fit in done) if done else 0.0
    common = sum(fit.rss for fit in done) / all_df if 0 < all_df < np.inf else np.nan
    for row, level in enumerate(levels):
        fit, at = level.fit, level.columns
        variance, own_df = 1.0, fit.df
        if np.isfinite(fit.rss) and np.isfinite(fit.df):
            variance, own_df = common, all_df
            if not pooled:
                variance, own_df = fit.rss / fit.df if fit.df > 0 else np.nan, fit.df
        estimate[row, at] = fit.beta
        with np.errstate(invalid="ignore"):
            sd[row, at] = np.sqrt(np.diag(fit.unscaled) * variance)
        df[row] = own_df
        saturated = "" if np.isfinite(variance) else "no residual degrees of freedom"
        note[row, :q] = "is zero in the level's rows"
        note[row, at] = [level.note if np.isnan(b) else saturated for b in fit.beta]
        if np.isnan(fit.beta[at < q]).all():
            note[row] = level.note
    values = _intervals(estimate.ravel(), sd.ravel(), df.ravel(), ci_prob)
    text: Mapping[str, Any] = {
        "group": text_column([group.name] * estimate.size),
        "level": text_column(np.repeat(group.levels.labels, p)),
        "effect": text_column(list(names) * len(levels)),
    }
    numbers = dict(zip(("estimate", "sd", "lower", "upper"), values, strict=True))
    return pd.DataFrame({**text, **numbers, "note": text_column(note.ravel())})


def _intervals(
    estimate: np.ndarray, sd: np.ndarray, df: np.ndarray | float, ci_prob: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Student t where a residual variance is estimated, else normal."""
    sd = np.where(np.isnan(estimate), np.nan, sd)
    q = special.stdtrit(np.where(np.asarray(df) > 0, df, np.nan), (1 + ci_prob) / 2)
    return estimate, sd, estimate - q * sd, estimate + q * sd
