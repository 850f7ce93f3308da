"""Smooth functions as columns of a mixed model: bases, penalties, and the way back.

Arrays only: terms, names and levels are the formula's and the design's.
"""

from bayesmix.smooths.base import Basis, Part
from bayesmix.smooths.cr import CubicRegression
from bayesmix.smooths.fs import FactorSmooth
from bayesmix.smooths.ps import PSpline
from bayesmix.smooths.re import RandomEffect
from bayesmix.smooths.smooth import Smooth, learn_smooth
from bayesmix.smooths.t2 import TensorProduct
from bayesmix.smooths.tp import ThinPlate

__all__ = [
    "Basis",
    "CubicRegression",
    "FactorSmooth",
    "PSpline",
    "Part",
    "RandomEffect",
    "Smooth",
    "TensorProduct",
    "ThinPlate",
    "learn_smooth",
]
