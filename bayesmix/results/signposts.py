"""Words of other packages, as attributes of a fit: an error that names ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

__all__ = ["OF_DRAWS", "OF_MODES", "Signposts"]

# lme4's, brms's, statsmodels', bambi's.
_OF_ALL: Mapping[str, str] = {
    "REsim": "group_effects(), with exponentiate=True for odds",
    "FEsim": "fixed_effects()",
    "VarCorr": "variance_components() and correlations()",
    "bayes_R2": "r2()",
    "bse": "the column sd of fixed_effects()",
    "coef": "fixed_effects(), or group_coefficients() for those of each level",
    "conditional_effects": "plot_predictions() or predictions()",
    "conf_int": "the columns lower and upper of fixed_effects() and variance_components()",
    "confint": "the columns lower and upper of fixed_effects() and variance_components()",
    "cov_re": "variance_components() and correlations()",
    "cld": "marginal_means(...).letters()",
    "contrast": "marginal_means(...).contrasts()",
    "emmeans": "marginal_means()",
    "emtrends": "trends()",
    "joint_tests": "marginal_means([...]).joint_test()",
    "lsmeans": "marginal_means()",
    "pairs": 'marginal_means(...).contrasts("pairwise")',
    "ref_grid": "marginal_means()",
    "fe_params": "fixed_effects()",
    "fitted_values": "fitted()",
    "fittedvalues": "fitted()",
    "fixef": "fixed_effects()",
    "marginal_effects": "slopes() and comparisons()",
    "params": "fixed_effects()",
    "powerSim": "bayesmix.power(fit, test)",
    "predictInterval": 'predict(include=("fixed", "groups", "residual"))',
    "posterior_epred": "predict_draws()",
    "posterior_linpred": 'predict_draws(kind="linear")',
    "pp_check": "check()",
    "pvalues": "hypothesis(), such as hypothesis('x = 0')",
    "random_effects": "group_effects()",
    "ranef": "group_effects()",
    "resid": "residuals()",
    "rsquared": "r2()",
}
OF_DRAWS: Mapping[str, str] = {
    **_OF_ALL,
    "AIC": "loo()",
    "BIC": "loo()",
    "aic": "loo()",
    "bic": "loo()",
    "converged": "diagnostics().ok",
    "isSingular": "plot_prior_posterior() and variance_components(); the priors keep it from zero",
    "logLik": "log_likelihood() or loo()",
    "loglik": "log_likelihood() or loo()",
    "sigma": "family_parameters() or variance_components()",
    "singular": "plot_prior_posterior() and variance_components(); the priors keep it from zero",
    "vcov": 'the draws themselves, idata["posterior"]["beta"]',
    "waic": "loo()",
}
_FROM_FIT = "that of fit(): it needs draws, which fit_eb() has none of"
OF_MODES: Mapping[str, str] = {
    **_OF_ALL,
    "bootMer": "bootstrap()",
    "AIC": "aic",
    "BIC": "bic",
    "diagnostics": "converged, singular and optimizer",
    "idata": _FROM_FIT,
    "isSingular": "singular",
    "kfold": f"bayesmix.anova or aic; or {_FROM_FIT}",
    "llf": "loglik",
    "log_likelihood": "loglik",
    "logLik": "loglik",
    "loo": f"bayesmix.anova or aic; or {_FROM_FIT}",
    "plot_pairs": _FROM_FIT,
    "plot_prior_posterior": _FROM_FIT,
    "plot_trace": _FROM_FIT,
    "posterior_predictive": "simulate() or predict_draws()",
    "prior_sensitivity": _FROM_FIT,
    "waic": f"bayesmix.anova or aic; or {_FROM_FIT}",
}


class Signposts:
    """A fit that knows what other packages call its methods."""

    _signposts: ClassVar[Mapping[str, str]] = _OF_ALL

    if not TYPE_CHECKING:  # or a type checker would take every attribute for one

        def __getattr__(self, name: str) -> Any:
            """Raise the usual error, or for a word of another package one that names ours."""
            advice = type(self)._signposts.get(name)
            if advice is None or name in dir(type(self)):
                # Again, for the error as it was: also that of a property's inside.
                return object.__getattribute__(self, name)
            raise AttributeError(f"{type(self).__name__!r} has no {name!r}; take {advice}")
