"""What other packages call our arguments and attributes: tables of words, and nothing else.

Each word leads to what to write here. `answering.py` reads the tables where a call or an
attribute fails.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ARGUMENTS", "ARGUMENTS_OF", "OF_DRAWS", "OF_MEANS", "OF_MODEL", "OF_MODES", "OF_PACKAGE",
]  # fmt: skip

# -- arguments ------------------------------------------------------------------

_ALWAYS = "nothing:"
_NEW_LEVELS = (
    f"{_ALWAYS} a level that was not seen has effects drawn from the group distribution, and a "
    "missing one is a group of this population, unknown which"
)
_SEED, _CORES, _PROGRESS, _N = ("seed=",), ("cores=",), ("progress=",), ("n=", "n_sim=", "draws=")
_DRAWS = ("draws=", "n=", "fit(draws=...)")
_KIND = 'kind="mean", "response" or "linear"'
_LEVEL = ("ci_prob=",)
_GROUPS = 'groups="population", as NA is there; "conditional", the default, is as NULL'
_TYPE = (_KIND, "exponentiate=, for the scale of odds or rates")
_RATIOS = ("exponentiate=", 'kind="mean" or "back_transformed"')
_ADJUST = 'marginal_means(...).contrasts(adjust="holm"), which adjusts for several comparisons'
_NAMES = ("var_names=", "terms=", "group=", "variables=", "the rows of the table")
_SD = f"{_ALWAYS} the column sd is always there"
_ROWS = "a fit to other rows: update(data=...)"
_DRAW_IDS = "predict_draws(), and of it the draws that are meant: .isel(draw=[...])"
_ROUNDED = f"{_ALWAYS} tables are at full precision; summary().to_latex(digits=3) rounds"

# For any method. Each word has several answers, and the first whose argument the method has is
# given; one that names no argument is for all of them.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("newdata", "new_data", "exog", "X", "newx"), ("data=", "predict(data=...)")),
    **dict.fromkeys(
        (
            "level",
            "conf_level",
            "prob",
            "probs",
            "hdi_prob",
            "cred_mass",
            "conf_int",
            "conf",
            "coverage",
            "width",
        ),
        _LEVEL,
    ),
    "alpha": ("ci_prob=, which is 1 - alpha",),
    "conf_method": ("ci_method=",),
    **dict.fromkeys(
        ("re_form", "re_formula", "reform", "ReForm", "REform"),
        (_GROUPS, 'predict(groups="population")'),
    ),
    "include_group_specific": ('groups="population" for False',),
    **dict.fromkeys(
        ("allow_new_levels", "sample_new_levels", "sample_new_groups"),
        ("new_groups=", _NEW_LEVELS),
    ),
    **dict.fromkeys(("type", "scale", "pred_type", "response_type"), _TYPE),
    **dict.fromkeys(("transform", "tran", "eform", "exp", "exponentiated", "odds"), _RATIOS),
    **dict.fromkeys(("se_fit", "se", "condVar", "postVar", "with_sd"), (_SD,)),
    "interval": ('kind="response" for prediction intervals, "mean" for confidence intervals',),
    **dict.fromkeys(("ndraws", "nsamples", "n_draws", "n_samples", "num_samples"), _DRAWS),
    **dict.fromkeys(("nsim", "nboot", "n_boot", "reps", "B", "R", "n_sims"), _N),
    **dict.fromkeys(("random_seed", "random_state", "rng", "set_seed"), _SEED),
    **dict.fromkeys(("parallel", "ncpus", "n_jobs", "n_cores", "num_cores", "workers"), _CORES),
    **dict.fromkeys(
        ("progressbar", "progress_bar", "show_progress", "verbose", "silent", "quiet", "refresh"),
        _PROGRESS,
    ),
    "robust": ('point="median"',),
    "vcov": ('ddf="kenward-roger"', 'bootstrap(kind="cases"), for errors that are robust'),
    **dict.fromkeys(("dpar", "component", "resp", "nlpar"), ("parameter=",)),
    **dict.fromkeys(("adjust", "p_adjust"), (_ADJUST,)),
    **dict.fromkeys(
        ("equivalence", "delta"), ("rope=", "marginal_means(...).contrasts(rope=(-1, 1))")
    ),
    "null": ('hypothesis("x = 1")',),
    "hypothesis": ("hypotheses=", "hypothesis([...]), or marginal_means(...).contrasts(...)"),
    "comparison": ("compare=",),
    **dict.fromkeys(("eps", "delta_var"), ("step=",)),
    **dict.fromkeys(("newgrid", "datagrid", "grid", "conditions", "cov_reduce"), ("at=",)),
    **dict.fromkeys(("group_by", "groupby"), ("by=",)),
    **dict.fromkeys(("condition", "effects", "conditional"), ("x= and by=", "variables= and by=")),
    "wts": ("weights=", "data=, with rows as often as they weigh"),
    **dict.fromkeys(
        ("na_action", "na_rm", "subset"), ("data=, with the rows that are meant", _ROWS)
    ),
    "draw_ids": (_DRAW_IDS,),
    **dict.fromkeys(("incl_autocor", "autocor"), (f"{_ALWAYS} forecast=True continues series",)),
    "test": ('ddf="satterthwaite" or "kenward-roger"; bayesmix.anova(a, b) compares fits',),
    "sort": (f"{_ALWAYS} rows keep their order",),
    "offset": ("data=, where the offset is a column", _ROWS),
    "summary": (f"{_ALWAYS} tables summarise; the draws are those of post.idata",),
    **dict.fromkeys(("round_to", "decimals", "fmt"), (_ROUNDED,)),
    **dict.fromkeys(("pars", "parm", "parms", "regex_pars", "variable", "which"), _NAMES),
    "variables": ("by=", "x=", "factors="),
    "whichel": ("group=",),
    "grouping": ("group=", "by="),
    "method": ("ci_method=",),
    **dict.fromkeys(("lmer_df", "df", "df_method", "ddof"), ("ddf=",)),
    **dict.fromkeys(("axes", "axs"), ("ax=",)),
    "fig": ("ax=, with axes of that figure",),
    "digits": (_ROUNDED,),
    **dict.fromkeys(("file", "filename", "file_name", "fname"), ("path=",)),
}


def _renamed(words: str, ours: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), ours)


_SEVERAL = "a second formula, as in Model([{}], data, ...)"
_ZI = _SEVERAL.format('"y ~ x", "zi ~ x"') + ' with family="zero_inflated_poisson"'
_SAMPLING = "fit({}=...): a model is stated first"
_IN_FORMULA = "group terms of the formula, as in y ~ x + (x | g)"
_STATED = "Model(formula, data, {}=...), as it is a matter of the model"
_OF_GRIDS = {
    "adjust": "contrasts(adjust=...)", "infer": "table", "specs": "factors= and by=",
    "data": "at=, or predictions(data=...), which averages over rows", "newdata": "at=",
    **_renamed(
        "mode type scale transform", 'kind="linear", "mean", "back_transformed" or "probability"'
    ),
    "regrid": 'kind="mean"',
}  # fmt: skip
_OF_EFFECTS = {
    **_renamed("type scale pred_type response_type", 'kind="mean" or "linear"'),
    **_renamed("transform tran eform exp", 'compare="ratio" or "odds_ratio"'),
    **_renamed("df numderiv", f"{_ALWAYS} there are no degrees of freedom, and no differences "
               "of a gradient: estimates are averages over draws, or exact"),
    "wts": "data=, with rows as often as they weigh",
}  # fmt: skip
_OF_FITTING = {
    **{name: _STATED.format(name) for name in (
        "family", "known_se", "parametrization", "priors", "weights", "data", "formula",
    )},
    "prior": "Model(formula, data, priors={...})",
    "callback": f"{_ALWAYS} it runs to its end, and Ctrl-C returns what there is",
}  # fmt: skip

# For one function or method: these go before those of any.
ARGUMENTS_OF: Mapping[str, Mapping[str, str]] = {
    "plot": {
        "comparisons": f"{_ALWAYS} arrows of marginal means that do not meet differ",
    },
    "Model": {
        **_renamed("ziformula zi zero_inflation", _ZI),
        **_renamed("hu hurdle", _SEVERAL.format('"y ~ x", "hu ~ x"')
                   + ' with family="hurdle_poisson"'),
        **_renamed("dispformula sigma sigma_formula disp dispersion",
                   _SEVERAL.format('"y ~ x", "sigma ~ x"')
                   + "; of other families the parameter has its own name, such as alpha or phi"),
        **_renamed("correlation autocor correlations",
                   _SEVERAL.format('"y ~ x", "residual ~ ar1(time | g)"')),
        "varFunc": _SEVERAL.format('"y ~ x", "sigma ~ x"'),
        "offset": "offset(x) in the formula, as in y ~ x + offset(np.log(exposure))",
        "exposure": "offset(np.log(exposure)) in the formula",
        "trials": "proportion(successes, trials) ~ ... as the formula's left-hand side",
        "control": "fit(target_accept=..., tune=...); fit_eb() needs none",
        **_renamed("REML reml", 'fit_eb(method="reml") or "ml"'),
        **_renamed("method nAGQ", "fit_eb(), with method= or n_quadrature="),
        **_renamed("random groups re_formula vc_formula exog_re group", _IN_FORMULA),
        "fixed": "the formula, Model(formula, data)",
        "subset": 'data.query("..."), with fewer rows',
        "na_action": 'missing="drop" or "raise"',
        "dropna": 'missing="drop" or "raise"',
        "contrasts": "C(f, contr.sum) and the like in the formula",
        **_renamed("prior set_prior", 'priors={"x": bayesmix.Prior("Normal", mu=0, sigma=1)}'),
        "link": 'family=bayesmix.families.Binomial(link="probit")',
        "noncentered": 'parametrization="centered" or "non-centered"',
        **_renamed("cov_ranef data2 cov", "matrices={...}, with (1 | gr(g, cov=A))"),
        **_renamed("extra_namespace env", "functions={...}"),
        "center_predictors": "center(x) in the formula",
        "auto_scale": f"{_ALWAYS} default priors scale with the data; priors= has your own",
        "potentials": "model.pymc_model, which you may add to",
        "categorical": "C(x) in the formula",
        "map": "priors= with a narrow prior, or a formula without the term",
        "start": f"{_ALWAYS} searches have starts of their own",
        **_renamed("verbose drop_unused_levels", f"{_ALWAYS} a warning says what was left out"),
        **_renamed("save_pars save_all_pars", 'fit(group_draws="all")'),
        **_renamed("automatic_priors hierarchical", "priors="),
        "knots": "s(x, k=...) in the formula",
        **{name: _SAMPLING.format(ours) for name, ours in {
            "draws": "draws", "iter": "draws", "warmup": "tune", "tune": "tune",
            "chains": "chains", "cores": "cores", "seed": "seed", "engine": "engine",
            "sample_prior": "prior_only", "backend": "sampler",
        }.items()},
    },
    "compare_estimates": {"vcov": ""},  # where names are those of the fits, as of any
    "fit": {
        **_OF_FITTING,
        **_renamed("adapt_delta max_treedepth nuts", "target_accept="),
        "control": "target_accept= and tune=",
        "iter": "draws= (kept per chain) and tune= (warm-up steps)",
        "method": "engine=, or fit_eb(method=...)",
        "REML": 'fit_eb(method="reml") or "ml"',
        "reml": 'fit_eb(method="reml") or "ml"',
        **_renamed("n_chains num_chains", "chains="),
        **_renamed("samples num_samples n_samples n_draws", "draws="),
        **_renamed("warmup num_warmup burn burnin n_tune", "tune="),
        **_renamed("nuts_sampler backend inference_method", 'sampler="nutpie" or "pymc"'),
        "sample_prior": "prior_only=",
        "thin": f"{_ALWAYS} all draws are kept; take fewer, post.idata.isel(draw=slice(None, None, "
                "10))",
        "init": f"{_ALWAYS} the sampler starts near the mode",
        "start": f"{_ALWAYS} the sampler starts near the mode",
        "save_pars": 'group_draws="all"',
        **_renamed("threads threads_per_chain", "cores="),
        **_renamed("idata_kwargs include_mean include_response_params omit_offsets",
                   f"{_ALWAYS} log_likelihood(), fitted() and predict() compute it when asked"),
        **_renamed("step cmdstan_args compute_convergence_checks discard_tuned_samples",
                   "engine=\"pymc\", or pm.sample(...) within model.pymc_model"),
    },
    "fit_eb": {
        **_OF_FITTING,
        **_renamed("REML reml", 'method="reml" or "ml"'),
        "nAGQ": "n_quadrature=",
        "draws": "fit() for draws",
        "seed": "fit() for draws; nothing is drawn here",
        **_renamed("control optimizer start maxiter free verbose devFunOnly niter gtol",
                   f"{_ALWAYS} the search has exact gradients and several starts; see "
                   "eb.optimizer for how it went"),
    },
    "marginal_means": {
        "nesting": f"{_ALWAYS} factors that are nested in others are found in the data",
        "submodel": "a fit of the smaller formula",
        "bias_adjust": 'kind="mean", which averages the responses',
        **_OF_GRIDS, "variables": "factors= and by=", "rope": "contrasts(rope=...)",
    },
    "trends": {
        **_OF_GRIDS, "var": "variable=", "variables": "variable=", "delta_var": "no step",
    },
    "contrasts": {
        "alpha": "ci_prob=", "contrast": "kind=", "level": "ci_prob=", "method": "kind=",
        "ref": "reference=", "simple": "by=",
        "side": "table", "type": 'marginal_means(kind="back_transformed")',
    },
    "letters": {"Letters": "letters()", "alpha": "ci_prob=, which is 1 - alpha"},
    "slopes": {
        **_OF_EFFECTS,
        "transform": "no transformation: slopes are on the scale of kind=",
        "slope": "comparisons(compare=...), or log(x) in the formula for elasticities",
        "cross": "at=, for the other predictor's values",
        "eps": f"{_ALWAYS} the step is a small part of the predictor's sd",
    },
    "predictions": {**_OF_EFFECTS, "transform": 'kind="mean"'},
    "comparisons": {
        **_OF_EFFECTS,
        "rope": "marginal_means(...).contrasts(rope=(-1, 1)), or hypothesis(..., rope=(-1, 1))",
        "cross": "at=, for the other predictor's values",
    },
    "predict": {
        **_renamed("transform tran eform exp", 'kind="mean", the scale of the response'),
        **_renamed("random_only random", 'include=("groups",)'),
        "level": 'ci_prob=, or groups="population" where that is nlme\'s level=0',
        "cores": f"{_ALWAYS} predictions take the threads that help",
        "robust": f"{_ALWAYS} estimates are means; predict_draws() has the draws for medians",
        "summary": "predict_draws(), which has the draws",
        "idata": f"{_ALWAYS} the fit has its draws, and predict() returns a table",
        "inplace": f"{_ALWAYS} predict() returns a table, and predict_draws() the draws",
        "probabilities": 'kind="probability"',
        "which": 'include=("fixed", "groups", "residual")',
        "terms": 'include=("fixed", "groups", "residual")',
    },
    "group_effects": {"drop": "wide=True", "as_frame": "wide=True"},
    "check": {
        **_renamed("type kind prefix", 'stat=, such as "mean" or a function of the response'),
        **_renamed("ndraws nsamples n_draws nsim", f"{_ALWAYS} as many replicates are drawn as "
                   "the panels need"),
    },
    "plot_trace": _renamed("combined compact legend kind", f"{_ALWAYS} chains have their lines"),
    "plot_pairs": _renamed("kind marginals divergences",
                           f"{_ALWAYS} points, histograms and divergences are drawn"),
    "plot_predictions": {
        "terms": "x= and by=", **_renamed("points rug show_data", "data="),
        "spaghetti": "group=, whose levels have their lines",
        "interval": 'kind="response", whose band holds new observations',
    },
    "fixed_effects": {
        **_renamed("test p_values", "tests=True, or ddf= for degrees of freedom"),
        "summary": 'idata["posterior"]["beta"], which are the draws',
    },
    "variance_components": {"comp": "the columns variance and sd"},
    "hypothesis": {
        "class_": "names as in the tables: \"x = 0\", \"sd(g) > 1\", \"corr(g, Intercept, x) = 0\"",
        "group": 'b(g, level, effect), such as "b(Subject, 308, Days) > 0"',
        "scope": 'b(g, level, effect), such as "b(Subject, 308, Days) > 0"',
    },
    "diagnostics": _renamed("var_names pars variables", "the rows of diagnostics().parameters"),
    "prior_sensitivity": _renamed("var_names pars variables", "the rows of the table"),
    "icc": {"by_group": "the rows of the table, one for each grouping factor",
            "tolerance": f"{_ALWAYS} a variance of zero has a share of zero"},
    "vcov": {
        "full": 'vcov("all"), of the coefficients of all predictors',
        "correlation": f"{_ALWAYS} divide by the roots of the diagonal",
    },
    "test": {"joint": "a list of equations, which are tested together"},
    "ranova": {"reduce_terms": f"{_ALWAYS} each effect is left out of its term"},
    "relationship": {
        "ped": "pedigree=", "inverse": f"{_ALWAYS} the inverse is made with it, and is sparse",
    },
    "summary": {
        "priors": "model.priors, which is a table",
        "var_names": "fixed_effects(), variance_components() and the other tables",
        "kind": f"{_ALWAYS} estimates and diagnostics stand together",
        "correlation": "vcov()", "effects": "groups=False, which leaves out the levels",
        "random": "groups=False, which leaves out the levels",
    },
    "loo": {
        **_renamed("reloo moment_match k_threshold", "kfold(), which refits"),
        "pointwise": f"{_ALWAYS} the result has them",
        "group": "by=", "k": "kfold(k)",
    },
    "kfold": {**_renamed("K folds n_splits", "k="), "group": "by=", "groups": "by="},
    "compare": {
        "criterion": f"{_ALWAYS} it is leave-one-out; by= leaves out groups",
        "ic": f"{_ALWAYS} it is leave-one-out; by= leaves out groups",
    },
    "anova": {
        **_renamed("refit REML", 'fit_eb(method="ml"), where fixed effects differ'),
        "typ": "type=",
    },
    "drop1": {"test": f"{_ALWAYS} these are likelihood ratio tests", "scope": "the table's rows"},
    "bootstrap": {
        "use_u": 'kind="semiparametric", which resamples the estimated effects',
        "FUN": "statistic=", "type": 'kind="parametric", "semiparametric", "cases" or "wild"',
    },
    "power": {
        **_renamed("judge decide success", 'criterion="p", "interval" or "probability"'),
        "effect": "model=, a bayesmix.Scenario with numbers of your own",
        **_renamed("nsim reps", "n="), "along": 'levels={"subject": [20, 40]}',
        "within": 'levels={"subject": [20, 40]}', "breaks": 'levels={"subject": [20, 40]}',
    },
    "simulate": {
        "nsim": "n=", "newparams": "bayesmix.simulate(formula, data, parameters)",
        "use_u": "new_groups=, which says whose effects are drawn",
    },
    "residuals": {
        **_renamed("type scaled", 'kind="response", "pearson", "normalized" or "quantile"'),
    },
    "fitted": {"scale": 'predict(kind="linear") for the scale of the link'},
    "update": {"formula_": "formula="},
    "report": {"file": "path=", "title": f"{_ALWAYS} the formula is the title"},
}  # fmt: skip

# -- attributes -----------------------------------------------------------------

# lme4's, brms's, statsmodels', bambi's, of any fit.
_OF_ALL: Mapping[str, str] = {
    **dict.fromkeys(("coefficients", "coef_", "intercept_", "model_parameters"), "fixed_effects()"),
    **dict.fromkeys(
        ("df_resid", "df_residual", "residual_df"),
        "fixed_effects(ddf=...), with degrees of freedom for each coefficient",
    ),
    **dict.fromkeys(("getData", "model_frame", "frame"), "model.design.frame"),
    **dict.fromkeys(("t_test", "wald_test", "f_test"), "hypothesis(), such as hypothesis('x = 0')"),
    **dict.fromkeys(
        ("get_prediction", "predict_interval", "posterior_interval"),
        "predict(), whose columns lower and upper they are",
    ),
    **dict.fromkeys(("performance", "model_performance"), "r2() and icc()"),
    **dict.fromkeys(("check_model", "plot_diagnostics", "ppc", "plot_ppc"), "check()"),
    **dict.fromkeys(("summary2", "head", "to_csv"), "summary() or tidy()"),
    **dict.fromkeys(("plot_forest", "mcmc_plot"), "plot_fixed_effects() and plot_group_effects()"),
    "random_effects_cov": "group_effects(), whose column sd it is",
    "terms": "model.formula",
    "conditional_smooths": "plot_smooths()",
    "prior_summary": "model.priors",
    "fit": "update(), which fits again",
    "REsim": "group_effects(), with exponentiate=True for odds",
    "FEsim": "fixed_effects()",
    "VarCorr": "variance_components() and correlations()",
    "augment": "predict(), fitted() and residuals()",
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
    "formula": "model.formula",
    "getME": "model.design.mu, which has X, offset and groups",
    "glance": "summary()",
    "marginal_effects": "slopes() and comparisons()",
    **dict.fromkeys(("nobs", "n_obs"), "model.design.n_obs, or the first lines of summary()"),
    **dict.fromkeys(("ngrps", "n_groups"), "model.design.mu.groups, each with n_levels"),
    **{
        f"to_{form}": f"summary().to_{form}(...), or bayesmix.tables({{...}}) for tables you choose"
        for form in ("latex", "markdown", "docx", "excel", "dataframe")
    },
    "params": "fixed_effects()",
    "parameters": "tidy()",
    "plot": "plot_fixed_effects(), plot_group_effects(), plot_predictions(x) or check()",
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
    "scale": "variance_components(), whose last row is the residual's",
    # lmerTest, RLRsim, merTools and simr
    **dict.fromkeys(("ls_means", "lsmeansLT", "lsm"), "marginal_means()"),
    "difflsmeans": 'marginal_means(...).contrasts("pairwise")',
    **dict.fromkeys(("doTest", "powerCurve"), "bayesmix.power(fit, test)"),
    "extend": 'bayesmix.power(fit, test, levels={"subject": [20, 40]}), which adds levels',
    "expectedRank": "group_effects()",
    "plotREsim": "plot_group_effects()",
    "plotFEsim": "plot_fixed_effects()",
    "doSim": "simulate()",
}
OF_DRAWS: Mapping[str, str] = {
    **_OF_ALL,
    **dict.fromkeys(
        ("trace", "samples", "stanfit", "extract", "spread_draws", "get_variables"),
        'idata["posterior"]',
    ),
    **dict.fromkeys(("rhat", "neff_ratio", "ess"), "diagnostics().parameters"),
    "nuts_params": 'idata["sample_stats"]',
    **dict.fromkeys(("stancode", "make_stancode"), "model.pymc_model"),
    **dict.fromkeys(("plot_posterior", "plot_dens", "plot_density"), "plot_prior_posterior()"),
    "p_direction": "fixed_effects(tests=True), whose column pd it is",
    "bayes_factor": "hypothesis('x = 0'), whose ratio it is",
    **dict.fromkeys(
        ("add_criterion", "model_weights", "loo_compare"), "loo() and bayesmix.compare"
    ),
    "thin": "idata.isel(draw=slice(None, None, 10))",
    "AIC": "loo()",
    "BIC": "loo()",
    "aic": "loo()",
    "as_draws": 'idata["posterior"]',
    "bic": "loo()",
    "converged": "diagnostics().ok",
    **dict.fromkeys(("cov_params", "vcov"), 'the draws themselves, idata["posterior"]["beta"]'),
    "draws": 'idata["posterior"]',
    "isSingular": "plot_prior_posterior() and variance_components(); the priors keep it from zero",
    "logLik": "log_likelihood() or loo()",
    "loglik": "log_likelihood() or loo()",
    "posterior": 'idata["posterior"], or idata.to_dataframe of it',
    "sigma": "family_parameters() or variance_components()",
    "singular": "plot_prior_posterior() and variance_components(); the priors keep it from zero",
    **dict.fromkeys(("tvalues", "zvalues"), "fixed_effects(tests=True), whose pd is of the sign"),
    "waic": "loo()",
}
_FROM_FIT = "that of fit(): it needs draws, which fit_eb() has none of"
OF_MODES: Mapping[str, str] = {
    **_OF_ALL,
    "remlcrit": "reml_criterion",
    **dict.fromkeys(("profile", "thpr"), 'fixed_effects(ci_method="profile")'),
    "anova_lm": "anova()",
    "bootMer": "bootstrap()",
    **dict.fromkeys(
        ("contest", "contest1D", "contestMD", "calcSatterth"),
        'test("x = 0"), of one equation or several together',
    ),
    **dict.fromkeys(("exactRLRT", "exactLRT"), "exact_rlrt()"),
    "PBmodcomp": 'bayesmix.anova(a, b, test="bootstrap")',
    "KRmodcomp": 'bayesmix.anova(a, b, test="kenward-roger")',
    "rand": "ranova()",
    "show_tests": "anova(), and test() of equations of your own",
    "step": "drop1() and ranova(), which test what one step would leave out",
    "vcovAdj": 'vcov(ddf="kenward-roger")',
    "AIC": "aic",
    "BIC": "bic",
    "cov_params": "vcov()",
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
    "posterior": _FROM_FIT,
    "posterior_predictive": "simulate() or predict_draws()",
    "prior_sensitivity": _FROM_FIT,
    **dict.fromkeys(
        ("tvalues", "zvalues"),
        'fixed_effects(ddf="satterthwaite"), whose column t it is; without, estimate / sd',
    ),
    "waic": f"bayesmix.anova or aic; or {_FROM_FIT}",
}
# For a model that has not been fitted yet.
OF_MODEL: Mapping[str, str] = {
    **{
        name: f"fit().{name}() or fit_eb().{name}()"
        for name in (
            "summary", "predict", "fixed_effects", "group_effects", "variance_components", "check",
            "report", "save", "tidy",
        )
    },
    **dict.fromkeys(("sample", "run", "posterior"), "fit()"),
    **dict.fromkeys(("build", "backend", "compile"), "pymc_model, which is there already"),
    **dict.fromkeys(("stancode", "make_stancode"), "pymc_model or equation()"),
    **dict.fromkeys(("nobs", "n_obs"), "design.n_obs"),
    **dict.fromkeys(("groups", "ngrps"), "design.mu.groups, each with n_levels"),
    "plot": "fit().plot_predictions() or fit_eb().plot_predictions()",
    "sample_prior": "fit(prior_only=True)",
    "fit_reml": "fit_eb()",
    "coef": "fit().fixed_effects() or fit_eb().fixed_effects()",
    "data": "design.frame, the columns that the model uses",
    "plot_priors": "priors, or fit(prior_only=True).plot_fixed_effects()",
    "prior_predictive": "fit(prior_only=True).predict_draws(kind=\"response\")",
    "prior_summary": "priors",
    "get_prior": "priors",
    "set_priors": "update(priors={...})",
    "terms": "formula",
    "X": "design.mu.X",
}  # fmt: skip
# For marginal means and contrasts.
OF_MEANS: Mapping[str, str] = {
    "cld": "letters()",
    "columns": "table.columns",
    "confint": "the columns lower and upper of table",
    "contrast": "contrasts()",
    "head": "table.head()",
    "iloc": "table.iloc",
    "loc": "table.loc",
    "pairs": 'contrasts("pairwise")',
    "pwpm": 'contrasts("pairwise")',
    "regrid": 'marginal_means(kind="mean")',
    "summary": "table",
    "test": "table, or joint_test()",
    "to_csv": "table.to_csv()",
    "to_frame": "table",
}
# For the package, behind "bayesmix.".
_OF_A_FIT = "EmpiricalBayes.{0}() and Posterior.{0}(), of a fit"
OF_PACKAGE: Mapping[str, str] = {
    **{
        name: _OF_A_FIT.format(name)
        for name in (
            "summary",
            "tidy",
            "predict",
            "comparisons",
            "slopes",
            "predictions",
            "hypothesis",
        )
    },
    **dict.fromkeys(("avg_comparisons", "interpret"), _OF_A_FIT.format("comparisons")),
    **dict.fromkeys(("avg_slopes", "marginaleffects"), _OF_A_FIT.format("slopes")),
    "avg_predictions": _OF_A_FIT.format("predictions"),
    "plot": _OF_A_FIT.format("plot_predictions"),
    "loo": "Posterior.loo(), of a fit",
    "fit": "Model(formula, data).fit() or .fit_eb()",
    "Formula": 'Model(["y ~ x", "sigma ~ x"], data), with texts',
    **dict.fromkeys(("brm", "stan_glmer", "stan_lmer"), "Model(formula, data).fit()"),
    **dict.fromkeys(
        ("lme", "lmer", "mixedlm", "MixedLM"), "Model(formula, data).fit_eb() or .fit()"
    ),
    **dict.fromkeys(
        ("glmer", "glmmTMB"), 'Model(formula, data, family="bernoulli").fit_eb() or .fit()'
    ),
    **dict.fromkeys(
        ("prior", "set_prior"), 'Model(..., priors={"sd": bayesmix.Prior("HalfNormal", sigma=1)})'
    ),
    "gam": 'Model("y ~ s(x)", data).fit_eb() or .fit()',
    "loo_compare": "compare({...})",
    **dict.fromkeys(("powerCurve", "powerSim"), 'power(fit, test, levels={"subject": [20, 40]})'),
    "makeLmer": "Scenario(formula, data, parameters)",
    "makeGlmer": "Scenario(formula, data, parameters, family)",
    "PBmodcomp": 'anova(a, b, test="bootstrap")',
    "KRmodcomp": 'anova(a, b, test="kenward-roger")',
    "SATmodcomp": "anova(a, b), or fit.anova() and fit.test()",
    **dict.fromkeys(
        ("emmeans", "lsmeans", "ref_grid"), "EmpiricalBayes.marginal_means(), of a fit"
    ),
    "emtrends": "EmpiricalBayes.trends(), of a fit",
    **dict.fromkeys(
        ("joint_tests", "contrast", "pairs", "cld"),
        "EmpiricalBayes.marginal_means(), of a fit, with joint_test(), contrasts() and letters()",
    ),
    "exactRLRT": "EmpiricalBayes.exact_rlrt(), of a fit",
    "ranova": "EmpiricalBayes.ranova(), of a fit",
    "drop1": "EmpiricalBayes.drop1(), of a fit",
    "bootMer": "EmpiricalBayes.bootstrap(), of a fit",
    "predictInterval": 'EmpiricalBayes.predict(include=("fixed", "groups", "residual")), of a fit',
    "REsim": "EmpiricalBayes.group_effects(), of a fit",
}
