"""A polynomial in place of a dear density: where it is good, and that it decides nothing alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.inference import independent, screen
from bayesmix.inference.proposal import Proposal, fit_proposal
from bayesmix.inference.screen import fit_screen

from .alike import check_alike, check_tail, draws_of, tail_of_two_groups, two_groups

PROPOSAL = Proposal(center=np.array([1.0, -2.0]), root=np.array([[1.0, 0.0], [0.8, 0.3]]))


def quartic(X: np.ndarray) -> np.ndarray:
    z = np.linalg.solve(PROPOSAL.root, (X - PROPOSAL.center).T).T
    a, b = z.T
    return 7.0 - 0.5 * a**2 - 0.4 * b**2 + 0.1 * a**2 * b - 0.02 * a**4 - 0.01 * b**4


def test_a_quartic_is_found_exactly_within_reach(rng: np.random.Generator) -> None:
    X, _ = PROPOSAL.points(rng, 300)
    found = fit_screen(X, quartic(X), PROPOSAL)
    assert found is not None
    assert found.error < 1e-8
    new = PROPOSAL.center + rng.normal(size=(50, 2)) @ PROPOSAL.root.T
    values = found.log_density(new)
    np.testing.assert_allclose(
        values[1:] - values[0], quartic(new)[1:] - quartic(new)[0], atol=1e-6
    )
    far = found.log_density(PROPOSAL.center + 1e3 * rng.normal(size=(50, 2)))
    assert ((far >= found.lowest) & (far <= found.highest)).all()


def test_what_no_polynomial_follows_has_no_screen(rng: np.random.Generator) -> None:
    X, _ = PROPOSAL.points(rng, 300)
    assert fit_screen(X, rng.normal(size=300), PROPOSAL) is None
    assert fit_screen(X[:10], quartic(X[:10]), PROPOSAL) is None
    assert fit_screen(X, np.full(300, -np.inf), PROPOSAL) is None


def test_weights_are_never_far_below_the_usual(rng: np.random.Generator) -> None:
    X, log_q = PROPOSAL.points(rng, 2000)
    found = fit_screen(X, quartic(X), PROPOSAL)
    assert found is not None
    exact = found.log_density(X) - log_q
    log_w = found.log_weights(X, log_q)
    assert (log_w >= exact).all()
    assert log_w.min() == pytest.approx(found.least)
    assert exact.min() < found.least < np.median(exact)


@pytest.mark.parametrize("rough", [False, True])
def test_chains_have_the_tail_of_quadrature_however_rough_the_screen(
    rough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(independent, "_DEAR", 0.0)
    if rough:
        monkeypatch.setattr(screen, "_DEGREES", (2,))
        monkeypatch.setattr(screen, "_ROUGHEST", np.inf)
    post = two_groups().fit(25_000, seed=1, sampler="independent", progress=False)
    assert "% evaluated" in post.idata.attrs["choice"]
    check_tail(post, *tail_of_two_groups(), 20_000 if rough else 40_000)


def test_draws_of_a_dear_density_are_evaluated_once_each_at_most(
    sleepstudy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy)
    usual = model.fit(seed=1, sampler="independent", progress=False)
    monkeypatch.setattr(independent, "_DEAR", 0.0)
    ours = model.fit(seed=2, sampler="independent", progress=False)
    check_alike(ours, usual)
    assert ours.diagnostics().min_ess_bulk > 2000
    evaluated = int(ours.idata.attrs["choice"].rpartition(", ")[2].partition("%")[0])
    assert 30 <= evaluated <= 55  # of two points at most one
    assert 0.6 < float(ours.idata["sample_stats"]["acceptance_rate"].mean()) < 1
    again = model.fit(seed=2, sampler="independent", cores=1, progress=False)
    for name, values in draws_of(ours).items():
        np.testing.assert_array_equal(values, draws_of(again)[name])


def test_all_points_of_a_fit_are_known(rng: np.random.Generator) -> None:
    fitted = fit_proposal(quartic, PROPOSAL.center, PROPOSAL.root, rng, 200)
    X, values = fitted.known
    assert len(X) == fitted.n_points == len(values)
    np.testing.assert_array_equal(values, quartic(X))
