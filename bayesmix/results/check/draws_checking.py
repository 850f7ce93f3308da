"""What only draws can be held against: data left out, priors, replicates beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import ArgumentError
from bayesmix.laws.linear import for_each_block
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import rows_of_fit
from bayesmix.memory import check_memory
from bayesmix.results.check.loo import (
    Loo,
    check_enough_draws,
    data_key,
    group_log_density,
    groups_of_rows,
    psis_loo,
)
from bayesmix.results.check.sensitivity import log_prior_of, power_scaling_table
from bayesmix.results.having_draws import HasDraws
from bayesmix.results.predict.batches import rows_in_batches
from bayesmix.results.predict.labelled import labelled_draws
from bayesmix.results.tabular.named import named_parameters

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["ChecksDraws"]


class ChecksDraws(HasDraws):
    """Cross-validation, predictive draws and sensitivities of a posterior."""

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

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.posterior_predictive(draws=100)["posterior_predictive"]["y"].shape
        (4, 25, 180)
        """
        model, law = self.model, self._law
        rows = rows_of_fit(model, "response")
        if new_groups:
            rows = rows.with_new_groups(model.design)
        predictor = law.predictor(rows, PredictionRequest(kind="response"), draws, seed)
        values = predictor.all_draws(rows.n_rows, predictor.n_draws)
        name = model.names.observed
        array = labelled_draws(model, law, values, rows, draws, name)
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

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.prior_predictive(draws=100)["prior_predictive"]["y"].shape
        (1, 100, 180)
        """
        self._refuse_changed("prior_predictive()")
        number = self._seed(seed)
        prior = self.model.fit(draws=draws, chains=1, seed=number, prior_only=True, progress=False)
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

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.log_likelihood()["log_likelihood"]["y"].shape
        (4, 1000, 180)
        """
        self._refuse_changed("log_likelihood()", rows_only=True)
        name = self.model.names.observed
        rows = rows_of_fit(self.model, "linear")
        array = labelled_draws(self.model, self._law, self._log_likelihood(), rows, None, name)
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

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> list(post.log_prior()["log_prior"])
        ['beta', 'sd_Subject', 'corr_Subject', 'sigma']
        """
        import xarray as xr

        self._refuse_changed("log_prior()")
        found = self._law
        by_variable = log_prior_of(self.model, found.values)
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

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.prior_sensitivity()["diagnosis"].unique().tolist()
        ['no sign of trouble']
        """
        self._refuse_prior("prior_sensitivity")
        self._refuse_changed("prior_sensitivity()")
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not (number and 0 < threshold < np.inf):
            raise ArgumentError(f"threshold={threshold!r} must be above zero, such as 0.05")
        found, model = self._law, self.model
        n_chains = found.beta.shape[0]
        chosen = found.chosen(draws)
        check_enough_draws(n_chains * len(chosen), "prior_sensitivity()")
        # Effects that are drawn again come with coefficients of their own.
        rows = rows_of_fit(model, "linear")
        predictor = found.predictor(rows, PredictionRequest(kind="linear"), draws, seed)
        shape = (n_chains, len(chosen))
        beta = predictor.parameters.beta.T.reshape(*shape, -1)
        used = replace(found.values.at_draws(chosen), beta=beta)
        log_prior = sum(log_prior_of(model, used).values())
        log_likelihood = predictor.total_log_prob(model.y, rows.n_rows).reshape(shape)
        values = named_parameters(model, used)
        return power_scaling_table(
            values, np.broadcast_to(log_prior, shape), log_likelihood, threshold
        )

    def loo(self, by: Any = None, *, data: Any = None) -> Loo:
        """Estimate how well left-out data are predicted, without refitting.

        By default single rows are left out, and predicted given the effects of their
        groups, through Pareto-smoothed importance sampling. With `by`, whole groups are
        left out: how well would a new group be predicted?

        For normal models that the fast engine takes ``p(y_g | y_-g, theta)`` is exact, all
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
            A grouping factor, a column that the formula uses, or a group per row: a Series is
            read by its labels, as pandas does, anything else in the order of the rows.
        data : what is read in batches, optional
            The rows of the fit, where it comes from a file that has sums and no rows. Rows that
            are read in batches are read again: twice for the levels of the only grouping factor,
            and once more for each hundred or so of other groups.

        Returns
        -------
        Loo
            With elpd, its standard error, and a report on the Pareto k in words.

        Raises
        ------
        NotSupportedError
            For draws from the prior, or fewer than 25 draws; if a density is not finite at
            some draw (`kfold` refits); for single rows of data that are read in batches.
        DataError
            If `by` is nothing that the fit knows.

        References
        ----------
        Merkle, E. C., Furr, D. and Rabe-Hesketh, S. (2019). Bayesian comparison of
        latent variable models: conditional versus marginal likelihoods. Psychometrika
        84, 802-829.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.loo(by="Subject").elpd < 0
        True
        """
        self._refuse_prior("loo")
        self._refuse_changed("loo()" if by is None else "loo(by=...)", rows_only=by is None)
        if rows_in_batches(self.model, data):
            from bayesmix.results.check.streamed_loo import streamed_groups

            name, groups, values, key = streamed_groups(self._law, by, data)
            return psis_loo(values, groups, name, key, self.diagnostics())
        y = self.model.y
        shape = self._law.beta.shape[:2]
        if by is None:
            values = self._log_likelihood().reshape(*shape, -1)
            labels = self.model.design.row_labels
            return psis_loo(values, labels, "row", data_key(y), self.diagnostics())
        name, groups, member = groups_of_rows(self.model, by)
        values = group_log_density(self._law, member)
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

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> folds = post.kfold(k=5, seed=1)
        >>> len(folds.pointwise)
        180
        """
        from bayesmix.results.check.kfold import kfold

        self._refuse_prior("kfold")
        self._refuse_changed("kfold()")
        return kfold(self, k, by, draws, self._seed(seed), progress=progress)

    # -- inside ---------------------------------------------------------------

    def _log_likelihood(self) -> np.ndarray:
        """Log density of each row at each draw, shape (S, n)."""
        model = self.model
        rows = rows_of_fit(model, "linear")
        predictor = self._law.predictor(rows, PredictionRequest(kind="linear"), None, None)
        n_draws = predictor.n_draws
        check_memory(
            f"{rows.n_rows} rows x {n_draws} draws", rows.n_rows * n_draws, "fit with fewer draws"
        )
        out = np.empty((n_draws, rows.n_rows))

        def fill(_: int, block: slice) -> None:
            out[:, block] = predictor.log_prob(model.y[block], block)

        for_each_block(rows.n_rows, n_draws, fill)
        return out
