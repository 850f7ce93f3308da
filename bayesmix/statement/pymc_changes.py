"""What a user changed in the PyMC model: each variable's expression, compared with the first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Changes", "Statement", "added_variables", "changes_since", "statement_of"]

# Kind and fingerprint of each named variable.
Statement = Mapping[str, tuple[str, str]]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How a PyMC model differs from what it was when it was made.

    Attributes
    ----------
    words : str
        Which variables, such as "the potential `p` is new"; empty where none differs.
    of_rows : bool
        Whether the likelihood of the data's rows, or the data, are among them.
    """

    words: str = ""
    of_rows: bool = False

    def __bool__(self) -> bool:
        return bool(self.words)


def statement_of(model: Any) -> Statement:
    """Take down the variables of a PyMC model.

    Parameters
    ----------
    model : pymc.Model

    Returns
    -------
    mapping of str to (str, str)
        By name, what the variable is, and a fingerprint of its expression down to
        other named variables, of its transform and of what it was observed to be. Copies of
        a model have the same.
    """
    names = {id(variable): str(name) for name, variable in model.named_vars.items()}
    potentials = {id(variable) for variable in model.potentials}
    observed = {id(variable) for variable in model.observed_RVs}
    free = {id(variable) for variable in model.free_RVs}
    out: dict[str, tuple[str, str]] = {}
    for name, variable in model.named_vars.items():
        parts = [_expression(variable, names)]
        if id(variable) in potentials:
            kind = "potential"
        elif id(variable) in observed:
            kind = "observed variable"
            parts.append(_expression(model.rvs_to_values[variable], names, root=False))
        elif id(variable) in free:
            kind = "variable"
            parts.append(_of_transform(model.rvs_to_transforms.get(variable)))
        elif variable.owner is None:
            kind = "data"
        else:
            kind = "deterministic variable"
        out[str(name)] = kind, "|".join(parts)
    registered = {id(variable) for variable in model.named_vars.values()}
    for number, variable in enumerate(model.potentials, 1):
        if id(variable) not in registered:  # put on the list by hand; PyMC adds it all the same
            name = getattr(variable, "name", None) or f"number {number}"
            out[str(name)] = "potential", _expression(variable, names)
    return out


def changes_since(before: Statement, now: Statement, observed: str) -> Changes:
    """Say what differs between two statements.

    Parameters
    ----------
    before, now : Statement
    observed : str
        Name of the variable of the data's rows.

    Returns
    -------
    Changes
    """
    found = []
    rows = False
    for name in [*before, *(name for name in now if name not in before)]:
        if before.get(name) == now.get(name):
            continue
        kind = (now[name] if name in now else before[name])[0]
        what = "is another" if name in before else "is new"
        if name not in now:
            what = "is gone"
        found.append(f"the {kind} `{name}` {what}")
        rows |= name == observed or (kind == "data" and name in before)
    return Changes(words=", ".join(found), of_rows=rows)


def added_variables(before: Statement, now: Statement) -> list[str]:
    """Names of the variables that were added and can be sampled."""
    kinds = {"variable", "deterministic variable"}
    return [name for name, (kind, _) in now.items() if name not in before and kind in kinds]


def _expression(variable: Any, names: Mapping[int, str], *, root: bool = True) -> str:
    """Fingerprint an expression; other named variables, and random states, are leaves."""
    digest = hashlib.blake2b(digest_size=16)
    _walk([variable], names, digest, root=root)
    return digest.hexdigest()


def _walk(outputs: list[Any], names: Mapping[int, str], digest: Any, *, root: bool) -> None:
    """Add the nodes above some variables, inputs first, each with the numbers of its inputs."""
    from pytensor.compile.ops import ViewOp
    from pytensor.graph.basic import Constant

    number: dict[int, int] = {}
    n_nodes = 0
    stack = [(variable, False) for variable in reversed(outputs)]
    roots = {id(variable) for variable in outputs} if root else set()
    while stack:
        variable, ready = stack.pop()
        if id(variable) in number:
            continue
        named = id(variable) in names and id(variable) not in roots
        node = None if named else variable.owner
        if node is not None and not ready:
            stack.append((variable, True))
            stack += [(parent, False) for parent in reversed(node.inputs)]
            continue
        if node is not None and isinstance(node.op, ViewOp):
            # What pm.Deterministic wraps around its variable, and a copy leaves out.
            number[id(variable)] = number[id(node.inputs[0])]
            continue
        number[id(variable)] = n_nodes
        n_nodes += 1
        if named:
            text = f"named {names[id(variable)]}"
        elif node is not None:
            inputs = [number[id(parent)] for parent in node.inputs]
            text = f"{_of_operation(node.op)} {inputs} {node.outputs.index(variable)}"
            inner = getattr(node.op, "fgraph", None)
            if inner is not None:
                _walk(list(inner.outputs), {}, digest, root=False)
        elif isinstance(variable, Constant):
            text = f"constant {variable.type}"
            _add_value(variable.data, digest)
        else:
            text = f"input {variable.type}"
            if hasattr(variable, "get_value"):
                _add_value(variable.get_value(borrow=True), digest)
        digest.update(f"{text};".encode())


def _of_operation(op: Any) -> str:
    return f"{type(op).__qualname__} {_ADDRESS.sub('', str(op))}"


def _of_transform(transform: Any) -> str:
    return "" if transform is None else type(transform).__qualname__


def _add_value(value: Any, digest: Any) -> None:
    """Add the numbers of an array; what is none, as a random state, is no part of the model."""
    if isinstance(value, np.ndarray | np.generic | int | float):
        array = np.asarray(value)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
