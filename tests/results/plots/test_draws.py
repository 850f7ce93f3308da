"""Pictures of draws: traces, pairs, and posteriors over their priors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from bayesmix.results.pictures.parameter_draws import chosen_parameters
from bayesmix.results.pictures.prior_curves import prior_curves
from bayesmix.results.plots.smooth import density
from tests.builders import fake_posterior, non_normal
from tests.results.plots.pictures import check_texts, drawn

NAMES = ["Intercept", "x", "sd(g, Intercept)", "sd(g, x)", "corr(g, Intercept, x)", "sigma"]


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    found = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng)
    diverging = found.idata["sample_stats"]["diverging"]
    diverging.values[0, [3, 50]] = True
    return found


def test_a_trace_has_a_row_for_each_parameter(post: bmx.Posterior) -> None:
    figure = post.plot_trace()
    left, right = figure.axes[::2], figure.axes[1::2]
    assert [axis.get_title("left") for axis in left] == NAMES
    sigma = post.idata["posterior"]["sigma"].values
    for chain in range(3):
        np.testing.assert_array_equal(right[-1].lines[chain].get_ydata(), sigma[chain])
    (ticks,) = drawn(right[0], "divergent")
    np.testing.assert_array_equal(ticks.get_xdata(), [3, 50])
    (ticks,) = drawn(left[-1], "divergent")
    np.testing.assert_array_equal(ticks.get_xdata(), sigma[0, [3, 50]])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["chain 1", "chain 2", "chain 3", "2 divergent"]
    check_texts(figure)


def test_densities_integrate_to_one_within_the_support(post: bmx.Posterior) -> None:
    figure = post.plot_trace(["sd", "corr"])
    for axis, ends in zip(figure.axes[::2], [(0, np.inf), (0, np.inf), (-1, 1)], strict=True):
        for line in axis.lines[:3]:
            x, y = line.get_data()
            assert x[0] >= ends[0]
            assert x[-1] <= ends[1]
            assert integrate.trapezoid(y, x) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("sigma", ["sigma"]),
        ("beta", ["Intercept", "x"]),
        (["fixed"], ["Intercept", "x"]),
        ("sd", ["sd(g, Intercept)", "sd(g, x)"]),
        ("sd_g", ["sd(g, Intercept)", "sd(g, x)"]),
        ("corr(g)", ["corr(g, Intercept, x)"]),
        (["sd(g,x)", "x"], ["sd(g, x)", "x"]),
        (["b(g, c, x)"], ["b(g, c, x)"]),
        (None, NAMES),
    ],
)
def test_parameters_go_by_their_names(post: bmx.Posterior, asked: Any, expected: list[str]) -> None:
    found = chosen_parameters(post._law, asked, 20, "plot_trace")
    assert list(found) == expected
    if expected == ["b(g, c, x)"]:
        values = post.idata["posterior"]["b_g"].sel(g_level="c", g_effect="x").values
        np.testing.assert_array_equal(found["b(g, c, x)"], values)


def test_the_first_ten_of_many_parameters_are_drawn_in_pairs(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model("y ~ x * z + f + (x | g) + (1 | h) + (1 | ward)", data)
    many = fake_posterior(model, rng)
    every = list(many.diagnostics().parameters["parameter"])
    assert len(every) > 10
    figure = many.plot_pairs()
    assert len(figure.axes) == 55
    title = figure.get_suptitle()
    assert title == f"The first 10 of {len(every)} parameters; var_names= chooses others"
    check_texts(figure)
    assert not many.plot_pairs(every[-2:]).get_suptitle()
    with pytest.raises(NotSupportedError, match="up to 10 parameters"):
        many.plot_pairs(every)


def test_a_coefficient_may_be_called_like_a_parameter(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(
        bmx.Model("y ~ sigma + (1 | g)", data.rename(columns={"x": "sigma"})), rng
    )
    titles = [a.get_title("left") for a in post.plot_trace().axes[::2]]
    assert titles == ["Intercept", "beta(sigma)", "sd(g, Intercept)", "sigma"]
    assert post.plot_prior_posterior().axes[1].get_title() == "beta(sigma)"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("sgma", "no parameter 'sgma'; did you mean 'sigma'"),
        ("b_g", r"a group effect is called 'b\(g, a, Intercept\)'"),
        ("b(g, nobody, x)", r"a group effect is called 'b\(g, a, Intercept\)'"),
        ([], r"draws up to|at least 1 parameters, not 0"),
    ],
)
def test_parameters_that_are_not_there_are_named(
    post: bmx.Posterior, asked: Any, text: str
) -> None:
    with pytest.raises(NotSupportedError, match=text):
        post.plot_trace(asked)


def test_too_many_panels_are_refused_with_the_way_out(rng: np.random.Generator) -> None:
    d = pd.DataFrame(rng.normal(size=(90, 32)), columns=[f"x{k}" for k in range(32)])
    post = fake_posterior(bmx.Model("x0 ~ " + " + ".join(d.columns[1:]), d), rng)
    for ask, most in (("plot_trace", 20), ("plot_pairs", 10), ("plot_prior_posterior", 30)):
        with pytest.raises(
            NotSupportedError, match=rf"{ask} draws up to {most} .*var_names=\['Int"
        ):
            getattr(post, ask)("beta")
    assert len(post.plot_pairs(["x1", "x2"]).axes) == 3
    with pytest.raises(NotSupportedError, match="at least 2 parameters, not 1"):
        post.plot_pairs("x1")


def test_pairs_show_draws_and_divergences(post: bmx.Posterior) -> None:
    figure = post.plot_pairs(["x", "sigma", "sd"])
    assert len(figure.axes) == 10
    panel = next(a for a in figure.axes if a.get_ylabel() == "sigma")
    x = post.idata["posterior"]["beta"].values[:, :, 1]
    sigma = post.idata["posterior"]["sigma"].values
    marked = drawn(panel, "divergent")[0].get_offsets()
    np.testing.assert_allclose(marked, np.column_stack([x[0, [3, 50]], sigma[0, [3, 50]]]))
    shown = np.asarray(drawn(panel, "draws")[0].get_offsets())
    plain = np.ones(x.shape, dtype=bool)
    plain[0, [3, 50]] = False
    np.testing.assert_allclose(shown, np.column_stack([x[plain], sigma[plain]]))
    assert figure.legends[0].get_texts()[0].get_text() == "2 divergent"
    check_texts(figure)


def test_priors_are_drawn_as_they_are(post: bmx.Posterior) -> None:
    figure = post.plot_prior_posterior()
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["Intercept at the predictors' means", *NAMES[1:]]
    entries = {e.parameter: e.prior for e in post.model.prior_entries}
    exact = {
        "x": stats.norm(0, entries["x"].parameters["sigma"]),
        "sd(g, Intercept)": stats.halfcauchy(0, entries["sd(g, Intercept)"].parameters["beta"]),
        "sigma": stats.halfcauchy(0, entries["sigma"].parameters["beta"]),
        # The LKJ(2) of two: (rho + 1) / 2 is Beta(2, 2).
        "corr(g, Intercept, x)": stats.beta(2, 2, -1, 2),
    }
    for axis, name in zip(figure.axes, NAMES, strict=True):
        if name in exact:
            (line,) = drawn(axis, "prior")
            x, y = line.get_data()
            np.testing.assert_allclose(y, exact[name].pdf(x), rtol=1e-6)
    check_texts(figure)


def test_the_intercept_is_where_its_prior_is(
    post: bmx.Posterior, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    draws = post._law
    found = prior_curves(draws, {"Intercept": draws.beta[:, :, 0]})[0]
    at_means = draws.beta[:, :, 0] + data["x"].mean() * draws.beta[:, :, 1]
    np.testing.assert_allclose(found.draws, at_means.ravel())
    own = bmx.Model(
        "y ~ x + (1 | g)", data, priors={"Intercept": bmx.Prior("Normal", mu=1, sigma=3)}
    )
    written = fake_posterior(own, rng)
    draws = written._law
    found = prior_curves(draws, {"Intercept": draws.beta[:, :, 0]})[0]
    assert found.name == "Intercept"
    np.testing.assert_array_equal(found.draws, draws.beta[:, :, 0].ravel())


def test_larger_correlation_matrices_have_their_marginal(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = bmx.Model("y ~ x + (x + z | g)", data, priors={"corr": bmx.Prior("LKJ", eta=1.5)})
    post = fake_posterior(model, rng)
    curve = prior_curves(post._law, chosen_parameters(post._law, "corr", 9, ""))[0]
    # p(rho_12) of |R|^0.5 over the other two entries.
    rho = np.array([0.0, 0.6])

    def unscaled(r: float) -> float:
        def det(b: float, a: float) -> float:
            return max(1 + 2 * r * a * b - r * r - a * a - b * b, 0.0) ** 0.5

        return float(integrate.dblquad(det, -1, 1, -1, 1, epsabs=1e-4)[0])

    found = np.interp(rho, curve.grid, curve.density)  # type: ignore[arg-type]
    assert found[1] / found[0] == pytest.approx(unscaled(0.6) / unscaled(0.0), rel=0.01)


def test_ordered_thresholds_have_their_order_statistic(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal("cumulative", "size ~ x + (1 | g)", data, rng)
    chosen = chosen_parameters(post._law, "thresholds", 9, "")
    curves = prior_curves(post._law, chosen)
    assert [c.name for c in curves] == [
        f"thresholds[{pair}] at the predictors' means" for pair in ("a|b", "b|c")
    ]
    prior = post.model.prior_entries.family["thresholds"].prior.parameters
    t = stats.t(prior["nu"], prior["mu"], prior["sigma"])
    for curve, tail in zip(curves, (t.sf, t.cdf), strict=True):
        wanted = 2 * t.pdf(curve.grid) * tail(curve.grid)
        np.testing.assert_allclose(curve.density, wanted, rtol=1e-3, atol=1e-6)


def test_heavy_tails_do_not_set_the_scale(data: pd.DataFrame) -> None:
    prior = bmx.Model("y ~ x + (1 | g)", data).fit(seed=1, prior_only=True, progress=False)
    line = drawn(prior.plot_prior_posterior("sigma").axes[0], "prior")[0]
    beta = prior.model.prior_entries.family["sigma"].prior.parameters["beta"]
    assert line.get_xdata()[-1] < 50 * beta  # of 4000 draws the largest is thousands of it
    posterior = drawn(prior.plot_prior_posterior("sigma").axes[0], "posterior")[0]
    np.testing.assert_allclose(
        posterior.get_ydata()[5:], line.get_ydata()[5:], atol=0.12 * line.get_ydata()[0]
    )


def test_flat_priors_have_no_density(data: pd.DataFrame, rng: np.random.Generator) -> None:
    model = bmx.Model("y ~ x + (1 | g)", data, priors={"x": bmx.Prior("Flat")})
    figure = fake_posterior(model, rng).plot_prior_posterior("x")
    assert not drawn(figure.axes[0], "prior")
    assert figure.axes[0].get_xlabel() == "Flat(): no density"


def test_captions_write_numbers_as_the_axes_do(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    from bayesmix.results.plots.ticks import numbers_in

    prior = bmx.Prior("Normal", mu=-25000, sigma=1e6)
    model = bmx.Model("y ~ x + (1 | g)", data, priors={"x": prior})
    figure = fake_posterior(model, rng).plot_prior_posterior("x")
    assert figure.axes[0].get_xlabel() == "Normal(mu=-25000, sigma=1e6)"
    assert numbers_in("Normal(mu=1.5e-07, sigma=2.5)") == "Normal(mu=1.5e-7, sigma=2.5)"


def test_group_effects_have_no_prior_of_their_own(post: bmx.Posterior) -> None:
    with pytest.raises(NotSupportedError, match="group effects are drawn by plot_group_effects"):
        post.plot_prior_posterior("b(g, a, x)")


def test_long_names_can_be_read(rng: np.random.Generator) -> None:
    from tests.builders import long_names

    x = "a_predictor_with_a_very_long_name_indeed"
    post = fake_posterior(bmx.Model(f"y ~ treatment * {x} + ({x} | school)", long_names(rng)), rng)
    for figure in (
        post.plot_trace(),
        post.plot_pairs(["fixed", "sd", "corr"]),
        post.plot_pairs([x, "sigma"]),
        post.plot_prior_posterior(),
        post.plot_prior_posterior("sigma"),
    ):
        check_texts(figure)


def test_smooth_densities_stay_inside_and_keep_their_mass(rng: np.random.Generator) -> None:
    values = np.abs(rng.normal(size=4000))
    grid = np.linspace(0, 6, 400)
    found = density(values, grid, 0.0)
    assert integrate.trapezoid(found, grid) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(found[:200], stats.halfnorm.pdf(grid[:200]), atol=0.06)
    heavy = rng.standard_cauchy(4000)
    grid = np.linspace(-6, 6, 400)
    np.testing.assert_allclose(density(heavy, grid), stats.cauchy.pdf(grid), atol=0.05)
    assert not density(np.ones(5), grid).any()
