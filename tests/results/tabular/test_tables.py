"""The tables hold what they say, against plain NumPy on known draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.design.predictor import shared_columns
from bayesmix.errors import DataError, DataWarning, NotSupportedError
from bayesmix.results import Posterior
from tests.builders import fake_posterior

ESS = ["ess_bulk", "ess_tail", "r_hat"]
COLUMNS = {
    "fixed_effects": ["term", "estimate", "sd", "lower", "upper", *ESS],
    "group_effects": ["group", "level", "effect", "estimate", "sd", "lower", "upper", *ESS],
    "group_coefficients": ["group", "level", "effect", "estimate", "sd", "lower", "upper", *ESS],
    "variance_components": [
        "group", "effect", "variance", "sd", "sd_lower", "sd_upper", "variance_share", *ESS,
    ],
    "correlations": ["group", "effect_1", "effect_2", "estimate", "lower", "upper", *ESS],
}  # fmt: skip


@pytest.fixture
def fitted(data: pd.DataFrame, rng: np.random.Generator) -> Posterior:
    text = "y ~ x + z + (x | g) + (0 + z + u | g) + (1 | h:ward)"
    return fake_posterior(bmx.Model(text, data), rng)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    "text", ["y ~ x + (x | g)", "y ~ x", "y ~ 0 + (1 | g)", "y ~ f + (f || g)"]
)
def test_the_columns_are_always_the_same(
    name: str, text: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    posterior = fake_posterior(bmx.Model(text, data), rng)
    if name.startswith("group") and "|" not in text:
        with pytest.raises(NotSupportedError, match="no group effects"):
            getattr(posterior, name)()
        return
    table = getattr(posterior, name)()
    assert type(table) is pd.DataFrame
    assert list(table.columns) == COLUMNS[name]
    for column in table.columns:
        is_text = column in {"term", "group", "level", "effect", "effect_1", "effect_2"}
        text_type = pd.Series(["a"]).dtype
        assert table[column].dtype == (text_type if is_text else np.float64), column
    shorter = getattr(posterior, name)(diagnostics=False)
    assert list(shorter.columns) == COLUMNS[name][:-3]


def test_fixed_effects_are_summaries_of_their_draws(fitted: Posterior) -> None:
    draws = fitted.idata["posterior"]["beta"].values.reshape(-1, 3)
    table = fitted.fixed_effects(ci_prob=0.8)
    assert list(table["term"]) == ["Intercept", "x", "z"]
    np.testing.assert_allclose(table["estimate"], draws.mean(axis=0))
    np.testing.assert_allclose(table["sd"], draws.std(axis=0, ddof=1))
    np.testing.assert_allclose(table["lower"], np.quantile(draws, 0.1, axis=0))
    np.testing.assert_allclose(table["upper"], np.quantile(draws, 0.9, axis=0))
    median = fitted.fixed_effects(point="median")
    np.testing.assert_allclose(median["estimate"], np.median(draws, axis=0))


def test_highest_density_intervals_are_arviz_s(fitted: Posterior) -> None:
    import arviz_stats

    table = fitted.fixed_effects(ci_prob=0.5, ci_kind="hdi")
    theirs = arviz_stats.hdi(fitted.idata["posterior"].to_dataset()[["beta"]], prob=0.5)
    np.testing.assert_allclose(table[["lower", "upper"]], theirs["beta"].values)


def test_diagnostics_are_arviz_s(fitted: Posterior) -> None:
    import arviz_stats

    draws = fitted.idata["posterior"].to_dataset()[["beta"]]
    table = fitted.fixed_effects()
    theirs = {
        "ess_bulk": arviz_stats.ess(draws, method="bulk"),
        "ess_tail": arviz_stats.ess(draws, method="tail", prob=(0.05, 0.95)),
        "r_hat": arviz_stats.rhat(draws),
    }
    for column in ESS:
        np.testing.assert_allclose(table[column], theirs[column]["beta"].values)


def test_group_effects_have_a_row_for_each_level_and_effect(fitted: Posterior) -> None:
    table = fitted.group_effects()
    model = fitted.model
    assert len(table) == sum(g.n_levels * g.n_effects for g in model.design.mu.groups)
    draws = fitted.idata["posterior"]["b_g"]
    row = table.query("group == 'g' and level == 'c' and effect == 'z'").iloc[0]
    values = draws.sel(g_level="c", g_effect="z").values
    assert row["estimate"] == pytest.approx(values.mean())
    assert row["upper"] == pytest.approx(np.quantile(values, 0.975))
    one = fitted.group_effects("h:ward", diagnostics=False)
    assert set(one["group"]) == {"h:ward"}
    with pytest.raises(
        DataError,
        match=r"no grouping factor `ward`; did you mean `h:ward`\? there are `g`, `h:ward`",
    ):
        fitted.group_effects("ward")


def test_group_coefficients_add_draw_by_draw(fitted: Posterior) -> None:
    posterior = fitted.idata["posterior"]
    total = posterior["beta"].sel(fixed_effect="x") + posterior["b_g"].sel(
        g_level="b", g_effect="x"
    )
    row = fitted.group_coefficients("g").query("level == 'b' and effect == 'x'").iloc[0]
    assert row["estimate"] == pytest.approx(float(total.mean()))
    assert row["lower"] == pytest.approx(np.quantile(total, 0.025))
    # u varies by g but has no fixed effect: its coefficient is the group effect.
    alone = fitted.group_coefficients("g").query("level == 'b' and effect == 'u'").iloc[0]
    effect = fitted.group_effects("g").query("level == 'b' and effect == 'u'").iloc[0]
    assert alone["estimate"] == effect["estimate"]


def test_wide_tables_have_a_row_for_each_level(fitted: Posterior) -> None:
    wide = fitted.group_effects("g", wide=True)
    assert list(wide.columns) == ["group", "level", "Intercept", "x", "z", "u"]
    assert len(wide) == 8
    long = fitted.group_effects("g").set_index(["level", "effect"])["estimate"]
    assert wide.set_index("level").loc["d", "x"] == long["d", "x"]
    both = fitted.group_coefficients(wide=True)
    assert len(both) == 8 + 15


def test_variance_components_and_shares(fitted: Posterior) -> None:
    posterior = fitted.idata["posterior"]
    table = fitted.variance_components()
    assert list(table["group"]) == ["g"] * 4 + ["h:ward", "Residual"]
    assert list(table["effect"]) == ["Intercept", "x", "z", "u", "Intercept", ""]
    sd = posterior["sd_g"].sel(g_effect="x").values
    row = table.iloc[1]
    assert row["sd"] == pytest.approx(np.median(sd))
    assert row["variance"] == pytest.approx(np.median(sd**2))
    assert row["sd_upper"] == pytest.approx(np.quantile(sd, 0.975))
    mean = fitted.variance_components(point="mean")
    assert mean["variance"].iloc[1] == pytest.approx(np.mean(sd**2))


def test_the_parts_of_the_variance_are_the_mean_of_z_Sigma_z(fitted: Posterior) -> None:
    posterior = fitted.idata["posterior"]
    group = fitted.model.design.mu.group("g")
    S = posterior["sd_g"].values[0, 7]
    Sigma = np.diag(S) @ posterior["corr_g"].values[0, 7] @ np.diag(S)
    from_rows = np.mean([z @ Sigma @ z for z in group.Z])
    of_ward = posterior["sd_h:ward"].values[0, 7, 0] ** 2
    residual = posterior["sigma"].values[0, 7] ** 2
    from bayesmix.laws.components import variance_parts

    parts = variance_parts(
        fitted.model.design.mu.groups,
        {"g": S, "h:ward": np.sqrt([of_ward])},
        {"g": posterior["corr_g"].values[0, 7]},
        np.asarray(residual),
    )
    assert parts.effects["g"].sum() == pytest.approx(from_rows)
    assert parts.total == pytest.approx(from_rows + of_ward + residual)
    shares = fitted.variance_components(point="mean")["variance_share"]
    assert shares.sum() == pytest.approx(1)
    icc = fitted.icc(point="mean").set_index("group")["estimate"]
    assert icc["g"] == pytest.approx(shares[:4].sum())
    assert icc["h:ward"] == pytest.approx(shares[4])


def test_icc_of_one_intercept_is_the_textbook_ratio(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    posterior = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    tau2 = posterior.idata["posterior"]["sd_g"].values[..., 0] ** 2
    sigma2 = posterior.idata["posterior"]["sigma"].values ** 2
    table = posterior.icc()
    assert list(table.columns) == ["group", "estimate", "sd", "lower", "upper"]
    assert table["estimate"][0] == pytest.approx(np.median(tau2 / (tau2 + sigma2)))


def test_correlations_list_only_what_is_estimated(fitted: Posterior) -> None:
    table = fitted.correlations()
    assert list(table["effect_1"] + "~" + table["effect_2"]) == ["Intercept~x", "z~u"]
    draws = fitted.idata["posterior"]["corr_g"].sel(g_effect="z", g_effect_bis="u").values
    assert table["estimate"][1] == pytest.approx(draws.mean())
    assert table["r_hat"].notna().all()


def test_aliased_coefficients_are_reported(data: pd.DataFrame, rng: np.random.Generator) -> None:
    with pytest.warns(DataWarning, match="twice"):
        model = bmx.Model("y ~ x + twice + z", data.assign(twice=2 * data["x"]))
    posterior = fake_posterior(model, rng)
    table = posterior.fixed_effects()
    assert list(table["term"]) == ["Intercept", "x", "twice", "z"]
    assert table["estimate"].isna().tolist() == [False, False, True, False]
    assert "Left out as aliased: twice" in str(posterior.summary())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ci_prob": 95}, "ci_prob=95 must lie between 0 and 1"),
        ({"ci_prob": 0}, "ci_prob=0"),
        ({"ci_kind": "wald"}, "ci_kind='wald' is not one of 'eti', 'hdi'"),
        ({"point": "mode"}, "point='mode' is not one of 'mean', 'median'"),
    ],
)
def test_options_are_checked(fitted: Posterior, options: dict, message: str) -> None:
    with pytest.raises(NotSupportedError, match=message):
        fitted.fixed_effects(**options)


def test_constant_draws_have_no_diagnostics(data: pd.DataFrame, rng: np.random.Generator) -> None:
    posterior = fake_posterior(bmx.Model("y ~ x", data), rng)
    posterior.idata["posterior"]["beta"].values[:] = 2.0
    table = posterior.fixed_effects()
    assert (table["estimate"] == 2).all()
    assert table[ESS].isna().all(axis=None)


def test_a_single_chain_has_no_r_hat_and_few_draws_no_ess(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model("y ~ x + (1 | g)", data)
    one = fake_posterior(model, rng, n_chains=1).fixed_effects()
    assert one["r_hat"].isna().all()
    assert one["ess_bulk"].notna().all()
    few = fake_posterior(model, rng, n_draws=2)
    assert few.fixed_effects()[ESS].isna().all(axis=None)
    assert str(few.summary())


def test_an_interaction_written_the_other_way_round_is_the_same_effect(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    posterior = fake_posterior(bmx.Model("y ~ x * z + (z * x | g)", data), rng)
    draws = posterior.idata["posterior"]
    total = draws["beta"].sel(fixed_effect="x:z") + draws["b_g"].sel(g_level="a", g_effect="z:x")
    row = posterior.group_coefficients("g").query("level == 'a' and effect == 'z:x'").iloc[0]
    assert row["estimate"] == pytest.approx(float(total.mean()))


def test_columns_of_one_name_but_other_values_are_not_the_same_effect(data: pd.DataFrame) -> None:
    mu = bmx.Model("y ~ x + (0 + x | g)", data).design.mu
    assert mu.groups[0].fixed_column == (1,)
    other = replace(mu.groups[0], Z=2 * mu.groups[0].Z)
    assert shared_columns(other, mu.X, mu.fixed_effects) == (None,)


def test_a_coefficient_called_sigma_is_diagnosed_too(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    posterior = fake_posterior(bmx.Model("y ~ sigma", data.rename(columns={"x": "sigma"})), rng)
    assert set(posterior.diagnostics().parameters["parameter"]) == {
        "Intercept", "beta(sigma)", "sigma",
    }  # fmt: skip


def test_a_summary_keeps_its_levels_apart(data: pd.DataFrame) -> None:
    data["g"] = (
        "The Saint Mary Magdalene's Primary School (" + data["g"] + ") in the far North-West"
    )
    eb = bmx.Model("y ~ x + (x | g)", data).fit_eb()
    lines = str(eb.summary()).split("Group effects of g\n")[1].splitlines()
    labels = {line.split("  Intercept")[0] for line in lines if "  Intercept" in line}
    assert len(labels) == 3
    assert max(map(len, lines)) <= 80
