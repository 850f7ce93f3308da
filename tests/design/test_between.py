"""Known covariances between levels, as models are given them."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bayesmix as bmx
from bayesmix.errors import ArgumentError, DataError, FormulaError

FORMULA = "y ~ x + (1 | gr(g, cov=A))"


@pytest.fixture
def A(rng: np.random.Generator) -> pd.DataFrame:
    half = rng.normal(size=(8, 8))
    labels = [f"a{k}" for k in rng.permutation(8)]
    return pd.DataFrame(half @ half.T / 8 + np.eye(8) / 2, index=labels, columns=labels)


@pytest.fixture
def data(rng: np.random.Generator) -> pd.DataFrame:
    d = pd.DataFrame({"g": [f"a{k}" for k in rng.integers(0, 6, 80)], "x": rng.normal(size=80)})
    u = dict(zip(np.unique(d["g"]), 2 * rng.normal(size=6), strict=True))
    return d.assign(y=d["x"] + d["g"].map(u) + rng.normal(size=80))


def test_levels_are_those_of_the_covariance(data: pd.DataFrame, A: pd.DataFrame) -> None:
    group = bmx.Model(FORMULA, data, matrices={"A": A}).design.mu.group("g")
    assert group.levels.labels.tolist() == list(A.index)
    assert (group.levels.labels[group.index] == data["g"]).all()
    np.testing.assert_allclose(group.between.precision @ A.to_numpy(), np.eye(8), atol=1e-10)
    assert group.between.log_det == pytest.approx(np.linalg.slogdet(A)[1])
    assert bmx.Model(FORMULA, data.assign(g=data["g"].astype("category")), matrices={"A": A})


def test_inverses_are_the_same_model(data: pd.DataFrame, A: pd.DataFrame) -> None:
    by_cov = bmx.Model(FORMULA, data, matrices={"A": A}).fit_eb()
    inverse = pd.DataFrame(np.linalg.inv(A), index=A.index, columns=A.columns)
    formula = "y ~ x + (1 | gr(g, precision=Q))"
    for Q in (inverse, (sparse.csc_array(inverse.to_numpy()), list(A.index))):
        eb = bmx.Model(formula, data, matrices={"Q": Q}).fit_eb()
        assert eb.loglik == pytest.approx(by_cov.loglik, abs=1e-7)
        np.testing.assert_allclose(
            eb.group_effects()["estimate"], by_cov.group_effects()["estimate"], atol=1e-5
        )


@pytest.mark.parametrize(
    ("matrices", "error", "reason"),
    [
        (None, FormulaError, "cov=A names a matrix that is not given"),
        ({"B": 1}, FormulaError, "there is B"),
        ([1], ArgumentError, "matrices= takes a dict"),
        ({"A": np.eye(8)}, DataError, "A is of type ndarray"),
        ({"A": sparse.eye_array(8, format="csc")}, DataError, "A is sparse, as inverses are"),
    ],
)
def test_what_is_no_covariance_is_said(
    matrices: object, error: type[Exception], reason: str, data: pd.DataFrame
) -> None:
    with pytest.raises(error, match=reason):
        bmx.Model(FORMULA, data, matrices=matrices)  # type: ignore[arg-type]


def test_what_is_wrong_with_it_is_said(data: pd.DataFrame, A: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="8 rows and 7 columns"):
        bmx.Model(FORMULA, data, matrices={"A": A.iloc[:, :7]})
    with pytest.raises(DataError, match="level 'a0' of the data is not among the 7 levels of A"):
        bmx.Model(FORMULA, data, matrices={"A": A.drop(index="a0", columns="a0")})
    lopsided = A.copy()
    lopsided.iloc[0, 1] += 0.1
    with pytest.raises(DataError, match="A is not symmetric"):
        bmx.Model(FORMULA, data, matrices={"A": lopsided})
    impossible = pd.DataFrame(np.eye(8), index=A.index, columns=A.columns)
    impossible.iloc[:3, :3] = [[1, 0.9, 0.9], [0.9, 1, -0.9], [0.9, -0.9, 1]]
    with pytest.raises(DataError, match="is not positive definite"):
        bmx.Model(FORMULA, data, matrices={"A": impossible})
    eb = bmx.Model(FORMULA, data, matrices={"A": A}).fit_eb()
    with pytest.raises(DataError, match="level 'new' of the data is not among the 8 levels of A"):
        eb.predict(pd.DataFrame({"x": [0.0, 1.0], "g": ["new", "new"]}))
    with pytest.raises(DataError, match="`g` is missing in row 1"):
        eb.predict(pd.DataFrame({"x": [0.0, 1.0], "g": ["a0", None]}))


def test_levels_without_data_follow_their_relatives(data: pd.DataFrame, A: pd.DataFrame) -> None:
    eb = bmx.Model(FORMULA, data, matrices={"A": A}).fit_eb()
    table = eb.group_effects().set_index("level")
    known = sorted(set(data["g"]))
    others = [level for level in A.index if level not in known]
    assert len(others) == 2
    moves = A.loc[others, known].to_numpy() @ np.linalg.inv(A.loc[known, known])
    np.testing.assert_allclose(
        table.loc[others, "estimate"], moves @ table.loc[known, "estimate"], atol=1e-8
    )
    # The model equations of Henderson, with every level of A.
    variance = eb.variance_components()["variance"].to_numpy()
    Z = (data["g"].to_numpy()[:, None] == A.index.to_numpy()).astype(float)
    W = np.column_stack([np.ones(80), data["x"], Z])
    M = W.T @ W / variance[1]
    M[2:, 2:] += np.linalg.inv(A) / variance[0]
    C = np.linalg.inv(M)
    expected = C @ W.T @ data["y"] / variance[1]
    np.testing.assert_allclose(table.loc[list(A.index), "estimate"], expected[2:], atol=1e-7)
    np.testing.assert_allclose(table.loc[list(A.index), "sd"] ** 2, np.diag(C)[2:], rtol=1e-6)
    rows = pd.DataFrame({"x": 0.5, "g": others})
    w = np.column_stack([np.ones(2), [0.5, 0.5], np.asarray(others)[:, None] == A.index.to_numpy()])
    predicted = eb.predict(rows)
    np.testing.assert_allclose(predicted["estimate"], w @ expected, atol=1e-7)
    np.testing.assert_allclose(predicted["sd"] ** 2, np.diag(w @ C @ w.T), rtol=1e-6)


def test_refits_keep_the_covariance(data: pd.DataFrame, A: pd.DataFrame) -> None:
    model = bmx.Model(FORMULA, data, matrices={"A": A})
    other = model.update(data=data.iloc[:50])
    assert other.design.mu.group("g").between is model.design.mu.group("g").between
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert copy.fit_eb().loglik == pytest.approx(model.fit_eb().loglik, abs=1e-9)
    doubled = model.update(matrices={"A": 2 * A})
    sds = [m.fit_eb().variance_components()["sd"][0] for m in (model, doubled)]
    assert sds[0] == pytest.approx(np.sqrt(2) * sds[1], rel=1e-5)


def test_shares_are_in_units_of_the_diagonal(data: pd.DataFrame, A: pd.DataFrame) -> None:
    eb = bmx.Model(FORMULA, data, matrices={"A": A}).fit_eb()
    variance = eb.variance_components()["variance"].to_numpy()
    mean = np.diag(A.loc[data["g"], data["g"]]).mean()
    share = mean * variance[0] / (mean * variance[0] + variance[1])
    assert eb.icc()["estimate"][0] == pytest.approx(share)
    doubled = eb.model.update(matrices={"A": 2 * A}).fit_eb()
    assert doubled.icc()["estimate"][0] == pytest.approx(share, rel=1e-4)


def test_default_priors_are_in_units_of_the_diagonal(
    data: pd.DataFrame,
    A: pd.DataFrame,
) -> None:
    plain = bmx.Model("y ~ x + (1 | g)", data).prior_entries.mu.sd["g"][0].prior.parameters["beta"]
    mean = np.diag(A.loc[data["g"], data["g"]]).mean()
    related = bmx.Model(FORMULA, data, matrices={"A": A}).prior_entries.mu.sd["g"][0].prior
    assert related.parameters["beta"] == pytest.approx(plain / np.sqrt(mean))
    unit = A / np.sqrt(np.outer(np.diag(A), np.diag(A)))
    same = bmx.Model(FORMULA, data, matrices={"A": unit}).prior_entries.mu.sd["g"][0].prior
    assert same.parameters["beta"] == plain


@pytest.mark.parametrize("word", ["cov", "precision"])
def test_entries_whose_squares_are_no_numbers_are_refused(word: str) -> None:
    levels = [f"g{k}" for k in range(4)]
    A = pd.DataFrame(np.eye(4), index=levels, columns=levels)
    A.iloc[0, 0] = 1e308
    data = pd.DataFrame({"y": np.arange(12.0) % 5, "g": np.array(levels)[np.arange(12) % 4]})
    with pytest.raises(DataError, match="1e"):
        bmx.Model(f"y ~ 1 + (1 | gr(g, {word}=A))", data, matrices={"A": A})
