"""On which scale marginal means are, and how they come back from that of the link."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesmix.arguments import one_of
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.families.functions import NUMPY

if TYPE_CHECKING:
    from bayesmix.families.links import Link
    from bayesmix.statement.stated import StatedModel

__all__ = ["MeanKind", "Scale", "scale_of"]

MeanKind = Literal["linear", "mean", "back_transformed", "probability"]
_LOG = re.compile(r"(?:np\.)?log\((.+)\)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How what is computed becomes what a table shows.

    Attributes
    ----------
    kind : {"linear", "mean", "back_transformed", "probability"}
    words : str
        What the estimates are.
    inverse : callable or None
        What a table shows of means that were averaged on the link scale.
    ratio : str
        What exp of a difference is, in words; empty where it is nothing or not asked for.
    is_ratio : bool
        Whether quantities are logarithms of ratios, as contrasts are.
    """

    kind: MeanKind
    words: str
    inverse: Callable[[np.ndarray], np.ndarray] | None = None
    ratio: str = ""
    is_ratio: bool = False

    @property
    def shown(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """What is made of estimates and limits for the table."""
        return np.exp if self.is_ratio else self.inverse

    def of_contrasts(self, *, sums_to_zero: bool) -> Scale:
        """The scale of contrasts between means."""
        if self.kind != "back_transformed":
            return self
        if self.ratio and sums_to_zero:
            return Scale(kind=self.kind, words=self.ratio, is_ratio=True, ratio=self.ratio)
        return Scale(kind="linear", words="differences on the scale of the link")


def scale_of(model: StatedModel, parameter: str, kind: str) -> Scale:
    """Read `kind`.

    Parameters
    ----------
    model : StatedModel
    parameter : str
    kind : str

    Returns
    -------
    Scale

    Raises
    ------
    ArgumentError
        For a word that it does not know.
    NotSupportedError
        Where there is nothing to transform back by.
    """
    if kind in {"response", "link", "lp", "prob"}:
        ours = {
            "link": '"linear"', "lp": '"linear"', "prob": '"probability"',
            "response": '"mean" (expected responses, averaged), or "back_transformed" (the inverse '
            "link of averages on the link scale, whose contrasts are ratios under log and logit "
            "links, as emmeans has them)",
        }[kind]  # fmt: skip
        raise ArgumentError(f"kind={kind!r} is {ours} here")
    one_of("kind", kind, ("linear", "mean", "back_transformed", "probability"))
    family = model.family
    link = family.link_functions if parameter == "mu" else model.links[parameter]
    text = model.formula.response.text
    what = text if parameter == "mu" else parameter
    if kind == "probability":
        if parameter != "mu" or not family.categories(model.design.response):
            raise NotSupportedError(
                f'kind="probability" is for the categories of a response, as of '
                f'family="cumulative"; take kind="mean" for {what}'
            )
        return Scale(kind="probability", words=f"probabilities of the categories of {text}")
    if kind == "mean":
        words = "expected responses" if parameter == "mu" else f"values of {parameter}"
        if parameter == "mu" and family.categories(model.design.response):
            words = "expected numbers of the category, the lowest being 1"
        elif parameter == "mu" and "trials" in model.rows:
            words = "expected proportions of one trial"
        return Scale(kind="mean", words=words)
    of_response = _LOG.match(text) if parameter == "mu" and family.mean_is_linear else None
    if kind == "linear":
        of_log = parameter == "mu" and link.is_identity and bool(family.ratio)
        name = "log" if of_log else link.name
        words = what if link.is_identity and not of_log else f"the {name} scale of {what}"
        return Scale(kind="linear", words=words)
    if of_response:
        return Scale(
            kind="back_transformed", words=f"exp of averages of {text}", inverse=np.exp,
            ratio=f"ratios of {of_response[1]}",
        )  # fmt: skip
    if parameter == "mu" and link.is_identity and family.ratio:  # of a logarithm
        return Scale(
            kind="back_transformed", words=f"medians of {what}", inverse=np.exp, ratio=family.ratio
        )
    if link.is_identity:
        raise NotSupportedError(
            f'kind="back_transformed" has nothing to undo: the link of {what} is the identity'
        )
    ratio = family.ratio if parameter == "mu" else link.ratio
    return Scale(
        kind="back_transformed", words=f"{what}: the inverse {link.name} of averages",
        inverse=_inverse(link), ratio=ratio,
    )  # fmt: skip


def _inverse(link: Link) -> Callable[[np.ndarray], np.ndarray]:
    def inverse(eta: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", divide="ignore"):
            return np.asarray(link.inverse(NUMPY, np.asarray(eta, dtype=np.float64)))

    return inverse
