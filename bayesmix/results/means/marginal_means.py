"""`MarginalMeans`: averages over a reference grid, what they differ by, and how sure that is."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from bayesmix.arguments import check_probability
from bayesmix.results.means.comparing import contrasts_between
from bayesmix.results.means.contrast_weights import ContrastKind, level_text
from bayesmix.results.means.judged import Rope
from bayesmix.results.means.quantities import Quantities
from bayesmix.results.tabular.text import WIDTH, html_block, html_table, text_table, wrapped_title

__all__ = ["MarginalMeans"]

_ADJUSTED = {"mvt": "the multivariate t", "tukey": "Tukey's studentized range"}


class MarginalMeans:
    """Averages over a reference grid, or their contrasts, with intervals and tests.

    Made by `marginal_means` and `trends` of a fit, and by `contrasts` of such means.

    Attributes
    ----------
    table : DataFrame
        The factors (of contrasts: contrast, and the factors within which they are), estimate,
        sd, lower, upper; of empirical Bayes df, t, p; of a posterior pd, the probability that
        the sign is that of most draws.
    factors, by : tuple of str
        Columns whose levels are compared, and within which they are.
    why_nan : str
        Why some are NaN, in words; empty where none is.
    """

    def __init__(self, quantities: Quantities) -> None:
        self._own = quantities
        self.table = quantities.table()
        self.factors, self.by = quantities.factors, quantities.by
        self.why_nan = quantities.estimable.why()

    def __len__(self) -> int:
        return len(self.table)

    # -- print ----------------------------------------------------------------

    def __str__(self) -> str:
        names = [name for name in (*self.factors, *self.by) if name in self.table.columns]
        shown = self.table.assign(**{name: self.table[name].map(level_text) for name in names})
        lines = [*wrapped_title(self._title()), text_table(shown, names)]
        for note in self._footer():
            lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self._footer())
        names = (*self.factors, *self.by)
        return html_block([html_table(self.table, self._title(), names=names), notes])

    def _title(self) -> str:
        own = self._own
        factors = [name for name in own.factors if name != "contrast"]
        of = f" of {' and '.join(factors)}" if factors else ""
        return own.what + of + (f" within {' and '.join(own.by)}" if own.by else "")

    def _footer(self) -> list[str]:
        own = self._own
        notes = [f"Scale: {own.scale.words}.", *own.notes]
        how = f"Intervals are {100 * own.ci_prob:g} %"
        words = "; ".join(part for part in (how, own.judging.words) if part)
        if own.adjust is None:
            notes.append(f"{words}.")
        elif own.drawn:
            notes.append(f"{how}, for all of a family at once.")
        else:
            word = _ADJUSTED.get(own.adjust, own.adjust.capitalize())
            behind = ", intervals by Bonferroni" if own.adjust == "holm" else ""
            notes.append(f"{words}; adjusted by {word}{behind}.")
        if "pd" in self.table:
            notes.append("pd is the probability of the more likely sign.")
        if own.rope is not None:
            notes.append(f"rope is the probability of {own.rope[0]:g} to {own.rope[1]:g}.")
        if self.why_nan:
            notes.append(f"NaN is what the data do not determine: {self.why_nan}.")
        return notes

    # -- comparisons ----------------------------------------------------------

    def contrasts(
        self,
        kind: ContrastKind | Mapping[str, Any] = "pairwise",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = "auto",
        reference: Any = None,
        interaction: bool = False,
        rope: Rope | None = None,
        ci_prob: float | None = None,
    ) -> MarginalMeans:
        """Compare the means with each other.

        Parameters
        ----------
        kind : {"pairwise", "reference", "consecutive", "polynomial", "effects"} or dict
            Each minus each later one; each minus the first (or `reference`); each minus the one
            before; orthogonal polynomials over equally spaced levels; each minus the average of
            all. Or the weights of each contrast by its name, as a sequence in the order of the
            means or a dict of some of them: ``{"a - b": {"a": 1, "b": -1}}``.
        by : str or sequence of str, optional
            Factors within which means are compared; as the means have them by default. No
            factor: ``by=[]``.
        adjust : {"tukey", "mvt", "holm", "bonferroni", "sidak", "simultaneous"} or None
            How p-values and intervals allow for the number of contrasts within each of `by`:
            Tukey's studentized range, for pairwise differences; the multivariate t
            distribution, which is exact where degrees of freedom are (Dunnett's test of
            "reference"); Holm's steps (with Bonferroni's intervals), Bonferroni's or Sidak's
            bounds. By default Tukey's for "pairwise", the multivariate t for "reference" and
            "consecutive", else none. A posterior has no p-values: "simultaneous" are intervals
            that hold together with the given probability, and the default is none.
        reference : object, optional
            The level that others are held against.
        interaction : bool
            Whether contrasts are taken in each factor and multiplied: differences of
            differences.
        rope : tuple of (float, float), optional
            Region of practical equivalence, on the scale of the linear predictor where
            contrasts are shown as ratios; the probability of it is the column rope.
        ci_prob : float, optional
            Probability inside the intervals; that of the means by default.

        Returns
        -------
        MarginalMeans
            Whose `table` has contrast, the columns of `by`, estimate, sd, lower, upper, and
            df, t, p, or pd and positive (the probability to be above zero). Of means that were
            transformed back it has ratios under links that have them, and t, p, pd and positive
            are of their logarithms.

        Raises
        ------
        ArgumentError
            For an argument out of its range.
        NotSupportedError
            If there is nothing to compare.

        References
        ----------
        Searle, S. R., Speed, F. M. and Milliken, G. A. (1980). Population marginal means in the
        linear model: an alternative to least squares means. The American Statistician 34,
        216-221; Besag, J., Green, P., Higdon, D. and Mengersen, K. (1995). Bayesian computation
        and stochastic systems. Statistical Science 10, 3-41.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> penicillin = bmx.load_dataset("penicillin")
        >>> eb = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
        >>> table = eb.marginal_means("treat").contrasts("reference").table
        >>> table[["contrast", "p"]].round(2).values.tolist()
        [['B - A', 0.97], ['C - A', 0.21], ['D - A', 0.81]]
        """
        prob = self._own.ci_prob if ci_prob is None else ci_prob
        check_probability("ci_prob", prob)
        return MarginalMeans(
            contrasts_between(
                self._own, kind, by=by, adjust=adjust, reference=reference,
                interaction=interaction, rope=rope, ci_prob=prob,
            )
        )  # fmt: skip
