"""Tables and pictures of covariances: parameters of structures, and what they make of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.results.plots.heatmap import plot_heatmap
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.summary import first_rows
from tests.builders import fake_posterior
from tests.covariance.structures import entered, with_structure
from tests.results.plots.pictures import check_texts

PLACES = np.array([[0.0, 0.0], [1.0, 0.5], [2.5, 0.0], [3.0, 3.0]])
TIED = "tied(f[a], f[b], f[c], f[d])"


@pytest.fixture(autouse=True)
def _entered() -> Iterator[None]:
    with entered():
        yield


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 160
    g, f = rng.integers(0, 12, n), rng.integers(0, 4, n)
    b = 2.0 * (0.6 * rng.normal(size=(12, 1)) + 0.8 * rng.normal(size=(12, 4)))
    h = rng.integers(0, 5, n)
    x = rng.normal(size=n)
    y = 5 + 0.5 * x + b[g, f] + rng.normal(size=5)[h] + rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": y, "x": x, "g": g, "h": h, "f": np.array(list("abcd"))[f],
            "w": rng.uniform(0.5, 2, n), "count": rng.poisson(np.exp(0.2 * b[g, f])),
        },
        index=pd.Index(np.arange(n) + 1000),
    )  # fmt: skip


def tied(text: str, rows: pd.DataFrame, **model: object) -> bmx.Model:
    return with_structure(bmx.Model(text, rows, **model), "g", {0: "tied"}, PLACES)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def post(rows: pd.DataFrame) -> bmx.Posterior:
    with entered():
        return tied("y ~ x + (0 + f | g)", rows).fit(
            draws=500, tune=300, chains=2, seed=5, progress=False
        )


def Sigma(sd: float, rho: float) -> np.ndarray:
    return np.asarray(sd**2 * ((1 - rho) * np.eye(4) + rho))


def dense(fit: bmx.EmpiricalBayes, sd: float, rho: float) -> np.ndarray:
    """Z Sigma Z' of the factor g over all rows."""
    group = fit.model.design.mu.group("g")
    Z = np.zeros((len(group.Z), group.n_levels * 4))
    for i, level in enumerate(group.index):
        Z[i, 4 * level : 4 * level + 4] = group.Z[i]
    return Z @ np.kron(np.eye(group.n_levels), Sigma(sd, rho)) @ Z.T


def test_marginal_covariance_is_that_of_dense_algebra(rows: pd.DataFrame) -> None:
    fit = tied("y ~ x + (0 + f | g) + (x | h) + (1 | g:h)", rows, weights="w").fit_eb()
    sd = fit.variance_components().set_index(["group", "effect"])["sd"]
    V = dense(fit, sd["g", TIED], fit.covariance_parameters()["estimate"][0])
    h, x = rows["h"].to_numpy(), rows["x"].to_numpy()
    rho = fit.correlations()["estimate"][0]
    s = np.array([sd["h", "Intercept"], sd["h", "x"]])
    S = np.outer(s, s) * np.array([[1, rho], [rho, 1]])
    Z = np.stack([np.ones(len(x)), x], axis=1)
    V += (Z @ np.nan_to_num(S) @ Z.T) * (h[:, None] == h)
    both = (rows["g"].astype(str) + rows["h"].astype(str)).to_numpy()
    V += sd["g:h", "Intercept"] ** 2 * (both[:, None] == both)
    V += np.diag(fit.sigma**2 / rows["w"].to_numpy())
    for group, level in (("g", 3), ("h", "2"), ("g:h", ("3", 2)), ("g:h", "3:2")):
        at = rows[group] == int(level) if group != "g:h" else (rows["g"] == 3) & (h == 2)
        here = np.flatnonzero(at)
        found = fit.marginal_covariance(level, group)
        np.testing.assert_allclose(found, V[np.ix_(here, here)], rtol=1e-10)
        assert found.index.tolist() == found.columns.tolist() == rows.index[here].tolist()
        R = fit.marginal_covariance(level, group, correlation=True).to_numpy()
        d = np.sqrt(np.diag(V))[here]
        np.testing.assert_allclose(R, V[np.ix_(here, here)] / np.outer(d, d), rtol=1e-10)


def test_of_a_posterior_it_is_the_mean_over_the_draws(
    post: bmx.Posterior, rows: pd.DataFrame
) -> None:
    draws = post.idata["posterior"]
    at = np.flatnonzero(rows["g"] == 4)
    Z = np.eye(4)[pd.factorize(rows["f"], sort=True)[0][at]]
    every = []
    for sd, rho, sigma in zip(
        draws["sd_g"].values.ravel(), draws["rho_g"].values.ravel(),
        draws["sigma"].values.ravel(), strict=True,
    ):  # fmt: skip
        every.append(Z @ Sigma(sd, rho) @ Z.T + sigma**2 * np.eye(len(at)))
    V = post.marginal_covariance(4)
    np.testing.assert_allclose(V, np.mean(every, axis=0), rtol=1e-8)
    R = [M / np.sqrt(np.outer(np.diag(M), np.diag(M))) for M in every]
    found = post.marginal_covariance(4, correlation=True, labels="f")
    np.testing.assert_allclose(found, np.mean(R, axis=0), rtol=1e-8)
    assert found.index.tolist() == rows["f"].iloc[at].tolist()
    assert found.index.name == "f"


