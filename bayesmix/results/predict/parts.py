"""Which parts of the model a prediction is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from bayesmix.arguments import one_of, one_or_several
from bayesmix.errors import ArgumentError, NotSupportedError

if TYPE_CHECKING:
    from bayesmix.families import Family
    from bayesmix.laws.request import Groups, Kind
    from bayesmix.laws.rows import Rows

__all__ = ["Part", "asked_of_parts", "without_fixed"]

Part = Literal["fixed", "groups", "residual"]


def asked_of_parts(
    include: Sequence[Part] | Part, kind: Kind, groups: Groups, family: Family
) -> tuple[Kind, Groups, bool]:
    """Say by `kind` and `groups` what parts are asked for, and whether the fixed one is.

    Parameters
    ----------
    include : sequence of {"fixed", "groups", "residual"}
    kind : {"mean", "response", "linear", "probability"}
    groups : {"conditional", "population"}
    family : Family

    Raises
    ------
    ArgumentError
        If there is no such part, none, or another argument says otherwise.
    NotSupportedError
        If a part has no meaning by itself under the family.
    """
    parts = {str(part) for part in one_or_several("include", include)}
    for part in parts:
        one_of("include", part, get_args(Part))
    if not parts & {"fixed", "groups"}:
        raise ArgumentError('include= needs "fixed" or "groups"')
    if groups != "conditional" or kind not in ("mean", "linear"):
        raise ArgumentError(
            f"include= says what {'groups=' if groups != 'conditional' else 'kind='} says, too: "
            "give one of them"
        )
    if "residual" in parts and kind == "linear":
        raise ArgumentError('a linear predictor has no residual: kind="linear" and include= differ')
    if "fixed" not in parts and kind != "linear" and not family.is_linear_normal:
        raise NotSupportedError(
            f"what groups add to the mean depends on the fixed part under the {family.link} link; "
            'take kind="linear"'
        )
    return (
        "response" if "residual" in parts else kind,
        "conditional" if "groups" in parts else "population",
        "fixed" in parts,
    )


def without_fixed(rows: Rows) -> Rows:
    """Rows to which fixed effects and offset add nothing."""
    return replace(rows, X=np.zeros_like(rows.X), offset=None, left_out=None)
