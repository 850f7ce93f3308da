"""Pictures of covariances: parameters of their structures, and what they make of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from bayesmix.errors import NotSupportedError
from bayesmix.laws.covariance_parameters import covariance_parameters
from bayesmix.results.pictures.fit_plots import FitPlots
from bayesmix.results.plots.look import Place, picture
from bayesmix.results.tabular.covariance_tables import CovarianceTables
from bayesmix.results.tabular.rows_of_level import rows_of_level

__all__ = ["CovariancePlots"]


class CovariancePlots(CovarianceTables, FitPlots):
    """What can be drawn of covariance structures."""

    @picture
    def plot_covariance_parameters(self, *, ci_prob: float = 0.95, **table: Any) -> Any:
        """Draw the parameters of covariance structures: a panel for rho, for the range, ....

        Parameters
        ----------
        ci_prob : float
            Probability inside the intervals.
        **table
            Further arguments of `covariance_parameters`.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If the model has no such parameter.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> try:
        ...     eb.plot_covariance_parameters()
        ... except bmx.errors.NotSupportedError as error:
        ...     print("no structure")
        no structure
        """
        from bayesmix.results.plots.forest import ForestPanel, ForestRow, plot_panels

        listed = covariance_parameters(self.model)
        if not listed:
            raise NotSupportedError(
                f"no covariance structure of {self.model.formula} has a parameter to draw: each "
                "has standard deviations, which plot_variance_components() draws, and correlations"
            )
        self._check_words("plot_covariance_parameters", self.covariance_parameters, table)
        found = self.covariance_parameters(ci_prob, **{**self._law.quick, **table})
        panels: dict[str, list[ForestRow]] = {}
        signed: dict[str, bool] = {}
        for own, (_, row) in zip(listed, found.iterrows(), strict=True):
            # Those of one kind share an axis: rho_0 and rho_1 are both correlations.
            kind = own.label.split(" ")[0].rstrip("0123456789").rstrip("_")
            where = ", residual" if own.group == "Residual" else f" by {own.group}"
            panels.setdefault(kind, []).append(
                ForestRow(
                    label=own.label + where, estimate=float(row["estimate"]),
                    lower=float(row["lower"]), upper=float(row["upper"]),
                )
            )  # fmt: skip
            signed[kind] = signed.get(kind, False) or own.lower < 0
        return plot_panels(
            [
                ForestPanel(
                    rows=rows, line=0.0 if signed[kind] else None,
                    x_label=f"{kind}, {100 * ci_prob:g} % interval",
                )
                for kind, rows in panels.items()
            ]
        )  # fmt: skip

    @picture
    def plot_marginal_covariance(
        self,
        level: Any = None,
        group: str | None = None,
        *,
        correlation: bool = False,
        labels: str | Mapping[str, str] | None = None,
        **look: Unpack[Place],
    ) -> Any:
        """Draw the covariance of one group's rows as colours.

        Parameters
        ----------
        level, group, correlation
            As in `marginal_covariance`.
        labels : str or mapping of str to str, optional
            The column whose values name the rows, as in `marginal_covariance`; or words in
            the place of names, as in other pictures.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        BayesmixError
            As `marginal_covariance`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> figure = eb.plot_marginal_covariance("308", labels="Days")
        """
        from bayesmix.results.plots.heatmap import plot_heatmap

        assert labels is None or isinstance(labels, str)  # noqa: S101
        V = self.marginal_covariance(level, group, correlation=correlation, labels=labels)
        scale = self.model.family.scale_in_words
        return plot_heatmap(
            V.to_numpy(), V.index.tolist(),
            bar_label=("correlation" if correlation else "covariance")
            + (f" on {scale}" if scale else ""),
            title=f"{rows_of_level(self.model.design, level, group)[1]}"
            + (f", rows by {labels}" if labels else ""),
            largest=1.0 if correlation else None,
        )  # fmt: skip
