"""What other packages call the arguments of a model and its fits."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["OF_FIT", "OF_FIT_EB"]


def _renamed(names: Mapping[str, str]) -> dict[str, str]:
    return {name: f"has no {name}=; take {ours}" for name, ours in names.items()}


_OF_MODEL = {
    name: f"has no {name}=, which is a matter of the model: Model(formula, data, {name}=...)"
    for name in ("family", "known_se", "parametrization", "priors", "weights")
} | {"prior": "has no prior=; take Model(formula, data, priors={...})"}

OF_FIT: Mapping[str, str] = {
    **_OF_MODEL,
    **_renamed(
        {
            "adapt_delta": "target_accept=",
            "iter": "draws= (kept per chain) and tune= (warm-up steps)",
            "method": "engine=, or fit_eb(method=...)",
            "n_chains": "chains=",
            "n_cores": "cores=",
            "n_samples": "draws=",
            "num_chains": "chains=",
            "num_samples": "draws=",
            "num_warmup": "tune=",
            "nuts_sampler": 'sampler="nutpie" or "pymc"',
            "progressbar": "progress=",
            "random_seed": "seed=",
            "random_state": "seed=",
            "sample_prior": "prior_only=",
            "samples": "draws=",
            "warmup": "tune=",
        }
    ),
}
OF_FIT_EB: Mapping[str, str] = {
    **_OF_MODEL,
    **_renamed(
        {
            "REML": 'method="reml" or "ml"',
            "draws": "fit() for draws",
            "nAGQ": "n_quadrature=",
            "reml": 'method="reml" or "ml"',
            "seed": "fit() for draws; nothing is drawn here",
        }
    ),
}
