"""Designs that no model, or no useful model, can be fitted to."""

from __future__ import annotations

import warnings

import numpy as np

from bayesmix.design.groups import GroupingFactor
from bayesmix.errors import OWN_FILES, DataError, DataWarning
from bayesmix.spread import sample_sd

__all__ = ["check_sizes", "warn_of_far_columns", "warn_of_swapped_positions"]

# Structures whose effects differ from residuals in that they are correlated by a rule.
_TOLD_BY_CORRELATION = frozenset({"ar1", "hetar1", "ou", "exp", "gau", "mat", "cs", "toep"})
_WITH_OWN_PART = {
    "homdiag": "leave the term out",
    "homcs": "write (1 | {0}), or a second formula residual ~ cs({0})",
    "homtoep": "write ar1 in its place, or a second formula residual ~ toep(... | {0})",
}
_FAR = 50.0  # standard deviations from zero: a mean that priors at zero speak against


def check_sizes(
    n_obs: int,
    n_fixed: int,
    groups: tuple[GroupingFactor, ...],
    *,
    residual_is_estimated: bool,
) -> None:
    """Compare the numbers of rows, coefficients, levels and effects.

    As many levels as rows cannot be told from the residual where that is
    estimated too: an error. Where it is not (a count or binary response, known
    standard errors) such effects model overdispersion and pass in silence.
    More coefficients or effects than rows leave the answer to the priors: a
    warning.

    Parameters
    ----------
    n_obs : int
        Number of rows n.
    n_fixed : int
        Number of fixed effects p.
    groups : tuple of GroupingFactor
    residual_is_estimated : bool
        Whether the model has a residual standard deviation to estimate.

    Raises
    ------
    DataError
        If a grouping factor has a level for every row and a residual is estimated.

    Warns
    -----
    DataWarning
        If there are as many fixed effects as rows, or as many effects of one
        grouping factor.
    """
    if n_fixed >= n_obs:
        warnings.warn(
            f"{n_fixed} fixed effects for {n_obs} rows: the data alone do not determine them, "
            "so what comes out depends on the priors",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )
    if not residual_is_estimated:
        return
    for group in groups:
        # Relatives, and rows that share members, tell a variance from the residual's.
        if group.is_smooth or group.is_membership or group.between is not None:
            continue
        if group.n_levels >= n_obs:
            raise DataError(
                f"the grouping factor `{group.name}` has a level for each of the {n_obs} rows, "
                "so its variance cannot be told from the residual variance; leave the term out"
            )
        _check_cells(group)
        n_effects = sum(b.size for b in group.blocks if b.structure not in _TOLD_BY_CORRELATION)
        if group.n_levels * n_effects >= n_obs:
            warnings.warn(
                f"`{group.name}` has {group.n_levels} levels x {n_effects} effects for "
                f"{n_obs} rows: their variances cannot be told from the residual variance "
                "without the priors",
                DataWarning,
                skip_file_prefixes=OWN_FILES,
            )


def _check_cells(group: GroupingFactor) -> None:
    """Refuse a part of effects that is different in each row: it is the residual."""
    for block in group.blocks:
        if block.structure not in _WITH_OWN_PART:
            continue
        names, Z = group.effects[block.start : block.stop], group.Z[:, block.start : block.stop]
        if not ((np.count_nonzero(Z, axis=1) == 1) & (Z.max(axis=1) == 1)).all():
            continue
        cells = group.index.astype(np.int64) * block.size + Z.argmax(axis=1)
        if len(np.unique(cells)) == len(cells):
            what = names[0].partition(")[")[0] + ")" if block.positions is not None else "homdiag"
            raise DataError(
                f"`{what}` by `{group.name}` has an effect for each of the {len(cells)} rows, "
                "whose part without correlation cannot be told from the residual variance; "
                + _WITH_OWN_PART[block.structure].format(group.name)
            )


def warn_of_far_columns(groups: tuple[GroupingFactor, ...]) -> None:
    """Warn of columns far from zero whose effects have priors with the intercept's.

    The standard deviation of an intercept is that of the levels' values at zero. Where
    zero is far from all data it is as large as the distance, and a prior in the
    response's units speaks against it, and so against slopes that vary.

    Parameters
    ----------
    groups : tuple of GroupingFactor

    Warns
    -----
    DataWarning
        Naming the column, its mean and its standard deviation.
    """
    for group in groups:
        for block in group.blocks:
            names = group.effects[block.start : block.stop]
            if not block.unstructured or "Intercept" not in names:
                continue
            for k, name in enumerate(names, block.start):
                column = group.Z[:, k]
                mean, sd = float(column.mean()), sample_sd(column)
                if name != "Intercept" and sd > 0 and abs(mean) > _FAR * sd:
                    warnings.warn(
                        f"`{name}` varies by `{group.name}` and lies far from zero (mean "
                        f"{mean:.4g}, sd {sd:.4g}), where the prior of the intercept's sd holds: "
                        f"write center({name}), or the slopes are drawn to each other",
                        DataWarning,
                        skip_file_prefixes=OWN_FILES,
                    )


def warn_of_swapped_positions(
    groups: tuple[GroupingFactor, ...], fixed_effects: tuple[str, ...]
) -> None:
    """Warn of a series along the groups, in each time, which is likely the other way round.

    Told by a number among the fixed effects that groups the rows, while what orders them is
    not and has more values.

    Parameters
    ----------
    groups : tuple of GroupingFactor
    fixed_effects : tuple of str

    Warns
    -----
    DataWarning
    """
    for group in groups:
        columns = group.levels.columns
        if len(columns) != 1 or columns[0] not in fixed_effects:
            continue
        for block in group.blocks:
            if block.positions is None or block.size <= group.n_levels:
                continue
            word, time = block.structure, columns[0]
            left = group.effects[block.start].partition(")[")[0].removeprefix(f"{word}(")
            if left not in fixed_effects:
                warnings.warn(
                    f"`{word}({left} | {time})` has a series of {block.size} values of {left} in "
                    f"each of the {group.n_levels} values of {time}, which is a number among the "
                    f"fixed effects: for a series over {time} in each {left} write "
                    f"{word}({time} | {left})",
                    DataWarning,
                    skip_file_prefixes=OWN_FILES,
                )
