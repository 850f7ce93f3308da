"""Draws of thresholds beside those of the effects, under Laplace's approximation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.laws.levels import name_key
from bayesmix.laws.parameters import ParameterDraws

if TYPE_CHECKING:
    from bayesmix.laws.laplace_mode import LaplaceMode

__all__ = ["with_thresholds"]


def with_thresholds(
    law: LaplaceMode, drawn: ParameterDraws, levels: Mapping[str, np.ndarray], seed: int
) -> ParameterDraws:
    """Put draws of thresholds in the place of their estimates.

    Thresholds are the intercepts of ordered categories, and as uncertain as coefficients are.
    They are drawn given the coefficients, from the normal law at the maximum; effects move as
    their mode does with the thresholds.

    Parameters
    ----------
    law : LaplaceMode
    drawn : ParameterDraws
        With thresholds at their estimates.
    levels : mapping of str to ndarray of int
        Whose effects there are.
    seed : int

    Returns
    -------
    ParameterDraws
        As they were given where the likelihood does not determine the thresholds.
    """
    gp, x = law.gp, law.laplace.x
    own, fixed = slice(law.co.n_x, law.n_outer), slice(law.n_outer, None)
    C = law.determined.covariance
    if not np.isfinite(C[own]).all():
        return drawn
    words = [seed, name_key("thresholds")]
    rng = np.random.default_rng(np.random.SeedSequence(words))
    working = law.problem.scaling.TX @ drawn.beta
    slope = C[own, fixed] @ np.linalg.pinv(C[fixed, fixed], hermitian=True)
    values, vectors = np.linalg.eigh(C[own, own] - slope @ C[fixed, own])
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    moved = slope @ (working - x[fixed][:, None])
    moved += root @ rng.standard_normal((len(values), drawn.n_draws))
    family = gp.parameter_values((x[own][:, None] + moved).T, drawn.beta.T)
    b = dict(drawn.b)
    if any(map(np.size, b.values())):
        for name, J in law.moves_with_phi.items():
            if name in b and len(levels.get(name, ())):
                b[name] = b[name] + np.einsum("iqk,ks->qis", J[levels[name]], moved)
    return replace(drawn, family={**drawn.family, **family}, b=b)
