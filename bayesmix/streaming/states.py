"""What transforms learn from all rows, by sums over batches.

A transform is learned when those within it are: each pass over the rows serves all that are
ready. `scale`, `center` and `standardize` take one, `poly` one for each degree and one more.
"""

from __future__ import annotations

import ast
import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from bayesmix.design.evaluation import Evaluator, as_number
from bayesmix.design.matrices import Columns
from bayesmix.errors import DataError, NotSupportedError
from bayesmix.formula.quoting import decode, encode

__all__ = ["known_states", "learn_states", "states_of"]


class _Learner(ABC):
    """Sums for one transform, in one formula's columns or more."""

    done = False

    def __init__(self, call: ast.Call, states: list[dict[str, Any]]) -> None:
        self.call, self.states = call, states

    @abstractmethod
    def update(self, x: np.ndarray) -> None:
        """Add the rows of a batch."""

    @abstractmethod
    def fresh(self) -> Self:
        """The same with sums of no rows."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the sums of other rows."""

    @abstractmethod
    def advance(self) -> None:
        """End a pass."""


class _Scale(_Learner):
    """Mean and spread about it, merged as Chan, Golub & LeVeque (1983) do."""

    def __init__(self, call: ast.Call, states: list[dict[str, Any]]) -> None:
        super().__init__(call, states)
        self.n, self.mean, self.squares = 0, 0.0, 0.0
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        order = {"scale": ("center", "scale", "ddof"), "standardize": ("center", "rescale", "ddof")}
        names = order.get(name, ())
        given = dict(zip(names, call.args[1:], strict=False))
        given |= {str(item.arg): item.value for item in call.keywords}
        self.learns_center = _is_true(given.get("center"))
        self.learns_scale = name != "center" and _is_true(given.get(names[1]) if names else None)

    def update(self, x: np.ndarray) -> None:
        mean = float(x.mean())
        self._add(len(x), mean, float(((x - mean) ** 2).sum()))

    def fresh(self) -> Self:
        found = copy.copy(self)
        found.n, found.mean, found.squares = 0, 0.0, 0.0
        return found

    def merge(self, other: Self) -> None:
        if other.n:
            self._add(other.n, other.mean, other.squares)

    def _add(self, n: int, mean: float, squares: float) -> None:
        total, apart = self.n + n, mean - self.mean
        self.squares += squares + apart**2 * self.n * n / total
        self.mean += apart * n / total
        self.n = total

    def advance(self) -> None:
        for state in self.states:
            if self.learns_center:
                state["center"] = np.float64(self.mean)
            if self.learns_scale:
                center = 0.0 if state.get("center") is None else float(state["center"])
                squares = self.squares + self.n * (self.mean - center) ** 2
                state["scale"] = np.float64(np.sqrt(squares / (self.n - state["ddof"])))
        self.done = True


class _Poly(_Learner):
    """The three-term recurrence of orthogonal polynomials, a degree in each pass."""

    def __init__(self, call: ast.Call, states: list[dict[str, Any]]) -> None:
        super().__init__(call, states)
        self.degree = max((k for k in states[0].get("norms2", {})), default=0)
        self.done = not states[0]  # raw powers learn nothing
        self.alpha: dict[int, Any] = {}
        self.norms2: dict[int, Any] = {}
        self.k, self.squares, self.moment = 0, 0.0, 0.0

    def update(self, x: np.ndarray) -> None:
        before, now = np.zeros(len(x)), np.ones(len(x))
        for i in range(1, self.k + 1):
            following = (x - self.alpha[i - 1]) * now
            if i >= 2:
                following -= self.norms2[i - 1] / self.norms2[i - 2] * before
            before, now = now, following
        self.squares += float((now**2).sum())
        self.moment += float((x * now**2).sum())

    def fresh(self) -> Self:
        found = copy.copy(self)
        found.squares, found.moment = 0.0, 0.0
        return found

    def merge(self, other: Self) -> None:
        self.squares += other.squares
        self.moment += other.moment

    def advance(self) -> None:
        self.norms2[self.k] = np.float64(self.squares)
        if self.k < self.degree:
            self.alpha[self.k] = np.float64(self.moment / self.squares)
        self.k, self.squares, self.moment = self.k + 1, 0.0, 0.0
        if self.k > self.degree:
            for state in self.states:
                state["alpha"], state["norms2"] = self.alpha, self.norms2
            self.done = True


