"""Proposals for effects given the data, where rounding takes a direction."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.inference.effects_given_data import _least_spread


def test_a_direction_known_to_the_last_digit_does_not_stop_the_others() -> None:
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    precision = (turn * [1e8, 1e8, 1e27]) @ turn.T  # rounding takes more than the least
    covariance, root = _least_spread(precision[None])
    assert np.isfinite(root).all()
    assert root[0] @ root[0].T == pytest.approx(covariance[0])
    assert np.linalg.matrix_rank(root[0]) == 3
    assert turn[:, 2] @ covariance[0] @ turn[:, 2] < 1e-20  # what is known stays known


def test_it_is_the_inverse_where_rounding_takes_nothing() -> None:
    precision = np.array([[[4.0, 1.0], [1.0, 3.0]]])
    covariance, root = _least_spread(precision)
    assert covariance[0] == pytest.approx(np.linalg.inv(precision[0]))
    assert root[0] @ root[0].T == pytest.approx(covariance[0])
