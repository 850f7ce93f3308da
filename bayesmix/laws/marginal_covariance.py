"""Covariance of rows once the group effects are integrated out: Z Sigma Z' + R."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.memory import check_memory

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.values import Values
    from bayesmix.statement.stated import StatedModel

__all__ = ["marginal_covariance"]


def marginal_covariance(
    model: StatedModel, values: Values, at: np.ndarray, *, correlation: bool,
    sigma_of_rows: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Covariance, or correlations, of some rows given the fixed effects.

    Parameters
    ----------
    model : StatedModel
    values : Values
        One value of each parameter, or draws of shape (chains, draws).
    at : ndarray of int, shape (n,)
        Positions of the rows.
    correlation : bool
    sigma_of_rows : ndarray, shape (S, n), optional
        Sigma of these rows at each draw, where it has a predictor.

    Returns
    -------
    ndarray, shape (n, n)
        The mean over draws, of correlations that of each draw's. On the scale of the linear
        predictor, with R where the response is normal and the link the identity.

    Raises
    ------
    NotSupportedError
        If memory does not hold it.
    """
    n = len(at)
    check_memory(f"the covariance of {n} rows", 6 * n * n, "choose a smaller group")
    shape = values.beta.shape[:-1]
    n_draws = int(np.prod(shape, dtype=int))

    def flat(found: np.ndarray) -> np.ndarray:
        return np.reshape(found, (n_draws, *np.shape(found)[len(shape) :]))

    sigma = {g.name: _covariances(g, values, flat) for g in model.design.mu.grouping}
    with_residual = model.residual is not None and model.family.is_linear_normal
    parameters = {name: flat(found) for name, found in values.parameters.items()}
    rows = {name: found[at] for name, found in model.rows.items()}
    pairs = {g.name: _between_levels(g, at) for g in model.design.mu.grouping}

    def of_groups(number: int | None) -> np.ndarray:
        """Z Sigma Z' at one draw, or at the mean of Sigma."""
        out = np.zeros((n, n))
        for group in model.design.mu.grouping:
            Z, found = group.Z[at], sigma[group.name]
            Sigma = found.mean(axis=0) if number is None else found[number]
            out += (Z @ Sigma @ Z.T) * pairs[group.name]
        return out

    def of_residual(number: int) -> np.ndarray:
        if not with_residual or model.residual is None:
            return np.zeros((n, n))
        here = {name: found[number] for name, found in parameters.items()}
        if sigma_of_rows is not None:
            here["sigma"] = sigma_of_rows[number]
        return model.residual.covariance(here, rows, n)

    if not correlation:
        out = of_groups(None)
        for s in range(n_draws):
            out += of_residual(s) / n_draws
        return out
    out = np.zeros((n, n))
    for s in range(n_draws):
        out += _as_correlation(of_groups(s) + of_residual(s)) / n_draws
    return out


def _covariances(group: GroupingFactor, values: Values, flat) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Sigma of a grouping factor at each draw, shape (S, q, q)."""
    sd = flat(values.sd[group.name])
    if group.name not in values.corr:
        return np.asarray(np.eye(sd.shape[1]) * sd[:, :, None] ** 2)
    R = np.where(np.isnan(values.corr[group.name]), 0.0, values.corr[group.name])
    return np.asarray(sd[:, :, None] * flat(R) * sd[:, None, :])


def _between_levels(group: GroupingFactor, at: np.ndarray) -> np.ndarray:
    """What the levels of two rows have in common, shape (n, n): 1 where they are the same.

    Where levels are related, what is known between them.
    """
    own = group.index[at]
    if group.between is not None:
        return np.asarray(group.between.covariance[np.ix_(own, own)])
    return (own[:, None] == own[None, :]).astype(np.float64)


def _as_correlation(V: np.ndarray) -> np.ndarray:
    """Correlations of a covariance matrix; NaN for what does not vary."""
    sd = np.sqrt(np.diag(V))
    with np.errstate(invalid="ignore", divide="ignore"):
        R = V / np.outer(sd, sd)
    R[np.diag_indices(len(V))] = np.where(sd > 0, 1.0, np.nan)
    return np.asarray(R)
