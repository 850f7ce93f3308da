"""formulaic's way from terms to columns, with expressions that are walked and sizes bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.materializers import PandasMaterializer
from formulaic.materializers.types import EvaluatedFactor
from formulaic.parser.types import Factor
from formulaic.utils.variables import Variable
from interface_meta import override

from bayesmix.design.bounds import check_columns
from bayesmix.design.evaluation import EvaluationError, Evaluator, Functions, as_number
from bayesmix.design.options import n_levels
from bayesmix.formula.quoting import decode

__all__ = ["Materializer"]


class Materializer(PandasMaterializer):
    """Makes the columns of terms, as formulaic does; expressions go to an `Evaluator`.

    Parameters
    ----------
    frame : DataFrame, n rows
        Prepared columns under their encoded names.
    functions : mapping of str to callable
        The caller's own.
    bounded : bool
        Whether the terms are built for the first time, so that the rows bound their columns.
    """

    REGISTER_NAME = "bayesmix"
    REGISTER_INPUTS: Sequence[str] = ()

    def __init__(self, frame: pd.DataFrame, functions: Functions, *, bounded: bool) -> None:
        super().__init__(frame)
        self._columns = frame
        self._n_rows = len(frame)
        self._functions = functions
        self._bounded = bounded
        self._n_columns = 0

    @override
    def _evaluate(self, expr: str, metadata: Any, spec: ModelSpec) -> tuple[Any, set[Variable]]:
        evaluator = Evaluator(
            columns=self._columns,
            functions=self._functions,
            state=spec.transform_state,
            spec=spec,
            n_rows=self._n_rows,
            bounded=self._bounded,
        )
        value = evaluator.evaluate(expr)
        if value is None or isinstance(value, str | bool | int | float | np.generic):
            held = "text" if isinstance(value, str) else "one number"
            raise EvaluationError(f"`{decode(expr)}` is {held} and no column")
        return value, set()

    @override
    def _evaluate_factor(
        self, factor: Factor, spec: ModelSpec, drop_rows: set[int]
    ) -> EvaluatedFactor:
        found = super()._evaluate_factor(factor, spec, drop_rows)
        if self._bounded and found.metadata.kind is Factor.Kind.CATEGORICAL:
            what = f"`{decode(factor.expr)}`"
            self._check(n_levels(found.values), what)
        return found

    @override
    def _encode_numerical(
        self,
        values: Any,
        metadata: Any,
        encoder_state: dict[str, Any],
        spec: ModelSpec,
        drop_rows: Sequence[int],
    ) -> Any:
        """Truth values and whole numbers are doubles before they are multiplied."""
        return as_number(
            super()._encode_numerical(values, metadata, encoder_state, spec, drop_rows)
        )

    @override
    def _get_columns_for_term(
        self, factors: list[dict[str, Any]], spec: ModelSpec, scale: float = 1
    ) -> dict[str, Any]:
        if self._bounded:
            self._n_columns += math.prod(len(factor) for factor in factors)
            self._check(self._n_columns, "the formula")
        return super()._get_columns_for_term(factors, spec, scale)

    def _check(self, n_columns: int, what: str) -> None:
        try:
            check_columns(n_columns, self._n_rows, what)
        except ValueError as error:
            raise EvaluationError(str(error)) from None
