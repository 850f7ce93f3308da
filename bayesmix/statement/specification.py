"""What a model is made of, so that it can be made again: for other rows, or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from bayesmix.design.between import Matrices
from bayesmix.design.missing import MissingAction
from bayesmix.errors import DataError, PriorError
from bayesmix.families import Family, get_family
from bayesmix.formula.update import updated_formula
from bayesmix.priors.prior import Prior
from bayesmix.statement.pymc_model import Parametrization

__all__ = ["Specification"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """The arguments of `Model`, but for the data.

    Attributes
    ----------
    formula : str or tuple of str
        Several, where parameters have predictors of their own: the first is that of the
        response.
    family : Family
    priors : mapping of str to Prior
        Those of the user.
    functions : mapping of str to callable
    missing : {"drop", "raise"}
    weights, known_se : str or ndarray, optional
    parametrization : {"non-centered", "centered"}
    matrices : Matrices
        Known covariances between levels.
    """

    formula: str | tuple[str, ...]
    family: Family
    priors: Mapping[str, Prior] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    missing: MissingAction = "drop"
    weights: Any = None
    known_se: Any = None
    parametrization: Parametrization = "non-centered"
    matrices: Matrices = field(default_factory=Matrices)

    def build[M](
        self,
        model: Callable[..., M],
        data: Any,
        *,
        kept_from: Specification | None = None,
        same_data: bool = True,
        learned_from: M | None = None,
    ) -> M:
        """Make the model.

        Parameters
        ----------
        model : callable
            The class to make, called as `Model` is.
        data : table
        kept_from : Specification, optional
            What this one was changed from: an error over what was kept says so.
        same_data : bool
            Whether the data are those of the old model.
        learned_from : Model, optional
            As of `Model`.

        Raises
        ------
        BayesmixError
        """
        for name in ("weights", "known_se"):
            value = getattr(self, name)
            kept = kept_from is not None and value is getattr(kept_from, name)
            if kept and not same_data and value is not None and not isinstance(value, str):
                raise DataError(
                    f"{name}= was an array for the old data; give one for the new, "
                    "or a column's name"
                )
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "formula"}
        try:
            return model(self.formula, data, learned_from=learned_from, **given)
        except PriorError as error:
            before = kept_from.priors if kept_from else {}
            kept_names = [n for n, prior in self.priors.items() if prior is before.get(n)]
            if not kept_names:
                raise
            raise PriorError(
                f"{error} (kept from the old model: {', '.join(kept_names)}; "
                'priors={"name": None} lets one go)'
            ) from error

    def changed(
        self,
        *,
        formula: str | Sequence[str] | None,
        family: str | Family | None,
        priors: Mapping[str, Any] | None,
        matrices: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> Specification:
        """Change some of it; the arguments are those of `Model.update`."""
        out = self
        if isinstance(formula, list | tuple):
            out = replace(out, formula=tuple(formula))
        elif formula is not None:
            one = cast("str", formula)
            if isinstance(self.formula, str):
                out = replace(out, formula=updated_formula(self.formula, one))
            else:
                first = updated_formula(self.formula[0], one)
                out = replace(out, formula=(first, *self.formula[1:]))
        if family is not None:
            out = replace(out, family=get_family(family))
        if priors is not None:
            if not isinstance(priors, Mapping):
                raise PriorError(f"priors= takes a dict, not {type(priors).__name__}")
            merged = {**self.priors, **priors}
            out = replace(out, priors={k: v for k, v in merged.items() if v is not None})
        if matrices is not None:
            out = replace(out, matrices=self.matrices.with_others(matrices))
        given = {name: value for name, value in others.items() if value is not None}
        return replace(out, **given)
