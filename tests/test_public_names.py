"""No public name is lost: what users call today, they can call tomorrow."""

from __future__ import annotations

import pytest

import bayesmix as bmx
from bayesmix.results.laplace_fit import LaplaceFit

# Names are added to these lists, and never taken out.
PACKAGE = """
    EmpiricalBayes Model Posterior Prior Scenario anova calibrate compare compare_estimates design
    errors families load load_dataset power relationship simulate
    tables
""".split()  # noqa: SIM905
MODEL = """
    complete_pooling equation facts fit fit_eb gaussian_problem glmm_problem graph link_start
    no_pooling prior_entries priors pymc_changes pymc_model update with_parts
""".split()  # noqa: SIM905
POSTERIOR = """
    check comparisons convergence_table correlations covariance_parameters diagnostics
    family_parameters fitted fixed_effects from_tree
    group_coefficients group_effects hypothesis icc is_prior kfold log_likelihood log_prior loo
    marginal_covariance marginal_means plot_covariance_parameters plot_fixed_effects
    plot_group_effects
    plot_marginal_covariance plot_pairs plot_predictions plot_prior_posterior
    plot_shrinkage plot_trace plot_variance_components posterior_predictive predict
    predict_draws predictions prior_predictive prior_sensitivity r2 report residual_summary
    residuals save
    seconds shrinkage simulate slopes summary tidy trends update variance_components
    variance_partition
    warn_if_unconverged
""".split()  # noqa: SIM905
EMPIRICAL_BAYES = """
    aic aicc anova bic bootstrap check comparisons converged correlations covariance_parameters
    deviance df
    family_parameters fitted
    fixed_effects flat group_coefficients group_effects hypothesis icc loglik
    marginal_covariance marginal_means optimizer plot_covariance_parameters plot_marginal_covariance
    plot_fixed_effects plot_group_effects plot_predictions plot_shrinkage
    plot_variance_components predict predict_draws predictions r2 ranova reml_criterion report
    residual_summary residuals save shrinkage sigma simulate singular slopes summary test tidy
    trends update to_marginaleffects variance_components variance_partition vcov
""".split()  # noqa: SIM905
LAPLACE_FIT = """
    approximation mean_branch separation
""".split()  # noqa: SIM905


def test_the_package_has_its_names() -> None:
    assert set(PACKAGE) <= set(bmx.__all__)


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (bmx.Model, MODEL),
        (bmx.Posterior, POSTERIOR),
        (bmx.EmpiricalBayes, EMPIRICAL_BAYES),
        (LaplaceFit, EMPIRICAL_BAYES + LAPLACE_FIT),
    ],
)
def test_a_class_has_its_names(cls: type, names: list[str]) -> None:
    assert set(names) <= set(dir(cls))
