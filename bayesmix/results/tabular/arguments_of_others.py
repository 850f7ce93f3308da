"""Arguments that only the other kind of fit has: a named error says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bayesmix.arguments import refusing

__all__ = ["is_known_argument", "of_draws", "of_modes"]

_OF_DRAWS: Mapping[str, str] = {
    "ci_kind": "its intervals are Wald's or profiles, not those of draws",
    "ci_prob": "this is a table of point estimates, without intervals",
    "diagnostics": "it has no draws to diagnose",
    "draws": "it has no draws to choose from",
    "method": "it has no draws for Gelman's R2, and gives Nakagawa's",
    "point": "it has no draws to take a mean or a median of",
    "seed": "nothing is drawn here",
}
_OF_MODES: Mapping[str, str] = {
    "ci_method": "its intervals are those of its draws; ci_kind= says which",
    "fixed_uncertainty": "its draws always hold the uncertainty of the fixed effects",
}
_NOT_AT_MODES = {
    name: f"of an empirical Bayes fit has no {name}=: {reason}; fit() gives draws"
    for name, reason in _OF_DRAWS.items()
}
_NOT_OF_DRAWS = {
    name: f"of a posterior has no {name}=: {reason}; fit_eb() has it"
    for name, reason in _OF_MODES.items()
}


def is_known_argument(name: str) -> bool:
    """Whether one kind of fit or the other has an argument of this name."""
    return name in _OF_DRAWS or name in _OF_MODES


def of_modes[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """Let a method of an empirical Bayes fit refuse a posterior's arguments by name."""
    return refusing(_NOT_AT_MODES)(method)


def of_draws[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """Let a method of a posterior refuse the arguments of an empirical Bayes fit by name."""
    return refusing(_NOT_OF_DRAWS)(method)
