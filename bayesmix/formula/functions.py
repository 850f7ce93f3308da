"""The functions that a formula may call, and hints for those it may not."""

from __future__ import annotations

from types import MappingProxyType

from bayesmix.formula.structures import STRUCTURE_WORDS

# formulaic's own transforms. Each remembers what it learned from the fitting
# data (means, knots, levels), so that new data meet the same columns.
TRANSFORMS: frozenset[str] = frozenset(
    {"C", "I", "bs", "cc", "center", "cr", "cs", "hashed", "poly", "scale", "standardize"}
)

# Contrast codings, reached as `contr.sum` or `contr.treatment(base="b")`.
CONTRASTS: frozenset[str] = frozenset({"SAS", "diff", "helmert", "poly", "sum", "treatment"})

# Row-wise numpy functions with the number of positional arguments they may
# take. The bound matters: a further positional argument of a ufunc is `out`,
# which would overwrite the caller's column. Aggregates (np.mean, np.max) are
# left out because on new data they would silently use the new data's value.
_ONE_ARGUMENT = (
    ("abs", "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh"),
    ("cbrt", "ceil", "cos", "cosh", "deg2rad", "degrees", "exp", "exp2", "expm1", "fabs"),
    ("floor", "isfinite", "isnan", "log", "log10", "log1p", "log2", "logical_not", "negative"),
    ("rad2deg", "radians", "reciprocal", "rint", "sign", "sin", "sinc", "sinh", "sqrt"),
    ("square", "tan", "tanh", "trunc"),
)
_TWO_ARGUMENTS = (
    ("add", "arctan2", "divide", "equal", "floor_divide", "fmax", "fmin", "fmod", "greater"),
    ("greater_equal", "hypot", "less", "less_equal", "logaddexp", "logical_and", "logical_or"),
    ("logical_xor", "maximum", "minimum", "mod", "multiply", "not_equal", "power", "remainder"),
    ("subtract", "true_divide"),
)
NUMPY_FUNCTIONS: MappingProxyType[str, tuple[int, int]] = MappingProxyType(
    {
        **{name: (1, 1) for line in _ONE_ARGUMENT for name in line},
        **{name: (2, 2) for line in _TWO_ARGUMENTS for name in line},
        "round": (1, 2),
        "clip": (3, 3),
        "where": (3, 3),
    }
)

NUMPY_CONSTANTS: frozenset[str] = frozenset({"e", "pi"})

# Names that need no np. in front: all take one argument.
BARE_NUMPY_FUNCTIONS: frozenset[str] = frozenset(
    {"abs", "exp", "exp2", "log", "log10", "log2", "sqrt"}
)

_NUMERIC = 'write x if it holds numbers; if text, data["x"] = pd.to_numeric(data["x"]) before'
_SMOOTH = "write s(x) for a smooth curve, t2(x, z) for a surface"
_ALONE = 'give the formula itself, as in Model("y ~ x + (x | g)", data)'
_CORRELATED = "write ar1(time | g) for effects of a group that are correlated in time"


def _example(word: str) -> str:
    left = {"effects": "x", "steps": "time", "times": "time", "places": "x + y"}
    return f"{word}({left[STRUCTURE_WORDS[word].left]} | g)"


