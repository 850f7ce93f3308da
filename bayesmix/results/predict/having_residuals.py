"""What a fit leaves of the response, row by row and summarised."""

from __future__ import annotations

from os import PathLike
from typing import Any, get_args

import pandas as pd

from bayesmix.arguments import checked_seed, one_of
from bayesmix.errors import NotSupportedError
from bayesmix.laws.residuals import Residual
from bayesmix.results.having_law import HasLaw
from bayesmix.results.predict.batches import rows_in_batches, write_batches
from bayesmix.results.predict.left_over import residual_table, residuals_of_batches
from bayesmix.threads import on_one_thread

__all__ = ["HasResiduals"]


class HasResiduals(HasLaw):
    """Residuals, for both kinds of fit."""

    @on_one_thread
    def residuals(
        self,
        kind: Residual = "response",
        *,
        seed: int | None = None,
        data: Any = None,
        to: str | PathLike[str] | None = None,
    ) -> pd.Series[float] | Any:
        """Return what the fit leaves of the response.

        Parameters
        ----------
        kind : {"response", "pearson", "normalized", "quantile"}
            Response minus its posterior mean; that divided by the standard deviation
            of an observation given its parameters, each row by its own; that whitened, so that
            residuals which are correlated within series are independent under the model (of
            a normal response, as nlme's "normalized"); or the randomised quantile
            residual, the normal quantile of where the observation lies among
            replicates, which is standard normal under the model for every family. For a
            censored row that place is drawn beyond its limit. The first two take the
            mean before truncation and censoring, so "quantile" is the one for such rows.

            Empirical Bayes takes the fitted value at the conditional modes, beyond the
            normal their inverse link as lme4 and glmmTMB do, which differs from the
            expected mean of `fitted()` where groups are small. Of a normal response the
            Pearson residual is then also the quantile residual.
        seed : int, optional
            Seed of the replicates and of the randomisation; the fit's own by default.
        data : what is read in batches, optional
            The rows of the fit, where it comes from a file that has sums and no rows.
        to : str or path, optional
            Ending in .parquet: where the residuals of data that are read in batches are
            written, with the position of each row.

        Returns
        -------
        Series of float, or iterator of Series, or Path
            With the index of the rows of the fit. Where these are read in batches an iterator
            over such series, one for each batch, labelled by the positions of the rows; with
            `to` the path that was written.

        Raises
        ------
        NotSupportedError
            For an argument out of its range; for `data` and `to` where the fit has its rows.
        FileError
            If `to` cannot be written.

        References
        ----------
        Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals. Journal of
        Computational and Graphical Statistics 5, 236-244.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.residuals().head(2).round(1).tolist()
        [-4.1, -14.6]
        """
        one_of("kind", kind, get_args(Residual))
        if rows_in_batches(self.model, data):
            checked_seed(seed, self._law.seed)
            found = residuals_of_batches(self._law, kind, seed, data)
            if to is None:
                return found
            return write_batches((one.rename_axis("row").reset_index() for one in found), to)
        if to is not None:
            raise NotSupportedError(
                "to= writes residuals of data that are read in batches: write these by "
                ".to_frame().to_parquet(...)"
            )
        rows, values = self._law.residuals(kind, seed)
        return pd.Series(values, index=rows.labels, name="residual")

    @on_one_thread
    def residual_summary(
        self,
        by: str | None = None,
        kind: Residual = "response",
        *,
        seed: int | None = None,
        data: Any = None,
    ) -> pd.DataFrame:
        """Summarise what the fit leaves of the response, over all rows or within levels.

        One pass over the rows, also where these are read in batches.

        Parameters
        ----------
        by : str, optional
            A grouping factor, or a column that the formula uses; all rows by default.
        kind : {"response", "pearson", "normalized", "quantile"}
            As of `residuals`.
        seed : int, optional
            As of `residuals`.
        data : what is read in batches, optional
            As of `residuals`.

        Returns
        -------
        DataFrame
            One row per level: level ("all" where there are none), rows, mean, sd, min and max
            of the residuals. A level of one row has no sd.

        Raises
        ------
        DataError
            If there is no such grouping factor or column.
        NotSupportedError
            As of `residuals`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.residual_summary("Days")["rows"].unique().tolist()
        [18]
        """
        one_of("kind", kind, get_args(Residual))
        rows_in_batches(self.model, data)
        return residual_table(self._law, by, kind, seed, data)
