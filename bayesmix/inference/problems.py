"""The algebra's view of a stated model, made once for each and kept as long as the model."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from bayesmix.gaussian.problem import Problem, build_problem
from bayesmix.glmm.problem import GlmmProblem, build_glmm_problem
from bayesmix.inference.kernel_cache import announce_compilation
from bayesmix.statement.stated import StatedModel

__all__ = ["gaussian_problem", "glmm_problem"]

_GAUSSIAN: WeakKeyDictionary[StatedModel, Problem] = WeakKeyDictionary()
_GLMM: WeakKeyDictionary[StatedModel, GlmmProblem] = WeakKeyDictionary()


def gaussian_problem(model: StatedModel) -> Problem:
    """Return the cross-products of a normal model: all that its algebra needs.

    Parameters
    ----------
    model : StatedModel

    Returns
    -------
    Problem
    """
    if model not in _GAUSSIAN:
        announce_compilation(normal=True)
        _GAUSSIAN[model] = build_problem(
            model.design.mu, model.y, residual=model.residual, rows=model.rows
        )
    return _GAUSSIAN[model]


def glmm_problem(model: StatedModel) -> GlmmProblem:
    """Return rows, layout and coordinates of a model beyond the normal.

    Parameters
    ----------
    model : StatedModel

    Returns
    -------
    GlmmProblem
    """
    if model not in _GLMM:
        announce_compilation(normal=False)
        _GLMM[model] = build_glmm_problem(
            model.design.mu, model.family, model.y, model.rows, model.prior_entries
        )
    return _GLMM[model]
