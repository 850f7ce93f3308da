"""The pictures that need draws: a posterior's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from bayesmix.results.having_draws import HasDraws
from bayesmix.results.pictures.parameter_draws import chosen_parameters, divergent_draws
from bayesmix.results.pictures.prior_curves import prior_curves
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.tabular.named import named_parameters

__all__ = ["PosteriorPlots"]

_MOST_TRACES = 20
_MOST_PAIRS = 10
_MOST_PRIORS = 30


class PosteriorPlots(HasDraws):
    """Draws as pictures."""

    @picture
    def plot_trace(self, var_names: str | Iterable[str] | None = None, **look: Unpack[Look]) -> Any:
        """Draw each parameter's density and its draws in order, a colour per chain.

        Divergent transitions are ticks below both. Chains that mix lie on top of each
        other.

        Parameters
        ----------
        var_names : str or iterable of str, optional
            Parameters by the names of `diagnostics().parameters`: ``"Days"``,
            ``"sd(Subject, Days)"``, ``"corr(Subject, Intercept, Days)"``, ``"sigma"``;
            several at once as ``"beta"``, ``"sd"``, ``"sd(Subject)"``, ``"corr"``; a
            group effect as ``"b(Subject, 308, Days)"``. By default all but the group
            effects.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is no such parameter, or there are too many for one picture.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> figure = post.plot_trace("sigma")
        """
        from bayesmix.results.plots.trace import plot_trace

        found = chosen_parameters(self._law, var_names, _MOST_TRACES, "plot_trace")
        return plot_trace(found, divergent_draws(self.idata))

    @picture
    def plot_pairs(self, var_names: str | Iterable[str] | None = None, **look: Unpack[Look]) -> Any:
        """Draw each pair of parameters against each other, divergences marked.

        Parameters
        ----------
        var_names : str or iterable of str, optional
            As in `plot_trace`; by default the first ten.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is no such parameter, or there are too many for one picture, or
            only one.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> figure = post.plot_pairs(["sigma", "sd"])
        """
        from bayesmix.results.plots.pairs import plot_pairs

        title = ""
        every = list(named_parameters(self.model, self._law.values))
        if var_names is None and len(every) > _MOST_PAIRS:
            title = f"The first {_MOST_PAIRS} of {len(every)} parameters; var_names= chooses others"
            var_names = every[:_MOST_PAIRS]
        found = chosen_parameters(self._law, var_names, _MOST_PAIRS, "plot_pairs", least=2)
        return plot_pairs(found, divergent_draws(self.idata), title)

    @picture
    def plot_prior_posterior(
        self, var_names: str | Iterable[str] | None = None, **look: Unpack[Look]
    ) -> Any:
        """Draw the posterior density of each parameter over that of its prior.

        The prior is the exact density, of a correlation the LKJ's marginal one. Each
        panel shows where the posterior is, and as much again on either side. The
        default prior of the intercept holds at the predictors' means, and so does its
        panel. A flat prior has no density to draw.

        Parameters
        ----------
        var_names : str or iterable of str, optional
            As in `plot_trace`, without group effects, which have no prior of their own.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is no such parameter, or there are too many for one picture.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> figure = post.plot_prior_posterior("sigma")
        """
        from bayesmix.results.plots.prior_posterior import plot_prior_posterior

        self._refuse_changed("plot_prior_posterior()")
        found = chosen_parameters(
            self._law, var_names, _MOST_PRIORS, "plot_prior_posterior", group_effects=False
        )
        return plot_prior_posterior(prior_curves(self._law, found))
