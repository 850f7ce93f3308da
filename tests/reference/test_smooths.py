"""Smooths against mgcv; `smooths.R` made the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmix.smooths import Smooth, learn_smooth
from tests.smooths.dense import DenseFit, columns_of, fit_at, laplace_reml_poisson, reml

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def mgcv() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "smooths.json").read_text())
    return found


@pytest.fixture(scope="module")
def data(mgcv: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(mgcv["data"])


@pytest.fixture(scope="module")
def new(mgcv: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(mgcv["new"])


class Term:
    """A smooth with the columns it takes from a frame."""

    def __init__(
        self, kind: str, variables: str, data: pd.DataFrame, *, by: str | None = None,
        level: str | None = None, factor: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self.variables, self.by, self.level, self.factor = list(variables), by, level, factor
        options.setdefault("centred", by is None)
        self.smooth: Smooth = learn_smooth(kind, self.values(data), **options)

    def values(self, frame: pd.DataFrame) -> np.ndarray:
        return frame[self.variables].to_numpy(dtype=float)

    def columns(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[np.ndarray]]:
        by = None if self.by is None else frame[self.by].to_numpy()
        if self.level is not None:
            by = (frame["f"] == self.level).to_numpy()
        codes = None
        if self.factor:
            categories = sorted(set("abc")) if self.factor == "f" else None
            codes = np.asarray(pd.Categorical(frame[self.factor], categories).codes)
        return columns_of(self.smooth, self.values(frame), codes, by)


def matrices(
    frame: pd.DataFrame, terms: list[Term], extra: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    parts = [term.columns(frame) for term in terms]
    X = np.column_stack([np.ones(len(frame)), *extra, *(fixed for fixed, _ in parts)])
    return X, [block for _, blocks in parts for block in blocks]


def at(fit: DenseFit, X: np.ndarray, blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    W = np.hstack([X, *blocks])
    return W @ fit.coefficients, np.sqrt(np.einsum("ij,jk,ik->i", W, fit.covariance, W))


ONE_PENALTY = {
    "cr": ("cr", "x", {"k": 12}, 3),
    "ps": ("ps", "x", {"k": 12}, 0),
    "ps_other": ("ps", "x", {"k": 9, "m": (1, 1)}, 0),
    "ps_third": ("ps", "x", {"k": 14, "m": (3, 3)}, 0),
    "tp": ("tp", "x", {"k": 12}, 3),
    "tp_first": ("tp", "x", {"k": 12, "m": 1}, 1),
    "tp_third": ("tp", "x", {"k": 12, "m": 3}, 5),
    "tp_plane": ("tp", "xz", {"k": 25}, 2),
    "tp_space": ("tp", "xzv", {"k": 20}, 3),
    "by_number": ("cr", "x", {"k": 8, "by": "w"}, 3),
}


@pytest.mark.parametrize("case", ONE_PENALTY)
def test_a_fit_at_mgcvs_smoothing_parameter_is_mgcvs(
    case: str, mgcv: dict[str, Any], data: pd.DataFrame, new: pd.DataFrame
) -> None:
    kind, variables, options, power = ONE_PENALTY[case]
    term, wanted = Term(kind, variables, data, **options), mgcv["fixed"][case]
    # The penalty is an integral in units of `scale`: 2 m - d of them to the variable's own.
    unit = getattr(term.smooth.basis, "scale", 1.0) ** -power
    energy = term.smooth.parts[-1].energy * unit
    X, blocks = matrices(data, [term], [])
    y = data["y"].to_numpy()
    fit = fit_at(y, X, blocks, np.array([wanted["lambda"] * energy]))
    np.testing.assert_allclose(at(fit, X, blocks)[0], wanted["fitted"], rtol=0, atol=2e-7)
    there, se = at(fit, *matrices(new, [term], []))
    np.testing.assert_allclose(there, wanted["new"], rtol=2e-6, atol=2e-6)  # and outside
    np.testing.assert_allclose(se, wanted["se"], rtol=1e-5)
    assert fit.edf == pytest.approx(wanted["edf"], abs=1e-6)
    effects = fit.coefficients[X.shape[1] :]
    assert energy * (effects @ effects) == pytest.approx(wanted["energy"], rel=1e-5)


def test_a_factor_smooth_at_mgcvs_smoothing_parameters_is_mgcvs(
    mgcv: dict[str, Any], data: pd.DataFrame, new: pd.DataFrame
) -> None:
    term, wanted = Term("fs", "x", data, factor="f", k=6), mgcv["fixed"]["fs"]
    unit = term.smooth.basis.base.scale**-3
    energy = [term.smooth.parts[0].energy * unit, 1.0, 1.0]
    X, blocks = matrices(data, [term], [])
    fit = fit_at(data["y"].to_numpy(), X, blocks, np.array(wanted["lambda"]) * energy)
    np.testing.assert_allclose(at(fit, X, blocks)[0], wanted["fitted"], rtol=0, atol=2e-7)
    np.testing.assert_allclose(at(fit, *matrices(new, [term], []))[0], wanted["new"], atol=2e-6)
    assert fit.edf == pytest.approx(wanted["edf"], abs=1e-6)


def terms_of(case: str, data: pd.DataFrame) -> tuple[list[Term], bool, bool]:
    """Terms of a case, and whether z and f are in it as they are."""
    if case == "cr":
        return [Term("cr", "x", data)], True, False
    if case in {"ps", "tp"}:
        return [Term(case, "x", data), Term(case, "z", data)], False, False
    if case == "by_factor":
        each = [Term("cr", "x", data, k=8, level=level) for level in "abc"]
        return each, False, True
    if case == "by_number":
        return [Term("cr", "x", data), Term("cr", "x", data, by="w")], False, False
    if case == "plane":
        return [Term("tp", "xz", data)], False, False
    if case == "t2":
        return [Term("t2", "xz", data)], False, False
    if case == "fs":
        return [Term("fs", "x", data, factor="f", k=6)], False, False
    return [Term("tp", "x", data), Term("re", "", data, factor="f")], False, False


# mgcv's axes within null spaces are arbitrary where they have penalties of their own.
@pytest.mark.parametrize(
    ("case", "in_se"),
    [("cr", 1e-3), ("ps", 1e-3), ("tp", 1e-3), ("by_factor", 1e-3), ("by_number", 1e-3),
     ("plane", 1e-3), ("re", 1e-3), ("t2", 0.1), ("fs", 0.2)],
)  # fmt: skip
def test_a_fit_by_reml_is_mgcvs(
    case: str, in_se: float, mgcv: dict[str, Any], data: pd.DataFrame, new: pd.DataFrame
) -> None:
    wanted = mgcv["optimal"][case]
    terms, with_z, with_f = terms_of(case, data)

    def built(frame: pd.DataFrame) -> tuple[np.ndarray, list[np.ndarray]]:
        extra = [frame["z"].to_numpy()] if with_z else []
        if with_f:
            extra += [(frame["f"] == level).to_numpy(dtype=float) for level in "bc"]
        return matrices(frame, terms, extra)

    X, blocks = built(data)
    fit = reml(data["y"].to_numpy(), X, blocks)
    found, se = at(fit, X, blocks)
    assert np.abs((found - wanted["fitted"]) / se).max() < in_se
    there, se = at(fit, *built(new))
    assert np.abs((there - wanted["new"]) / se).max() < in_se
    assert fit.edf == pytest.approx(wanted["edf"], abs=max(1e-2, 4 * in_se))
    np.testing.assert_allclose(se, wanted["se"], rtol=max(2e-3, in_se))


@pytest.fixture(scope="module")
def published_smooths(reference_folder: Path) -> dict[str, Any]:
    text = (reference_folder / "reference" / "structures_and_tests.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_published_smooth_of_mcycle(
    published_smooths: dict[str, Any], reference_folder: Path
) -> None:
    wanted = published_smooths["mcycle_cr"]
    frame = pd.read_csv(reference_folder / "data" / "mcycle.csv").rename(columns={"times": "x"})
    term = Term("cr", "x", frame, k=20)
    X, blocks = matrices(frame, [term], [])
    fit = reml(frame["accel"].to_numpy(dtype=float), X, blocks)
    found, se = at(fit, *matrices(pd.DataFrame({"x": wanted["at"]}), [term], []))
    assert np.abs(found - wanted["fit"]).max() < 0.002 * min(wanted["se"])
    np.testing.assert_allclose(se, wanted["se"], rtol=1e-3)
    assert fit.edf == pytest.approx(wanted["edf"], abs=1e-3)


@pytest.mark.parametrize("case", ["gam_re", "gam_poisson"])
def test_published_smooths_beside_random_effects(
    case: str, published_smooths: dict[str, Any], reference_folder: Path
) -> None:
    wanted = published_smooths[case]
    frame = pd.read_csv(reference_folder / "data" / "sim_gam.csv")
    frame["g"] = frame["g"].astype(str)
    terms = [Term("tp", "x", frame)]
    terms += [Term("tp", "z", frame)] if case == "gam_re" else []
    terms += [Term("re", "", frame, factor="g")]
    X, blocks = matrices(frame, terms, [])
    if case == "gam_re":
        fit = reml(frame["y"].to_numpy(), X, blocks)
    else:
        fit = laplace_reml_poisson(frame["cnt"].to_numpy(dtype=float), X, blocks)
    levels = sorted(set(frame["g"]))
    grid = pd.DataFrame({"x": np.arange(0.05, 1, 0.1), "z": 0.4})
    grid["g"] = pd.Categorical(["3"] * 10, categories=levels)
    X_new, blocks_new = matrices(grid, terms[:-1], [])
    one = np.zeros((10, len(levels)))
    one[:, levels.index("3")] = 1.0
    found, se = at(fit, X_new, [*blocks_new, one])
    tolerance = {"gam_re": 0.005, "gam_poisson": 0.02}[case]
    assert np.abs((found - wanted["fit"]) / wanted["se"]).max() < tolerance
    np.testing.assert_allclose(se, wanted["se"], rtol=tolerance)
    assert fit.edf == pytest.approx(wanted["edf"], abs=10 * tolerance)
