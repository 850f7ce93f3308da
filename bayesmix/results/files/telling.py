"""`methods`: how a fit came about, for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular.methods import Methods, model_sentences, prior_sentences

__all__ = ["TellsMethods"]


class TellsMethods(HasLaw):
    """A fit that says how it was made."""

    def methods(self, *, labels: Mapping[str, str] | None = None) -> Methods:
        """Write a paragraph on methods that a paper can take, with its references.

        It says the model, the estimation, the priors where they play a part, whether the run
        converged, what intervals are, and which software did it: in words made of this fit's
        facts.

        Parameters
        ----------
        labels : mapping of str to str, optional
            Words in the place of names of terms, groups and columns; formulas keep the names.

        Returns
        -------
        The paragraph, `Methods`
            It prints; `text` and `references` are its parts, `to_latex` and `to_markdown`
            write it.

        Raises
        ------
        ArgumentError
            If `labels` is no mapping of text to text.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> "restricted maximum likelihood" in eb.methods().text
        True
        """
        sentences = model_sentences(self.model, labels, bayesian=self._has_priors)
        sentences += self._estimation()
        if self._has_priors:
            sentences += prior_sentences(self.model, labels)
        sentences += self._convergence()
        sentences.append(_software(self._run()))
        return Methods(sentences=tuple(sentences))

    # -- inside ---------------------------------------------------------------

    @property
    def _has_priors(self) -> bool:
        """Whether the fit goes by them."""
        return True

    def _run(self) -> Mapping[str, Any]:
        """How the fit came about, and by which versions."""
        raise NotImplementedError

    def _estimation(self) -> list[str]:
        """How parameters were estimated, and what intervals are."""
        raise NotImplementedError

    def _convergence(self) -> list[str]:
        """Whether that worked."""
        raise NotImplementedError


def _software(run: Mapping[str, Any]) -> str:
    engine = str(run.get("engine", ""))
    start = "version_"
    versions = {k.removeprefix(start): str(v) for k, v in run.items() if str(k).startswith(start)}
    used = [f"bayesmix {versions['bayesmix']}" if "bayesmix" in versions else "bayesmix"]
    beside = {
        "nutpie": "nutpie" in engine,
        "pymc": engine.startswith("pymc"),
        "arviz-base": bool(engine),
    }
    names = {"pymc": "PyMC", "arviz-base": "ArviZ"}
    used += [
        f"{names.get(name, name)} {versions[name]}"
        for name, is_used in beside.items()
        if is_used and name in versions
    ]
    cited = " (Abril-Pla et al., 2023)" if beside["pymc"] else ""
    text = used[0] if len(used) == 1 else f"{', '.join(used[:-1])} and {used[-1]}"
    return f"Computations were done with {text}{cited}."
