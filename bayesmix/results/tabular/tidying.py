"""`tidy`: all estimates of a fit in one table, with the columns of R's broom.mixed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import pandas as pd

from bayesmix.arguments import one_of, one_or_several
from bayesmix.results.tabular.covariance_tables import CovarianceTables
from bayesmix.results.tabular.fit_tables import Tables

__all__ = ["Tidies"]

_Effect = Literal["fixed", "ran_pars", "ran_vals"]
_TEXT = ("effect", "component", "group", "level", "term")
_BROOMS = {
    "sd": "std.error", "lower": "conf.low", "upper": "conf.high", "t": "statistic",
    "z": "statistic", "p": "p.value", "r_hat": "rhat", "ess_bulk": "ess",
}  # fmt: skip
_NUMBERS = (
    "estimate", "std.error", "statistic", "df", "p.value", "conf.low", "conf.high", "rhat", "ess",
)  # fmt: skip


class Tidies(CovarianceTables, Tables):
    """A fit as one long table."""

    def tidy(
        self,
        effects: _Effect | Sequence[_Effect] = ("fixed", "ran_pars"),
        *,
        ci_prob: float = 0.95,
        exponentiate: bool = False,
    ) -> pd.DataFrame:
        """Put all estimates into one table, with the columns of R's broom.mixed.

        Parameters
        ----------
        effects : {"fixed", "ran_pars", "ran_vals"}, or several of them
            The fixed effects; standard deviations, correlations and other parameters, of the
            groups, of covariance structures and of the family; the effects of the levels.
        ci_prob : float
            Probability inside the intervals.
        exponentiate : bool
            Whether fixed effects are ratios, as in `fixed_effects`.

        Returns
        -------
        DataFrame
            One row per estimate: effect, component (the linear predictor, where there are
            several), group, level, term, estimate, std.error, conf.low, conf.high; statistic,
            df and p.value where there are tests, rhat and ess of draws. Terms of ``ran_pars``
            begin with ``sd__`` and ``cor__``; the residual is ``sd__Observation``.

        Raises
        ------
        ArgumentError
            For effects that it does not know.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.tidy("ran_pars")["term"].tolist()
        ['sd__Intercept', 'sd__Days', 'sd__Observation', 'cor__Intercept.Days']
        """
        wanted = one_or_several("effects", effects)
        for name in wanted:
            one_of("effects", name, get_args(_Effect))
        parts = []
        predictors = list(self._law.predictors)
        for parameter in predictors:
            for effect in wanted:
                tables = self._tidied(effect, parameter, ci_prob, exponentiate=exponentiate)
                parts += [table.assign(effect=effect, component=parameter) for table in tables]
        found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        found = found.drop(columns="component") if len(predictors) == 1 else found
        found = found.reindex(columns=[c for c in (*_TEXT, *_NUMBERS) if c in found.columns])
        texts = [c for c in _TEXT if c in found.columns]
        return found.assign(**{c: found[c].fillna("").astype("str") for c in texts})

    def _tidied(
        self, effect: str, parameter: str, ci_prob: float, *, exponentiate: bool
    ) -> Iterator[pd.DataFrame]:
        """The tables of one kind of effects of one linear predictor, under broom's names."""
        if effect == "fixed":
            table = self.fixed_effects(ci_prob, parameter=parameter, exponentiate=exponentiate)
            yield table.rename(columns=_BROOMS)
        elif effect == "ran_vals":
            if self._law.of(parameter).linear_predictor.grouping:
                table = self.group_effects(ci_prob=ci_prob, parameter=parameter)
                yield table.rename(columns={"effect": "term", **_BROOMS})
        else:
            yield from self._parameters(parameter, ci_prob)

    def _parameters(self, parameter: str, ci_prob: float) -> Iterator[pd.DataFrame]:
        parts = self.variance_components(ci_prob, parameter=parameter)
        parts = parts[parts["sd"].notna()]
        what = parts["effect"].where(parts["group"] != "Residual", "Observation")
        yield pd.DataFrame(
            {
                "group": parts["group"], "term": "sd__" + what, "estimate": parts["sd"],
                "conf.low": parts["sd_lower"], "conf.high": parts["sd_upper"],
                **_diagnostics(parts),
            }
        )  # fmt: skip
        pairs = self.correlations(ci_prob, parameter=parameter)
        if len(pairs):
            term = "cor__" + pairs["effect_1"] + "." + pairs["effect_2"]
            yield pairs.rename(columns=_BROOMS).assign(term=term)
        if parameter != "mu":
            return
        beside = self.covariance_parameters(ci_prob)
        yield beside.rename(columns={"parameter": "term", **_BROOMS})
        if not self.model.family.is_linear_normal:
            own = self.family_parameters(ci_prob)
            yield own.rename(columns={"parameter": "term", **_BROOMS})


def _diagnostics(table: pd.DataFrame) -> dict[str, pd.Series[float]]:
    return {
        theirs: table[ours]
        for ours, theirs in (("r_hat", "rhat"), ("ess_bulk", "ess"))
        if ours in table.columns
    }
