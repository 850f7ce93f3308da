"""From terms and data to arrays, and the same again for new data."""

import sys
from types import ModuleType

from bayesmix.design.crossing import design as crossed
from bayesmix.design.design import Design, build_design
from bayesmix.design.groups import Block, GroupingFactor
from bayesmix.design.levels import Levels
from bayesmix.design.newdata import DesignRows, design_rows
from bayesmix.design.predictor import LinearPredictor

__all__ = [
    "Block",
    "Design",
    "DesignRows",
    "GroupingFactor",
    "Levels",
    "LinearPredictor",
    "build_design",
    "design_rows",
]


class _Callable(ModuleType):
    """The package `bayesmix.design` is the function as well, which users call by that name."""

    __call__ = staticmethod(crossed)


sys.modules[__name__].__class__ = _Callable
__doc__ = crossed.__doc__ or __doc__
