"""Print a hash of the draws and tables of some twenty models.

A refactoring changes no number: run this before and after, and compare the lines.

    python scripts/fingerprints.py > before.txt
    python scripts/fingerprints.py --against before.txt
    python scripts/fingerprints.py --save FOLDER     # files of this version
    python scripts/fingerprints.py --load FOLDER     # read by another version

Each line has the case, a part of its results and the first 16 digits of a SHA-256 of the
numbers' bytes and the labels' text. Hashes depend on the processor and the libraries, so
they are compared on one machine and never kept in the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bmx

SAVED = ("normal slopes", "binomial", "normal reml", "poisson laplace", "moments")


def digest(*parts: Any) -> str:
    """Hash arrays, tables and texts."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            for name in part.columns:
                found.update(str(name).encode())
                found.update(_bytes(part[name].to_numpy()))
        else:
            found.update(_bytes(np.asarray(part)))
    return found.hexdigest()[:16]


def _bytes(values: np.ndarray) -> bytes:
    if values.dtype.kind in "fiub":
        return np.ascontiguousarray(values).tobytes()
    return "\x1f".join(map(str, values.ravel().tolist())).encode()


def rows(n_groups: int = 18, each: int = 10) -> pd.DataFrame:
    """Simulate rows with nested and crossed groups and a response of every kind."""
    rng = np.random.default_rng(20261126)
    n = n_groups * each
    g = np.repeat(np.arange(n_groups), each)
    h = rng.integers(0, 6, n)
    x, z = rng.normal(size=n), rng.uniform(-1, 1, n)
    f = rng.choice(["low", "mid", "high"], n)
    eta = 0.3 + 0.4 * x + 0.6 * rng.normal(size=n_groups)[g] + 0.3 * rng.normal(size=6)[h]
    mu = np.exp(0.5 * eta)
    p = 1 / (1 + np.exp(-eta))
    size = rng.integers(1, 12, n)
    count = rng.poisson(mu)
    ordered = pd.Categorical.from_codes(
        np.digitize(eta + rng.logistic(size=n), [-0.5, 0.5, 1.5]), list("abcd"), ordered=True
    )
    return pd.DataFrame(
        {
            "g": [f"g{k:02d}" for k in g], "h": h, "part": rng.integers(0, 3, n), "f": f,
            "x": x, "z": z, "w": rng.uniform(0.5, 2, n), "se": rng.uniform(0.5, 1.5, n),
            "y": 10 + 3 * eta + rng.normal(size=n), "positive": mu * rng.gamma(5, 0.2, n),
            "won": rng.binomial(1, p), "hits": rng.binomial(size, p), "size": size,
            "count": count, "many": rng.negative_binomial(2, 2 / (2 + mu)),
            "share": rng.beta(5 * p, 5 * (1 - p)), "rank": ordered,
            "zeros": count * rng.binomial(1, 0.7, n),
        }
    )  # fmt: skip


# name: formula, family and other arguments of Model, and how it is fitted
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "normal slopes": ("y ~ x * f + (x | g)", {}, {"fit": {}}),
    "normal diagonal": ("y ~ x + (x + z || g)", {}, {"fit": {}}),
    "normal crossed": ("y ~ x + (x | g) + (1 | h)", {}, {"fit": {}}),
    "independent slopes": ("y ~ x * f + (x | g)", {}, {"fit": {"sampler": "independent"}}),
    "independent crossed": ("y ~ x + (1 | g) + (1 | h)", {}, {"fit": {"sampler": "independent"}}),
    "independent moments": (
        "y ~ x + (x | g)", {}, {"fit": {"sampler": "independent", "group_draws": "moments"}},
    ),
    "normal nested": ("y ~ x + (1 | g/part)", {"weights": "w"}, {"fit": {}}),
    "known se": ("y ~ x + (1 | g)", {"known_se": "se"}, {"fit": {}}),
    "moments": ("y ~ x + (x | g)", {}, {"fit": {"group_draws": "moments"}}),
    "prior": ("y ~ x + (x | g)", {}, {"fit": {"prior_only": True, "draws": 200}}),
    "pymc": ("y ~ x + (1 | g)", {}, {"fit": {"engine": "pymc", "draws": 100, "chains": 2}}),
    "poisson": ("count ~ x + (x | g)", {"family": "poisson"}, {"fit": {}}),
    "binomial": (
        "proportion(hits, size) ~ x + (1 | g) + (1 | h)", {"family": "binomial"}, {"fit": {}},
    ),
    "student": ("y ~ x + (1 | g)", {"family": "student_t"}, {"fit": {}}),
    "normal reml": ("y ~ x * f + (x | g) + (1 | h)", {}, {"eb": {}}),
    "normal ml": ("y ~ bs(x, df=5) + (x || g)", {"weights": "w"}, {"eb": {"method": "ml"}}),
    "normal map": ("y ~ x + (x | g)", {}, {"eb": {"method": "map"}}),
    "meta reml": ("y ~ x + (1 | g)", {"known_se": "se"}, {"eb": {}}),
    "bernoulli laplace": ("won ~ x + (1 | g)", {"family": "bernoulli"}, {"eb": {}}),
    "bernoulli quadrature": (
        "won ~ x + (1 | g)", {"family": "bernoulli"}, {"eb": {"n_quadrature": 7}},
    ),
    "poisson laplace": ("count ~ x + f + (x | g) + (1 | h)", {"family": "poisson"}, {"eb": {}}),
    "negative binomial map": (
        "many ~ x + (1 | g)", {"family": "negative_binomial"}, {"eb": {"method": "map"}},
    ),
    "gamma laplace": ("positive ~ x + (1 | g)", {"family": "gamma"}, {"eb": {}}),
    "beta laplace": ("share ~ x + (1 | g)", {"family": "beta"}, {"eb": {}}),
}  # fmt: skip


