"""Models side by side: which predicts left-out data better, and by how much."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesmix.answering import answering
from bayesmix.errors import OWN_FILES, ArgumentError, ConvergenceWarning, DataError
from bayesmix.results.check.loo import Loo
from bayesmix.results.having_law import HasLaw

if TYPE_CHECKING:
    from bayesmix.results.posterior import Posterior

__all__ = ["compare"]


@answering
def compare(models: Mapping[str, Posterior | Loo], by: Any = None) -> pd.DataFrame:
    """Compare models of the same data by leave-one-out cross-validation.

    Parameters
    ----------
    models : mapping of str to Posterior or Loo
        At least two. A `Loo` is taken as it is; of a posterior ``loo(by)`` is computed.
    by : str or array_like, shape (n,), optional
        Leave whole groups out, as in `Posterior.loo`.

    Returns
    -------
    DataFrame
        One row per model, the best first: model, elpd, se, elpd_diff (to the best),
        se_diff (of the difference), weight (stacking), p, bad_k (number of Pareto k
        that are too large).

    Raises
    ------
    DataError
        If the models do not have the same responses in the same rows.
    NotSupportedError
        If there are fewer than two models, or one is no posterior.

    Warns
    -----
    ConvergenceWarning
        Where Pareto k are too large or draws have not converged, as the `Loo` itself
        says: the elpd of that model, its rank and the weights are not reliable.

    References
    ----------
    Yao, Y., Vehtari, A., Simpson, D. and Gelman, A. (2018). Using stacking to average
    Bayesian predictive distributions. Bayesian Analysis 13, 917-1007.

    Examples
    --------
    >>> import warnings
    >>> import bayesmix as bmx
    >>> sleep = bmx.load_dataset("sleepstudy")
    >>> slopes = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit(seed=1, progress=False)
    >>> plain = bmx.Model("Reaction ~ Days", sleep).fit(seed=1, progress=False)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     bmx.compare({"slopes": slopes, "plain": plain})["model"].tolist()
    ['slopes', 'plain']
    """
    import arviz_stats

    from bayesmix.results.posterior import Posterior

    if not isinstance(models, Mapping) or len(models) < 2:
        raise ArgumentError(
            'compare wants at least two models by name, such as {"a": post_a, "b": post_b}'
        )
    for name, model in models.items():
        if not isinstance(model, Loo | Posterior):
            raise ArgumentError(_not_a_posterior(str(name), model))
    found = {
        str(name): model if isinstance(model, Loo) else model.loo(by)
        for name, model in models.items()
    }
    first_name, first = next(iter(found.items()))
    for name, other in found.items():
        if other.data_key != first.data_key or other.by != first.by:
            raise DataError(
                f"{first_name!r} and {name!r} are not about the same left-out data: "
                f"{_in_words(first)} and {_in_words(other)}. Compare models of one response "
                "(untransformed in all of them), fitted to the same rows"
            )
    _warn_of_doubtful(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = arviz_stats.compare({n: x.arviz for n, x in found.items()}, round_to="none")
    names = list(table.index)
    return pd.DataFrame(
        {
            "model": pd.Series(names, dtype="str"),
            "elpd": [found[n].elpd for n in names],
            "se": [found[n].se for n in names],
            "elpd_diff": table["elpd_diff"].to_numpy(dtype=float),
            "se_diff": table["dse"].to_numpy(dtype=float),
            "weight": table["weight"].to_numpy(dtype=float),
            "p": [found[n].p for n in names],
            "bad_k": [len(found[n].bad) for n in names],
        }
    )


def _warn_of_doubtful(found: Mapping[str, Loo]) -> None:
    """Say once what each model's own report says of its weights and draws."""
    doubtful = [f"{name!r}: {loo.report()}" for name, loo in found.items() if not loo.ok]
    if doubtful:
        warnings.warn(
            "the ranking and the weights rest on an elpd that is not reliable: "
            + " ".join(doubtful),
            ConvergenceWarning,
            stacklevel=3,
            skip_file_prefixes=OWN_FILES,
        )


def _not_a_posterior(name: str, model: Any) -> str:
    text = f"compare takes results of fit(), loo() and kfold(), and {name!r} is "
    if isinstance(model, HasLaw):
        return f"{text}one of fit_eb(), which has no draws; bayesmix.anova compares those"
    return f"{text}a {type(model).__name__}"


def _in_words(loo: Loo) -> str:
    what = "rows" if loo.by == "row" else f"levels of {loo.by}"
    return f"{len(loo.pointwise)} {what}"
