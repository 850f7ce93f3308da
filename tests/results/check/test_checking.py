"""Replicates go where ArviZ looks for them, and left-out groups are what refits say."""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, DataError, DataWarning, NotSupportedError
from bayesmix.laws.calibration import _unreliable
from bayesmix.results import Loo
from bayesmix.results.check.check_data import check_data
from bayesmix.results.check.kfold import _few_draws
from bayesmix.results.check.loo import psis_loo
from tests.builders import fake_posterior, non_normal

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep_post() -> bmx.Posterior:
    model = bmx.Model(SLEEP, bmx.load_dataset("sleepstudy"))
    return model.fit(seed=1, progress=False)


def test_replicates_are_where_arviz_looks(sleep_post: bmx.Posterior) -> None:
    import arviz_plots

    tree = sleep_post.posterior_predictive(draws=100)
    name = sleep_post.model.names.observed
    replicates = tree["posterior_predictive"][name]
    assert replicates.dims == ("chain", "draw", "row")
    assert replicates.shape == (4, 25, 180)
    np.testing.assert_array_equal(replicates["row"], tree["observed_data"]["row"])
    arviz_plots.plot_ppc_dist(tree, num_samples=20)


def test_new_groups_make_replicates_wider(sleep_post: bmx.Posterior) -> None:
    name = sleep_post.model.names.observed

    def spread(**options: bool) -> float:
        tree = sleep_post.posterior_predictive(**options)  # type: ignore[arg-type]
        return float(tree["posterior_predictive"][name].std(("chain", "draw")).mean())

    assert spread(new_groups=True) > 1.3 * spread()


def test_the_log_likelihood_is_the_density_of_each_row(sleep_post: bmx.Posterior) -> None:
    tree = sleep_post.log_likelihood()
    found = tree["log_likelihood"][sleep_post.model.names.observed]
    mean = sleep_post.predict_draws(kind="linear")
    sigma = tree["posterior"]["sigma"].values[:, :, None]
    expected = stats.norm.logpdf(sleep_post.model.y, mean.values, sigma)
    np.testing.assert_allclose(found.values, expected)


