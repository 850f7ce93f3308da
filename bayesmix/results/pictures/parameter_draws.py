"""Draws of the parameters by the names that a reader knows them by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.arguments import did_you_mean, one_or_several
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.laws.draws import DrawsLaw
from bayesmix.results.tabular.named import parameters_by_part

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["chosen_parameters", "divergent_draws"]


def chosen_parameters(
    draws: DrawsLaw,
    var_names: str | Iterable[str] | None,
    most: int,
    asked_by: str,
    *,
    least: int = 1,
    group_effects: bool = True,
) -> dict[str, np.ndarray]:
    """Pick parameters for a picture.

    Parameters
    ----------
    draws : DrawsLaw
    var_names : str or iterable of str, optional
        Names of parameters, or of several at once; all but the group effects by default.
    most, least : int
        How many the picture has room and use for.
    asked_by : str
        The method, for the message.
    group_effects : bool
        Whether ``b(Subject, 308, Days)`` is a parameter here.

    Returns
    -------
    dict of str to ndarray, shape (chains, draws)

    Raises
    ------
    NotSupportedError
        If there is no such parameter, or they are too many or too few.
    """
    by_part = parameters_by_part(draws.model, draws.values)
    every = {name: values for part in by_part.values() for name, values in part.items()}
    if var_names is None:
        found = every
    else:
        found = {}
        for name in one_or_several("var_names", var_names):
            found |= _named(draws, str(name), by_part, every, group_effects=group_effects)
    if not least <= len(found) <= most:
        example = ", ".join(repr(name) for name in list(every)[:2])
        amount = f"at least {least}" if len(found) < least else f"up to {most}"
        raise ArgumentError(
            f"{asked_by} draws {amount} parameters, not {len(found)}"
            + (f"; choose some, as var_names=[{example}, ...]" if len(every) > 1 else "")
        )
    return found


def divergent_draws(tree: xr.DataTree) -> np.ndarray | None:
    """Which transitions diverged, shape (chains, draws); None where that is not known."""
    if "sample_stats" not in tree.children or "diverging" not in tree["sample_stats"]:
        return None
    return np.asarray(tree["sample_stats"]["diverging"].values, dtype=bool)


def _named(
    draws: DrawsLaw,
    name: str,
    by_part: dict[str, dict[str, np.ndarray]],
    every: dict[str, np.ndarray],
    *,
    group_effects: bool,
) -> dict[str, np.ndarray]:
    if name in every:
        return {name: every[name]}
    plain = {"".join(label.split()): label for label in every}
    same = plain.get("".join(name.split()))
    if same is not None:
        return {same: every[same]}
    if name == "fixed":
        name = "beta"
    several: dict[str, np.ndarray] = {}
    for part, found in by_part.items():
        # "sd", "sd(Subject)", and "sd_Subject" as the DataTree has it.
        kind, _, group = part.removesuffix(")").partition("(")
        if name in {part, kind, f"{kind}_{group}"}:
            several |= found
    if not several and name.startswith("b("):
        several = _group_effect(draws, name) if group_effects else {}
    if several:
        return several
    if name in by_part and name != "beta":
        return {}
    advice = did_you_mean(name, [*every, *by_part]).strip()
    advice = advice or f"there is {', '.join(list(every)[:12])}"
    if name.startswith("b(") or name.startswith("b_"):
        example = _example_of_effect(draws)
        advice = (
            f"a group effect is called {example!r}" if group_effects and example
            else "group effects are drawn by plot_group_effects()"
        )  # fmt: skip
    raise ArgumentError(f"there is no parameter {name!r}; {advice}")


def _group_effect(draws: DrawsLaw, name: str) -> dict[str, np.ndarray]:
    for group in draws.design.mu.groups:
        inside = name.removeprefix(f"b({group.name}, ").removesuffix(")")
        if inside == name.removesuffix(")"):
            continue
        for k, effect in enumerate(group.effects):
            level = inside.removesuffix(f", {effect}")
            at = np.flatnonzero(group.levels.labels == level)
            if level == inside or not at.size:
                continue
            if group.name in draws.moments:
                raise NotSupportedError(
                    f"the fit kept no draws of the effects of {group.name}; "
                    'fit with group_draws="all"'
                )
            return {name: draws.b[group.name][:, :, at[0], k]}
    return {}


def _example_of_effect(draws: DrawsLaw) -> Any:
    groups = draws.design.mu.grouping
    if not groups:
        return None
    g = groups[0]
    return f"b({g.name}, {g.levels.labels[0]}, {g.effects[0]})"
