"""Response distributions and links."""

from __future__ import annotations

import difflib

from bayesmix.errors import NotSupportedError
from bayesmix.families.base import Family, ResponseScale
from bayesmix.families.gaussian import Gaussian, GaussianKnownSE

__all__ = ["Family", "Gaussian", "GaussianKnownSE", "ResponseScale", "get_family"]

_FAMILIES: dict[str, type[Family]] = {family.name: family for family in (Gaussian,)}


def get_family(family: str | Family) -> Family:
    """Find a family by name.

    Parameters
    ----------
    family : str or Family
        ``"gaussian"``, or a family object, which is returned as it is.

    Returns
    -------
    Family

    Raises
    ------
    NotSupportedError
        If there is no family of that name.
    """
    if isinstance(family, Family):
        return family
    if isinstance(family, type) and issubclass(family, Family):
        return family()
    name = str(family).lower().replace(" ", "_")
    name = {"normal": "gaussian"}.get(name, name)
    if name not in _FAMILIES:
        near = difflib.get_close_matches(name, _FAMILIES, n=1)
        advice = f"did you mean {near[0]!r}? " if near else ""
        raise NotSupportedError(
            f"there is no family {family!r}; {advice}known: {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[name]()
