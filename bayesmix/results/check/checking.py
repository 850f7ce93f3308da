"""Checking a posterior: replicates, cross-validation, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.memory import check_memory
from bayesmix.results.check.loo import (
    Loo,
    check_enough_draws,
    data_key,
    group_log_density,
    groups_of_rows,
    psis_loo,
)
from bayesmix.results.check.sensitivity import (
    log_prior_of,
    power_scaling_table,
)
from bayesmix.results.predict.linear import for_each_block
from bayesmix.results.predict.parameters import chosen_draws
from bayesmix.results.predict.prediction import Predicts
from bayesmix.results.predict.request import PredictionRequest
from bayesmix.results.predict.rows import rows_to_predict
from bayesmix.results.tabular.diagnostics import Diagnostics
from bayesmix.results.tabular.tables import parameters_by_name

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.design import GroupingFactor
    from bayesmix.results.check.check_data import CheckData

__all__ = ["Checks"]


class Checks(Predicts):
    """What a posterior can be held against: replicates of the data, and data left out."""

    if TYPE_CHECKING:

        def diagnostics(self) -> Diagnostics: ...  # noqa: D102

    def posterior_predictive(
        self, *, new_groups: bool = False, draws: int | None = None, seed: int | None = None
    ) -> xr.DataTree:
        """Draw replicates of the response into the DataTree.

        Parameters
        ----------
        new_groups : bool
            Whether every grouping factor has new levels in place of those of the fit.
        draws : int, optional
            Number of posterior draws to use, evenly spaced; all by default.
        seed : int, optional
            The fit's own by default.

        Returns
        -------
        DataTree
            `idata`, whose group posterior_predictive now holds the replicates, dims
            (chain, draw, row), under the name of the observed variable.

        Raises
        ------
        NotSupportedError
            If there would be more than memory holds.
        """
        every = self._replicates(new_groups=new_groups, draws=draws, seed=seed)
        values = self._filled(every.rows, every.predictor, every.n_draws)
        name = self.model.names.observed
        array = self._labelled(values, every.rows, draws, name)
        return self._with_group("posterior_predictive", array.to_dataset(name=name))

    def prior_predictive(self, draws: int = 500, *, seed: int | None = None) -> xr.DataTree:
        """Draw parameters from the prior and responses from those, into the DataTree.

        Parameters
        ----------
        draws : int
        seed : int, optional
            The fit's own by default.

        Returns
        -------
        DataTree
            `idata`, with the groups prior and prior_predictive.

        Raises
        ------
        PriorError
            If a prior is flat.
        """
        self._refuse_changed("prior_predictive()")
        prior = self.model.fit(
            draws=draws, chains=1, seed=self._seed(seed), prior_only=True, progress=False
        )
        tree = prior.posterior_predictive()
        self._with_group("prior", prior.idata["posterior"].to_dataset())
        found = tree["posterior_predictive"].to_dataset()
        return self._with_group("prior_predictive", found)

    def log_likelihood(self) -> xr.DataTree:
        """Compute the log density of every row at every draw, into the DataTree.

        Given the group effects. A censored row counts with the probability of its
        side, and the exponents of ``weighted`` multiply.

        Returns
        -------
        DataTree
            `idata`, with the group log_likelihood, dims (chain, draw, row).
        """
        self._refuse_changed("log_likelihood()", rows_only=True)
        name = self.model.names.observed
        rows = rows_to_predict(self.model, None, effects=True, levels=True, kind="linear")
        array = self._labelled(self._log_likelihood(), rows, None, name)
        return self._with_group("log_likelihood", array.to_dataset(name=name))

    def log_prior(self) -> xr.DataTree:
        """Compute the log density of the priors at every draw, into the DataTree.

        In the parameters of the tables, without log Jacobians. What the group effects
        are distributed as is part of the model, and no prior. With `log_likelihood`
        it is what ArviZ's functions for power scaling want.

        Returns
        -------
        DataTree
            `idata`, with the group log_prior, a variable of dims (chain, draw) for
            each variable that has a prior.
        """
        import xarray as xr

        self._refuse_changed("log_prior()")
        found = self._draws
        by_variable = log_prior_of(
            self.model, found.beta, found.sd, found.corr, found.parameters, found.structure
        )
        posterior = self.idata["posterior"]
        coords = {name: posterior[name].to_numpy() for name in ("chain", "draw")}
        arrays = {name: (("chain", "draw"), values) for name, values in by_variable.items()}
        return self._with_group("log_prior", xr.Dataset(arrays, coords=coords))

    def prior_sensitivity(
        self, *, threshold: float = 0.05, draws: int | None = None, seed: int | None = None
    ) -> pd.DataFrame:
        """Say which parameters depend on their priors, by power scaling through ArviZ.

        The posterior is weighted to what it would be if the priors of fixed effects,
        standard deviations, correlations and the family's parameters were raised to a
        power near 1, all together, and again for the likelihood. A sensitivity is how
        far a parameter's distribution moves then, per doubling of the power (as a
        cumulative Jensen-Shannon distance). The distribution of the group effects
        given their standard deviations is part of the model and stays; the likelihood
        is that of the rows given the group effects.

        Parameters
        ----------
        threshold : float
            From where on a sensitivity counts; that of Kallioinen et al. by default.
        draws : int, optional
            Number of posterior draws to use, evenly spaced; all by default.
        seed : int, optional
            Where a fit kept means of the group effects only and they are drawn again;
            the fit's own by default.

        Returns
        -------
        DataFrame
            One row per parameter: parameter, prior and likelihood (sensitivities), and
            diagnosis:

            - "no sign of trouble": the prior hardly matters.
            - "potential strong prior / weak likelihood": the prior decides and the data
              do not. That is well where it is meant so; else the prior says more than
              was intended, or the data do not determine the parameter.
            - "potential prior-data conflict": both matter, so prior and data may pull
              in different directions. A look at both is worth while; a prior that is
              meant to be informative will often be named here.

        Raises
        ------
        NotSupportedError
            For draws from the prior, fewer than 25 draws, or an argument out of its range.

        References
        ----------
        Kallioinen, N., Paananen, T., Bürkner, P.-C. and Vehtari, A. (2024). Detecting
        and diagnosing prior and likelihood sensitivity with power-scaling. Statistics
        and Computing 34, 57.
        """
        self._refuse_prior("prior_sensitivity")
        self._refuse_changed("prior_sensitivity()")
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not (number and 0 < threshold < np.inf):
            raise ArgumentError(f"threshold={threshold!r} must be above zero, such as 0.05")
        found, model = self._draws, self.model
        n_chains, n_draws = found.beta.shape[:2]
        chosen = chosen_draws(n_chains, n_draws, draws)
        check_enough_draws(n_chains * len(chosen), "prior_sensitivity()")
        # Effects that are drawn again come with coefficients of their own.
        rows, predictor, _ = self._predictor(None, PredictionRequest(kind="linear"), draws, seed)
        shape = (n_chains, len(chosen))
        beta = predictor.parameters.beta.T.reshape(*shape, -1)
        sd, corr, family = (
            {name: values[:, chosen] for name, values in kind.items()}
            for kind in (found.sd, found.corr, found.parameters)
        )
        structure = {
            g: {name: values[:, chosen] for name, values in own.items()}
            for g, own in found.structure.items()
        }
        log_prior = sum(log_prior_of(model, beta, sd, corr, family, structure).values())
        log_likelihood = predictor.total_log_prob(model.y, rows.n_rows).reshape(shape)
        used = replace(found, beta=beta, sd=sd, corr=corr, parameters=family, structure=structure)
        values = parameters_by_name(used)
        return power_scaling_table(
            values, np.broadcast_to(log_prior, shape), log_likelihood, threshold
        )

    def loo(self, by: Any = None) -> Loo:
        """Estimate how well left-out data are predicted, without refitting.

        By default single rows are left out, and predicted given the effects of their
        groups, through Pareto-smoothed importance sampling. With `by`, whole groups are
        left out: how well would a new group be predicted?

        For normal models that the fast engine takes p(y_g | y_-g, theta) is exact, all
        effects integrated out, also where other factors cross, and only the variance
        parameters are weighted. For every other model the effects of levels that occur in
        the left-out group alone (its own, and those nested in it) are integrated out at
        each draw, over their normal distribution; fixed effects, and effects of other
        factors that cross, are those of the draw and weighted. Up to three such effects
        are integrated by adaptive Gauss-Hermite quadrature around their mode (21, 7 x 7
        and 5 x 5 x 5 points), more by importance sampling around it (64 points a draw).
        That is exact to some thousandths; to some hundredths for the Laplace family, whose
        density has a kink.

        Parameters
        ----------
        by : str or array_like, shape (n,), optional
            A grouping factor, a column that the formula uses, or a group per row.

        Returns
        -------
        Loo
            With elpd, its standard error, and a report on the Pareto k in words.

        Raises
        ------
        NotSupportedError
            For draws from the prior, or fewer than 25 draws; if a density is not finite at
            some draw (`kfold` refits).
        DataError
            If `by` is nothing that the fit knows.

        References
        ----------
        Merkle, E. C., Furr, D. and Rabe-Hesketh, S. (2019). Bayesian comparison of
        latent variable models: conditional versus marginal likelihoods. Psychometrika
        84, 802-829.
        """
        self._refuse_prior("loo")
        self._refuse_changed("loo()" if by is None else "loo(by=...)", rows_only=by is None)
        y = self.model.y
        shape = self._draws.beta.shape[:2]
        if by is None:
            values = self._log_likelihood().reshape(*shape, -1)
            labels = self.model.design.row_labels
            return psis_loo(values, labels, "row", data_key(y), self.diagnostics())
        name, groups, member = groups_of_rows(self.model, by)
        values = group_log_density(self.model, self._draws, member, self._seed(None))
        return psis_loo(values, groups, name, data_key(y, member), self.diagnostics())

    def kfold(
        self,
        k: int | None = None,
        by: Any = None,
        *,
        draws: int = 1000,
        seed: int | None = None,
        progress: bool = True,
    ) -> Loo:
        """Estimate how well left-out data are predicted, by refitting without them.

        The refits are of the same model: categories, levels of factors, knots, ranges,
        scales and priors are those of the whole data. So a category or a level that only
        one fold has keeps its threshold or coefficient, and the refit without the fold
        predicts it with the prior's uncertainty: the elpd is finite. Levels of grouping
        factors that are left out are new levels. Those of the fast engine run side by
        side on all processors. Where whole groups are left out, the effects of
        their levels are integrated out, exactly for a normal model and as in `loo` for
        others.

        Parameters
        ----------
        k : int, optional
            Number of folds; 10 by default, or as many as there are rows or groups.
        by : str or array_like, shape (n,), optional
            Leave whole groups out, as in `loo`.
        draws : int
            Per chain of each refit.
        seed : int, optional
            Seed of the folds and the refits; the fit's own by default.
        progress : bool
            Whether to say on standard error which fold is being fitted.

        Returns
        -------
        Loo
            Without Pareto k. `compare` takes it.

        Raises
        ------
        NotSupportedError
            For draws from the prior, or an argument out of its range.
        DataError
            If a fold alone knows what has a flat prior, or a variance; it says which.
        """
        from bayesmix.results.check.kfold import kfold

        self._refuse_prior("kfold")
        self._refuse_changed("kfold()")
        return kfold(self, k, by, draws, self._seed(seed), progress=progress)

    def check(
        self,
        stat: Callable[[np.ndarray], float] | str | None = None,
        group: str | None = None,
        *,
        seed: int | None = None,
    ) -> Any:
        """Draw how the data look beside replicates from the fit.

        Without arguments, three panels: the response's distribution over those of
        replicates; the calibration of predictions (where the data fall among their
        replicates, PIT); and residuals against fitted values. With a grouping factor up
        to five more: its estimated effects against their normal distribution; and mean,
        sd, minimum and maximum within each level against replicates, of a response of
        two values the mean alone. Values that are censored are drawn first, from the
        fit and beyond their limit, for all that is compared with replicates (the
        completed data of Gelman et al. 2005).

        Parameters
        ----------
        stat : callable or {"mean", "sd", "min", "max", "median"}, optional
            A statistic of one's own: takes an array of responses, returns a number.
            Drawn for the whole data, or within each level of `group`.
        group : str, optional
            A grouping factor; the first by default (for `stat`, the whole data).
        seed : int, optional
            Seed of the replicates; the fit's own by default.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        DataError
            If there is no such grouping factor.
        NotSupportedError
            If `stat` is not a function or one of the known names.
        """
        from bayesmix.results.check.check_data import replicates_wanted
        from bayesmix.results.check.drawing import draw_check

        wanted = replicates_wanted(self.model.design.n_obs)
        every = self._replicates(new_groups=False, draws=wanted, seed=seed)
        replicates = self._filled(every.rows, every.predictor, every.n_draws)
        y = self.model.y
        if "status" in self.model.rows:
            y = every.predictor.completed(y)
        return draw_check(
            self.model, y, replicates, stat, group, lambda r, by: self._check_data(y, r, by, seed)
        )

    # -- inside ---------------------------------------------------------------

    def _refuse_changed(self, method: str, *, rows_only: bool = False) -> None:
        """Refuse what goes by the formula where the PyMC model that was fitted says otherwise."""
        attributes = self.idata.attrs
        words = attributes.get("pymc_changes", "")
        if words and (attributes.get("pymc_rows_changed") or not rows_only):
            raise NotSupportedError(
                f"these draws are of a PyMC model that was changed by hand ({words}), and "
                f"{method} goes by what the formula and its priors say; do it with PyMC and "
                "ArviZ on model.pymc_model and idata"
            )

    def _refuse_prior(self, method: str) -> None:
        if self.idata.attrs.get("prior_only"):
            raise NotSupportedError(
                "these are draws from the prior (prior_only=True), which no data have changed; "
                f"{method}() is for a posterior"
            )

    def _check_data(
        self,
        y: np.ndarray,
        replicates: np.ndarray,
        factor: GroupingFactor | None,
        seed: int | None,
    ) -> CheckData:
        from bayesmix.results.check.check_data import (
            Calibration,
            calibration_of_draws,
            check_data,
        )

        groups = self.model.design.groups
        if self.idata.attrs.get("prior_only"):  # the rows have no part in these draws
            quantile = self.residuals("quantile", seed=seed).to_numpy()
            calibration = Calibration(
                pit=special.ndtr(quantile),
                name="prior",
                quantile=quantile,
                fitted=self.fitted()["estimate"].to_numpy(),
            )
        else:
            calibration = calibration_of_draws(self, seed)
        return check_data(
            self.model,
            y,
            replicates,
            factor,
            calibration=calibration,
            pearson=self.residuals("pearson").to_numpy(),
            effects={g.name: self._draws.mean_effects(g.name) for g in groups},
        )

    def _log_likelihood(self) -> np.ndarray:
        """Log density of each row at each draw, shape (S, n)."""
        model = self.model
        rows, predictor, n_draws = self._predictor(
            None, PredictionRequest(kind="linear"), None, None
        )
        check_memory(
            f"{rows.n_rows} rows x {n_draws} draws", rows.n_rows * n_draws, "fit with fewer draws"
        )
        out = np.empty((n_draws, rows.n_rows))

        def fill(_: int, block: slice) -> None:
            out[:, block] = predictor.log_prob(model.y[block], block)

        for_each_block(rows.n_rows, n_draws, fill)
        return out

    def _with_group(self, name: str, data: xr.Dataset) -> xr.DataTree:
        import xarray as xr

        self.idata[name] = xr.DataTree(data)
        return self.idata
