"""Which engine can take a model, and in words why another cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesmix.design import Design
from bayesmix.families import Family
from bayesmix.gaussian.problem import unsupported_priors
from bayesmix.gaussian.structure import root_columns
from bayesmix.priors.model_priors import ModelPriors
from bayesmix.residual import Residual

__all__ = [
    "why_not_collapsed", "why_not_integrated", "why_not_joint", "why_not_normal",
    "why_not_normal_effects", "why_not_one_predictor",
]  # fmt: skip

_ROWS_IN_WORDS = {
    "status": "of censored(...) or event(...)",
    "lower": "of truncated(...)",
    "upper": "of truncated(...)",
    "exponent": "of weighted(...), an exponent of the likelihood",
}


def why_not_one_predictor(design: Design, family: Family | None = None) -> str:
    """Why a kernel of one linear predictor does not do, in words; empty if it does.

    That of sigma is R's, as long as it has fixed effects alone.
    """
    others = [name for name in design.predictors if name != "mu"]
    if family is not None and family.is_linear_normal and others == ["sigma"]:
        if not design.predictors["sigma"].groups:
            return ""
        return "of group effects on sigma"
    return f"of more than one predictor ({', '.join(('mu', *others))})" if others else ""


def why_not_normal_effects(design: Design) -> str:
    """Why effects are not normal given the parameters, in words; empty if they are."""
    for predictor in design.predictors.values():
        for group in predictor.groups:
            if group.is_student:
                return f'the effects of `{group.name}` have dist="student"'
    return ""


def why_not_normal(family: Family, rows: Mapping[str, Any]) -> str:
    """Why the likelihood is not that of a normal response, in words; empty if it is."""
    if not family.is_linear_normal:
        return f"the family is {family}"
    return _why_not_plain(rows)


def why_not_collapsed(
    design: Design, family: Family, rows: Mapping[str, Any], priors: ModelPriors,
    residual: Residual | None = None,
) -> str:  # fmt: skip
    """Why the effects do not integrate out, in words; empty if they do.

    Parameters
    ----------
    design : Design
    family : Family
    rows : mapping of str to ndarray
        What is given per row.
    priors : ModelPriors
    residual : Residual, optional
        Its structure.

    Returns
    -------
    str
    """
    why_not = why_not_integrated(design, family, rows, priors)
    if why_not or design.streamed is not None:
        return why_not  # the levels that are met together are asked for, by the algebra
    correlated = residual is not None and residual.correlated
    pairs = residual.pairs(rows, design.n_obs) if residual is not None and correlated else None
    return root_columns(design.mu.groups, pairs)


def why_not_integrated(
    design: Design, family: Family, rows: Mapping[str, Any], priors: ModelPriors
) -> str:
    """Why effects are not normal given the parameters and the data, in words.

    Parameters
    ----------
    design : Design
    family : Family
    rows : mapping of str to ndarray
        What is given per row.
    priors : ModelPriors

    Returns
    -------
    str
        Empty if they are, whatever the size of the algebra.
    """
    return (
        why_not_normal(family, rows)
        or why_not_one_predictor(design, family)
        or why_not_normal_effects(design)
        or _unknown_prior(unsupported_priors(priors))
    )


def why_not_joint(
    design: Design, family: Family, rows: Mapping[str, Any], priors: ModelPriors | None
) -> str:
    """Why no kernel has the joint density, in words; empty if one has.

    Parameters
    ----------
    design : Design
    family : Family
    rows : mapping of str to ndarray
        What is given per row.
    priors : ModelPriors or None
        None where they do not matter.

    Returns
    -------
    str
    """
    from bayesmix.glmm.problem import kernel_name
    from bayesmix.glmm.rows import JOINT_KERNELS, ROW_KERNELS
    from bayesmix.glmm.stack import stacked

    several = len(design.predictors) > 1
    if family.is_normal and several and "known_se" in rows:
        return "of group effects on sigma beside known standard errors"
    if kernel_name(family) not in (JOINT_KERNELS if several else ROW_KERNELS):
        if several and family.row_kernel:
            return why_not_one_predictor(design)
        return f"the family is {family}"
    if several and family.vector_parameters and _why_not_plain(rows):
        return f"{_why_not_plain(rows)} beside thresholds and {why_not_one_predictor(design)}"
    why_not = _why_not_weighted(rows) or why_not_normal_effects(design)
    if why_not:
        return why_not
    unknown = []
    if priors is not None:
        unknown = unsupported_priors(priors) + [
            f"{name} ~ {entry.prior}"
            for name, entry in priors.family.items()
            if entry.prior.distribution == "Uniform"  # bounded: its coordinate is no logarithm
        ]
    if design.streamed is not None:  # asked of the levels that are met together, by the algebra
        return _unknown_prior(unknown)
    return _unknown_prior(unknown) or root_columns(stacked(design.predictors).whole.groups)


def _unknown_prior(unknown: list[str]) -> str:
    return f"of the prior {unknown[0]}" if unknown else ""


def _why_not_plain(rows: Mapping[str, Any]) -> str:
    for name, why in _ROWS_IN_WORDS.items():
        if name in rows:
            return why
    return ""


def _why_not_weighted(rows: Mapping[str, Any]) -> str:
    if _why_not_plain(rows) and {"weights", "known_se"} & set(rows):
        return f"{_why_not_plain(rows)} beside weights or standard errors"
    return ""
