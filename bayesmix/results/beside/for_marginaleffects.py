"""A fit as Python's marginaleffects wants a model: one vector of coefficients with its covariance.

Its interface is an abstract class, so that what is handed to it can be made only where it is
installed; nothing here imports it before. Draws have no place in it: of a posterior
`predictions`, `comparisons`, `slopes` and `marginal_means` say more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bayesmix.arguments import one_of
from bayesmix.errors import NotSupportedError
from bayesmix.laws.rows import new_rows
from bayesmix.results.having_law import HasLaw

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw

__all__ = ["ForMarginaleffects"]


class ForMarginaleffects(HasLaw):
    """A fit that Python's marginaleffects can work on."""

    @property
    def _law(self) -> NormalLaw:
        raise NotImplementedError

    def to_marginaleffects(self, kind: Literal["mean", "linear"] = "mean") -> Any:
        """Return the fixed part of the fit as a model of Python's package marginaleffects.

        Its `predictions`, `comparisons`, `slopes` and `hypotheses` take the result. Group
        effects are zero, and smooths and offsets have no uncertainty there.

        Parameters
        ----------
        kind : {"mean", "linear"}
            What it predicts: the expected response (of one trial), or the linear predictor.

        Returns
        -------
        marginaleffects.classes.model.ModelAbstract

        Raises
        ------
        NotSupportedError
            If marginaleffects, 0.6 or newer, is not installed. (Version 0.6.1 wants a polars
            before 2.)

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> import marginaleffects as me  # doctest: +SKIP
        >>> me.slopes(eb.to_marginaleffects(), by=True)  # doctest: +SKIP
        """
        one_of("kind", kind, ("mean", "linear"))
        try:
            import polars as pl
            from marginaleffects.classes.model import ModelAbstract, ModelVault
        except ImportError as error:
            raise NotSupportedError(
                "to_marginaleffects() wants the package marginaleffects, 0.6 or newer, which "
                f"is not installed here ({error}); predictions(), comparisons(), slopes() and "
                "marginal_means() need nothing"
            ) from error
        law, model = self._law, self.model
        beta = law.conditional.beta
        family, values = model.family, law.family_values

        class FixedPart(ModelAbstract):
            """The fixed effects, and how rows are made of them."""

            def get_exog(self, newdata: Any) -> np.ndarray:
                """Return what rows have beside the fixed effects, then their columns of X."""
                rows = new_rows(
                    model, newdata.to_pandas(), effects=False, levels=False, kind="linear"
                )
                return np.column_stack([law.means(rows) - rows.X @ beta, rows.X])

            def get_predict(self, params: np.ndarray, newdata: Any) -> Any:
                """Return rowid and estimate."""
                exog = np.asarray(newdata)
                found = exog[:, 0] + exog[:, 1:] @ np.asarray(params)
                if kind == "mean":
                    found = np.asarray(family.mean(found, values, {"trials": np.ones(len(found))}))
                rowid = pl.Series(range(len(found)), dtype=pl.Int32)
                return pl.DataFrame({"rowid": rowid, "estimate": found})

            def get_vcov(self, vcov: Any = True) -> np.ndarray | None:
                """Return the covariance of the fixed effects."""
                return None if vcov is False else law.fixed_moments[1]

        frame = model.design.frame
        data = pl.DataFrame({str(name): _column(frame[name], pl) for name in frame.columns})
        names = [model.formula.response.text, *model.formula.columns_of("fixed", "offset")]
        vault = ModelVault(
            coef=np.asarray(beta), coefnames=np.asarray(model.design.mu.fixed_effects),
            formula=_no_formula, modeldata=data, package="bayesmix", variable_names=names,
        )  # fmt: skip
        return FixedPart(self, vault)


def _no_formula(data: Any) -> tuple[None, Any]:
    """What stands in a formula's place: rows are made by `get_exog`."""
    return None, data


def _column(column: pd.Series[Any], pl: Any) -> Any:
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = [str(level) for level in column.cat.categories]
        return pl.Series([str(v) for v in column], dtype=pl.Enum(levels))
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return pl.Series([str(v) for v in column], dtype=pl.Enum(sorted(set(map(str, column)))))
    return pl.Series(column.to_numpy())
