"""How the variance of the data divides between groups and residual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.design import GroupingFactor

__all__ = ["VarianceParts", "variance_parts"]

_MANY = 50  # effects: it is asked whether a row has one of them only


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceParts:
    """The parts of the variance on the scale of the linear predictor.

    Attributes
    ----------
    effects : mapping of str to ndarray, shape (..., q)
        By grouping factor, what each of its effects contributes.
    residual : ndarray, shape (...)
    """

    effects: Mapping[str, np.ndarray]
    residual: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Sum of all parts, shape (...)."""
        groups = [part.sum(axis=-1) for part in self.effects.values()]
        return np.sum([*groups, self.residual], axis=0)


def variance_parts(
    groups: Sequence[GroupingFactor],
    sd: Mapping[str, np.ndarray],
    corr: Mapping[str, np.ndarray],
    residual: np.ndarray,
) -> VarianceParts:
    """Divide the mean over the data of z' Sigma z among the effects.

    The mean over rows of z' Sigma z is the sum over pairs of effects of
    Sigma_kl M_kl with M = Z'Z / n. Effect k is given the pairs it is part of,
    half of each pair with another effect: the parts of a grouping factor add up
    to its mean z' Sigma z (Johnson 2014), for an intercept alone to its
    variance. A slope whose covariance with the intercept is strongly negative
    can contribute less than nothing. Where levels have a known covariance A, Sigma is
    multiplied by the diagonal of A in each row's level.

    Parameters
    ----------
    groups : sequence of GroupingFactor
    sd : mapping of str to ndarray, shape (..., q)
    corr : mapping of str to ndarray, shape (..., q, q)
        For those grouping factors that have correlations.
    residual : ndarray, shape (...)
        Residual variance.

    Returns
    -------
    VarianceParts

    References
    ----------
    Johnson, P. C. D. (2014). Extension of Nakagawa & Schielzeth's R2 GLMM to
    random slopes models. Methods in Ecology and Evolution 5, 944-946.
    """
    effects = {}
    for group in groups:
        M = group.second_moments
        s = sd[group.name]
        apart = len(M) > _MANY and np.count_nonzero(M) == np.count_nonzero(np.diag(M))
        if group.name in corr and not apart:
            weighted = corr[group.name] * M
            effects[group.name] = s * np.einsum("...kl,...l->...k", weighted, s)
        else:
            effects[group.name] = s**2 * np.diag(M)
    return VarianceParts(effects=effects, residual=residual)
