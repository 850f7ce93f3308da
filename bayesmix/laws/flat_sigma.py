"""Where the likelihood is flat in the sigma of some rows, and what has no standard error then."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import linalg

from bayesmix.errors import NotSupportedError
from bayesmix.inference.determined import Determined
from bayesmix.inference.theta_draws import residual_variables
from bayesmix.laws.base import IntervalMethod
from bayesmix.laws.criteria import Criteria
from bayesmix.laws.mode_rows import ModeRows
from bayesmix.laws.rows import Rows

__all__ = ["FlatSigma"]

_STEP = 1e-5  # of numerical derivatives
_FAR = 0.1  # along a flat direction, in logarithms
_DEPENDENT = 1e-9  # singular value of columns that depend on each other
_KNOWN = 1e-16  # part of a direction without a standard error, squared, that is rounding


class FlatSigma(Criteria, ModeRows):
    """What is known of sigma's coefficients, and of fixed effects beside them.

    By REML a row of leverage one, as the only one of its level, says nothing of its own sigma:
    the fixed effects meet it exactly, whatever that is. What rests on such rows alone has an
    estimate, and no standard error.
    """

    @functools.cached_property
    def sigma_coefficients(self) -> tuple[np.ndarray, Determined]:
        """Estimates of the coefficients of log sigma, and what is known of them."""
        scale, (co, x) = self.problem.scale, self.absolute
        assert scale is not None  # noqa: S101

        def at(phi: np.ndarray) -> np.ndarray:
            return residual_variables(self.problem, phi)[scale.variable]

        estimate, phi = at(x[co.n_x :]), x[co.n_x :]
        steps = _STEP * np.eye(len(phi))
        slopes = np.stack([(at(phi + s) - at(phi - s)) / (2 * _STEP) for s in steps], axis=1)
        return estimate, self.sigma_known.moved(slopes)

    @property
    def flat_in_words(self) -> str:
        """Where the likelihood is flat in the rows' sigma; empty if it is not."""
        at = self._taken_up
        taken_up = self.model.design.row_labels[at].tolist() if at.any() else []
        flat = [f"sigma: {name}" for name in self._flat_coefficients]
        if not flat and len(taken_up):
            flat = [f"the residual sd of row {_listed(taken_up)}"]
        if not flat:
            return ""
        has = "has no standard error" if len(flat) == 1 else "have no standard errors"
        why = (
            ": the fixed effects take up the rows that it is of, and what rests on these rows "
            "alone has no standard error either"
        )
        return (
            f"the likelihood is flat in {', '.join(flat)}, which {has}"
            f"{why if len(taken_up) else ''}; "
            'take method="map" or fit(), whose priors hold it, or leave it out of the formula'
        )

    @functools.cached_property
    def _flat_coefficients(self) -> list[str]:
        """Coefficients of sigma along which the likelihood is flat."""
        if "sigma" not in self.model.design.predictors or not self._searched:
            return []
        names = self.model.design.predictors["sigma"].fixed_effects
        lost = self.sigma_coefficients[1].lost(np.eye(len(names)))
        return [name for name, is_lost in zip(names, lost, strict=True) if is_lost]

    @property
    def _searched(self) -> bool:
        """Whether the variance parameters are at an optimum."""
        return bool(self.optimum.converged) and self.method != "mivque0"

    @functools.cached_property
    def _taken_up(self) -> np.ndarray:
        """Rows of leverage one whose sigma is unknown: the fixed effects meet them exactly."""
        unknown = self._unknown_sigma
        if not unknown.any():
            return unknown
        X = self.model.design.mu.X
        left = linalg.qr(X / np.linalg.norm(X, axis=0), mode="economic")[0]
        return np.asarray(unknown & ((left**2).sum(axis=1) > 1 - _DEPENDENT))

    def affordable(self, n_more: int = 0) -> IntervalMethod:
        """Wald's where the likelihood of ML, which profiles are of, has no maximum."""
        return "wald" if self._taken_up.any() else super().affordable(n_more)

    def _check_profile(self) -> None:
        super()._check_profile()
        if self._taken_up.any():
            rows = _listed(self.model.design.row_labels[self._taken_up].tolist())
            raise NotSupportedError(
                'ci_method="profile" is of the likelihood of ML, which rises for ever as the sigma '
                f"of row {rows} falls, since the fixed effects meet it exactly; take "
                'ci_method="wald", or leave the term out of the formula of sigma'
            )

    @property
    def residual_on_link(self) -> np.ndarray:
        """Residual variance; NaN where it is the mean over rows of which one's is unknown."""
        found = super().residual_on_link
        return np.full_like(found, np.nan) if self._unknown_sigma.any() else found

    @property
    def _unknown_sigma(self) -> np.ndarray:
        """Rows of the fit of unknown sigma."""
        own = self.model.design.predictors.get("sigma")
        return self._unknown_in(None if own is None else own.X, self.model.rows)

    def unknown_sigma(self, rows: Rows) -> np.ndarray:
        """Rows whose sigma changes along directions in which the likelihood is flat."""
        own = rows.others.get("sigma")
        found = self._unknown_in(None if own is None else own.X, rows.per_row)
        return found if len(found) else np.zeros(rows.n_rows, dtype=bool)

    def _unknown_in(self, X: np.ndarray | None, per_row: Mapping[str, np.ndarray]) -> np.ndarray:
        """The same by sigma's columns, or by what is given per row; empty where there is none."""
        model, structure = self.model, self.model.residual
        if self._flat_coefficients and X is not None:
            return self.sigma_coefficients[1].lost(X)
        if structure is None or not structure.scale_parameters or not self._searched:
            return np.zeros(0, dtype=bool)  # the rows need not be there
        co, x = self.absolute

        def variance(phi: np.ndarray) -> np.ndarray:
            found = residual_variables(self.problem, phi)
            own = {name: found[name] for name in model.names.residual_dims}
            return structure.row_variance({**self.family_values, **own}, per_row)

        unknown = np.zeros(len(variance(x[co.n_x :])), dtype=bool)
        for along in self.sigma_known.flat.T:
            step = _FAR * along / np.abs(along).max()
            ratio = variance(x[co.n_x :] + step) / variance(x[co.n_x :] - step)
            unknown |= np.abs(np.log(ratio)) > _FAR**2
        return unknown

    @property
    def why_lost(self) -> str:
        """Why some estimates have no standard error, in words."""
        return self.flat_in_words or self.flat_together

    @functools.cached_property
    def flat_together(self) -> str:
        """Parameters of R that others of the model make up for, in words; empty if none."""
        structure = self.model.residual
        if structure is None or not structure.dims or not self._searched:
            return ""
        co, x = self.absolute
        phi, moved = x[co.n_x :], []
        for along in self.sigma_known.flat.T:
            step = _FAR * along / max(np.abs(along).max(), 1e-300)
            up, down = (residual_variables(self.problem, phi + s * step) for s in (1, -1))
            moved += [n for n in structure.dims if np.abs(up[n] - down[n]).max() > _FAR**2]
        names = [n.removesuffix("_residual") for n in structure.dims if n in moved]
        if not names:
            return ""
        if structure.estimates_sigma and "sigma" not in structure.dims:
            names = ["sigma", *names]
        return (
            f"the likelihood is flat where {' and '.join(names)} of the residuals and the standard "
            "deviations of groups change together: they say the same of these data, and have no "
            "standard errors; leave one of them out of the formula"
        )

    @functools.cached_property
    def determined_fixed(self) -> Determined:
        """What is known of the fixed effects, on the scale of the formula.

        Nothing of what is said only by rows whose sigma nothing tells: any other value is as good.
        """
        X, covariance = self.model.design.mu.X, self.conditional.beta_cov
        flat = np.zeros((X.shape[1], 0))
        if self._taken_up.any():
            size, taken_up = np.sqrt(np.diag(covariance)), self._taken_up
            flat = size[:, None] * linalg.null_space(X[~taken_up] * size, rcond=_DEPENDENT)
        return Determined(covariance=covariance, flat=flat, floor=np.full(flat.shape[1], _KNOWN))

    @property
    def notes(self) -> list[str]:
        """Where the likelihood is flat in sigma's coefficients."""
        return [f"Flat: {self.why_lost}."] if self.why_lost else []


def _listed(labels: Sequence[object]) -> str:
    return ", ".join(map(str, labels[:5])) + ", ..." * (len(labels) > 5)
