"""A model in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bayesmix.covariance import covariance_of
from bayesmix.design import Design, GroupingFactor, LinearPredictor
from bayesmix.families import Family
from bayesmix.priors.model_priors import ModelPriors
from bayesmix.residual import Residual

__all__ = ["facts_in_words", "groups_in_words", "model_in_words"]

_WIDTH = 80


def facts_in_words(
    design: Design, family: Family, residual: Residual | None = None
) -> tuple[str, ...]:
    """Return the lines that head every printed model and result."""
    rows = f"{design.n_obs} rows"
    left_out = design.n_rows_given - design.n_obs
    if left_out:
        rows += f" ({left_out} of {design.n_rows_given} left out for missing values)"
    if residual is not None and residual.in_words:
        rows += f", {residual.in_words}"
    rows += "".join(_row_data_in_words(design))
    lines = [f"family {family}, {rows}", *_scale_in_words(design, family)]
    sizes = {
        f"{g.name} ({g.n_members} levels)": None
        for predictor in design.predictors.values()
        for g in predictor.grouping
        if g.levels.columns
    }
    if sizes:
        lines.append(f"groups: {', '.join(sizes)}")
    return tuple(lines)


def _row_data_in_words(design: Design) -> list[str]:
    """What the functions of the left-hand side say, as parts of a line."""
    extras = design.extras
    parts = []
    if "status" in extras:
        sides = (("right", 1), ("left", -1))
        counts = [(int((extras["status"] == code).sum()), side) for side, code in sides]
        parts += [f", {n} {side}-censored" for n, side in counts if n]
    if "lower" in extras or "upper" in extras:
        parts.append(", truncated")
    if "exponent" in extras:
        parts.append(", likelihood weighted")
    return parts


def _scale_in_words(design: Design, family: Family) -> list[str]:
    """How the response is read, and which scale the effects are on."""
    lines = [family.response_in_words(design.response)]
    if family.scale_in_words:
        lines.append(f"coefficients and group effects are on {family.scale_in_words}")
    return [line for line in lines if line]


def groups_in_words(group: GroupingFactor) -> str:
    """Say what varies by a grouping factor, and what is correlated."""
    if group.smooth is not None:
        return _smooth_in_words(group)
    if group.is_membership:
        return f"Intercept varies by {group.name} ({group.n_members} levels, several a row)"
    parts = []
    for part in covariance_of(group).parts:
        names = group.effects[part.effects]
        if part.covariance.positions is not None and ")[" in names[0]:  # ar1(occasion)[3]
            text = f"{names[0].partition(')[')[0]}) at {part.size} positions"
        else:
            words = part.covariance.words
            text = _listed(names) + (f" ({words})" if words else "")
        parts.append(text)
    if not group.levels.columns:
        return f"{'; '.join(parts)} over all rows"
    vary = "varies" if group.n_effects == 1 else "vary"
    between = "" if group.between is None else f", related by {group.between.name}"
    student = " as Student's t" if group.is_student else ""
    where = f"{group.name} ({group.n_levels} levels{between})"
    return f"{'; '.join(parts)} {vary} by {where}{student}"


def _smooth_in_words(group: GroupingFactor) -> str:
    """Say what the basis of a smooth is, and how many of its functions are penalised."""
    smooth = group.smooth
    assert smooth is not None  # noqa: S101
    basis = smooth.smooth.basis
    kind, k = basis.kind, basis.n_columns
    text = f'{group.name}: smooth, bs="{kind}", k={k}, {group.n_effects} penalised functions'
    sds = covariance_of(group).n_sd
    text += f" with {sds} sds" if sds > 1 else ""
    return (
        f"{text}, of each level of {smooth.term.group} ({group.n_levels})"
        if (smooth.at_levels)
        else text
    )


def model_in_words(
    design: Design, family: Family, priors: ModelPriors, residual: Residual | None = None
) -> str:
    """Return formulas, data, effects and priors as lines of at most 80 columns."""
    lines = []
    for predictor in design.predictors.values():
        text = str(predictor.formula)
        lines += textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    for line in facts_in_words(design, family, residual):
        if not line.startswith("groups: "):
            lines += _item(line)
    for parameter, predictor in design.predictors.items():
        if parameter != "mu" or family.is_nominal:
            lines += textwrap.wrap(f"{family.predictor_in_words(parameter)}:", _WIDTH)
        lines += _predictor_in_words(predictor)
    lines.append("priors:")
    for entry in priors:
        where = f", {entry.note}" if entry.note else ""
        origin = "" if entry.origin == "default" else " (yours)"
        lines += _item(f"{entry.parameter} ~ {entry.prior}{where}{origin}")
    return "\n".join(lines)


def _predictor_in_words(predictor: LinearPredictor) -> list[str]:
    """Return the fixed and group effects of one predictor as lines."""
    lines = _item(f"fixed effects: {', '.join(predictor.fixed_effects) or 'none'}")
    if predictor.aliased:
        lines += _item(f"left out as aliased: {', '.join(predictor.aliased)}")
    if predictor.offset is not None:
        pieces = ", ".join(piece.text for piece in predictor.formula.offsets)
        lines += _item(f"offset: {pieces}")
    for group in predictor.groups:
        lines += _item(groups_in_words(group))
    for group in predictor.borrowed:
        lines += _item(f"effects by {group.name} are joined with those of {group.owner}")
    return lines if predictor.all_groups else [*lines, *_item("no group effects")]


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
