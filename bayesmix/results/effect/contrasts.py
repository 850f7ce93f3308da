"""What a predictor is changed from and to: steps, pairs of values, pairs of levels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bayesmix.design.frame import prepare_column
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.laws.averages import Transform
from bayesmix.results.effect.counterfactual import is_categorical, no_predictor

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "COMPARE",
    "Compare",
    "Contrast",
    "contrasts_of",
    "numeric_column",
    "slope_step",
    "step_beyond",
]

Compare = Literal["difference", "ratio", "lnratio", "odds_ratio", "lnor"]
_REVERSED = ("revreference", "revpairwise", "revsequential")
_OF_LEVELS = ("reference", "pairwise", "sequential", *_REVERSED)
_OF_NUMBERS = ("sd", "2sd", "iqr", "minmax")
_MOST = 1000  # comparisons of levels
_STEP = 1e-5  # of a derivative, in ranges of the predictor


def _odds(p: np.ndarray) -> np.ndarray:
    return p / (1 - p)


COMPARE: dict[str, Transform] = {
    "difference": lambda high, low: high - low,
    "ratio": lambda high, low: high / low,
    "lnratio": lambda high, low: np.log(high / low),
    "odds_ratio": lambda high, low: _odds(high) / _odds(low),
    "lnor": lambda high, low: np.log(_odds(high) / _odds(low)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two versions of a predictor.

    Attributes
    ----------
    high, low : object
        A number or level for all rows, or a number that is added to each row's own.
    added : bool
        Whether they are added.
    label : str
        With a place for the sign between the two.
    """

    high: Any
    low: Any
    added: bool
    label: str

    def versions(self, own: Any) -> tuple[Any, Any]:
        """Return the high and the low version of a column.

        Parameters
        ----------
        own : ndarray, shape (n,)
            The rows' own values; looked at where something is added.
        """
        return (own + self.high, own + self.low) if self.added else (self.high, self.low)


def contrasts_of(model: StatedModel, name: str, contrast: Any) -> list[Contrast]:
    """Say what is compared with what.

    Parameters
    ----------
    model : Model
    name : str
        A predictor.
    contrast : object
        As `comparisons` takes it; None for the default.

    Raises
    ------
    DataError
        If there is no such predictor or level.
    NotSupportedError
        If the contrast does not fit it.
    """
    fitted = _fitted_column(model, name)
    if is_categorical(model, name, fitted):
        return _of_levels(name, _levels(fitted), contrast)
    column = np.asarray(fitted, dtype=np.float64)
    if contrast is None:  # an indicator has no value beyond 1
        contrast = (0, 1) if set(np.unique(column)) == {0.0, 1.0} else 1
    if isinstance(contrast, str):
        if contrast not in _OF_NUMBERS:
            raise ArgumentError(
                f"contrast={contrast!r}: `{name}` is a number; take a step such as 1, a pair of "
                f"values such as (0, 9), or one of {', '.join(map(repr, _OF_NUMBERS))}"
            )
        return [_of_spread(column, contrast)]
    if np.ndim(contrast) == 1 and len(contrast) == 2:
        low, high = (_number(name, value) for value in contrast)
        return [Contrast(high=high, low=low, added=False, label=f"{high:g} {{}} {low:g}")]
    step = _number(name, contrast)
    if step == 0:
        raise ArgumentError("contrast=0 compares nothing; take a step such as 1")
    return [Contrast(high=step, low=0.0, added=True, label=f"{step:+g}")]


def step_beyond(model: StatedModel, name: str, contrast: Contrast, own: Any) -> DataError | None:
    """Build the error for a step that leaves the range of a spline.

    Returns
    -------
    DataError, or None
        None where it is not the step that leaves it, but a value before it.
    """
    if not contrast.added:
        return None
    column = np.asarray(_fitted_column(model, name), dtype=np.float64)
    low, high = float(column.min()), float(column.max())
    if np.min(own) < low or np.max(own) > high:
        return None
    return DataError(
        f"the step {contrast.label} takes `{name}` beyond its range {low:g} to {high:g}, where a "
        f"spline of the formula ends; take two values, such as contrast=({low:g}, {high:g})"
    )