def test_related_levels_share_what_is_known_between_them(rows: pd.DataFrame) -> None:
    labels = [str(k) for k in range(5)]
    A = pd.DataFrame(0.5 * np.eye(5) + 0.5, index=labels, columns=labels)
    A.loc["2", "2"] = 1.5  # an inbred one
    model = bmx.Model("y ~ x + (1 | g) + (1 | gr(h, cov=A))", rows, matrices={"A": A})
    fit = model.fit_eb()
    sd = fit.variance_components()["sd"]
    at = np.flatnonzero(rows["g"] == 3)
    h = rows["h"].to_numpy()[at]
    V = sd[0] ** 2 + sd[1] ** 2 * A.to_numpy()[np.ix_(h, h)] + fit.sigma**2 * np.eye(len(at))
    np.testing.assert_allclose(fit.marginal_covariance(3), V, rtol=1e-10)


def test_smooths_are_no_part_of_it(rows: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ s(x, k=5) + (1 | g)", rows).fit_eb()
    V = fit.marginal_covariance(3).to_numpy()
    sd = fit.variance_components().set_index("group")["sd"]
    expected = sd["g"] ** 2 + sd["Residual"] ** 2 * np.eye(len(V))
    np.testing.assert_allclose(V, expected, rtol=1e-10)
    assert fit.covariance_parameters().empty


def test_beyond_the_normal_it_is_that_of_the_linear_predictor(
    rows: pd.DataFrame, rng: np.random.Generator
) -> None:
    fit = tied("count ~ x + (0 + f | g)", rows, family="poisson").fit_eb()
    sd = fit.variance_components()["sd"][0]
    V = dense(fit, sd, fit.covariance_parameters()["estimate"][0])
    at = np.flatnonzero(rows["g"] == 2)
    np.testing.assert_allclose(fit.marginal_covariance("2"), V[np.ix_(at, at)], rtol=1e-10)
    model = bmx.Model("y ~ x + (1 | g)", rows, family=bmx.families.Gaussian(link="log"))
    V = fake_posterior(model, rng).marginal_covariance("2").to_numpy()
    assert V[0, 0] == pytest.approx(V[0, 1])  # no R on the scale of the logarithm


def test_without_a_level_it_is_that_of_the_first(rows: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ x + exp(x + w | 1)", rows[:40]).fit_eb()
    field = eb.marginal_covariance()
    assert field.shape == (40, 40)
    pd.testing.assert_frame_equal(field, eb.marginal_covariance("1"))
    several = bmx.Model("y ~ x + (1 | g)", rows).fit_eb()
    first = several.marginal_covariance()
    assert list(first.index) == list(rows.index[rows["g"] == 0])
    assert several.plot_marginal_covariance().axes[0].get_title().startswith("g 0")


def test_what_is_asked_wrongly_is_told(rows: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ x + (1 | g)", rows).fit_eb()
    with pytest.raises(ArgumentError, match="`g` has no level 'zz'; it has 0, 1, 2"):
        fit.marginal_covariance("zz")
    with pytest.raises(bmx.errors.DataError, match="h"):
        fit.marginal_covariance(1, "h")
    with pytest.raises(ArgumentError, match="the model uses no column 'xx'; did you mean 'x'"):
        fit.marginal_covariance(1, labels="xx")
    with pytest.raises(NotSupportedError, match="no group effects"):
        bmx.Model("y ~ x + x:f", rows).fit_eb().marginal_covariance(1)


def test_the_table_of_a_posterior_summarises_its_draws(post: bmx.Posterior) -> None:
    row = post.covariance_parameters(0.8, ci_kind="hdi", point="median").iloc[0]
    draws = post.idata["posterior"]["rho_g"].values
    assert row["estimate"] == np.median(draws)
    assert row["sd"] == pytest.approx(draws.std(ddof=1))
    inside = (draws >= row["lower"]) & (draws <= row["upper"])
    assert inside.mean() == pytest.approx(0.8, abs=0.01)
    assert row["ess_bulk"] > 50
    table = post.diagnostics().parameters.set_index("parameter")
    assert table.loc["rho(g)", "ess_bulk"] == row["ess_bulk"]
    with pytest.raises(NotSupportedError, match="no ci_method="):
        post.covariance_parameters(ci_method="wald")


def test_it_is_in_summary_report_comparison_sensitivity_and_hypotheses(
    post: bmx.Posterior, rows: pd.DataFrame, tmp_path: Path
) -> None:
    eb = tied("y ~ x + (0 + f | g)", rows).fit_eb()
    for fit in (post, eb):
        assert "Covariance parameters" in str(fit)
        assert r"\caption{Covariance parameters}" in fit.summary().to_latex()
    page = eb.report(tmp_path / "eb.html").read_text()
    assert page.count("Covariance parameters") == 3  # the table, and the picture's two
    both = bmx.compare_estimates(post, eb)
    table = both.covariance_parameters
    assert table["fit"].tolist() == ["draws (fast)", "REML"]
    assert table["parameter"].tolist() == ["rho", "rho"]
    wide = both.table("covariance_parameters").iloc[0]
    assert wide["REML"] == eb.covariance_parameters()["estimate"][0]
    assert "rho" in str(both)
    check_texts(both.plot("covariance_parameters"))
    assert "rho(g)" in post.prior_sensitivity()["parameter"].tolist()
    assert post.plot_prior_posterior("rho").axes[0].get_title() == "rho(g)"
    for name in ("rho_g", "rho(g)"):
        found = post.hypothesis(f"{name} > 0").table["estimate"][0]
        assert found == pytest.approx(post.covariance_parameters()["estimate"][0])


def test_a_variance_of_tied_effects_counts_once(rows: pd.DataFrame) -> None:
    eb = tied("y ~ x + (0 + f | g)", rows).fit_eb()
    table = eb.variance_components()
    assert table["effect"].tolist() == [TIED, ""]
    variance = table["variance"]
    assert eb.icc()["estimate"][0] == pytest.approx(variance[0] / variance.sum())
    assert table["variance_share"].tolist() == pytest.approx((variance / variance.sum()).tolist())
    parts = eb.variance_partition().set_index("component")["variance"]
    assert parts["g"] == pytest.approx(variance[0])
    r2 = eb.r2().set_index("kind")["estimate"]
    assert r2["conditional"] == pytest.approx(1 - variance[1] / parts.sum())


def test_of_a_long_table_a_summary_shows_the_first_rows() -> None:
    long = pd.DataFrame({"group": ["g"] * 190, "estimate": np.arange(190.0)})
    section = first_rows(Section(title="Correlations", table=long, text_columns=("group",),
                                 note="a note"), "correlations()")  # fmt: skip
    assert len(section.table) == 20
    assert section.note == "and 170 more rows: correlations(); a note"
    assert section.whole is not None
    assert section.whole().equals(long)


def test_pictures_can_be_read(rows: pd.DataFrame) -> None:
    places = with_structure(
        bmx.Model("y ~ x + (0 + f || g) + (0 + f | h)", rows), "g", {0: "tied"}, PLACES
    )
    model = with_structure(places, "h", {0: "decay"}, PLACES)
    figure = model.fit_eb().plot_covariance_parameters()
    check_texts(figure)
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "rho, 95 % interval", "range, 95 % interval",
    ]  # fmt: skip
    assert figure.axes[1].get_xlim()[0] == 0
    with pytest.raises(ArgumentError, match="no argument 'ci_methd'; did you mean"):
        model.fit_eb().plot_covariance_parameters(ci_methd="wald")


@pytest.mark.parametrize("n", [1, 6, 200])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_heatmap_can_be_read(n: int, size: float, rng: np.random.Generator) -> None:
    A = rng.normal(size=(n, n + 3))
    V = size * A @ A.T
    names = [rf"a rather long name, $\frac{{1$ and {k:03d} of them" for k in range(n)]
    figure = plot_heatmap(V, names, bar_label="covariance", title=names[0], largest=None)
    check_texts(figure)
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(shown)) == len(shown) == min(n, 29 if n > 30 else n)


def test_the_picture_of_a_marginal_covariance_shows_its_table(
    post: bmx.Posterior, rows: pd.DataFrame
) -> None:
    figure = post.plot_marginal_covariance(4, correlation=True, labels="f")
    check_texts(figure)
    table = post.marginal_covariance(4, correlation=True)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), table)
    assert figure.axes[0].get_title() == "g 4, rows by f"
    log = bmx.Model("count ~ (1 | g)", rows, family="poisson").fit_eb()
    bar = log.plot_marginal_covariance("2").axes[1]
    assert bar.get_ylabel() == "covariance on the log scale"


def test_rows_of_a_series_covary_where_nothing_else_groups_them(rows: pd.DataFrame) -> None:
    eb = bmx.Model(["y ~ x", "residual ~ ar1(t | g)"], rows.assign(t=range(len(rows)))).fit_eb()
    level = rows["g"].iloc[0]
    V = eb.marginal_covariance(level, labels="t")
    rho = eb.covariance_parameters()["estimate"][0]
    sigma = eb.variance_components()["sd"][0]
    apart = np.abs(np.subtract.outer(V.index.to_numpy(), V.index.to_numpy()))
    np.testing.assert_allclose(V, sigma**2 * rho**apart, rtol=1e-6)
    assert eb.marginal_covariance(level, "g").shape == V.shape