def fitted(name: str, data: pd.DataFrame) -> Any:
    """Fit a case."""
    formula, options, how = CASES[name]
    model = bmx.Model(formula, data, **options)
    if "eb" in how:
        return model.fit_eb(**how["eb"])
    # NUTS by name: what the fast engine chooses may change, and its draws with it.
    asked = {"seed": 7, "draws": 300, "sampler": "nuts", "progress": False, **how["fit"]}
    return model.fit(**asked)


def parts(fit: Any, data: pd.DataFrame) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what is hashed, by name; each is computed when called."""
    new = data.iloc[::7].assign(g=lambda d: d["g"].where(d.index % 2 == 0, "new"))
    by = fit.model.design.mu.groups[0].name
    if isinstance(fit, bmx.Posterior):
        draws = fit.idata["posterior"].to_dataset()
        yield "draws", lambda: [draws[name].to_numpy().ravel() for name in sorted(draws.data_vars)]
    yield "fixed_effects", lambda: [fit.fixed_effects()]
    yield "variance_components", lambda: [fit.variance_components()]
    yield "correlations", lambda: [fit.correlations()]
    yield "group_effects", lambda: [fit.group_effects()]
    yield "group_coefficients", lambda: [fit.group_coefficients(by)]
    yield "family_parameters", lambda: [fit.family_parameters()]
    yield "predict", lambda: [fit.predict(new, seed=3)]
    yield "response", lambda: [fit.predict(new, kind="response", seed=3)]
    yield "marginal", lambda: [fit.predict(new, marginal=True, seed=3)]
    yield "fitted", lambda: [fit.fitted()]
    yield "simulate", lambda: [fit.simulate(3, seed=5).to_numpy()]
    yield "comparisons", lambda: [fit.comparisons("x")]
    yield "predictions", lambda: [fit.predictions(at={"x": [-1, 1]})]
    yield "r2", lambda: [fit.r2()]
    yield "icc", lambda: [fit.icc()]
    yield (
        "hypothesis",
        lambda: [fit.hypothesis(["sigma > 1" if "bs(" in fit.model.formula.text else "x > 0"])],
    )
    if isinstance(fit, bmx.Posterior):
        yield "loo", lambda: [fit.loo().elpd, fit.loo(by=by).elpd]
    else:
        yield "criteria", lambda: [fit.loglik, fit.aic, fit.bic, fit.df]


def lines_of(name: str, fit: Any, data: pd.DataFrame) -> Iterator[str]:
    """Yield a line for each part; what is refused is hashed by its message."""
    for part, compute in parts(fit, data):
        try:
            found = digest(*compute())
        except bmx.errors.BayesmixError as error:
            found = f"{type(error).__name__} {digest(str(error))}"
        yield f"{name} | {part} | {found}"


def main() -> int:
    """Print the hashes, and compare them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="lines printed before")
    parser.add_argument("--save", type=Path, help="folder to save some fits in")
    parser.add_argument("--load", type=Path, help="folder of fits that --save wrote")
    parser.add_argument("cases", nargs="*", default=list(CASES))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    data, found = rows(), []
    for name in asked.cases:
        if asked.load and name not in SAVED:
            continue
        path = f"{name.replace(' ', '_')}.nc"
        fit = bmx.load(asked.load / path) if asked.load else fitted(name, data)
        if asked.save and name in SAVED:
            asked.save.mkdir(parents=True, exist_ok=True)
            fit.save(asked.save / path)
        for line in lines_of(name, fit, data):
            found.append(line)
            print(line, flush=True)
    if asked.against is None:
        return 0
    before = set(asked.against.read_text().splitlines())
    changed = [line for line in found if line not in before]
    print(f"{len(found) - len(changed)} lines agree, {len(changed)} differ", file=sys.stderr)
    for line in changed:
        print(f"changed: {line}", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
