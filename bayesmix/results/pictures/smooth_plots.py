"""Numbers of pictures of smooths, and the method that draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from bayesmix.arguments import check_probability, did_you_mean, one_or_several
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows
from bayesmix.results.having_law import HasLaw
from bayesmix.results.pictures.smooth_curve import SmoothCurve
from bayesmix.results.plots.look import Look, picture

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor, LinearPredictor
    from bayesmix.design.smooths import SmoothColumns
    from bayesmix.laws.base import Law

__all__ = ["SmoothPlots", "smooth_curve"]

_GRID = 120  # points of a curve
_SURFACE = 40  # in each direction
_MOST_LEVELS = 60  # curves of levels


class SmoothPlots(HasLaw):
    """Pictures of smooths."""

    @picture
    def plot_smooths(
        self,
        terms: str | Sequence[str] | None = None,
        *,
        ci_prob: float = 0.95,
        **look: Unpack[Look],
    ) -> Any:
        """Draw each smooth over its data: curve and band, or a surface.

        Curves are on the scale of the linear predictor, and have mean 0 over the data, as
        everything else in the model stands for the level. A smooth with a number as ``by=``
        is drawn as the coefficient of that number. Curves of levels (``bs="fs"``) are drawn
        without bands.

        Parameters
        ----------
        terms : str or sequence of str, optional
            Names of smooths as in `smooths`; all by default.
        ci_prob : float
            Probability inside the bands.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If the model has no smooths, or one has more than two variables.
        ArgumentError
            If there is no smooth of that name.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ s(Days, k=5) + (1 | Subject)", sleep).fit_eb()
        >>> eb.plot_smooths().axes[0].get_xlabel()
        'Days'
        """
        from bayesmix.results.plots.smooth_terms import plot_smooth_terms

        check_probability("ci_prob", ci_prob)
        mu = self.model.design.mu
        known = [group.name for group in mu.groups if group.smooth is not None]
        if not known:
            raise NotSupportedError(
                f"the model {self.model.formula} has no smooths; write s(x) in the formula"
            )
        chosen = known if terms is None else [str(t) for t in one_or_several("terms", terms)]
        for term in chosen:
            if term not in known:
                near = did_you_mean(term, known)
                raise ArgumentError(
                    f"there is no smooth {term!r}; {near}there are {', '.join(known)}"
                )
        curves = [smooth_curve(self._law, name, ci_prob) for name in dict.fromkeys(chosen)]
        return plot_smooth_terms(curves)


def smooth_curve(law: Law, name: str, ci_prob: float) -> SmoothCurve:
    """Evaluate a smooth on a grid.

    Parameters
    ----------
    law : Law
    name : str
    ci_prob : float

    Raises
    ------
    NotSupportedError
        If it has more than two variables.
    """
    mu = law.model.design.mu
    group = next(g for g in mu.groups if g.name == name)
    own = group.smooth
    assert own is not None  # noqa: S101
    d = len(own.coordinates)
    if d > 2:
        raise NotSupportedError(
            f"{name} has {d} variables, and a picture shows two: take predictions(at=...), or "
            "plot_smooths() of the other terms"
        )
    low, high = own.smooth.low, own.smooth.high
    axes = [
        np.linspace(a, b, _GRID if d == 1 else _SURFACE) for a, b in zip(low, high, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    rug = own.points(law.model.design.frame)
    if own.levels:
        rows = law.model.design.frame[own.by_column].to_numpy() == own.level
        rug = rug[rows]
    columns = {"x": points[:, 0], **({"z": points[:, 1]} if d == 2 else {})}
    if not own.at_levels:
        found = _of_points(law, mu, group, own, points, 0, ci_prob)
        table = pd.DataFrame({**columns, **found})
    else:
        levels = np.unique(np.linspace(0, group.n_levels - 1, _MOST_LEVELS).astype(int))
        table = pd.concat(
            [
                pd.DataFrame({"level": k, **columns, **found})
                for k in levels.tolist()
                for found in [_of_points(law, mu, group, own, points, k, ci_prob)]
            ],
            ignore_index=True,
        )
    return SmoothCurve(name=name, coordinates=own.coordinates, table=table, rug=rug)


def _of_points(
    law: Law, mu: LinearPredictor, group: GroupingFactor, own: SmoothColumns, points: np.ndarray,
    level: int, ci_prob: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Estimate and interval of the smooth alone, the other columns at zero."""
    fixed, penalised = own.split(own.smooth.columns(points))
    X = np.zeros((len(points), len(mu.fixed_effects)))
    for k, name in enumerate(own.fixed_names):
        if name in mu.fixed_effects:
            X[:, mu.fixed_effects.index(name)] = fixed[:, k]
    rows = Rows(
        X=X,
        offset=None,
        Z={group.name: penalised},
        index={group.name: np.full(len(points), level, dtype=np.int32)},
        new_levels={group.name: np.zeros(0, dtype=object)},
        labels=pd.RangeIndex(len(points)),
        positions=np.arange(len(points)),
        per_row={},
    )
    request = PredictionRequest(kind="linear", ci_prob=ci_prob)
    estimate, _, lower, upper = law.summaries(rows, request, None, None)
    return {"estimate": estimate, "lower": lower, "upper": upper}
