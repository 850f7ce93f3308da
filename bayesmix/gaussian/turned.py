"""Equations of one factor of related levels with one sd, turned so that they are diagonal.

With A = R R' and R' Z'WZ R diagonal (Z'WZ of a level's one effect is), b = sd R u has the
equations of independent levels for every sd: an evaluation costs the number of levels, and
not its cube. What stands for the levels are combinations of them, so b and its moments are
turned back by R at the end.
"""

from __future__ import annotations

import numpy as np

from bayesmix.design import GroupingFactor, LinearPredictor
from bayesmix.gaussian.empty_equations import empty_equations
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.structure import Elimination
from bayesmix.residual import PairClasses

__all__ = ["may_be_turned", "turned_equations"]


def may_be_turned(groups: tuple[GroupingFactor, ...], pairs: PairClasses) -> bool:
    """Whether there is one factor of related levels with one effect, and nothing else random.

    Parameters
    ----------
    groups : tuple of GroupingFactor
    pairs : PairClasses
        Whose residuals are to be independent.
    """
    alone = len(groups) == 1 and groups[0].between is not None and groups[0].n_effects == 1
    return alone and pairs.n_classes == 1 and not len(pairs.first)


def turned_equations(
    predictor: LinearPredictor, equations: Equations
) -> tuple[Equations, Elimination, np.ndarray]:
    """Turn the equations of a model that `may_be_turned`.

    Parameters
    ----------
    predictor : LinearPredictor
    equations : Equations
        With the levels in the root.

    Returns
    -------
    Equations
        With combinations of levels as the nodes of a chain.
    Elimination
    ndarray, shape (G, G)
        R, by which b of the combinations becomes b of the levels.
    """
    between = predictor.groups[0].between
    assert between is not None  # noqa: S101
    n, root = len(between), equations.root
    turn, values = between.turned(np.diagonal(root)[:n].copy())
    plan = Elimination(chain=(0,), rest=(), parents=())
    made = empty_equations(predictor, plan)
    made.K[:] = values
    panel = np.column_stack([root[:n, n:], equations.root_y[:n]])
    made.panel[:] = (turn.T @ panel).ravel()
    made.root[:] = root[n:, n:]
    made.root_y[:] = equations.root_y[n:]
    made.yy[:] = equations.yy
    return made, plan, turn
