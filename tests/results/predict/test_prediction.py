"""Predictions are sums of draws, new groups come from the population, and errors name things."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, NotSupportedError
from tests.builders import fake_posterior, non_normal

TEXT = "y ~ x + f + offset(z) + (x | g) + (1 | h/ward)"


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    return fake_posterior(bmx.Model(TEXT, data), rng)


def by_hand(post: bmx.Posterior) -> np.ndarray:
    """The linear predictor of the rows of the fit, in plain numpy, shape (S, n)."""
    design, tree = post.model.design, post.idata["posterior"]
    eta = np.einsum("cdp,np->cdn", tree["beta"], design.mu.X) + design.mu.offset
    for group in design.mu.groups:
        b = tree[f"b_{group.name}"].values[:, :, group.index]
        eta += np.einsum("cdnk,nk->cdn", b, group.Z)
    return eta.reshape(-1, design.n_obs)


def test_prediction_sums_the_draws_row_by_row(post: bmx.Posterior, data: pd.DataFrame) -> None:
    eta = by_hand(post)
    for given in (None, data.drop(columns="y"), pl.from_pandas(data)):
        table = post.predict(given, ci_prob=0.8)
        np.testing.assert_allclose(table["estimate"], eta.mean(axis=0))
        np.testing.assert_allclose(table["sd"], eta.std(axis=0, ddof=1))
        np.testing.assert_allclose(table["lower"], np.quantile(eta, 0.1, axis=0))
        np.testing.assert_allclose(table["upper"], np.quantile(eta, 0.9, axis=0))
    draws = post.predict_draws(data)
    assert draws.dims == ("chain", "draw", "row")
    np.testing.assert_allclose(draws.values.reshape(-1, 240), eta)


def test_the_rows_keep_their_labels_and_the_frame_its_values(
    post: bmx.Posterior, data: pd.DataFrame
) -> None:
    new = data.iloc[[7, 3, 5]].assign(extra="text")
    new.index = pd.Index(["a", "b", "a"])
    before = new.copy(deep=True)
    table = post.predict(new)
    assert list(table.index) == ["a", "b", "a"]
    assert list(table.columns) == ["estimate", "sd", "lower", "upper"]
    pd.testing.assert_frame_equal(new, before)
    np.testing.assert_allclose(table, post.predict(data).iloc[[7, 3, 5]])


def test_a_new_level_has_one_draw_for_all_of_its_rows(
    post: bmx.Posterior, data: pd.DataFrame
) -> None:
    new = data.iloc[[0] * 6].assign(g=["new", "other", "new", None, None, np.nan], x=1.0)
    draws = post.predict_draws(new, kind="linear").values.reshape(-1, 6)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    for i, k in ((0, 1), (0, 3), (3, 4), (4, 5)):
        assert abs(np.corrcoef(draws[:, i] - draws[:, k], draws[:, k])[0, 1]) > 0.2
        assert not np.allclose(draws[:, i], draws[:, k])
    # The draws belong to the level, whatever other rows there are, and to the seed.
    alone = post.predict_draws(new.iloc[[2]], kind="linear").values.ravel()
    np.testing.assert_array_equal(alone, draws[:, 2])
    other = post.predict_draws(new.iloc[[2]], kind="linear", seed=99).values.ravel()
    assert not np.allclose(other, alone)


def test_new_levels_vary_as_the_group_distribution_says(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng)
    tree = post.idata["posterior"]
    n = 4000
    new = pd.DataFrame({"x": 2.0, "g": [f"new {i}" for i in range(n)]})
    draws = post.predict_draws(new, kind="linear", draws=30)
    population = post.predict_draws(new.head(1), "linear", "population", draws=30)
    b = (draws.values - population.values).reshape(-1, n).T
    at = {"draw": draws["draw"].values}
    sd = tree["sd_g"].sel(at).values.reshape(-1, 2).T
    rho = tree["corr_g"].sel(at).values[..., 0, 1].ravel()
    variance = sd[0] ** 2 + 4 * rho * sd[0] * sd[1] + 4 * sd[1] ** 2
    z = (b.var(axis=0) / variance - 1) / np.sqrt(2 / n)
    assert np.abs(z).max() < 4
    assert np.abs(b.mean(axis=0) / np.sqrt(variance / n)).max() < 4


def test_a_new_ward_of_a_known_hospital_uses_the_hospital(
    post: bmx.Posterior, data: pd.DataFrame
) -> None:
    known = int(data["h"].iloc[0])
    new = data.iloc[[0, 0]].assign(ward=[99, None], h=known)
    draws = post.predict_draws(new, kind="linear").values.reshape(-1, 2)
    tree, design = post.idata["posterior"], post.model.design
    without = by_hand(post)[:, 0] - tree["b_h:ward"].values[
        :, :, design.mu.group("h:ward").index[0], 0
    ].reshape(-1)  # fmt: skip
    sd = tree["sd_h:ward"].values.reshape(-1)
    for k in range(2):
        z = (draws[:, k] - without) / sd
        assert abs(z.mean()) < 4 / np.sqrt(len(z))
        assert abs(z.var() - 1) < 4 * np.sqrt(2 / len(z))
    assert not np.allclose(draws[:, 0], draws[:, 1])


def test_the_population_needs_no_grouping_column(post: bmx.Posterior, data: pd.DataFrame) -> None:
    new = data.drop(columns=["y", "g", "h", "ward"])
    table = post.predict(new, groups="population")
    eta = post.model.design.mu.X @ post.idata["posterior"]["beta"].values.reshape(-1, 4).T
    np.testing.assert_allclose(table["estimate"], eta.mean(axis=1) + data["z"])
    np.testing.assert_allclose(post.predict(new, marginal=True), table)
    with pytest.raises(DataError, match=r'no column `g`.*groups="population"'):
        post.predict(new)


def test_a_column_that_only_varies_by_group_is_not_needed_for_the_population(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (u | g)", data), rng)
    assert len(post.predict(data[["x"]], groups="population")) == 240
    with pytest.raises(DataError, match="no column `u`"):
        post.predict(data[["x"]], kind="response", marginal=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f": "never"}, r"level 'never'.*known are"),
        ({"x": "text"}, r"`x` was numeric"),
        ({"x": np.nan}, r"missing value in column `x`"),
    ],
)
def test_data_that_do_not_fit_are_named(
    post: bmx.Posterior, data: pd.DataFrame, change: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        post.predict(data.head(3).assign(**change))


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "median"},
        {"groups": "none"},
        {"marginal": "yes"},
        {"ci_prob": 1.5},
        {"draws": 0},
        {"seed": -1},
    ],
)
def test_arguments_out_of_range_are_named(
    post: bmx.Posterior, arguments: dict[str, object]
) -> None:
    with pytest.raises(NotSupportedError, match=next(iter(arguments))):
        post.predict(**arguments)  # type: ignore[arg-type]


def test_responses_add_the_residual(post: bmx.Posterior) -> None:
    mean = post.predict_draws(kind="mean").values
    response = post.predict_draws(kind="response").values
    z = (response - mean) / post.idata["posterior"]["sigma"].values[:, :, None]
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)
    np.testing.assert_array_equal(response, post.predict_draws(kind="response").values)
    assert not np.allclose(response, post.predict_draws(kind="response", seed=5).values)


def test_a_response_averaged_over_groups_has_their_variance(
    post: bmx.Posterior, data: pd.DataFrame
) -> None:
    tree = post.idata["posterior"]
    population = post.predict_draws(data, "linear", "population").values
    drawn = post.predict_draws(data, "response", marginal=True).values
    x = data["x"].to_numpy()
    sd, rho = tree["sd_g"].values[..., None, :], tree["corr_g"].values[..., None, 0, 1]
    variance = sd[..., 0] ** 2 + 2 * x * rho * sd[..., 0] * sd[..., 1] + x**2 * sd[..., 1] ** 2
    for name in ("sd_h", "sd_h:ward", "sigma"):
        variance = variance + tree[name].values.reshape(*sd.shape[:2], 1) ** 2
    z = (drawn - population) / np.sqrt(variance)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)


def test_weights_belong_to_responses_only(data: pd.DataFrame, rng: np.random.Generator) -> None:
    data["w"] = np.where(np.arange(240) < 120, 1.0, 100.0)
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data, weights="w"), rng)
    new = data.drop(columns="w")
    assert len(post.predict(new)) == 240
    with pytest.raises(DataError, match=r"precision weight.*no column `w`"):
        post.predict(new, kind="response")
    spread = post.predict_draws(data, "response") - post.predict_draws(data)
    ratio = spread.values[..., :120].std() / spread.values[..., 120:].std()
    assert ratio == pytest.approx(10, rel=0.05)
    array = fake_posterior(bmx.Model("y ~ x + (1 | g)", data, weights=data["w"].to_numpy()), rng)
    with pytest.raises(DataError, match="as an array"):
        array.predict(new, kind="response")


def test_effects_kept_as_moments_are_drawn_again(sleepstudy: pd.DataFrame) -> None:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy)
    kept = model.fit(seed=1, progress=False).predict(sleepstudy)
    post = model.fit(seed=1, progress=False, group_draws="moments")
    again = post.predict(sleepstudy)
    pd.testing.assert_frame_equal(again, post.predict(sleepstudy))
    error = kept["sd"] / np.sqrt(1500)
    assert (np.abs(again["estimate"] - kept["estimate"]) / error).max() < 5
    np.testing.assert_allclose(again["sd"], kept["sd"], rtol=0.1)
    np.testing.assert_allclose(again["lower"], kept["lower"], atol=float(kept["sd"].max()) / 3)


def test_residuals(sleepstudy: pd.DataFrame) -> None:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy)
    post = model.fit(seed=1, progress=False)
    y, mean = sleepstudy["Reaction"], post.fitted()["estimate"]
    np.testing.assert_allclose(post.residuals(), y - mean)
    sigma2 = np.mean(post.idata["posterior"]["sigma"].values ** 2)
    np.testing.assert_allclose(post.residuals("pearson"), (y - mean) / np.sqrt(sigma2))
    quantile = post.residuals("quantile")
    assert np.corrcoef(quantile, y - mean)[0, 1] > 0.95
    assert quantile.std() < 1.1


def test_simulated_responses(post: bmx.Posterior) -> None:
    replicates = post.simulate(5, seed=3)
    assert list(replicates.columns) == [f"sim_{k}" for k in range(1, 6)]
    pd.testing.assert_frame_equal(replicates, post.simulate(5, seed=3))
    assert len(post.simulate(700).columns) == 700
    new = post.simulate(300, new_groups=True).to_numpy()
    same = post.simulate(300).to_numpy()
    # Rows of one group agree where the groups are new in every replicate.
    index = post.model.design.mu.group("g").index
    first, second = np.flatnonzero(index == 0)[:2]
    other = np.flatnonzero(index == 1)[0]
    assert np.corrcoef(new[[first, second]])[0, 1] > np.corrcoef(new[[first, other]])[0, 1] + 0.2
    assert not np.allclose(new, same)
    with pytest.raises(NotSupportedError, match="n=0"):
        post.simulate(0)


def test_models_without_groups_or_fixed_effects_predict(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    for text in ("y ~ x", "y ~ 0 + (1 | g)"):
        post = fake_posterior(bmx.Model(text, data), rng)
        assert np.isfinite(post.predict(data)).all(axis=None)
        assert np.isfinite(post.predict(data, groups="population")).all(axis=None)


# -- other families -----------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("bernoulli", "won ~ x + (1 | g)"),
        ("poisson", "count ~ x + (1 | g)"),
        ("negative_binomial", "count ~ x + (1 | g)"),
        ("binomial", "proportion(count, n) ~ x + (1 | g)"),
        ("cumulative", "size ~ x + (1 | g)"),
    ],
)
def test_every_family_predicts_its_mean(
    family: str, text: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal(family, text, data, rng)
    mean = post.predict_draws(kind="mean").values
    response = post.predict_draws(kind="response").values
    linear = post.predict_draws(kind="linear").values
    parameters = {
        k: v.values[:, :, None] for k, v in post.idata["posterior"].items()
        if k in post.model.family.parameters
    }  # fmt: skip
    expected = post.model.family.mean(linear, parameters, post.model.rows)
    np.testing.assert_allclose(mean, expected)
    variance = post.model.family.variance(linear, parameters, post.model.rows)
    z = (response - mean).sum() / np.sqrt(variance.sum())
    assert abs(z) < 4
    table = post.predict(data)
    np.testing.assert_allclose(table["estimate"], mean.mean(axis=(0, 1)))
    for kind in ("response", "pearson", "quantile"):
        assert np.isfinite(post.residuals(kind)).all()  # type: ignore[arg-type]


def test_the_average_over_groups_is_not_the_middle_group(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal("poisson", "count ~ x + (1 | g)", data, rng)
    tree = post.idata["posterior"]
    typical = post.predict_draws(data, groups="population").values
    average = post.predict_draws(data, marginal=True).values
    factor = np.exp(tree["sd_g"].values ** 2 / 2)  # the mean of a log-normal
    keep = tree["sd_g"].values[..., 0] < 2
    np.testing.assert_allclose(average[keep], (typical * factor)[keep], rtol=1e-6)
    won = non_normal("bernoulli", "won ~ x + (1 | g)", data, rng)
    rows = data.head(3)
    new = pd.concat([rows] * 1).assign(g="new")
    by_quadrature = won.predict(rows, marginal=True)["estimate"]
    from_new_groups = won.predict(new)
    error = from_new_groups["sd"] / np.sqrt(600)
    assert (np.abs(by_quadrature - from_new_groups["estimate"]) < 4 * error).all()


def test_a_normal_response_with_a_log_link_is_averaged_too(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    family = bmx.families.Gaussian(link="log")
    post = fake_posterior(bmx.Model("y ~ 1 + (1 | g)", data, family=family), rng)
    tree = post.idata["posterior"]
    average = post.predict_draws(data.head(1), marginal=True).values[..., 0]
    factor = np.exp(tree["sd_g"].values[..., 0] ** 2 / 2)
    np.testing.assert_allclose(average, np.exp(tree["beta"].values[..., 0]) * factor, rtol=1e-5)


def test_trials_are_needed_for_counts_out_of_trials(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal("binomial", "proportion(count, n) ~ x + (1 | g)", data, rng)
    new = data.drop(columns=["count", "n"])
    assert len(post.predict(new, kind="linear")) == 240
    with pytest.raises(DataError, match=r"number of trials.*no column `n`"):
        post.predict(new, kind="response")
    with pytest.raises(DataError, match="of one trial the mean is the probability"):
        post.predict(new)
    few, many = post.predict(new.assign(n=1)), post.predict(new.assign(n=10))
    np.testing.assert_allclose(10 * few["estimate"], many["estimate"])
    for value in (-1, 2.5):
        with pytest.raises(DataError, match="trials `n`"):
            post.predict(new.assign(n=value), kind="response")


_MILLION_ROWS = """
import time
from pathlib import Path
import numpy as np, pandas as pd
import bayesmix as bmx
from tests.builders import fake_posterior

rng = np.random.default_rng(1)
data = pd.DataFrame({"x": rng.normal(size=50_000), "g": rng.integers(0, 10_000, 50_000)})
data["y"] = data["x"] + rng.normal(size=50_000)
post = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng, n_chains=4, n_draws=250)
n = 1_000_000
new = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 10_500, n)})
start = time.process_time()
assert len(post.predict(new)) == n
# ru_maxrss would be that of the process that started this one, where that was larger.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(time.process_time() - start, status["VmHWM"].split()[0])
"""


@pytest.mark.slow
def test_a_million_rows_stay_within_time_and_memory() -> None:
    # In a process of its own: the peak of this one is that of whatever ran before.
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", _MILLION_ROWS], capture_output=True, text=True, cwd=root, check=False
    )
    assert run.returncode == 0, run.stderr
    seconds, kilobytes = (float(word) for word in run.stdout.split())
    assert seconds < 600  # mostly 20
    assert kilobytes < 2_000_000
