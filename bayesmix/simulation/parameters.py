"""Numbers by the names that tables print them under become the parameters of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.arguments import did_you_mean
from bayesmix.covariance import covariance_of
from bayesmix.errors import ArgumentError
from bayesmix.laws.values import Values, by_name

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor, LinearPredictor
    from bayesmix.statement.stated import StatedModel

__all__ = ["given_numbers", "names_of_parameters", "parameters_from", "values_at"]

_ROUNDING = 1e-9


@dataclass
class _Taken:
    """Numbers that were given, and which of them have been used."""

    given: dict[str, float]
    used: set[str]

    def __call__(self, *names: str) -> float:
        for name in names:
            if name in self.given:
                self.used.add(name)
                return self.given[name]
        return np.nan


def names_of_parameters(model: StatedModel) -> list[str]:
    """What the parameters of a model are called, coefficients by their terms.

    Parameters
    ----------
    model : StatedModel

    Returns
    -------
    list of str
    """
    found = by_name(model, _with_numbers(model, _Taken({}, set())))
    return [_short(model, name) for name in found]


def parameters_from(model: StatedModel, given: Mapping[str, Any]) -> Values:
    """Take every parameter of a model from numbers by name.

    Parameters
    ----------
    model : StatedModel
    given : mapping of str to float
        By ``Days`` or ``beta(Days)``, ``sd(Subject, Days)``, ``corr(Subject, Intercept, Days)``,
        ``sigma`` and the family's other parameters, those of structures such as
        ``rho(Subject)``, and ``zi_beta(x)`` of other predictors.

    Returns
    -------
    Values
        Shape ().

    Raises
    ------
    ArgumentError
        If one is missing, unknown, no number, or not possible.
    """
    if not isinstance(given, Mapping):
        raise ArgumentError(f"parameters= takes a dict, not {type(given).__name__}")
    numbers: dict[str, float] = {}
    for name, value in given.items():
        try:
            numbers[" ".join(str(name).split())] = float(value)
        except (TypeError, ValueError):
            raise ArgumentError(f"parameters[{name!r}] = {value!r} is no number") from None
    taken = _Taken(numbers, set())
    values = _with_numbers(model, taken)
    names = names_of_parameters(model)
    found = by_name(model, values)
    missing = [n for n, v in zip(names, found.values(), strict=True) if np.isnan(v)]
    unknown = [name for name in numbers if name not in taken.used]
    wanted = ", ".join(names)
    if unknown:
        raise ArgumentError(
            f"`{model.formula}` has no parameter {unknown[0]!r}; "
            f"{did_you_mean(unknown[0], names)}its parameters are {wanted}"
        )
    if missing:
        raise ArgumentError(
            f"parameters= has no value of {', '.join(missing)}; needed are {wanted}"
        )
    _check(model, values)
    return values


def values_at(values: Values, k: int) -> Values:
    """The k-th of many draws, in the order of chains behind each other.

    Parameters
    ----------
    values : Values
        Shape (chains, draws).
    k : int
    """
    chains, draws = values.beta.shape[:2]
    at = divmod(k % (chains * draws), draws)

    def some(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: np.asarray(v[at]) for name, v in given.items()}

    return Values(
        beta=values.beta[at],
        sd=some(values.sd),
        corr=some(values.corr),
        parameters=some(values.parameters),
        structure={g: some(own) for g, own in values.structure.items()},
        others={name: values_at(own, k) for name, own in values.others.items()},
    )


def _with_numbers(model: StatedModel, taken: _Taken) -> Values:
    """Values of shape (), NaN where nothing was given."""
    mu, *others = model.design.predictors
    family = {name: _family_value(model, name, taken) for name in model.parameters}
    family |= {name: _residual_value(model, name, taken) for name in model.names.residual_dims}
    return _of_predictor(
        model.design.predictors[mu], "", taken, family,
        {name: _of_predictor(model.design.predictors[name], f"{name}_", taken, {}, {})
         for name in others},
    )  # fmt: skip


def _of_predictor(
    predictor: LinearPredictor, prefix: str, taken: _Taken, family: dict[str, np.ndarray],
    others: dict[str, Values],
) -> Values:  # fmt: skip
    beta = [taken(f"{prefix}beta({name})", f"{prefix}{name}") for name in predictor.fixed_effects]
    sd, corr, structure = {}, {}, {}
    for group in predictor.groups:
        sd[group.name], corr[group.name], structure[group.name] = _of_group(group, prefix, taken)
    return Values(
        beta=np.asarray(beta, dtype=np.float64), sd=sd,
        corr={g: R for g, R in corr.items() if R is not None}, parameters=family,
        structure=structure, others=others,
    )  # fmt: skip


def _of_group(
    group: GroupingFactor, prefix: str, taken: _Taken
) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
    covariance, name = covariance_of(group), group.name
    labels = [f"{prefix}{label}" for label in covariance.sd_names(name)]
    alone = (f"{prefix}sd({name})",) if len(labels) == 1 else ()
    sds = np.asarray([taken(label, *alone) for label in labels])
    structure = {
        own: np.asarray(taken(f"{prefix}{own}({name})")) for own in covariance.parameters()
    }
    free = np.eye(group.n_effects)
    for k, m in covariance.pairs:
        one, two = group.effects[k], group.effects[m]
        alone = (f"{prefix}corr({name})",) if len(covariance.pairs) == 1 else ()
        free[k, m] = free[m, k] = taken(
            f"{prefix}corr({name}, {one}, {two})", f"{prefix}corr({name}, {two}, {one})", *alone
        )
    given = {own: value for own, value in structure.items() if np.isfinite(value)}
    whole = len(given) == len(structure)
    sd = covariance.by_effect(sds, structure if whole else None)
    R = covariance.correlation(free if covariance.has_correlations else None,
                               structure if whole else {})  # fmt: skip
    return sd, R, structure


def _family_value(model: StatedModel, name: str, taken: _Taken) -> np.ndarray:
    labels = model.family.parameter_labels(model.design.response).get(name)
    if labels is None:
        return np.asarray(taken(name))
    return np.asarray([taken(f"{name}[{label}]") for label in labels])


def _residual_value(model: StatedModel, name: str, taken: _Taken) -> np.ndarray:
    """A variable of the residual's structure: each number to where its label stands."""
    residual = model.residual
    assert residual is not None  # noqa: S101
    shape = tuple(len(residual.coords[dim]) for dim in residual.dims[name])
    places = residual.labelled(name, np.arange(float(np.prod(shape, dtype=int))).reshape(shape))
    out = np.eye(shape[0]) if len(shape) == 2 else np.full(shape, np.nan)
    for label, place in places.items():
        at = np.unravel_index(int(place), shape) if shape else ()
        out[at] = out[at[::-1]] = taken(label)
    return out


