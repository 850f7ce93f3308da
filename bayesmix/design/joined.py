"""``(x | p | g)``: the effects that formulas have under the same p are one correlated block.

The first predictor that has it owns the block: its grouping factor gets the columns of the
others, which are zero there. The others borrow it: the same effects, with columns that are
zero where they are not their own. So the block's parameters, names, tables and draws are
those of one grouping factor, and each linear predictor is still Z b.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.design.groups import Block, GroupingFactor
from bayesmix.design.matrices import OtherColumns
from bayesmix.design.predictor import LinearPredictor
from bayesmix.errors import FormulaError, NotSupportedError

__all__ = ["columns_by_predictor", "joined_predictors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """One predictor's part of a block."""

    parameter: str
    group: GroupingFactor

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of its effects within the block."""
        prefix = "" if self.parameter == "mu" else f"{self.parameter}: "
        return tuple(prefix + effect for effect in self.group.effects)


def joined_predictors(predictors: Mapping[str, LinearPredictor]) -> dict[str, LinearPredictor]:
    """Join the blocks of several predictors that have the same word between two bars.

    Parameters
    ----------
    predictors : mapping of str to LinearPredictor

    Returns
    -------
    dict of str to LinearPredictor

    Raises
    ------
    FormulaError
        If a word stands in one formula only, or between different grouping factors.
    """
    found = dict(predictors)
    words = [g.joined for own in predictors.values() for g in own.groups if g.joined]
    for word in dict.fromkeys(words):
        members = [
            _Member(parameter=name, group=group)
            for name, own in predictors.items()
            for group in own.groups
            if group.joined == word
        ]
        _check(word, members, predictors)
        effects = tuple(effect for member in members for effect in member.effects)
        stops = np.cumsum([member.group.n_effects for member in members])
        for k, (member, stop) in enumerate(zip(members, stops.tolist(), strict=True)):
            group = member.group
            before, after = effects[: stop - group.n_effects], effects[stop:]
            Z = np.zeros((len(group.Z), len(effects)))
            Z[:, len(before) : stop] = group.Z
            whole = replace(
                group,
                effects=effects,
                blocks=(Block(start=0, stop=len(effects), structure="us"),),
                Z=Z,
                terms=(
                    *([OtherColumns(names=before)] if before else []), *group.terms,
                    *([OtherColumns(names=after)] if after else []),
                ),
                fixed_column=(*(None for _ in before), *group.fixed_column, *(None for _ in after)),
                owner="" if k == 0 else members[0].parameter,
            )  # fmt: skip
            own = found[member.parameter]
            if k == 0:
                groups = tuple(whole if g.name == group.name else g for g in own.groups)
                found[member.parameter] = replace(own, groups=groups)
            else:
                groups = tuple(g for g in own.groups if g.name != group.name)
                borrowed = (*own.borrowed, whole)
                found[member.parameter] = replace(own, groups=groups, borrowed=borrowed)
    return found


def _check(word: str, members: list[_Member], predictors: Mapping[str, LinearPredictor]) -> None:
    first = members[0]
    formula = predictors[first.parameter].formula
    if len(members) < 2:
        raise FormulaError(
            f"`{word}` joins the effects of several formulas, and stands in one of them; write "
            f"(... | {first.group.name}), or the same word in the formula of another parameter",
            text=formula.text,
        )
    for member in members:
        group = member.group
        if group.name != first.group.name:
            raise FormulaError(
                f"`{word}` joins effects by `{first.group.name}` and by `{group.name}`; take "
                "another word for one of them",
                text=predictors[member.parameter].formula.text,
            )
        plain = all(block.structure == "us" for block in group.blocks)
        if not plain or group.between is not None or group.is_student or group.present is not None:
            raise NotSupportedError(
                f"(... | {word} | {group.name}) joins effects that are correlated without a "
                "structure, of levels that are independent; write (... | "
                f"{group.name}) in each formula for others, whose effects are then independent"
            )


def columns_by_predictor(
    group: GroupingFactor, predictors: Mapping[str, LinearPredictor], parameter: str
) -> tuple[np.ndarray, np.ndarray]:
    """Columns of a block for all of its predictors together, and whose each of them is.

    Parameters
    ----------
    group : GroupingFactor
        Of its owner.
    predictors : mapping of str to LinearPredictor
    parameter : str
        The owner's.

    Returns
    -------
    Z : ndarray, shape (n, q)
    of : ndarray of int64, shape (q,)
        Position among the predictors.
    """
    order = list(predictors)
    Z = group.Z
    of = np.full(group.n_effects, order.index(parameter), dtype=np.int64)
    for name, own in predictors.items():
        for other in own.borrowed:
            if other.owner == parameter and other.name == group.name:
                Z = Z + other.Z
                of[[e.startswith(f"{name}: ") for e in group.effects]] = order.index(name)
    return Z, of
