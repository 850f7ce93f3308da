"""From terms and data to arrays, and the same again for new data."""

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