def numeric_column(name: str, values: Any, n: int) -> np.ndarray:
    """Return a numeric predictor of n rows as numbers.

    Parameters
    ----------
    name : str
    values : Series, or one value for all rows
    n : int

    Raises
    ------
    DataError
        If it holds something else.
    """
    if not isinstance(values, pd.Series):
        values = pd.Series([values] * n)
    missing = values.isna()
    if missing.any():
        raise DataError(f"column `{name}` has a missing value; a prediction needs every predictor")
    prepared = prepare_column(values)
    if isinstance(prepared.dtype, pd.CategoricalDtype):
        raise DataError(
            f"column `{name}` was numeric in fitting and holds text now, such as "
            f"{prepared.iloc[0]!r}"
        )
    return np.asarray(prepared, dtype=np.float64)


def slope_step(model: StatedModel, name: str) -> tuple[float, float, float]:
    """Step of a numerical derivative, and the range that the fit has seen.

    Returns
    -------
    step, lowest, highest : float

    Raises
    ------
    DataError
        If there is no such predictor.
    NotSupportedError
        If it is not numeric.
    """
    fitted = _fitted_column(model, name)
    if is_categorical(model, name, fitted):
        raise NotSupportedError(
            f"`{name}` is categorical and has no slope; comparisons({name!r}) compares its levels"
        )
    values = np.asarray(fitted, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    return _STEP * ((high - low) or max(1.0, abs(low))), low, high


def _fitted_column(model: StatedModel, name: Any) -> pd.Series[Any]:
    known = model.whole_formula.columns_of("fixed", "effect", "offset", "group")
    if name not in known:
        raise no_predictor(model, str(name))
    return model.design.frame[name]


def _levels(fitted: pd.Series[Any]) -> list[Any]:
    if isinstance(fitted.dtype, pd.CategoricalDtype):
        return list(fitted.cat.categories)
    return sorted(pd.unique(fitted).tolist())


def _of_levels(name: str, levels: list[Any], contrast: Any) -> list[Contrast]:
    if contrast is None:
        contrast = "reference"
    if isinstance(contrast, str) and contrast in _OF_LEVELS:
        if len(levels) < 2:
            raise NotSupportedError(f"`{name}` has one level only, {levels[0]!r}")
        pairs = {
            "reference": [(levels[0], level) for level in levels[1:]],
            "pairwise": list(itertools.combinations(levels, 2)),
            "sequential": list(itertools.pairwise(levels)),
        }[contrast.removeprefix("rev")]
        if contrast.startswith("rev"):
            pairs = [(high, low) for low, high in pairs]
    elif not isinstance(contrast, str) and np.ndim(contrast) == 1 and len(contrast) == 2:
        for level in contrast:
            if level not in levels:
                raise DataError(
                    f"`{name}` has no level {level!r}; known are "
                    f"{', '.join(repr(known) for known in levels[:12])}"
                )
        pairs = [tuple(contrast)]
    else:
        raise ArgumentError(
            f"contrast={contrast!r}: `{name}` has levels; take one of "
            f"{', '.join(map(repr, _OF_LEVELS))}, or a pair of levels (low, high)"
        )
    if len(pairs) > _MOST:
        raise NotSupportedError(
            f"`{name}` has {len(levels)} levels, and {len(pairs)} comparisons are more than "
            f'{_MOST}; name a pair with contrast=("{levels[0]}", "{levels[1]}")'
        )
    return [
        Contrast(high=high, low=low, added=False, label=f"{_safe(high)} {{}} {_safe(low)}")
        for low, high in pairs
    ]


def _safe(level: Any) -> str:
    return str(level).replace("{", "{{").replace("}", "}}")


def _of_spread(column: np.ndarray, contrast: str) -> Contrast:
    middle, sd = float(column.mean()), float(column.std(ddof=1))
    low, high = {
        "sd": (middle - sd / 2, middle + sd / 2),
        "2sd": (middle - sd, middle + sd),
        "iqr": tuple(np.quantile(column, [0.25, 0.75]).tolist()),
        "minmax": (float(column.min()), float(column.max())),
    }[contrast]
    return Contrast(high=high, low=low, added=False, label=f"{high:.4g} {{}} {low:.4g}")


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(value, bool) or not np.isfinite(number):
        raise ArgumentError(
            f"contrast={value!r}: `{name}` is a number; take a step such as 1 or a pair of values "
            "such as (0, 9)"
        )
    return number
