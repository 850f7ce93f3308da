"""`Methods`: what a paper says of how a model was fitted, with what it cites."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesmix.results.tabular.markup import latex_text, markdown_text
from bayesmix.results.tabular.text import WIDTH, html_block
from bayesmix.results.tabular.wording import check_words, in_words
from bayesmix.statement.words import groups_in_words

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["REFERENCES", "Methods", "model_sentences", "prior_sentences"]

REFERENCES = {
    "Bates et al., 2015": (
        "Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects "
        "models using lme4. Journal of Statistical Software 67(1)."
    ),
    "Patterson and Thompson, 1971": (
        "Patterson, H. D. and Thompson, R. (1971). Recovery of inter-block information when block "
        "sizes are unequal. Biometrika 58, 545-554."
    ),
    "Tierney and Kadane, 1986": (
        "Tierney, L. and Kadane, J. B. (1986). Accurate approximations for posterior moments and "
        "marginal densities. Journal of the American Statistical Association 81, 82-86."
    ),
    "Rao, 1971": (
        "Rao, C. R. (1971). Minimum variance quadratic unbiased estimation of variance "
        "components. Journal of Multivariate Analysis 1, 445-456."
    ),
    "Hoffman and Gelman, 2014": (
        "Hoffman, M. D. and Gelman, A. (2014). The No-U-Turn sampler: adaptively setting path "
        "lengths in Hamiltonian Monte Carlo. Journal of Machine Learning Research 15, 1593-1623."
    ),
    "Papaspiliopoulos, Roberts and Zanella, 2020": (
        "Papaspiliopoulos, O., Roberts, G. O. and Zanella, G. (2020). Scalable inference for "
        "crossed random effects models. Biometrika 107(1), 25-40."
    ),
    "Neal, 2003": ("Neal, R. M. (2003). Slice sampling. Annals of Statistics 31(3), 705-767."),
    "Vehtari et al., 2021": (
        "Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Buerkner, P.-C. (2021). "
        "Rank-normalization, folding, and localization: an improved R-hat for assessing "
        "convergence of MCMC. Bayesian Analysis 16, 667-718."
    ),
    "Lewandowski et al., 2009": (
        "Lewandowski, D., Kurowicka, D. and Joe, H. (2009). Generating random correlation matrices "
        "based on vines and extended onion method. Journal of Multivariate Analysis 100, "
        "1989-2001."
    ),
    "Abril-Pla et al., 2023": (
        "Abril-Pla, O., Andreani, V., Carroll, C. et al. (2023). PyMC: a modern, and comprehensive "
        "probabilistic programming framework in Python. PeerJ Computer Science 9, e1516."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Methods:
    """A paragraph on methods, made of a fit's own facts.

    Attributes
    ----------
    sentences : tuple of str
    """

    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The paragraph, on one line."""
        return " ".join(self.sentences)

    @property
    def references(self) -> tuple[str, ...]:
        """What the paragraph cites, in alphabetical order."""
        return tuple(sorted(full for short, full in REFERENCES.items() if short in self.text))

    def __str__(self) -> str:
        parts = [textwrap.fill(self.text, WIDTH, break_on_hyphens=False)]
        parts += [
            textwrap.fill(line, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
            for line in self.references
        ]
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        listed = "".join(f"<li>{html.escape(line)}</li>" for line in self.references)
        return html_block([f"<p>{html.escape(self.text)}</p><ul>{listed}</ul>"])

    def to_markdown(self) -> str:
        """Write the paragraph and its references as Markdown.

        Returns
        -------
        str
        """
        listed = "\n".join(f"- {markdown_text(line)}" for line in self.references)
        return f"{markdown_text(self.text)}\n\n{listed}\n"

    def to_latex(self) -> str:
        """Write the paragraph and its references as LaTeX.

        Returns
        -------
        str
        """
        items = "\n".join(rf"\item {latex_text(line)}" for line in self.references)
        return f"{latex_text(self.text)}\n\n\\begin{{itemize}}\n{items}\n\\end{{itemize}}\n"


def model_sentences(
    model: StatedModel, labels: Mapping[str, str] | None, *, bayesian: bool
) -> list[str]:
    """Say what was modelled by what.

    Parameters
    ----------
    model : StatedModel
    labels : mapping of str to str, or None
        Words by names, which the formula keeps.
    bayesian : bool

    Returns
    -------
    list of str

    Raises
    ------
    ArgumentError
        If `labels` is no mapping.
    """
    words = check_words(labels)
    design, family = model.design, model.family
    kind = "linear" if family.is_linear_normal else "generalized linear"
    mixed = "mixed " if any(p.all_groups for p in design.predictors.values()) else ""
    response = in_words(str(model.formula).partition("~")[0].strip(), words)
    facts = list(model.facts())
    found = [
        f"We analysed {response} with a {'Bayesian ' if bayesian else ''}{kind} {mixed}model: "
        f"{facts[0]}."
    ]
    formulas = [str(predictor.formula) for predictor in design.predictors.values()]
    listed = _listed([f"'{text}'" for text in formulas])
    stated = "formulas are" if len(formulas) > 1 else "formula is"
    found.append(f"In the notation of lme4 (Bates et al., 2015) the {stated} {listed}.")
    for parameter, predictor in design.predictors.items():
        where = "" if parameter == "mu" else f"In the predictor of {parameter}, "
        groups = [in_words(groups_in_words(group), words) for group in predictor.groups]
        if groups:
            text = "; ".join(groups)
            found.append(f"{where}{text}." if where else f"{text[:1].upper()}{text[1:]}.")
    return found


def prior_sentences(model: StatedModel, labels: Mapping[str, str] | None) -> list[str]:
    """Say which priors were in force, and which of them are not the package's own.

    Parameters
    ----------
    model : StatedModel
    labels : mapping of str to str, or None

    Returns
    -------
    list of str
    """
    words = check_words(labels)
    entries = list(model.prior_entries)
    listed = [
        f"{in_words(entry.parameter, words)} ~ {entry.prior}"
        + (f" ({entry.note})" if entry.note else "")
        for entry in entries
    ]
    found = [f"Priors were {_listed(listed)}."]
    if any("LKJ" in str(entry.prior) for entry in entries):
        found.append("LKJ is the distribution of Lewandowski et al., 2009.")
    own = [in_words(e.parameter, words) for e in entries if e.origin != "default"]
    if len(own) == len(entries):
        return found
    default = "are the package's defaults, which scale with the data"
    if not own:
        return [*found, f"They {default}."]
    return [*found, f"Those of {_listed(own)} were chosen by us; the others {default}."]


def _listed(parts: Iterable[Any]) -> str:
    texts = [str(part) for part in parts]
    if len(texts) < 2:
        return "".join(texts)
    mark = "; " if any("," in text for text in texts) else ", "
    return f"{mark.join(texts[:-1])}{mark.rstrip()} and {texts[-1]}"
