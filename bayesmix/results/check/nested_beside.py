"""Whether one model's residuals and other predictors are a special case of another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.results.check.nested import covariance_is_nested

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["beside_not_nested", "spanned"]

# The structures of residuals whose correlations include those of a word, at the same places.
_WITHIN = {
    "cs": ("toep", "us"),
    "ar1": ("toep", "us"),
    "exp": ("ar1", "toep", "us"),
    "gau": ("toep", "us"),
    "toep": ("us",),
}


def beside_not_nested(small: StatedModel, large: StatedModel) -> str:
    """Why what stands beside mu is not nested in a larger model; empty if it is.

    Parameters
    ----------
    small, large : StatedModel
        Over the same rows, of one family.

    Returns
    -------
    str
    """
    reason = _residual_not_nested(small, large)
    predictors, others = small.design.predictors, large.design.predictors
    for name in dict.fromkeys([*predictors, *others]):
        if reason or name == "mu":
            continue
        if name not in others:
            reason = _gone(small, large, name)
        elif name not in predictors:
            # A number is a predictor with nothing but an intercept; one beside thresholds is 1.
            one = np.ones((len(others[name].X), 1))
            if name not in small.family.optional_parameters and not spanned(one, others[name].X):
                reason = f"{name} of the latter cannot be one number for all rows"
        elif not spanned(predictors[name].X, others[name].X):
            reason = f"{name} of the latter lacks columns of the former's"
        elif covariance_is_nested(predictors[name].groups, others[name].groups, None) == "no":
            reason = f"{name} of the latter cannot have each covariance of effects of the former's"
    return reason


def spanned(columns: np.ndarray, X: np.ndarray) -> bool:
    """Whether columns are linear combinations of others."""
    if X.shape[1] == 0:
        return not columns.any()
    scale = np.abs(X).max(axis=0)
    scaled = X / np.where(scale > 0, scale, 1.0)
    found = np.linalg.lstsq(scaled, columns, rcond=None)[0]
    left = np.abs(columns - scaled @ found).max(axis=0)
    return bool((left <= 1e-9 * np.abs(columns).max(axis=0)).all())


def _residual_not_nested(small: StatedModel, large: StatedModel) -> str:
    own, other = small.design.residual, large.design.residual
    if own is None or (other is not None and own.text == other.text):
        return ""
    if other is None:
        return f"residuals of the latter are independent, and of the former {own.text}"
    within = other.word == own.word or other.word in _WITHIN.get(own.word, ())
    # Compound symmetry asks for no places, so that those of the other may be any.
    same = _same_places(small, large, series_only=own.word == "cs")
    if within and same:
        return ""
    return f"{other.text} of the latter cannot have each correlation that {own.text} can"


def _same_places(small: StatedModel, large: StatedModel, *, series_only: bool) -> bool:
    own, other = small.design.residual, large.design.residual
    if own is None or other is None:
        return False
    pairs = np.unique(np.stack([own.index, other.index]), axis=1)
    if not pairs.shape[1] == len(np.unique(own.index)) == len(np.unique(other.index)):
        return False
    if series_only:
        return True
    one = np.stack(list(own.coordinates.values()), axis=1)
    two = np.stack(list(other.coordinates.values()), axis=1)
    if other.word == "us":  # its places may have any names
        places = np.unique(np.column_stack([one, two]), axis=0)
        if len(places) == len(np.unique(two, axis=0)):
            return True
    first = np.unique(own.index, return_index=True)[1][np.unique(own.index, return_inverse=True)[1]]
    one, two = one - one[first], two - two[first]
    return one.shape == two.shape and (np.array_equal(one, two) or np.array_equal(one, -two))


def _gone(small: StatedModel, large: StatedModel, name: str) -> str:
    """Why a predictor that the larger model does not have is more than a number there."""
    own, other = small.design.predictors[name], large.design.residual
    if not own.groups and spanned(own.X, np.ones((len(own.X), 1))):
        return ""
    if name == "sigma" and other is not None and other.word == "us" and not own.groups:
        # Variances of its own at each place hold whatever goes by places.
        place = np.stack(list(other.coordinates.values()), axis=1)
        level = np.unique(place, axis=0, return_inverse=True)[1].ravel()
        if spanned(own.X, np.eye(level.max() + 1)[level]):
            return ""
    return f"the latter has no formula of {name}, and the former's is more than one number"