def _short(model: StatedModel, name: str) -> str:
    """Mu's coefficients by their terms alone, where nothing else is called so."""
    inside = name.removeprefix("beta(").removesuffix(")")
    plain = name.startswith("beta(") and inside not in model.parameters
    return inside if plain else name


def _check(model: StatedModel, values: Values) -> None:
    """Refuse what no model has."""
    for name, value in by_name(model, values).items():
        number = float(value)
        if not np.isfinite(number):
            raise ArgumentError(f"parameters[{name!r}] = {number} is not finite")
    for predictor, own in ((None, values), *values.others.items()):
        groups = model.design.predictors[predictor or "mu"].groups
        prefix = f"{predictor}_" if predictor else ""
        for group in groups:
            if (own.sd[group.name] < 0).any():
                raise ArgumentError(f"{prefix}sd({group.name}) must not be negative")
            R = own.corr.get(group.name)
            if R is not None and np.linalg.eigvalsh(R).min() < -_ROUNDING:
                raise ArgumentError(
                    f"the correlations {prefix}corr({group.name}) are those of no covariance: "
                    "their matrix has a negative eigenvalue"
                )
            for name, p in covariance_of(group).parameters().items():
                low, high = p.lower, p.upper
                number = float(own.structure[group.name][name])
                if not low <= number <= high:
                    raise ArgumentError(
                        f"{prefix}{name}({group.name}) = {number:g} must lie between {low:g} and "
                        f"{high:g}"
                    )
    for name, spec in model.family.parameters.items():
        if name not in values.parameters:
            continue
        given = np.atleast_1d(values.parameters[name])
        fine = {
            "positive": (given > 0).all(),
            "unit": ((given > 0) & (given < 1)).all(),
            "ordered": (np.diff(given) > 0).all(),
        }.get(spec.support, True)
        if not fine:
            words = {"positive": "be above zero", "unit": "lie between 0 and 1",
                     "ordered": "rise"}[spec.support]  # fmt: skip
            raise ArgumentError(f"{name} = {given.squeeze().tolist()} must {words}")


def given_numbers(model: StatedModel, values: Values) -> dict[str, float]:
    """Every parameter by name, as `parameters_from` takes it."""
    return {_short(model, name): float(v) for name, v in by_name(model, values).items()}
