"""Python's marginaleffects takes the fixed part of a fit."""

from __future__ import annotations

import sys
from importlib import metadata
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement

import bayesmix as bmx
from bayesmix.errors import NotSupportedError


@pytest.fixture
def eb(sleepstudy: pd.DataFrame) -> bmx.EmpiricalBayes:
    late = sleepstudy.assign(late=np.where(sleepstudy["Days"] > 4, "yes", "no"))
    return bmx.Model("Reaction ~ Days * late + (Days | Subject)", late).fit_eb()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The little of the package's interface that is used."""

    class Vault:
        def __init__(self, **given: Any) -> None:
            self.__dict__ |= given

    class Abstract:
        def __init__(self, model: Any, vault: Vault) -> None:
            self.model, self.vault = model, vault

    module = ModuleType("marginaleffects.classes.model")
    module.ModelAbstract, module.ModelVault = Abstract, Vault  # type: ignore[attr-defined]
    for name in ("marginaleffects", "marginaleffects.classes"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("stand_in")
def test_predictions_are_those_of_the_typical_group(eb: bmx.EmpiricalBayes) -> None:
    pl = pytest.importorskip("polars")
    found = eb.to_marginaleffects()
    new = pd.DataFrame({"Days": [1.0, 8.0], "late": ["no", "yes"]})
    exog = found.get_exog(pl.from_pandas(new))
    mean = found.get_predict(found.vault.coef, exog)["estimate"].to_numpy()
    theirs = eb.predict(new, groups="population")
    np.testing.assert_allclose(mean, theirs["estimate"])
    sd = np.sqrt(np.diag(exog[:, 1:] @ found.get_vcov() @ exog[:, 1:].T))
    np.testing.assert_allclose(sd, theirs["sd"])
    assert found.vault.variable_names == ["Reaction", "Days", "late"]
    assert found.vault.modeldata["late"].to_list()[0] == "no"


def test_its_slopes_are_ours(eb: bmx.EmpiricalBayes) -> None:
    me = pytest.importorskip("marginaleffects")
    here = metadata.version("polars")
    for text in metadata.requires("marginaleffects") or ():
        wanted = Requirement(text)
        if wanted.name == "polars" and not wanted.specifier.contains(here):
            pytest.skip(
                f"the installed marginaleffects wants {text}, and polars {here} is installed"
            )
    theirs = me.avg_slopes(eb.to_marginaleffects(), variables="Days", by="late")
    ours = eb.slopes("Days", by="late")
    np.testing.assert_allclose(theirs["estimate"].to_numpy(), ours["estimate"], rtol=1e-4)


def test_without_the_package_the_error_says_what_there_is(
    eb: bmx.EmpiricalBayes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("marginaleffects", "marginaleffects.classes.model"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotSupportedError, match="wants the package marginaleffects"):
        eb.to_marginaleffects()