_LEARNERS: dict[str, type[_Learner]] = {
    "scale": _Scale, "center": _Scale, "standardize": _Scale, "poly": _Poly
}  # fmt: skip


def _is_true(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is True)


class _Learners:
    """Learners by the text of their transform, with the columns that have it."""

    def __init__(self, learners: dict[str, _Learner], of: dict[str, Columns]) -> None:
        self._learners, self._of = {text: one.fresh() for text, one in learners.items()}, of

    def update(self, frame: pd.DataFrame) -> None:
        """Add the rows of a prepared frame."""
        encoded = {encode(str(name)): frame[name] for name in frame.columns}
        for text, one in self._learners.items():
            spec = self._of[text].spec
            value = Evaluator(
                columns=encoded, functions=self._of[text].functions, state=spec.transform_state,
                spec=spec, n_rows=len(frame),
            ).value(one.call.args[0])  # fmt: skip
            x = np.asarray(as_number(value), dtype=np.float64)
            if x.ndim != 1:
                raise NotSupportedError(
                    f"`{decode(text)}` is of several columns, which data that are read in "
                    "batches do not give: write a term for each column"
                )
            one.update(x)

    def merge(self, other: _Learners) -> None:
        """Add the rows of others."""
        for text, one in self._learners.items():
            one.merge(other._learners[text])

    def add_to(self, learners: dict[str, _Learner]) -> None:
        """Hand the sums over."""
        for text, one in self._learners.items():
            learners[text].merge(one)


def learn_states(
    every: list[Columns], gather: Callable[[Callable[[], _Learners]], _Learners]
) -> None:  # fmt: skip
    """Put what all rows say in the place of what a sample said.

    Parameters
    ----------
    every : list of Columns
        Built from a sample; their states are changed.
    gather : callable
        Makes sums over prepared frames of all rows, of what it is given makes.

    Raises
    ------
    NotSupportedError
        Naming a transform that needs all rows at once.
    """
    learners: dict[str, _Learner] = {}
    of: dict[str, Columns] = {}
    for columns in every:
        for text, state in columns.spec.transform_state.items():
            if text in learners:
                if all(state is not known for known in learners[text].states):
                    learners[text].states.append(state)
                continue
            call = ast.parse(text, mode="eval").body
            name = call.func.id if isinstance(call, ast.Call) and isinstance(
                call.func, ast.Name) else ""  # fmt: skip
            if not state or not isinstance(call, ast.Call):
                continue
            if name not in _LEARNERS:
                raise NotSupportedError(
                    f"`{decode(text)}` learns from all values at once, which data that are read in "
                    "batches do not give: take poly(x, degree), a column made before, or read the "
                    "columns that the model uses into a frame"
                )
            learners[text], of[text] = _LEARNERS[name](call, [state]), columns
    while not all(one.done for one in learners.values()):
        ready = {
            text: one for text, one in learners.items()
            if not one.done and not any(
                other != text and not inner.done and other in ast.unparse(one.call.args[0])
                for other, inner in learners.items()
            )
        }  # fmt: skip
        now = {text: of[text] for text in ready}
        gather(functools.partial(_Learners, ready, now)).add_to(ready)
        for one in ready.values():
            one.advance()


def states_of(every: list[Columns]) -> dict[str, dict[str, Any]]:
    """What transforms have learned, by their text, in numbers that JSON holds."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        return value if value is None or isinstance(value, bool | int) else float(value)

    return {
        text: plain(state)
        for columns in every
        for text, state in columns.spec.transform_state.items()
        if state
    }


def known_states(every: list[Columns], states: Mapping[str, Any]) -> None:
    """Put what `states_of` returned in the place of what a sample said.

    Parameters
    ----------
    every : list of Columns
        Their states are changed.
    states : mapping of str to mapping

    Raises
    ------
    DataError
        If a transform has none, or another one's.
    """

    def number(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {int(k): np.float64(v) for k, v in value.items()}
        if value is None or isinstance(value, bool | int):
            return value
        return np.float64(value)

    for columns in every:
        for text, state in columns.spec.transform_state.items():
            if not state:
                continue
            given = states.get(text)
            if not isinstance(given, Mapping) or set(given) != set(state):
                raise DataError(f"what `{decode(text)}` has learned is not known")
            state.update({name: number(value) for name, value in given.items()})
