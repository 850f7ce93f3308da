"""What the transforms and codings of a formula take behind their column."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bayesmix.arguments import did_you_mean

__all__ = ["CODINGS", "SIGNATURES", "Signature", "misfit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Arguments of a function, with the kind of value that each takes.

    Attributes
    ----------
    by_place : mapping of str to str
        Those that may stand without their name, in order.
    by_name : mapping of str to str
        Those that need it.
    needs : int
        How many of the first must be there.
    """

    by_place: Mapping[str, str] = field(default_factory=dict)
    by_name: Mapping[str, str] = field(default_factory=dict)
    needs: int = 0

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each argument by its name."""
        return {**self.by_place, **self.by_name}


_SPLINE = Signature(
    by_place={
        "df": "count",
        "knots": "knots",
        "lower_bound": "bound",
        "upper_bound": "bound",
        "constraints": "constraints",
    },
    by_name={"cyclic": "flag", "extrapolation": "extrapolation"},
)
SIGNATURES: MappingProxyType[str, Signature] = MappingProxyType(
    {
        "C": Signature(
            by_place={"contrasts": "coding"},
            by_name={"levels": "levels", "spans_intercept": "flag"},
        ),
        "I": Signature(),
        "bs": Signature(
            by_place={
                "df": "count",
                "knots": "knots",
                "degree": "count",
                "include_intercept": "flag",
                "lower_bound": "bound",
                "upper_bound": "bound",
                "extrapolation": "extrapolation",
            }
        ),
        **dict.fromkeys(("cc", "cr", "cs"), _SPLINE),
        "center": Signature(),
        "hashed": Signature(
            by_place={"levels": "count", "contrasts": "coding"},
            by_name={"spans_intercept": "flag"},
            needs=1,
        ),
        "poly": Signature(by_place={"degree": "count", "raw": "flag"}),
        "scale": Signature(by_place={"center": "amount", "scale": "amount", "ddof": "ddof"}),
        "standardize": Signature(
            by_place={"center": "amount", "rescale": "amount", "ddof": "ddof"}
        ),
    }
)
CODINGS: MappingProxyType[str, Signature] = MappingProxyType(
    {
        "contr.SAS": Signature(by_place={"base": "level"}),
        "contr.diff": Signature(by_place={"backward": "flag"}),
        "contr.helmert": Signature(by_place={"reverse": "flag", "scale": "flag"}),
        "contr.poly": Signature(by_place={"scores": "scores"}),
        "contr.sum": Signature(),
        "contr.treatment": Signature(by_place={"base": "level"}),
    }
)

# Names that others have for an argument.
_ELSEWHERE: MappingProxyType[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("base", "ref", "reference"), "write C(x, contr.treatment(base=...))"),
        **dict.fromkeys(("k", "m"), "write df=..."),
        "intercept": "write include_intercept=...",
        "simple": "leave it out",
    }
)


def misfit(name: str, node: ast.Call) -> tuple[str, str] | None:
    """Find what a call of a transform or coding gives beyond, twice, or too little.

    Parameters
    ----------
    name : str
        As in `SIGNATURES` or `CODINGS`.
    node : Call
        Without starred arguments.

    Returns
    -------
    what, advice : str, or None
        None where the number and the names of the arguments fit.
    """
    transform = name in SIGNATURES
    signature = SIGNATURES[name] if transform else CODINGS[name]
    places = ["a column", *signature.by_place] if transform else list(signature.by_place)
    given = [str(item.arg) for item in node.keywords]
    takes = f"it takes {', '.join([*places, *(f'{n}=' for n in signature.by_name)]) or 'none'}"
    if len(node.args) > len(places):
        plural = "" if len(node.args) == 1 else "s"
        return f"{name} with {len(node.args)} argument{plural} by place", takes
    twice = set(given) & set(places[: len(node.args)])
    if twice:
        return f"the argument `{min(twice)}` of {name} twice", takes
    for argument in given:
        if argument not in signature.kinds:
            near = did_you_mean(argument, signature.kinds, quote="`").strip()
            meant = f"; {near or _ELSEWHERE.get(argument, '')}".rstrip("; ")
            return f"the argument `{argument}` of {name}", takes + meant
    missing = [
        argument
        for argument in list(signature.by_place)[: signature.needs]
        if argument not in given and argument not in places[: len(node.args)]
    ]
    return (f"{name} without {missing[0]}", takes) if missing else None
