"""Refits without a fold are of the same model: what the whole data fixed stays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.design import design_rows
from bayesmix.errors import DataError
from bayesmix.statement.subset import model_of_rows
from tests.builders import fake_posterior


def table(n: int = 96) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.uniform(0, 10, n), "g": np.arange(n) % 12})
    data["f"] = np.asarray(list("abcd"))[np.arange(n) // 12 % 4]
    data["fold"] = np.arange(n) // 12 % 4  # each holds all of a level of f
    data["z"] = 2000.0 + rng.normal(size=n)
    data["y"] = np.sin(data["x"]) + rng.normal(size=n) * 0.3
    grade = np.digitize(rng.logistic(size=n), [-0.5, 0.5])
    data["grade"] = pd.Categorical.from_codes(grade, ["low", "mid", "top"], ordered=True)
    return data


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ bs(x, df=5) + (1 | g)",
        "y ~ poly(x, 3) + scale(z) + (scale(z) | g)",
        "y ~ f * center(x) + offset(center(z)) + (1 | g)",
        "y ~ C(f, contr.sum) + (0 + C(f) | g)",
        "grade ~ x + f",
    ],
)
def test_some_rows_keep_what_the_whole_data_taught(formula: str) -> None:
    data = table()
    family = "cumulative" if formula.startswith("grade") else "gaussian"
    whole = bmx.Model(formula, data, family=family)
    # Without the ends of x, a level of f, and two levels of g.
    train = np.flatnonzero((data["x"] > 2) & (data["x"] < 8) & (data["f"] != "b")
                           & ~data["g"].isin([2, 3]) & (data["grade"] != "low"))  # fmt: skip
    part = model_of_rows(whole, train)
    np.testing.assert_array_equal(part.design.mu.X, whole.design.mu.X[train])
    assert part.design.mu.fixed_effects == whole.design.mu.fixed_effects
    pd.testing.assert_frame_equal(part.priors, whole.priors)
    np.testing.assert_array_equal(part.design.mu.means, whole.design.mu.means)
    new = design_rows(part.design, data)
    np.testing.assert_allclose(new.X, whole.design.mu.X, atol=1e-12)
    labels = whole.family.parameter_labels(whole.design.response)
    assert part.family.parameter_labels(part.design.response) == labels
    for old in whole.design.mu.groups:
        np.testing.assert_array_equal(new.index["g"] < 0, ~data["g"].isin(data["g"][train]))
        np.testing.assert_allclose(new.Z["g"], old.Z, atol=1e-12)


def test_left_out_rows_are_scored_by_the_model_s_own_columns_and_priors(
    rng: np.random.Generator,
) -> None:
    """The exact answer of a normal model with known errors, by the algebra of normal laws."""
    k, seed = 3, 1
    data = table().assign(se=0.3)
    fold = np.random.default_rng(np.random.SeedSequence([seed, 3])).permutation(
        np.arange(len(data)) % k
    )
    data["f"] = np.where(data["f"] == "d", "c", data["f"])
    data.loc[np.flatnonzero(fold == 0)[:5], "f"] = "d"  # the other folds have no d
    model = bmx.Model("y ~ bs(x, df=5) + f", data, known_se="se")
    found = fake_posterior(model, rng).kfold(k, draws=1500, seed=seed, progress=False)
    X, y = model.design.mu.X, data["y"].to_numpy()
    entries = model.prior_entries
    mean, sd = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for j, entry in enumerate((entries.intercept, *entries.coefficients)):
        mean[j], sd[j] = entry.prior.parameters["mu"], entry.prior.parameters["sigma"]
    A = np.eye(X.shape[1])  # from beta to what has the priors: the intercept at the means
    A[0, 1:] = X[:, 1:].mean(axis=0)
    P = A.T @ np.diag(sd**-2.0) @ A
    right = np.empty(len(data))
    for out in (fold == number for number in range(k)):
        precision = P + X[~out].T @ X[~out] / 0.09
        center = np.linalg.solve(precision, X[~out].T @ y[~out] / 0.09 + A.T @ (mean / sd**2))
        variance = np.diag(X[out] @ np.linalg.solve(precision, X[out].T)) + 0.09
        right[out] = stats.norm(X[out] @ center, np.sqrt(variance)).logpdf(y[out])
    assert right[data["f"] == "d"].max() < -2  # as wide as the prior
    np.testing.assert_allclose(found.pointwise["elpd"], right, atol=0.2)


@pytest.mark.slow
def test_a_category_that_no_other_fold_has_is_scored_by_the_prior_of_its_threshold(
    rng: np.random.Generator,
) -> None:
    """Two thresholds and nothing else: the posterior without the top category by quadrature."""
    n = 60
    codes = rng.integers(0, 2, n)
    fold = np.arange(n) % 2
    codes[fold == 0] = np.where(np.arange((fold == 0).sum()) < 4, 2, codes[fold == 0])
    data = pd.DataFrame({"grade": pd.Categorical.from_codes(codes, list("abc"), ordered=True)})
    post = fake_posterior(bmx.Model("grade ~ 1", data, family="cumulative"), rng)
    found = post.kfold(2, by=fold, draws=1000, seed=1, progress=False)
    step = np.linspace(-6, 7, 801)
    grid = np.sinh(step)  # dense where the likelihood is, and far out the prior's tail
    low, high = np.meshgrid(grid, grid, indexing="ij")
    width = np.log(np.cosh(step)[:, None] * np.cosh(step))
    prior = stats.t(3, scale=2.5)
    log_prior = np.where(low < high, prior.logpdf(low) + prior.logpdf(high) + width, -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = [special.expit(low), special.expit(high) - special.expit(low), special.expit(-high)]
        log_p = [np.log(np.where(low < high, part, 1.0)) for part in p]
    right = []
    for k in range(2):
        train, test = (
            sum((codes[rows] == c).sum() * log_p[c] for c in range(3))
            for rows in (fold != k, fold == k)
        )
        total = special.logsumexp(log_prior + train)
        right.append(special.logsumexp(log_prior + train + test) - total)
    np.testing.assert_allclose(found.pointwise["elpd"], right, atol=0.4)


def test_a_fold_that_alone_knows_what_has_a_flat_prior_is_named(rng: np.random.Generator) -> None:
    data, flat = table(), bmx.Prior("Flat")
    post = fake_posterior(bmx.Model("y ~ x + f", data, priors={"f": flat}), rng)
    with pytest.raises(DataError, match=r"without fold \d of 4: the data do not determine `f\[T"):
        post.kfold(4, by=data["fold"].to_numpy(), progress=False)
    data["grade"] = data["grade"].mask((data["grade"] == "top") & (data["fold"] != 2), "mid")
    ordinal = bmx.Model("grade ~ x", data, family="cumulative", priors={"thresholds": flat})
    with pytest.raises(DataError, match=r"without fold \d of 4: no row has the category 'top'"):
        fake_posterior(ordinal, rng).kfold(4, by=data["fold"].to_numpy(), progress=False)
