"""A posterior prints well, keeps its labels, and draws its pictures."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, NotSupportedError
from bayesmix.results import Posterior
from bayesmix.results.tabular.diagnostics import diagnose_sampling
from bayesmix.results.tabular.text import cell
from tests.builders import fake_posterior

LONG = "a very long name of a predictor that nobody would print in full"


@pytest.mark.parametrize(
    "text",
    ["y ~ x + (x | g)", "y ~ x", "y ~ f * x + (f * x | g) + (1 | h/ward)", "y ~ 0 + (1 | g)"],
)
def test_the_summary_fits_80_columns(
    text: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model(text, data.assign(y=data["y"] * 1234.5))
    posterior = fake_posterior(model, rng)
    printed = str(posterior)
    assert max(map(len, printed.splitlines())) <= 80
    assert max(map(len, repr(model).splitlines())) <= 80
    for piece in (str(model.formula), "gaussian", "240 rows", "Variance components", "95 %"):
        assert piece in printed


def test_long_names_are_shortened_in_print_only(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model(f"y ~ `{LONG}` + (1 | g)", data.rename(columns={"x": LONG}))
    posterior = fake_posterior(model, rng)
    for text in (posterior, model, model.fit_eb(), posterior.hypothesis(f"`{LONG}` > 0")):
        assert max(map(len, str(text).splitlines())) <= 80
    table_lines = [line for line in str(posterior).splitlines() if line.startswith("  a very")]
    assert table_lines
    assert max(map(len, table_lines)) <= 80
    assert LONG in set(posterior.fixed_effects()["term"])


def test_formulas_and_groups_with_long_names_are_broken_into_lines(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    name = "group" * 20
    data = data.rename(columns={"g": name})
    model = bmx.Model(f"y ~ x * z * u + f + C(ward) + flag + (x * z | {name})", data)
    for text in (model, fake_posterior(model, rng), model.fit_eb()):
        assert max(map(len, str(text).splitlines())) <= 80
        # Nothing is lost in between.
        assert "".join(str(text).split()).startswith("".join(str(model.formula).split()))


def test_a_negative_share_is_explained_where_there_is_one(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    data["x"] = rng.uniform(1, 2, 240)
    model = bmx.Model("y ~ x + (x | g)", data)
    posterior = fake_posterior(model, rng)
    assert "share is negative" not in str(posterior)
    correlations = posterior.idata["posterior"]["corr_g"]
    correlations.values[:] = np.array([[1, -0.99], [-0.99, 1]])
    posterior.idata["posterior"]["sd_g"].values[..., 1] = 0.3
    changed = Posterior.from_tree(model, posterior.idata)
    assert (changed.variance_components()["variance_share"] < 0).any()
    assert "A share is negative where" in str(changed)
    one = pd.DataFrame({"g": np.arange(240) % 12, "x": data["x"]})
    u = rng.normal(size=12)[one["g"]]
    one["y"] = rng.normal(size=240) * 0.1 + 3 * u - 1.2 * u * one["x"]
    eb = bmx.Model("y ~ x + (x | g)", one).fit_eb()
    assert (eb.variance_components()["variance_share"] < 0).any()
    assert "A share is negative where" in str(eb)


def test_the_html_summary_escapes_names(data: pd.DataFrame, rng: np.random.Generator) -> None:
    model = bmx.Model("y ~ `<script>` + (1 | g)", data.rename(columns={"x": "<script>"}))
    posterior = fake_posterior(model, rng)
    for text in (posterior._repr_html_(), model._repr_html_()):
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
        assert "<table" in text


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (251.4051, "estimate", "251.4"),
        (0.0123456, "estimate", "0.01235"),
        (-10.46729, "estimate", "-10.47"),
        (123456.7, "estimate", "123457"),
        (1.5e-9, "estimate", "1.500e-09"),
        (-2.5e8, "estimate", "-2.500e+08"),
        (0.0, "estimate", "0.000"),
        (float("nan"), "estimate", ""),
        (1998.4, "ess_bulk", "1998"),
        (1.00234, "r_hat", "1.002"),
    ],
)
def test_numbers_have_four_significant_digits(value: float, column: str, text: str) -> None:
    assert cell(value, column) == text


def test_the_tree_is_labelled_as_the_design_says(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    tree = fake_posterior(bmx.Model("y ~ x + (x | g) + (1 | h:ward)", data), rng).idata
    posterior = tree["posterior"]
    assert posterior["beta"].dims == ("chain", "draw", "fixed_effect")
    assert posterior["sd_g"].dims == ("chain", "draw", "g_effect")
    assert posterior["corr_g"].dims == ("chain", "draw", "g_effect", "g_effect_bis")
    assert posterior["b_g"].dims == ("chain", "draw", "g_level", "g_effect")
    assert posterior["sigma"].dims == ("chain", "draw")
    assert "corr_h:ward" not in posterior
    assert list(posterior["g_level"].values) == list("abcdefgh")
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data", "constant_data"}
    np.testing.assert_array_equal(tree["observed_data"]["y_obs"], data["y"])
    for name in ("formula", "family", "seconds", "version_pymc", "version_bayesmix", "seed"):
        assert name in tree.attrs
    dims = {str(d) for node in tree.children.values() for d in node.dims}
    variables = {str(v) for node in tree.children.values() for v in node.data_vars}
    assert not dims & variables
    assert not dims & set(data.columns)


@pytest.mark.parametrize("engine", ["h5netcdf"])
def test_the_tree_survives_netcdf(
    engine: str, data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    import xarray as xr

    data = data.rename(columns={"x": "my x", "g": "Größe|1"})
    posterior = fake_posterior(bmx.Model("y ~ `my x` + (`my x` | `Größe|1`)", data), rng)
    path = tmp_path / "fit.nc"
    posterior.idata.to_netcdf(path, engine=engine)
    loaded = xr.load_datatree(path, engine=engine)
    for name in ("beta", "b_Größe|1", "corr_Größe|1"):
        np.testing.assert_array_equal(loaded["posterior"][name], posterior.idata["posterior"][name])
    assert loaded.attrs["formula"] == str(posterior.model.formula)


def test_row_coordinates_are_positions_in_the_callers_data(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    data.loc[[0, 3], "x"] = np.nan
    with pytest.warns(bmx.errors.DataWarning):
        model = bmx.Model("y ~ x", data)
    rows = fake_posterior(model, rng).idata["observed_data"]["row"].values
    assert list(rows[:3]) == [1, 2, 4]
    assert list(model.pymc_model.coords["row"][:3]) == [1, 2, 4]
    assert "2 of 240 left out" in repr(model)


def test_arviz_works_on_the_tree(data: pd.DataFrame, rng: np.random.Generator) -> None:
    import arviz_stats

    tree = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng).idata
    summary = arviz_stats.summary(tree, var_names=["beta", "sd_g"])
    assert "beta[x]" in summary.index
    assert "sd_g[Intercept]" in summary.index


# -- diagnostics --------------------------------------------------------------


def test_diagnostics_find_what_is_wrong(rng: np.random.Generator) -> None:
    good = rng.normal(size=(4, 500))
    stuck = good + np.arange(4)[:, None]
    stats = {
        "diverging": np.eye(4, 500, dtype=bool),
        "reached_max_treedepth": np.zeros((4, 500), dtype=bool),
        "energy": np.cumsum(rng.normal(size=(4, 500)), axis=1),
    }
    found = diagnose_sampling({"x": good, "sd(g, x)": stuck}, stats)
    text = "\n".join(found.problems)
    assert "4 divergent transitions" in text
    assert "r_hat of sd(g, x)" in text
    assert "effective sample size" in text
    assert "BFMI" in text
    assert "largest tree" not in text
    assert not found.ok
    assert "<li>" in found._repr_html_()


def test_diagnostics_escape_the_names_of_columns(rng: np.random.Generator) -> None:
    stuck = np.arange(4.0)[:, None] + rng.normal(size=(4, 100))
    html = diagnose_sampling({"sd(g, <b>)": stuck}, {})._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_diagnostics_are_content_with_good_draws(rng: np.random.Generator) -> None:
    stats = {
        "diverging": np.zeros((4, 500), dtype=bool),
        "energy": rng.normal(size=(4, 500)),
    }
    found = diagnose_sampling({"x": rng.normal(size=(4, 500))}, stats)
    assert found.ok
    assert str(found).startswith("4 chains x 500 draws: 0 divergences")


def no_trouble(n_chains: int, n_draws: int) -> dict[str, np.ndarray]:
    return {"diverging": np.zeros((n_chains, n_draws), dtype=bool)}


@pytest.mark.parametrize("n_chains", [1, 4])
@pytest.mark.parametrize("n_draws", [1, 3, 4])
def test_draws_that_are_too_few_to_judge_are_a_problem(
    n_chains: int, n_draws: int, rng: np.random.Generator
) -> None:
    draws = {"x": rng.normal(size=(n_chains, n_draws))}
    found = diagnose_sampling(draws, no_trouble(n_chains, n_draws))
    assert ("too few draws to judge" in str(found)) == (n_draws < 4)
    assert not found.ok
    assert "nan" not in str(found)
    chains = "1 chain x" if n_chains == 1 else "4 chains x"
    assert str(found).startswith(f"{chains} {n_draws} draw{'' if n_draws == 1 else 's'}: 0 div")
    independent = diagnose_sampling(draws, {})  # as draws from the prior are
    assert "too few draws to judge" not in str(independent)


def test_what_varies_and_has_no_diagnostic_is_named_and_what_is_constant_is_not(
    rng: np.random.Generator,
) -> None:
    good = rng.normal(size=(4, 500))
    broken = good.copy()
    broken[2, 7] = np.nan
    found = diagnose_sampling({"x": good, "one": np.ones((4, 500))}, no_trouble(4, 500))
    assert found.ok
    found = diagnose_sampling({"x": good, "sd(g, x)": broken}, no_trouble(4, 500))
    assert len(found.problems) == 1
    assert "cannot be computed of sd(g, x)" in found.problems[0]


@pytest.mark.parametrize(("n_draws", "n_chains"), [(3, 1), (1, 1), (3, 4), (1, 4)])
def test_a_fit_of_a_few_draws_gives_one_warning(
    n_draws: int, n_chains: int, sleepstudy: pd.DataFrame
) -> None:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        post = model.fit(n_draws, chains=n_chains, seed=1, progress=False)
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert "too few draws to judge" in str(caught[0].message)
    assert not post.diagnostics().ok
    chains = "1 chain x" if n_chains == 1 else "4 chains x"
    draws = "1 draw," if n_draws == 1 else "3 draws,"
    assert f"{chains} {draws} engine fast" in str(post.summary())
    for method in (post.loo, post.prior_sensitivity):
        with pytest.raises(NotSupportedError, match=r"too few for the importance weights .* 25"):
            method()
    with pytest.raises(NotSupportedError, match="too few"):
        post.loo("Subject")


def test_one_warning_names_all_problems(data: pd.DataFrame, rng: np.random.Generator) -> None:
    posterior = fake_posterior(bmx.Model("y ~ x", data), rng, n_draws=20)
    with pytest.warns(ConvergenceWarning, match="do not trust") as caught:
        posterior.warn_if_unconverged()
    assert len(caught) == 1


# -- shrinkage and pictures ---------------------------------------------------


def test_no_pooling_is_a_regression_within_each_level(
    sleepstudy: pd.DataFrame, rng: np.random.Generator
) -> None:
    posterior = fake_posterior(bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy), rng)
    table = posterior.shrinkage("Subject").table().set_index(["level", "effect"])
    for subject, rows in sleepstudy.groupby("Subject"):
        slope, intercept = np.polyfit(rows["Days"], rows["Reaction"], 1)
        assert table.loc[(subject, "Intercept"), "no_pooling"] == pytest.approx(intercept)
        assert table.loc[(subject, "Days"), "no_pooling"] == pytest.approx(slope)
    coefficients = posterior.group_coefficients().set_index(["level", "effect"])["estimate"]
    np.testing.assert_allclose(table["partial_pooling"], coefficients)


def test_no_pooling_is_missing_where_a_level_does_not_determine_it(
    rng: np.random.Generator,
) -> None:
    data = pd.DataFrame(
        {"y": rng.normal(size=7), "x": [1.0, 2, 3, 1, 2, 3, 5], "g": list("aaabbbc")}
    )
    posterior = fake_posterior(bmx.Model("y ~ x + (x || g)", data, priors=None), rng)
    table = posterior.shrinkage().table()
    assert table.query("level == 'c'")["no_pooling"].isna().all()
    assert table.query("level != 'c'")["no_pooling"].notna().all()


def test_what_does_not_vary_by_the_group_is_taken_off_first(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model("y ~ x + z + offset(u) + (1 | g) + (x | h)", data)
    posterior = fake_posterior(model, rng)
    tree = posterior.idata["posterior"].to_dataset().mean(("chain", "draw"))
    beta, b_h = tree["beta"].values, tree["b_h"].values
    group = model.design.mu.group("h")
    rest = data["y"] - data["u"] - beta[1] * data["x"] - beta[2] * data["z"]
    rest -= (group.Z * b_h[group.index]).sum(axis=1)
    expected = rest.groupby(data["g"]).mean()
    found = posterior.shrinkage("g").table().set_index("level")["no_pooling"]
    np.testing.assert_allclose(found[expected.index], expected)


@pytest.mark.parametrize("effects", [None, ["Intercept"], ["x"], "x"])
def test_pictures(effects: object, data: pd.DataFrame, rng: np.random.Generator) -> None:
    posterior = fake_posterior(bmx.Model("y ~ x + (x | g) + (1 | h)", data), rng)
    caterpillar = posterior.plot_group_effects("g", effects=effects)  # type: ignore[arg-type]
    titles = [axis.get_title() for axis in caterpillar.axes]
    assert titles == (["Intercept", "x"] if effects is None else ["".join(effects)])  # type: ignore[arg-type]
    labels = [text.get_text() for text in caterpillar.axes[0].get_yticklabels()]
    order = posterior.group_effects("g").query("effect == @titles[0]").sort_values("estimate")
    assert labels == list(order["level"])
    shrunk = posterior.plot_shrinkage("g", effects=effects)  # type: ignore[arg-type]
    assert len(shrunk.axes) == 1


def test_a_caterpillar_of_many_levels_names_the_extremes(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(200), 3)
    data = pd.DataFrame({"y": rng.normal(size=600), "g": g})
    posterior = fake_posterior(bmx.Model("y ~ 1 + (1 | g)", data), rng)
    named = [text.get_text() for text in posterior.plot_group_effects().axes[0].get_yticklabels()]
    order = posterior.group_effects().sort_values("estimate")["level"].tolist()
    assert set(named) - {""} == {*order[:20], *order[-20:], "160 levels without their names"}
    few = posterior.plot_group_effects(max_levels=20)
    assert len(few.axes[0].get_yticklabels()) == 20
    assert posterior.plot_shrinkage().axes


def test_plots_say_what_there_is(data: pd.DataFrame, rng: np.random.Generator) -> None:
    posterior = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng)
    with pytest.raises(NotSupportedError, match="no effect 'w'; it has Intercept, x"):
        posterior.plot_group_effects(effects=["w"])
    with pytest.raises(NotSupportedError, match="no group effects"):
        fake_posterior(bmx.Model("y ~ x", data), rng).plot_shrinkage()


def test_a_summary_says_what_its_columns_are(data: pd.DataFrame, rng: np.random.Generator) -> None:
    model = bmx.Model("y ~ x + (x | g)", data)
    post = fake_posterior(model, rng)
    text = " ".join(str(post).split())
    assert "Estimates are posterior means; variance, sd and share of the components are " in text
    assert "posterior medians." in text
    assert "sd is the parameter, and lower and upper are its limits" in text
    fixed, parts = (section.table for section in post.summary().sections[:2])
    draws = post.idata["posterior"]
    np.testing.assert_allclose(fixed["estimate"], draws["beta"].mean(("chain", "draw")))
    np.testing.assert_allclose(parts["sd"].iloc[:2], draws["sd_g"].median(("chain", "draw")))
    for point in ("mean", "median"):
        text = " ".join(str(post.summary(point=point)).split())
        assert f"Estimates are posterior {point}s." in text
    for method, words in (("reml", "standard error"), ("map", "posterior standard deviation")):
        text = " ".join(str(model.fit_eb(method)).split())
        assert f"beside an estimate sd is its {words}" in text


def test_counts_have_no_empty_column_of_shares(data: pd.DataFrame) -> None:
    data["count"] = (data["u"] * 3).astype(int)
    counts = bmx.Model("count ~ x + (1 | g)", data, family="poisson").fit_eb().summary()
    normal = bmx.Model("y ~ x + (1 | g)", data).fit_eb().summary()
    for summary, there in ((counts, False), (normal, True)):
        for text in (
            str(summary),
            summary.to_markdown(),
            summary.to_latex(),
            summary._repr_html_(),
        ):
            head = next(part for part in text.split("variance")[1:] if "lower" in part[:200])
            assert ("share" in head[:200].split("Intercept")[0]) == there
        assert "variance_share" in summary.to_dataframe().columns  # the tables keep it


def test_the_sigma_of_a_normal_response_with_a_log_link_is_shown(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    family = bmx.families.Gaussian(link="log")
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data, family=family), rng)
    (section,) = [s for s in post.summary().sections if s.title == "Family parameters"]
    expected = float(post.idata["posterior"]["sigma"].mean())
    assert section.table["estimate"].tolist() == pytest.approx([expected])
    plain = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    titles = [section.title for section in plain.summary().sections]
    assert "Family parameters" not in titles  # it is the residual of the components there


def test_a_limit_that_few_draws_bear_out_is_named(rng: np.random.Generator) -> None:
    """Each chain visits the lowest 2 % once, for twenty steps, and mixes well otherwise."""
    import arviz_stats

    sd = np.exp(rng.normal(size=(4, 1000)))
    values = {"Days": rng.normal(size=(4, 1000)), "sd(g, Days)": sd.copy(), "sigma": sd[::-1]}
    assert diagnose_sampling(values, {}).ok
    for chain in values["sd(g, Days)"]:
        low = np.sort(chain)[:20]
        rest = chain[chain > low[-1]]
        chain[:] = np.concatenate([rest[:400], low, rest[400:]])
    found = diagnose_sampling(values, {})
    expected = arviz_stats.ess(values["sd(g, Days)"], method="quantile", prob=0.025)
    assert found.ess_limits[1] == pytest.approx(float(expected))
    assert found.min_ess_tail > 400  # of the 5 % quantile, which is not what is reported
    (problem,) = found.problems
    assert problem.startswith(
        f"the limits of sd(g, Days) rest on an effective sample size of {float(expected):.0f} "
        "(below 400): raise draws"
    )
