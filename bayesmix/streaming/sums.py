"""What a pass over the rows of a design adds up; sums of parts merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.streaming.moments import ColumnSums, Triangle
from bayesmix.streaming.rows import Batch, StreamedRows

__all__ = ["Sums"]

_PARTS = ("means", "products", "tops")


class Sums:
    """What the pass over the arrays adds up."""

    def __init__(self, rows: StreamedRows) -> None:
        mu = rows.design.mu
        names = mu.fixed_columns.names
        frame = rows.design.frame
        X = mu.fixed_columns.build(frame)
        extras = rows.design.extras
        y = rows.numbers(rows.design.response, extras, frame.index)
        has_constant = bool(mu.formula.has_intercept)
        shift = X.mean(axis=0) if has_constant else np.zeros(len(names))
        if "Intercept" in names and has_constant:
            shift[names.index("Intercept")] = 0.0
        y_shift = float(y.mean()) if has_constant else 0.0
        self.sample_X = X
        self.X, self.y = ColumnSums(len(names)), ColumnSums(3)
        # Where the columns of effects are those of X the sums are X's.
        own = mu.fixed_columns.terms
        self.Z = [
            self.X if len(g.terms) == 1 and g.terms[0] is own else ColumnSums(g.n_effects)
            for g in mu.groups
        ]
        self.beside = {argument: ColumnSums(1) for argument in rows.beside}
        self.extras = {argument: ColumnSums(1) for argument in extras}
        self.ends: dict[str, list[tuple[float, Any]]] = {argument: [] for argument in rows.beside}
        self.log_weights = 0.0
        self.plain = Triangle(shift, y_shift)
        self.weighted = Triangle(shift, y_shift) if rows.beside else self.plain
        self.levels = [group.n_levels for group in mu.groups]
        self.cells: list[np.ndarray] = []
        self._restored: tuple[np.ndarray, ...] | None = None

    def update(self, batch: Batch) -> None:
        """Add rows."""
        offset = np.zeros(len(batch.y)) if batch.offset is None else batch.offset
        self.X.update(batch.X)
        self.y.update(np.column_stack([batch.z, batch.y, offset]))
        for own, Z in zip(self.Z, batch.Z, strict=True):
            if own is not self.X:
                own.update(Z)
        self.plain.update(batch.X, batch.z, None)
        for argument, values in batch.beside.items():
            precision = values if argument == "weights" else values**-2.0
            self.beside[argument].update(values[:, None])
            for at in (int(values.argmin()), int(values.argmax())):
                self.ends[argument].append((float(values[at]), batch.labels[at]))
            self.log_weights += float(np.log(precision).sum())
            self.weighted.update(batch.X, batch.z, precision)
        for argument, values in batch.extras.items():
            self.extras[argument].update(values[:, None])
        if len(batch.index) > 1:
            self._add_cells(batch.index)

    def _add_cells(self, index: tuple[np.ndarray, ...]) -> None:
        """Note which levels are met together."""
        code = index[0]
        for size, own in zip(self.levels[1:], index[1:], strict=True):
            code = code * size + own
        self.cells.append(np.unique(code))
        if sum(map(len, self.cells)) > 2 * len(self.cells[0]) + 1_000_000:
            self.cells = [np.unique(np.concatenate(self.cells))]

    def merge(self, other: Sums) -> Self:
        """Add the rows of other sums of the same design."""
        for own, its in zip(self._columns().values(), other._columns().values(), strict=True):
            own.merge(its)
        for own_R, its_R in zip(self._triangles().values(), other._triangles().values(),
                                strict=True):  # fmt: skip
            own_R.merge(its_R)
        for argument, ends in other.ends.items():
            self.ends[argument] += ends
        self.log_weights += other.log_weights
        self.cells += other.cells
        return self

    def combinations(self) -> tuple[np.ndarray, ...]:
        """Return the levels that are met together, an array for each grouping factor."""
        if self._restored is not None:
            return self._restored
        if len(self.levels) < 2:
            return tuple(np.arange(size) for size in self.levels)
        code, found = np.unique(np.concatenate(self.cells)), []
        for size in reversed(self.levels[1:]):
            code, own = np.divmod(code, size)
            found.append(own)
        return (code, *reversed(found))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all sums by name, as `restore` takes them."""
        found: dict[str, np.ndarray] = {"log_weights": np.asarray([self.log_weights])}
        for name, own in self._columns().items():
            found |= {f"{name}_{part}": getattr(own, part).ravel() for part in _PARTS}
        for name, triangle in self._triangles().items():
            found |= {
                f"{name}_R": triangle.R.ravel(),
                f"{name}_shift": np.append(triangle.shift, triangle.y_shift),
            }
        return found | {f"met_{k}": index for k, index in enumerate(self.combinations())}

    def restore(self, arrays: Mapping[str, np.ndarray], n: int) -> Self:
        """Take the sums that `arrays` returned of n rows of the same design.

        Raises
        ------
        DataError
            If they are not of this design.
        """

        def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
            values = arrays.get(name)
            if values is None or values.dtype.kind != "f" or not np.isfinite(values).all():
                raise DataError(f"the sums {name} are missing, or no numbers")
            try:
                return values.reshape(shape)
            except ValueError as error:
                raise DataError(f"the sums {name} are of another design") from error

        for name, own in self._columns().items():
            for part in _PARTS:
                setattr(own, part, numbers(f"{name}_{part}", getattr(own, part).shape))
            own.n = n
        for name, triangle in self._triangles().items():
            width = len(triangle.shift) + 2
            triangle.R = numbers(f"{name}_R", (-1, width))
            shift = numbers(f"{name}_shift", (width - 1,))
            triangle.shift, triangle.y_shift = shift[:-1], float(shift[-1])
        self.log_weights = float(numbers("log_weights", (1,))[0])
        met = tuple(arrays.get(f"met_{k}", np.zeros(0)) for k in range(len(self.levels)))
        for index, size in zip(met, self.levels, strict=True):
            whole = index.dtype.kind in "iu" and index.ndim == 1
            if not whole or not len(index) or len(index) != len(met[0]):
                raise DataError("the levels that are met together are missing")
            if not 0 <= index.min() <= index.max() < size:
                raise DataError("the levels that are met together are none of the levels")
        self._restored = tuple(index.astype(np.int64) for index in met)
        return self

    def _columns(self) -> dict[str, ColumnSums]:
        """Sums of columns by name, each once."""
        found = {"X": self.X, "y": self.y}
        found |= {f"Z{k}": own for k, own in enumerate(self.Z) if own is not self.X}
        found |= {f"extra_{argument}": own for argument, own in self.extras.items()}
        return found | {f"beside_{argument}": own for argument, own in self.beside.items()}

    def _triangles(self) -> dict[str, Triangle]:
        found = {"plain": self.plain}
        return found if self.weighted is self.plain else found | {"weighted": self.weighted}
