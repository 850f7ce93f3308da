"""What the subjects of a posterior start from: its draws, with labels and without."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.arguments import checked_seed
from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError
from bayesmix.inference.draws import GroupMoments
from bayesmix.laws.draws import DrawsLaw, PredictorDraws
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular.diagnostics import Diagnostics, diagnose_sampling
from bayesmix.results.tabular.named import named_parameters
from bayesmix.results.tabular.tree import MOMENTS_GROUP

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.statement.stated import StatedModel

__all__ = ["HasDraws", "law_of_tree"]

_ByGroup = dict[str, np.ndarray]


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
    names, groups = model.names, model.design.mu.groups
    posterior = tree["posterior"]

    def values(name: str) -> np.ndarray:
        return np.asarray(posterior[name].transpose("chain", "draw", ...).values)

    moments = {}
    if MOMENTS_GROUP in tree.children:
        found = tree[MOMENTS_GROUP]
        moments = {
            g.name: GroupMoments(
                mean=found[f"{names.b(g.name)}_mean"].to_numpy(),
                sd=found[f"{names.b(g.name)}_sd"].to_numpy(),
                coefficient_mean=found[f"coefficient_{g.name}_mean"].to_numpy(),
                coefficient_sd=found[f"coefficient_{g.name}_sd"].to_numpy(),
            )
            for g in groups
        }
    no_beta = np.zeros((posterior.sizes["chain"], posterior.sizes["draw"], 0))

    def covariances(parameter: str) -> tuple[_ByGroup, _ByGroup, dict[str, _ByGroup]]:
        """Standard deviations, correlations and structures of one linear predictor's groups."""
        called = names.of(parameter)
        sd, corr, structure = {}, {}, {}
        for g in model.design.predictors[parameter].groups:
            covariance = covariance_of(g)
            structure[g.name] = {
                name: values(called.parameter(name, g.name)) for name in covariance.parameters()
            }
            sd[g.name] = covariance.by_effect(values(called.sd(g.name)), structure[g.name])
            free = values(called.corr(g.name)) if covariance.has_correlations else None
            R = covariance.correlation(free, structure[g.name])
            if R is not None:
                corr[g.name] = R
        return sd, corr, structure

    def predictor_draws(parameter: str) -> PredictorDraws:
        predictor, called = model.design.predictors[parameter], names.of(parameter)
        sd, corr, _ = covariances(parameter)
        return PredictorDraws(
            beta=values(called.beta) if predictor.fixed_effects else no_beta,
            sd=sd,
            corr=corr,
            b={g.name: values(called.b(g.name)) for g in predictor.groups},
        )

    sd, corr, structure = covariances("mu")
    return DrawsLaw(
        model=model,
        beta=values("beta") if model.design.mu.fixed_effects else no_beta,
        sd=sd,
        corr=corr,
        structure=structure,
        b={g.name: values(names.b(g.name)) for g in groups if g.name not in moments},
        moments=moments,
        parameters={name: values(name) for name in (*model.parameters, *names.residual_dims)},
        others={name: predictor_draws(name) for name in model.design.predictors if name != "mu"},
        labels=(posterior["chain"].to_numpy(), posterior["draw"].to_numpy()),
        seed=int(tree.attrs.get("seed", 0)),
        is_prior=bool(tree.attrs.get("prior_only", False)),
        has_stated_prior=not tree.attrs.get("pymc_changes"),
    )


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

    @functools.cached_property
    def _diagnostics(self) -> Diagnostics:
        stats = {}
        if "sample_stats" in self.idata.children:
            found = self.idata["sample_stats"].to_dataset()
            stats = {str(name): values.to_numpy() for name, values in found.items()}
        return diagnose_sampling(named_parameters(self.model, self._law.values), stats)

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
