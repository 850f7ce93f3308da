"""Responses like the one that was seen, for the bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesmix.errors import NotSupportedError

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw

__all__ = ["BootstrapKind", "ResponseKind", "resampled"]

BootstrapKind = Literal["parametric", "semiparametric", "cases", "wild"]
ResponseKind = Literal["parametric", "semiparametric", "wild"]


def resampled(law: NormalLaw, kind: ResponseKind, n: int, rng: np.random.Generator) -> np.ndarray:
    """Make responses.

    Parameters
    ----------
    law : NormalLaw
    kind : {"parametric", "semiparametric", "wild"}
        Effects and residuals drawn from their normal distributions; drawn with replacement from
        the predicted ones, which are first given the estimated covariance; or the marginal
        residuals of each level of the coarsest grouping factor with one random sign.
    n : int
    rng : Generator

    Returns
    -------
    ndarray, shape (rows, n)

    References
    ----------
    Carpenter, J. R., Goldstein, H. and Rasbash, J. (2003). A novel bootstrap procedure for
    assessing the relationship between class size and achievement. Journal of the Royal
    Statistical Society C 52, 431-443; Modugno, L. and Giannerini, S. (2015). The wild bootstrap
    for multilevel models. Communications in Statistics - Theory and Methods 44, 4812-4825.
    """
    design = law.model.design
    mu = design.mu
    one = len(design.predictors) == 1
    plain = one and law.model.family.is_normal and law.problem.equations.classes is None
    if kind != "parametric":
        _refuse_related(law, kind)
        _refuse_without_residuals(law, kind)
    elif not plain:
        return law.replicates(n, new_groups=True, seed=int(rng.integers(2**31)))[1]
    fixed = mu.X @ law.conditional.beta
    if mu.offset is not None:
        fixed = fixed + mu.offset
    if kind == "wild":
        return _with_signs(law, fixed, n, rng)
    Y = np.repeat(fixed[:, None], n, axis=1)
    left = law.model.y - fixed
    for group in mu.groups:
        q, G = group.n_effects, group.n_levels
        modes = law.conditional.b[group.name]
        predicted = (group.Z * modes[group.index]).sum(axis=1)
        left = left - predicted
        if group.is_smooth:
            Y += predicted[:, None]
            continue
        root = law.roots[group.name]
        if kind == "parametric":
            u = rng.normal(size=(n, G, q))
            b = (u if group.between is None else group.between.root @ u) @ root.T
        else:
            b = _reflated(modes, root)[rng.integers(0, G, (n, G))]
        for k in range(q):
            Y += group.Z[:, k, None] * b[:, group.index, k].T
    scale = _residual_scale(law)
    if kind == "parametric":
        return np.asarray(Y + scale[:, None] * rng.normal(size=Y.shape))
    pool = left / scale
    pool = pool - pool.mean()
    pool /= np.sqrt((pool**2).mean()) or 1.0
    return np.asarray(Y + scale[:, None] * pool[rng.integers(0, len(pool), Y.shape)])


def _residual_scale(law: NormalLaw) -> np.ndarray:
    """Residual standard deviation of each row, shape (n,)."""
    design = law.model.design
    if design.known_se is not None:
        return design.known_se
    if design.weights is not None:
        return np.asarray(law.optimum.sigma / np.sqrt(design.weights))
    return np.full(len(law.model.y), law.optimum.sigma)


def _refuse_related(law: NormalLaw, kind: ResponseKind) -> None:
    """Refuse to exchange levels that have a known covariance."""
    for group in law.model.design.mu.groups:
        if group.between is not None:
            raise NotSupportedError(
                f"kind={kind!r} takes levels as exchangeable, and those of `{group.name}` are "
                'related; take "parametric"'
            )


def _refuse_without_residuals(law: NormalLaw, kind: ResponseKind) -> None:
    """Refuse to exchange residuals where there are none, or where they are related."""
    if not law.model.family.is_normal:
        raise NotSupportedError(
            f"kind={kind!r} takes the residuals of a normal response, and the family is "
            f'{law.model.family.name}; take "parametric" or "cases"'
        )
    others = [f"{name} ~ ..." for name in law.model.design.predictors if name != "mu"]
    if others:
        raise NotSupportedError(
            f"kind={kind!r} takes residuals as of one distribution, and the model has "
            f'{" and ".join(others)}; take "parametric" or "cases"'
        )
    if law.problem.equations.classes is not None:
        raise NotSupportedError(
            f"kind={kind!r} takes residuals as independent, and these have a structure; take "
            '"parametric"'
        )


def _reflated(modes: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Predicted effects, centred, with the estimated covariance in place of their own."""
    centred = modes - modes.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = values > 1e-12 * max(float(values.max(initial=0.0)), 1e-300)
    # Back from their own root: of no spread nothing is made.
    unit = centred @ vectors[:, kept] / np.sqrt(values[kept])
    return np.asarray(unit @ vectors[:, kept].T @ root.T)


def _with_signs(law: NormalLaw, fixed: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    groups = []
    for group in law.model.design.mu.groups:
        if group.is_smooth:
            modes = law.conditional.b[group.name]
            fixed = fixed + (group.Z * modes[group.index]).sum(axis=1)
        else:
            groups.append(group)
    if not groups:
        index = np.arange(len(fixed))
    elif law.problem.plan.rest:
        raise NotSupportedError(
            'kind="wild" turns the signs of whole levels, and the levels of '
            f'{", ".join(g.name for g in groups)} cross; take "parametric"'
        )
    else:
        index = min(groups, key=lambda g: g.n_levels).index
    X = law.model.design.mu.X
    leverage = (np.linalg.qr(X)[0] ** 2).sum(axis=1) if X.shape[1] else np.zeros(len(fixed))
    # A row with a coefficient of its own has no residual of which a variance could be told.
    own = np.where(leverage < 1 - 1e-6, 1 - leverage, 1.0)
    left = (law.model.y - fixed) / np.sqrt(own)
    signs = rng.choice(np.asarray([-1.0, 1.0]), size=(int(index.max()) + 1, n))
    return np.asarray(fixed[:, None] + left[:, None] * signs[index])
