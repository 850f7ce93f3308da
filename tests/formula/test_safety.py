"""A formula evaluates nothing but columns, literals, operators and known functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import FormulaError
from bayesmix.formula import parse_formula

HOSTILE = [
    "y ~ {__import__('os').system('touch CANARY')}",
    "y ~ {__import__('os').system('touch CANARY') + x}",
    "y ~ I(len(__import__('os').getcwd()) * x)",
    "y ~ I(open('CANARY', 'w'))",
    "y ~ open('CANARY', 'w')",
    "y ~ exec('import os')",
    "y ~ eval('1')",
    'y ~ {exec(\'open("CANARY", "w")\')}',
    "{__import__('os').system('touch CANARY')} ~ x",
    "open('CANARY', 'w') ~ x",
    "y ~ x + ({open('CANARY', 'w')} | g)",
    "y ~ offset(open('CANARY', 'w'))",
    "y ~ offset(__import__('os').system('touch CANARY'))",
    "y ~ x.to_csv('CANARY')",
    "y ~ {x.to_csv('CANARY')}",
    "y ~ I(x.values.tofile('CANARY'))",
    "y ~ np.save('CANARY', x)",
    "y ~ np.savetxt('CANARY', x)",
    "y ~ np.memmap('CANARY', mode='w+', shape=3)",
    "y ~ np.lib.format.open_memmap('CANARY')",
    "y ~ np.load('CANARY', allow_pickle=True)",
    "y ~ np.ctypeslib.load_library('x', '.')",
    "y ~ {().__class__.__base__.__subclasses__()}",
    "y ~ {x.__class__}",
    "y ~ __builtins__",
    "y ~ np.__dict__",
    "y ~ {getattr(x, 'to_csv')('CANARY')}",
    "y ~ {(lambda: x)()}",
    "y ~ {[v for v in x]}",
    "y ~ {(v for v in x)}",
    "y ~ {{v: v for v in x}}",
    "y ~ {x[0]}",
    "y ~ x[0]",
    "y ~ I((w := x))",
    "y ~ I(f'{x}')",
    "y ~ I(f'{x.__class__}')",
    "y ~ {x if x else x}",
    "y ~ {x and x}",
    "y ~ {x in x}",
    "y ~ {*x}",
    "y ~ {yield x}",
    "y ~ {await x}",
    "y ~ I(*x)",
    "y ~ C(x, **y)",
    "y ~ C(x, levels=[__import__('os')])",
    "y ~ C(x, levels=list(x))",
    "y ~ C(x, contr.__class__)",
    "y ~ C(x, contr.sum.__init__)",
    "y ~ C(x, contr.treatment(base=open('CANARY', 'w')))",
    "y ~ scale(x, _state={})",
    "y ~ scale(x, _context=x)",
    "y ~ hashed(x, 10, hash_func=eval)",
    "y ~ hashed(x, 10, hash_func=y)",
    "y ~ cr(x, df=4, constraints='{open(1)}')",
    "y ~ Q('np')",
    "y ~ {9**9**9**9}",
    "y ~ {(1 + 1)**(9 * 9 * 9 * 9 * 9 * 9)}",
    "y ~ {'a' * 999999999}",
    "y ~ {[0] * 999999999}",
    "y ~ {1 << 999999999}",
    "y ~ {x @ x}",
    "y ~ {x ^ 2}",
    "y ~ I(I(9)**I(9)**I(9))",
    "y ~ {I('a') * 10000000000}",
    "y ~ {I([0]) * 10000000000}",
    "y ~ {x * 99999999999999999999}",
    "y ~ bs(x, degree=3000)",
    "y ~ poly(x, 100000000)",
    "y ~ hashed(g, 100000000)",
    "y ~ cr(x, df=20000)",
    'y ~ center(np.where(g == "it\'s", x, x))',
    "y ~ I(3)",
    "y ~ {x*0x" + "f" * 5000 + "}",
    "offset(y) ~ x",
    "y ~ C(g, 'sum')",
    "y ~ C(g, 3)",
    "y ~ np.log(x, y)",
    "y ~ np.log(x, out=y)",
    "y ~ log(x, y)",
    "y ~ np.add(x, y, x)",
    "y ~ np.clip(x, 0, 1, y)",
    "y ~ np.frompyfunc(print, 1, 1)(x)",
    "y ~ I(" + "-" * 5000 + "x)",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:48])
def test_hostile_formulas_end_in_a_formula_error(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pd.DataFrame({"y": np.arange(1.0, 9), "x": np.arange(8.0), "g": list("aabbccdd")})
    before = data.copy()
    with pytest.raises(FormulaError):
        bmx.Model(text, data)
    assert not list(tmp_path.iterdir())
    pd.testing.assert_frame_equal(data, before)


def test_the_refused_piece_is_named_and_pointed_at() -> None:
    text = "y ~ x + I(len(__import__( 'os' ).getcwd()) * x)"
    with pytest.raises(FormulaError, match="calling `len` is not allowed") as caught:
        parse_formula(text)
    start, stop = caught.value.start, caught.value.stop
    assert text[start:stop].startswith("len(")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("y ~ factor(x)", r"C\(x\)"),
        ("y ~ tanh(x)", r"np\.tanh"),
        ("y ~ ns(x, 3)", r"cr\(x"),
        ("y ~ np.mean(x)", r"center\(x\)"),
        ("y ~ I(x^2)", r"write \*\*"),
        ("y ~ C(x, TRUE)", r"True"),
        ("y ~ log(Sepal.Length)", r"backquotes"),
        ("y ~ C(x, contr.foo)", r"contr\.sum"),
        ("y ~ unheard_of(x)", r"functions=\{"),
    ],
)
def test_habits_from_elsewhere_get_advice(text: str, advice: str) -> None:
    with pytest.raises(FormulaError, match=advice):
        parse_formula(text)


def test_a_column_that_the_data_lack_is_not_taken_from_the_caller() -> None:
    secret = np.arange(8.0)
    assert secret.size == 8
    data = pd.DataFrame({"y": np.arange(1.0, 9), "x": np.arange(8.0)})
    for text in ("y ~ secret", "y ~ I(secret)", "y ~ np", "y ~ print", "y ~ I(print)"):
        with pytest.raises(FormulaError, match="no column"):
            bmx.Model(text, data)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ C(f, contr.sum)",
        "y ~ C(f, contr.treatment(base='b'))",
        "y ~ C(f, contr.treatment('b'), levels=['b', 'a', 'c'])",
        "y ~ C(f, {'slope': [-1, 0, 1]})",
        "y ~ I(x**2) + I(-x) + {x > 0} + {(x > 0) & (x < 3)}",
        "y ~ np.where(x > 1, 0, 1) + np.clip(x, -1, 1) + np.pi:x",
        "y ~ scale(x, center=False) + poly(x, 2, raw=True)",
        "y ~ cr(x, df=4, constraints='center') + bs(x, df=4, extrapolation='clip')",
        "y ~ hashed(f, levels=10)",
        "y ~ log(x + 10) + I(10**x) + np.log1p(np.abs(x))",
    ],
)
def test_the_documented_functions_are_accepted(text: str) -> None:
    if "np.pi:x" in text:
        text = text.replace("np.pi:x", "I(np.pi * x)")
    assert parse_formula(text).columns


def test_the_callers_functions_can_be_called(sleepstudy: pd.DataFrame) -> None:
    def halved(column: pd.Series) -> pd.Series:
        return column / 2

    model = bmx.Model("Reaction ~ halved(Days)", sleepstudy, functions={"halved": halved})
    np.testing.assert_array_equal(model.design.mu.X[:, 1], sleepstudy["Days"] / 2)
    with pytest.raises(FormulaError, match="calling `halved`"):
        bmx.Model("Reaction ~ halved(Days)", sleepstudy)


@pytest.mark.parametrize("functions", [{"a b": abs}, {"__f": abs}, {"f": 3}])
def test_functions_must_be_callable_under_a_plain_name(functions: dict[str, object]) -> None:
    with pytest.raises(FormulaError, match="functions="):
        parse_formula("y ~ x", functions=functions)
