"""Coordinates of the family's parameters, and their priors on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numba import njit
from scipy import stats

from bayesmix.families.parameters import ORDERED, POSITIVE, UNIT
from bayesmix.glmm.parameters import (
    ParameterCoordinates,
    by_log_slope,
    log_slope,
    move_parameters,
    parameter_prior_codes,
    parameter_priors,
    parameters_at,
    pull_back,
)
from bayesmix.priors.prior import Prior

SPECS = {"alpha": POSITIVE, "zi": UNIT, "thresholds": ORDERED, "phi": POSITIVE}
PHI = ParameterCoordinates.of(SPECS, {"thresholds": 3})
PRIORS = {
    "alpha": Prior("Gamma", alpha=2.0, beta=0.7),
    "zi": Prior("Beta", alpha=2.0, beta=3.0),
    "thresholds": Prior("StudentT", nu=3.0, mu=0.4, sigma=2.5),
    "phi": Prior("HalfCauchy", beta=1.5),
}
X = np.asarray([0.4, -1.2, -0.7, 0.1, -0.4, 1.1])


class Rows(NamedTuple):
    """What the priors are read from."""

    phi_kind: np.ndarray
    prior_kind: np.ndarray
    prior_a: np.ndarray
    prior_b: np.ndarray
    prior_c: np.ndarray


@njit
def at(kinds, x, phi):  # type: ignore[no-untyped-def]
    parameters_at(kinds, x, phi)


@njit
def pulled(kinds, phi, by_phi, out):  # type: ignore[no-untyped-def]
    pull_back(kinds, phi, by_phi, out)


@njit
def priors(rows, x, phi, jacobian, by_x):  # type: ignore[no-untyped-def]
    of_prior, total = np.empty(len(x)), 0.0
    parameter_priors(rows, phi, of_prior, by_x)
    for k in range(len(x)):
        total += of_prior[k]
        if jacobian:
            kind = rows.phi_kind[k]
            total += log_slope(kind, x[k])
            by_x[k] += by_log_slope(kind, phi[k])
    return total


@njit
def moved(kinds, phi, x, k, step, out):  # type: ignore[no-untyped-def]
    move_parameters(kinds, phi, x, k, step, out)


def rows() -> Rows:
    codes = [parameter_prior_codes(PRIORS[name]) for name in PHI.names]
    kinds, a, b, c = (np.asarray(part, dtype=float) for part in zip(*codes, strict=True))
    return Rows(PHI.kinds, kinds.astype(np.int64), a, b, c)


def prior_at(x: np.ndarray, *, jacobian: bool) -> tuple[float, np.ndarray]:
    phi, by_x = np.empty(len(x)), np.empty(len(x))
    at(PHI.kinds, x, phi)
    return float(priors(rows(), x, phi, jacobian, by_x)), by_x


def test_coordinates_and_parameters_are_inverse() -> None:
    values = PHI.values(X)
    np.testing.assert_allclose(PHI.coordinates(values), X, rtol=1e-13)
    found = PHI.split(values)
    assert 0 < found["zi"] < 1
    assert (np.diff(found["thresholds"]) > 0).all()
    compiled = np.empty(len(X))
    at(PHI.kinds, X, compiled)
    np.testing.assert_allclose(compiled, values, rtol=1e-14)


def test_slopes_are_differences() -> None:
    J, h = PHI.slopes(PHI.values(X)), 1e-6
    for k in range(len(X)):
        step = h * np.eye(len(X))[k]
        difference = (PHI.values(X + step) - PHI.values(X - step)) / (2 * h)
        np.testing.assert_allclose(J[:, k], difference, rtol=1e-8, atol=1e-10)
        out = np.empty(len(X))
        moved(PHI.kinds, PHI.values(X), X, k, 0.3, out)
        np.testing.assert_allclose(out, PHI.values(X + 0.3 * np.eye(len(X))[k]), rtol=1e-13)
    by_phi, out = np.arange(1.0, len(X) + 1), np.empty(len(X))
    pulled(PHI.kinds, PHI.values(X), by_phi, out)
    np.testing.assert_allclose(out, by_phi @ J, rtol=1e-13)


@pytest.mark.parametrize("jacobian", [False, True])
def test_priors_are_scipys(jacobian: bool) -> None:
    def density(x: np.ndarray) -> float:
        phi = PHI.values(x)
        total = stats.gamma(2.0, scale=1 / 0.7).logpdf(phi[0]) + stats.beta(2, 3).logpdf(phi[1])
        total += stats.t(3.0, 0.4, 2.5).logpdf(phi[2:5]).sum()
        total += stats.halfcauchy(scale=1.5).logpdf(phi[5])
        if jacobian:
            total += np.linalg.slogdet(PHI.slopes(phi))[1]
        return float(total)

    value, by_x = prior_at(X, jacobian=jacobian)
    other = X + np.linspace(-0.5, 0.8, len(X))
    assert prior_at(other, jacobian=jacobian)[0] - value == pytest.approx(
        density(other) - density(X), rel=1e-12
    )
    h = 1e-6
    for k in range(len(X)):
        step = h * np.eye(len(X))[k]
        difference = (density(X + step) - density(X - step)) / (2 * h)
        assert by_x[k] == pytest.approx(difference, rel=1e-6, abs=1e-8)
