"""What the subjects of a posterior start from: its draws, with labels and without."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.arguments import checked_seed
from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError
from bayesmix.inference.draws import GroupMoments
from bayesmix.laws.correlations import Correlations
from bayesmix.laws.draws import DrawsLaw
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular.diagnostics import Diagnostics, convergence_of, diagnose_sampling
from bayesmix.results.tabular.named import named_parameters
from bayesmix.results.tabular.tree import MOMENTS_GROUP

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.statement.stated import StatedModel

__all__ = ["HasDraws", "law_of_tree"]


def law_of_tree(model: StatedModel, tree: xr.DataTree) -> DrawsLaw:
    """Find the draws of each role among those that a tree labels.

    Parameters
    ----------
    model : StatedModel
    tree : DataTree

    Returns
    -------
    DrawsLaw
    """
    posterior = tree["posterior"].to_dataset()
    variables = posterior.variables

    def values(name: str) -> np.ndarray:
        return np.asarray(variables[name].transpose("chain", "draw", ...).values)

    no_beta = np.zeros((posterior.sizes["chain"], posterior.sizes["draw"], 0))
    moments = _moments(model, tree)

    def law_of(parameter: str, **more: Any) -> DrawsLaw:
        """Coefficients and effects of one linear predictor."""
        predictor, called = model.design.predictors[parameter], model.names.of(parameter)
        sd, free, structure = {}, {}, {}
        for g in predictor.all_groups:
            called = model.names.of(g.owner or parameter)
            covariance = covariance_of(g)
            structure[g.name] = {
                name: values(called.parameter(name, g.name)) for name in covariance.parameters()
            }
            sd[g.name] = covariance.by_effect(values(called.sd(g.name)), structure[g.name])
            if covariance.has_correlations:
                free[g.name] = values(called.corr(g.name))
        called = model.names.of(parameter)
        b = {
            g.name: values(model.names.of(g.owner or parameter).b(g.name))
            for g in predictor.all_groups
            if parameter != "mu" or g.name not in moments
        }
        return DrawsLaw(
            model=model,
            parameter=parameter,
            beta=values(called.beta) if predictor.fixed_effects else no_beta,
            sd=sd,
            corr=Correlations(predictor.all_groups, free, structure),
            structure=structure,
            b=b,
            labels=(posterior["chain"].to_numpy(), posterior["draw"].to_numpy()),
            seed=int(tree.attrs.get("seed", 0)),
            is_prior=bool(tree.attrs.get("prior_only", False)),
            has_stated_prior=not tree.attrs.get("pymc_changes"),
            **more,
        )

    return law_of(
        "mu",
        moments=moments,
        parameters={name: values(name) for name in (*model.parameters, *model.names.residual_dims)},
        others={name: law_of(name) for name in model.design.predictors if name != "mu"},
    )


def _moments(model: StatedModel, tree: xr.DataTree) -> dict[str, GroupMoments]:
    """Moments of group effects whose draws were not kept."""
    if MOMENTS_GROUP not in tree.children:
        return {}
    found, names = tree[MOMENTS_GROUP], model.names
    return {
        g.name: GroupMoments(
            mean=found[f"{names.b(g.name)}_mean"].to_numpy(),
            sd=found[f"{names.b(g.name)}_sd"].to_numpy(),
            coefficient_mean=found[f"coefficient_{g.name}_mean"].to_numpy(),
            coefficient_sd=found[f"coefficient_{g.name}_sd"].to_numpy(),
        )
        for g in model.design.mu.groups
    }


class HasDraws(HasLaw):
    """A fit whose law is that of the draws in its tree.

    Attributes
    ----------
    idata : xarray.DataTree
        With the groups posterior, sample_stats, observed_data and constant_data.
    """

    idata: xr.DataTree

    @functools.cached_property
    def _law(self) -> DrawsLaw:
        return law_of_tree(self.model, self.idata)

    def diagnostics(self) -> Diagnostics:
        """Look at divergences, r_hat, effective sample sizes and BFMI.

        Returns
        -------
        Diagnostics
            Over the fixed effects and the variance parameters; the tables of
            group effects carry their own columns.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.diagnostics().ok
        True
        """
        return self._diagnostics

    def convergence_table(self) -> pd.DataFrame:
        """Set every parameter's estimate beside how sure the chains make it.

        Returns
        -------
        DataFrame
            One row per fixed effect, variance parameter and parameter of the family:
            parameter, estimate (the mean), sd, the Monte Carlo standard errors mcse_mean,
            mcse_median and mcse_sd, ess_bulk, ess_tail, r_hat, divergences (those of the run,
            the same in every row) and divergences_at, the mean of the divergent draws less the
            estimate, in sd: parameters of which it is far from zero are where to look. NaN
            where nothing diverged, and where chains are too short to judge.

        References
        ----------
        Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Buerkner, P.-C. (2021).
        Rank-normalization, folding, and localization: an improved R-hat for assessing
        convergence of MCMC. Bayesian Analysis 16, 667-718.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep)
        >>> table = model.fit(seed=1, progress=False).convergence_table()
        >>> bool((table["r_hat"] < 1.01).all())
        True
        """
        return convergence_of(
            named_parameters(self.model, self._law.values), self._stats.get("diverging")
        )

    @functools.cached_property
    def _stats(self) -> dict[str, np.ndarray]:
        """What the sampler said of each draw, under ArviZ's names."""
        if "sample_stats" not in self.idata.children:
            return {}
        found = self.idata["sample_stats"].to_dataset()
        return {str(name): values.to_numpy() for name, values in found.items()}

    @functools.cached_property
    def _diagnostics(self) -> Diagnostics:
        return diagnose_sampling(named_parameters(self.model, self._law.values), self._stats)

    def _seed(self, seed: int | None) -> int:
        return checked_seed(seed, int(self.idata.attrs.get("seed", 0)))

    def _with_group(self, name: str, data: xr.Dataset) -> xr.DataTree:
        import xarray as xr

        self.idata[name] = xr.DataTree(data)
        return self.idata

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