# What people write out of habit, and what it is called here.
HINTS: MappingProxyType[str, str] = MappingProxyType(
    {
        "factor": "write C(x) for a categorical predictor",
        "as.factor": "write C(x) for a categorical predictor",
        "as.character": "write C(x) for a categorical predictor",
        "as.numeric": _NUMERIC,
        "as.integer": _NUMERIC,
        "as.double": _NUMERIC,
        "as.logical": "write {x == 1}, or make it a column of truth values",
        "as.Date": 'count the days in a column: (data["date"] - data["date"].min()).dt.days',
        "ordered": "write C(x, contr.poly) for polynomial contrasts",
        "as.ordered": "write C(x, contr.poly) for polynomial contrasts",
        "dummy": "write C(x) for a categorical predictor",
        "interaction": "write a:b",
        "ifelse": "write np.where(x > 0, 1, 0)",
        "cut": 'make the classes a column of their own: pd.cut(data["x"], bins=[...])',
        "relevel": 'write C(x, contr.treatment(base="level"))',
        "Q": "write the column's name between backquotes: `my column`",
        "Treatment": 'write C(x, contr.treatment(base="level"))',
        "Sum": "write C(x, contr.sum)",
        "ns": "write s(x), or cr(x, df=...) without a penalty",
        **dict.fromkeys(("te", "ti", "gp", "lo", "rcs"), _SMOOTH),
        **dict.fromkeys(("s", "t2"), "a smooth is a term by itself, as in y ~ s(x) + z"),
        "polym": "write poly(x, 2)",
        "pol": "write poly(x, 2)",
        "mean": "center(x) and scale(x) remember the mean for new data",
        "std": "scale(x) remembers the standard deviation for new data",
        "sd": "scale(x) remembers the standard deviation for new data",
        "exp10": "write I(10**x)",
        "ln": "write log(x)",
        "pow": "write I(x**2)",
        "lag": "make the lagged column before, within each group",
        "cbind": "counts of categories, cbind(a, b, c), are a left-hand side",
        "trials": "write proportion(successes, trials) on the left-hand side",
        "p": "write proportion(successes, trials) on the left-hand side",
        "Surv": (
            "write event(time, status) on the left-hand side, in which 1 or True is an event and 0 "
            "is right-censored, as in Surv; in censored(time, status) 1 is right-censored"
        ),
        "cens": (
            "write censored(y, status) on the left-hand side, in which 1 is right-censored, as in "
            "cens; where 1 is an event, write event(y, status)"
        ),
        "trunc": "write truncated(y, lower, upper) on the left-hand side",
        "proportion": "proportion(successes, trials) is a left-hand side",
        "censored": "censored(y, status) is a left-hand side",
        "event": "event(time, status) is a left-hand side",
        "truncated": "truncated(y, lower, upper) is a left-hand side",
        "weighted": "weighted(y, w) is a left-hand side",
        "mo": "code an ordered factor with C(x, contr.diff) or C(x, contr.poly)",
        **dict.fromkeys(("bf", "brmsformula", "brm", "formula", "as.formula"), _ALONE),
        **dict.fromkeys(("lm", "lmer", "glm", "glmer", "glmmTMB", "lme"), _ALONE),
        "mvbind": "a model has one response: fit a model to each",
        "se": 'give them beside the formula: Model(..., known_se="column")',
        "weights": 'write weighted(y, w) ~ ..., or Model(..., weights="w") for precisions',
        "rate": "add offset(np.log(exposure)) on the right-hand side",
        "mi": "rows with a missing value are left out; impute them before",
        "me": "predictors with measurement error are not available",
        **dict.fromkeys(("ar", "arma", "ma", "cosy", "corAR1"), _CORRELATED),
        **{
            word: f"a covariance structure stands around a group term: {_example(word)}"
            for word in STRUCTURE_WORDS
            if word not in {"cs", "exp"}
        },
        **dict.fromkeys(("propto", "equalto"), "this covariance is not available; write (x | g)"),
        "gr": "gr(...) stands behind a bar: (1 | gr(g, cov=A))",
        "mm": "mm(...) stands behind a bar: (1 | mm(g, h))",
    }
)


def hint_for(name: str) -> str:
    """Say what to write instead of the function `name`, or what there is."""
    bare = name.removeprefix("np.")
    if bare in HINTS:
        return HINTS[bare]
    if bare in NUMPY_FUNCTIONS and not name.startswith("np."):
        return f"write np.{bare}(...)"
    return (
        f"known are {', '.join(sorted(TRANSFORMS))}, {', '.join(sorted(BARE_NUMPY_FUNCTIONS))}, "
        "the row-wise functions of numpy under np., and what is passed in functions={...}"
    )