def test_loo_is_arviz_s(sleep_post: bmx.Posterior) -> None:
    import arviz_stats

    mine = sleep_post.loo()
    tree = sleep_post.log_likelihood()
    with pytest.warns(UserWarning, match="Pareto"):
        theirs = arviz_stats.loo(tree, pointwise=True)
    assert mine.elpd == pytest.approx(float(theirs.elpd), abs=0.5)
    assert len(mine.pointwise) == 180
    assert "Pareto k" in str(mine)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_every_family_has_a_log_likelihood(
    family: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    text = {"bernoulli": "won ~ x + (1 | g)", "poisson": "count ~ x + (1 | g)"}[family]
    post = non_normal(family, text, data, rng)
    eta = post.predict_draws(kind="linear").values
    expected = post.model.family.log_prob(post.model.y, eta, {})
    found = post.log_likelihood()["log_likelihood"][post.model.names.observed]
    np.testing.assert_allclose(found.values, expected)
    assert len(post.loo().pointwise) == 240
    assert len(post.loo(by="g").pointwise) == 8


def test_left_out_groups_are_what_refits_say() -> None:
    """Brute force: fit without each subject, then the density of its rows."""
    sleep = bmx.load_dataset("sleepstudy")
    sleep = sleep[sleep["Subject"].isin(sorted(sleep["Subject"].unique())[:8])]
    # The default priors take their scale from the data: every refit has the same.
    priors = {
        "Intercept": bmx.Prior("Normal", mu=280, sigma=150),
        "Days": bmx.Prior("Normal", mu=0, sigma=40),
        "sd(Subject, Intercept)": bmx.Prior("HalfNormal", sigma=50),
        "sd(Subject, Days)": bmx.Prior("HalfNormal", sigma=15),
        "sigma": bmx.Prior("HalfNormal", sigma=50),
    }
    model = bmx.Model(SLEEP, sleep, priors=priors)
    post = model.fit(draws=2000, seed=1, progress=False)
    found = post.loo(by="Subject")
    trusted = found.pointwise[found.pointwise["pareto_k"] < 0.5]
    for subject in trusted.index[:4]:
        own = sleep[sleep["Subject"].astype(str) == subject]
        rest = sleep[sleep["Subject"].astype(str) != subject]
        refit = bmx.Model(SLEEP, rest, priors=priors).fit(draws=2000, seed=2, progress=False)
        # Given (beta, theta) of the refit, a new subject's rows are jointly normal.
        tree = refit.idata["posterior"]
        beta = tree["beta"].values.reshape(-1, 2)[::4]
        sd = tree["sd_Subject"].values.reshape(-1, 2)[::4]
        R = tree["corr_Subject"].values.reshape(-1, 2, 2)[::4]
        sigma = tree["sigma"].values.reshape(-1)[::4]
        Z = np.column_stack([np.ones(len(own)), own["Days"]])
        y = own["Reaction"].to_numpy()
        S = sd[:, :, None] * R * sd[:, None, :]
        V = Z @ S @ Z.T + sigma[:, None, None] ** 2 * np.eye(len(y))
        log_p = np.asarray(
            [stats.multivariate_normal(Z @ b, v).logpdf(y) for b, v in zip(beta, V, strict=True)]
        )
        expected = special.logsumexp(log_p) - np.log(len(log_p))
        weights = np.exp(log_p - log_p.max())
        error = weights.std() / weights.mean() / np.sqrt(len(log_p))
        assert found.pointwise.loc[subject, "elpd"] == pytest.approx(
            expected, abs=4 * np.hypot(error, 0.02)
        )


def test_groups_may_be_any_partition_of_the_rows(data: pd.DataFrame) -> None:
    post = fake_posterior(bmx.Model("y ~ x + f + (1 | g)", data), np.random.default_rng(1))
    assert list(post.loo(by="f").pointwise.index) == ["high", "low", "mid"]
    halves = post.loo(by=np.repeat(["a", "b"], 120))
    assert list(halves.pointwise.index) == ["a", "b"]
    with pytest.raises(DataError, match="neither a grouping factor nor a column"):
        post.loo(by="nothing")
    with pytest.raises(DataError, match="240 rows"):
        post.loo(by=[1, 2, 3])
    for missing in (None, np.nan, pd.NA):
        groups = np.repeat(np.asarray(["a", "b"], dtype=object), 120)
        groups[7] = missing
        with pytest.raises(DataError, match="in row 7: each row needs a group"):
            post.loo(by=groups)


def test_groups_in_a_series_are_found_by_their_labels(data: pd.DataFrame) -> None:
    some = data.iloc[::-1].assign(half=np.repeat(["a", "b"], 120))
    some.loc[some.index[5], "x"] = np.nan
    with pytest.warns(DataWarning, match="missing"):
        model = bmx.Model("y ~ x + f + (1 | g)", some)
    post = fake_posterior(model, np.random.default_rng(1))
    used = some.drop(index=some.index[5])
    right = post.loo(by=used["half"].to_numpy()).pointwise
    for by in (used["half"], used["half"].sample(frac=1, random_state=1), some["half"]):
        pd.testing.assert_frame_equal(post.loo(by=by).pointwise, right)
    with pytest.raises(DataError, match=r"no row label of the data.*by=values.to_numpy\(\)"):
        post.loo(by=used["half"].reset_index(drop=True).set_axis(range(1000, 1239)))


def test_the_report_names_what_cannot_be_trusted(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    found = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng).loo()  # absurd draws
    assert not found.ok
    assert "not reliable" in found.report()
    assert str(found.bad["pareto_k"].idxmax()) in found.report()


def test_compare_puts_the_better_model_first(sleep_post: bmx.Posterior) -> None:
    sleep = bmx.load_dataset("sleepstudy")
    plain = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit(seed=1, progress=False)
    for by in (None, "Subject"):
        with pytest.warns(ConvergenceWarning, match="not reliable: .*'slopes': .* Pareto k "):
            table = bmx.compare({"plain": plain, "slopes": sleep_post}, by=by)
        assert list(table["model"]) == ["slopes", "plain"]
        a, b = sleep_post.loo(by), plain.loo(by)
        difference = b.pointwise["elpd"] - a.pointwise["elpd"]
        assert table["elpd_diff"].iloc[1] == pytest.approx(difference.sum())
        expected = np.sqrt(len(difference) * difference.var(ddof=0))
        assert table["se_diff"].iloc[1] == pytest.approx(expected)
        assert table["weight"].sum() == pytest.approx(1)


def test_models_of_different_data_are_not_compared(sleep_post: bmx.Posterior) -> None:
    sleep = bmx.load_dataset("sleepstudy")
    logs = bmx.Model("np.log(Reaction) ~ Days + (1 | Subject)", sleep)
    fewer = bmx.Model(SLEEP, sleep.iloc[:-10])
    for model in (logs, fewer):
        with pytest.raises(DataError, match="same left-out data"):
            bmx.compare({"a": sleep_post, "b": model.fit(seed=1, progress=False)})
    with pytest.raises(DataError, match="same left-out data"):
        bmx.compare({"a": sleep_post.loo(), "b": sleep_post.loo("Subject")})
    with pytest.raises(NotSupportedError, match="at least two"):
        bmx.compare({"a": sleep_post})


def test_compare_says_what_it_takes(sleep_post: bmx.Posterior) -> None:
    eb = sleep_post.model.fit_eb()
    with pytest.raises(NotSupportedError, match=r"'b' is one of fit_eb\(\).*anova"):
        bmx.compare({"a": sleep_post, "b": eb})  # type: ignore[dict-item]
    with pytest.raises(NotSupportedError, match="'b' is a Model"):
        bmx.compare({"a": sleep_post, "b": sleep_post.model})  # type: ignore[dict-item]


def test_draws_from_the_prior_are_not_held_against_left_out_data(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    fine = post.loo()
    post.idata.attrs["prior_only"] = 1
    for call in (
        post.loo,
        lambda: post.loo("g"),
        post.kfold,
        lambda: bmx.compare({"a": fine, "b": post}),
    ):
        with pytest.raises(NotSupportedError, match=r"draws from the prior \(prior_only=True\)"):
            call()


def test_a_check_of_the_prior_weighs_no_draw_by_the_data(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    titles = [axis.get_title() for axis in post.check().axes]
    assert "Calibration (PIT, leave-one-out)" in titles
    post.idata.attrs["prior_only"] = 1
    post = bmx.Posterior.from_tree(post.model, post.idata)
    replicates = post.simulate(200).to_numpy().T
    found = check_data(post._law, post.model.y, replicates, None, 1)
    assert found.pit_name == "prior"
    below = (replicates < data["y"].to_numpy()).mean(axis=0)
    assert np.abs(found.pit - below).max() < 0.15


@pytest.mark.parametrize("group", [None, "g"])
def test_a_statistic_that_is_no_number_is_named(
    group: str | None, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    for wrong in (lambda _: "a", lambda y: y, lambda _: None):
        with pytest.raises(NotSupportedError, match="return one number"):
            post.check(stat=wrong, group=group)  # type: ignore[arg-type]


def test_a_statistic_without_a_value_is_named(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    with pytest.raises(NotSupportedError, match="is nan for the data"):
        post.check(stat=lambda _: np.nan)
    y = data["y"].to_numpy()
    with pytest.raises(NotSupportedError, match=r"no finite value in \d+ of \d+ replicates"):
        post.check(stat=lambda r: 1.0 if np.array_equal(r, y) else np.inf)
    with pytest.raises(NotSupportedError, match="in no level of `g`"):
        post.check(stat=lambda _: np.nan, group="g")
    with pytest.raises(NotSupportedError, match="return one number"):
        post.check(stat=lambda _: 1 // 0)


def test_a_pareto_k_that_is_not_a_number_is_not_trusted() -> None:
    table = pd.DataFrame({"elpd": [-1.0, -1.0], "pareto_k": [0.1, np.nan]}, index=["a", "b"])
    found = Loo(
        elpd=-2.0, se=1.0, p=1.0, pointwise=table, good_k=0.7, by="row", data_key="", arviz=None
    )
    assert not found.ok
    assert list(found.bad.index) == ["b"]
    assert "b (nan)" in found.report()
    assert "Exact refits" in replace(found, good_k=np.nan).report()


def test_leaving_students_out_of_gpa_is_in_proportion(reference_folder: Path) -> None:
    gpa = pd.read_csv(reference_folder / "data" / "gpa.csv")
    post = bmx.Model("gpa ~ occasion + (occasion | student)", gpa).fit(seed=1, progress=False)
    start = time.process_time()
    found = post.loo(by="student")
    assert time.process_time() - start < 120  # 5 alone; refits would take minutes
    assert len(found.pointwise) == 200
    assert found.ok


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("by", [None, "Subject"])
def test_refits_agree_with_importance_weights(sleep_post: bmx.Posterior, by: str | None) -> None:
    found = sleep_post.kfold(18, by=by, progress=False)
    weighted = sleep_post.loo(by)
    # Ten rows at a time leave less to learn from than one.
    trusted = (weighted.pointwise["pareto_k"] < 0.5).to_numpy()
    difference = (found.pointwise["elpd"] - weighted.pointwise["elpd"]).to_numpy()[trusted]
    assert np.abs(difference).max() < (1.0 if by is None else 0.3)
    assert np.abs(difference.sum()) < (5.0 if by is None else 1.0)
    assert "Exact refits" in str(found)
    table = bmx.compare({"refits": found, "weights": weighted})
    assert set(table["model"]) == {"refits", "weights"}


def test_folds_out_of_range_are_named(sleep_post: bmx.Posterior) -> None:
    for k in (1, 19):
        with pytest.raises(NotSupportedError, match=f"k={k} .* 18, the number of levels"):
            sleep_post.kfold(k, by="Subject")


@pytest.mark.compiled
def test_the_prior_predicts_too(sleep_post: bmx.Posterior) -> None:
    tree = sleep_post.prior_predictive(draws=200)
    replicates = tree["prior_predictive"][sleep_post.model.names.observed]
    assert replicates.shape == (1, 200, 180)
    assert {"beta", "sigma", "sd_Subject"} <= set(tree["prior"].data_vars)
    y = sleep_post.model.y
    assert float(replicates.std()) > 2 * y.std()


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_folds_side_by_side_give_what_one_after_the_other_gives(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = bmx.Model("flag ~ x + (1 | g)", data, family="bernoulli").fit(
        draws=100, chains=2, seed=1, progress=False
    )
    found = []
    for cores in (1, 4):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found.append(post.kfold(4, draws=100, seed=2, progress=False).pointwise)
    pd.testing.assert_frame_equal(*found)


@pytest.fixture(scope="module")
def overdispersed() -> dict[str, bmx.Posterior]:
    """An effect per row, whose importance weights break down, beside a model without."""
    rng = np.random.default_rng(9)
    n = 150
    g, x = np.repeat(np.arange(15), 10), rng.normal(size=n)
    eta = 1 + 0.3 * x + 0.5 * rng.normal(size=15)[g] + 0.7 * rng.normal(size=n)
    data = pd.DataFrame({"g": g, "x": x, "id": np.arange(n), "y": rng.poisson(np.exp(eta))})
    options = {"seed": 1, "chains": 2, "draws": 500, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            "olre": bmx.Model("y ~ x + (1 | g) + (1 | id)", data, family="poisson").fit(**options),
            "nb": bmx.Model("y ~ x + (1 | g)", data, family="negative_binomial").fit(**options),
        }


def test_compare_says_what_loo_says(overdispersed: dict[str, bmx.Posterior]) -> None:
    loos = {name: post.loo() for name, post in overdispersed.items()}
    assert len(loos["olre"].bad) > 30
    words = re.escape(loos["olre"].report()[:40])  # "60 of 150 Pareto k are above ..."
    for models in (overdispersed, loos):
        with pytest.warns(ConvergenceWarning, match=f"not reliable: 'olre': {words}.*kfold"):
            table = bmx.compare(models)
        assert table.set_index("model").loc["olre", "bad_k"] == len(loos["olre"].bad)


def test_mean_densities_that_few_draws_decide_are_too_low_and_named() -> None:
    rng = np.random.default_rng(3)
    log_p = rng.normal(0, [0.1, 1.0, 5.0, 8.0], size=(400, 4))
    labels = np.array(["a", "b", "c", "d"], dtype=object)
    (said,) = _few_draws(log_p, np.arange(4), labels, "t")
    assert re.match(r"\d of 400 draws decide on t d \(1 more .* too low: raise draws", said)
    assert not _few_draws(log_p[:, :2], np.arange(2), labels, "t")


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_loo_and_kfold_say_what_the_diagnostics_say(
    sleep_post: bmx.Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not sleep_post.loo("Subject").problems
    bad = replace(sleep_post.diagnostics(), divergences=7)
    monkeypatch.setattr(bmx.Posterior, "diagnostics", lambda _: bad)
    for loo in (
        sleep_post.loo("Subject"),
        sleep_post.kfold(2, "Subject", draws=30, progress=False),
    ):
        assert not loo.ok
        assert "not to be trusted yet" in str(loo)
        assert "7 divergent transitions" in loo.report()
        with pytest.warns(ConvergenceWarning, match="7 divergent transitions"):
            bmx.compare({"a": loo, "b": loo})


def test_a_check_says_that_its_weights_are_not_reliable(
    overdispersed: dict[str, bmx.Posterior],
) -> None:
    labels = [axis.get_xlabel() for axis in overdispersed["olre"].check().axes]
    found = [re.search(r"(\d+) of 150 weights unreliable", label) for label in labels]
    (bad,) = [int(match[1]) for match in found if match]
    assert bad == pytest.approx(len(overdispersed["olre"].loo().bad), abs=3)
    assert _unreliable(np.zeros((9, 400))) == ""  # all weights are equal


def test_a_row_that_is_certain_has_good_weights(sleep_post: bmx.Posterior) -> None:
    log_p = np.zeros((4, 100, 2))
    log_p[:, :, 1] = np.random.default_rng(1).normal(-1.0, 0.1, size=(4, 100))
    found = psis_loo(log_p, np.asarray(["certain", "other"]), "row", "", sleep_post.diagnostics())
    assert found.pointwise.loc["certain", "elpd"] == pytest.approx(0.0, abs=1e-8)
    assert found.ok


def test_anova_says_that_a_fit_has_not_converged(sleepstudy: pd.DataFrame) -> None:
    one = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb("ml")
    two = bmx.Model(SLEEP, sleepstudy).fit_eb("ml")
    one._law.optimum = replace(one._law.optimum, converged=False)
    with pytest.warns(ConvergenceWarning, match=r"\(1 \| Subject\)` has not converged"):
        bmx.anova(one, two)
