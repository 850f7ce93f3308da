"""Arguments and attributes in the words of other packages: answered, for every public method."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.answering import advice, answering
from bayesmix.errors import NotSupportedError
from bayesmix.results.laplace_fit import LaplaceFit
from bayesmix.results.means.marginal_means import MarginalMeans
from bayesmix.words_of_others import ARGUMENTS, ARGUMENTS_OF, OF_MODEL

CLASSES = (bmx.Model, bmx.Posterior, bmx.EmpiricalBayes, LaplaceFit, MarginalMeans)


def methods() -> dict[str, Any]:
    found = {}
    for cls in CLASSES:
        for name in dir(cls):
            method = getattr(cls, name)
            if inspect.isfunction(method) and not name.startswith("_"):
                found[method.__qualname__] = method
    for name in ("anova", "compare", "compare_estimates", "power", "relationship", "load"):
        found[name] = getattr(bmx, name)
    return found


METHODS = methods()


@pytest.fixture(scope="module")
def eb() -> Any:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    return model.fit_eb()


@pytest.mark.parametrize("name", METHODS)
def test_every_public_method_answers_words_of_others(name: str) -> None:
    method = METHODS[name]
    own = inspect.signature(method).parameters
    words = {w for w in (*ARGUMENTS, *ARGUMENTS_OF.get(method.__name__, {})) if w not in own}
    answered = {w for w in words if advice(method.__name__, w, own)}
    assert answered
    for word in answered:
        with pytest.raises(NotSupportedError, match=rf"{method.__name__}\(\) has no {word}=; take"):
            method(None, **{word: 1})


@pytest.mark.parametrize(
    ("call", "argument", "ours"),
    [
        ("predict", "newdata", "data="),
        ("predict", "re_form", 'groups="population"'),
        ("predict", "allow_new_levels", "nothing: a level that was not seen"),
        ("predict", "type", 'kind="mean"'),
        ("predict", "level", "ci_prob="),
        ("predict", "summary", "predict_draws"),
        ("predict_draws", "ndraws", "draws="),
        ("fixed_effects", "level", "ci_prob="),
        ("group_effects", "condVar", "column sd"),
        ("comparisons", "adjust", r"contrasts\(adjust="),
        ("comparisons", "newdata", "data="),
        ("simulate", "nsim", "n="),
        ("simulate", "allow_new_levels", "new_groups="),
        ("residuals", "type", "pearson"),
        ("plot_predictions", "condition", "x= and by="),
        ("plot_predictions", "axes", "ax="),
        ("bootstrap", "nsim", "n="),
        ("bootstrap", "parallel", "cores="),
        ("predict", "transform", 'kind="mean", the scale'),
        ("predict", "random_only", r'include=\("groups",\)'),
        ("predict", "na_action", "data="),
        ("comparisons", "type", 'kind="mean" or "linear"'),
        ("comparisons", "transform", 'compare="ratio"'),
        ("slopes", "slope", r"comparisons\(compare="),
        ("comparisons", "wts", "data="),
        ("summary", "round_to", r"to_latex\(digits=3\)"),
        ("anova", "test", "ddf="),
        ("check", "type", "stat="),
        ("check", "ndraws", "nothing: as many replicates"),
        ("plot_predictions", "terms", "x= and by="),
        ("plot_predictions", "rug", "data="),
        ("hypothesis", "class_", "names as in the tables"),
    ],
)
def test_arguments_of_fits(call: str, argument: str, ours: str, eb: Any) -> None:
    with pytest.raises(NotSupportedError, match=rf"{call}\(\) has no {argument}=; take .*{ours}"):
        getattr(eb, call)(**{argument: 1})


@pytest.mark.parametrize(
    ("argument", "ours"),
    [
        ("ziformula", '"zi ~ x"'), ("zi", '"zi ~ x"'), ("dispformula", '"sigma ~ x"'),
        ("sigma", '"sigma ~ x"'), ("correlation", "residual ~ ar1"), ("offset", r"offset\(x\)"),
        ("control", "target_accept"), ("REML", "fit_eb"), ("random", r"\(x \| g\)"),
        ("draws", r"fit\(draws=...\)"), ("prior", "priors="), ("link", "families.Binomial"),
    ],
)  # fmt: skip
def test_arguments_of_models(argument: str, ours: str) -> None:
    with pytest.raises(NotSupportedError, match=rf"Model\(\) has no {argument}=; take .*{ours}"):
        bmx.Model("y ~ x", {"y": [1.0, 2, 4], "x": [1, 3, 4]}, **{argument: 1})  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match=r"fit\(\) has no control=; take target_accept="):
        bmx.Model("y ~ x", {"y": [1.0, 2, 4], "x": [1, 3, 4]}).fit(control={})  # type: ignore[call-arg]


def test_what_answers_name_is_there() -> None:
    """An answer that names an argument is given where the method has it, and nowhere else."""
    for name, method in METHODS.items():
        own = inspect.signature(method).parameters
        for word in ARGUMENTS:
            found = advice(method.__name__, word, own)
            special = word in ARGUMENTS_OF.get(method.__name__, {})
            if found and not special and (named := re.match(r"(\w+)=", found)):
                assert named[1] in own, (name, word)
    for name, words in ARGUMENTS_OF.items():
        owners = [m for m in METHODS.values() if m.__name__ == name]
        for word in words:
            assert all(word not in inspect.signature(m).parameters for m in owners), (name, word)


@pytest.mark.parametrize(
    "name",
    [
        "scale",
        "cov_params",
        "tvalues",
        "nobs",
        "ngrps",
        "plot",
        "posterior",
        "glance",
        "getME",
        "df_resid",
        "model_frame",
        "t_test",
        "profile",
        "remlcrit",
        "check_model",
        "terms",
    ],
)
def test_attributes_of_others_name_ours(name: str, eb: Any) -> None:
    with pytest.raises(AttributeError, match=f"has no '{name}'; take"):
        getattr(eb, name)


@pytest.mark.parametrize("form", ["latex", "markdown", "docx", "excel", "dataframe"])
def test_what_a_summary_writes_is_asked_of_it(form: str, eb: Any) -> None:
    with pytest.raises(AttributeError, match=rf"take summary\(\).to_{form}\("):
        getattr(eb, f"to_{form}")
    assert hasattr(eb.summary(), f"to_{form}")


def test_a_model_says_what_a_fit_has() -> None:
    model: Any = bmx.Model("y ~ x", {"y": [1.0, 2, 4], "x": [1, 3, 4]})
    for name in OF_MODEL:
        assert not hasattr(model, name), name
    with pytest.raises(AttributeError, match=r"'Model' has no 'summary'; take fit\(\).summary\(\)"):
        model.summary()
    assert model.design.n_obs == 3
    assert len(model.design.frame) == 3


def test_other_arguments_have_the_usual_error(eb: Any) -> None:
    with pytest.raises(TypeError, match="nonsense"):
        eb.predict(nonsense=1)
    for cls in (bmx.Posterior, bmx.EmpiricalBayes, MarginalMeans):
        drawing = [name for name in dir(cls) if name.startswith("plot") or name == "check"]
        for name in set(drawing) - {"plot_covariance_parameters"}:  # which this model has none of
            with pytest.raises((TypeError, bmx.errors.ArgumentError), match="nonsense"):
                getattr(cls, name)(eb, nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        bmx.Model("y ~ x", {"y": [1.0, 2, 4], "x": [1, 3, 4]}, nonsense=1)  # type: ignore[call-arg]


def test_signatures_and_names_stay() -> None:
    def predict(data: int, *, ci_prob: float = 0.9) -> int:
        return data

    made = answering(predict)
    assert inspect.signature(made) == inspect.signature(predict)
    assert made(3) == 3
    with pytest.raises(NotSupportedError, match=r"predict\(\) has no level=; take ci_prob="):
        made(3, level=0.5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("beta_family", bmx.families.Beta()), ("nbinom2", bmx.families.NegativeBinomial()),
        ("Gamma", bmx.families.Gamma()), ("inverse.gaussian", bmx.families.InverseGaussian()),
        ('binomial(link="probit")', bmx.families.Binomial(link="probit")),
        ("binomial(link = 'cloglog')", bmx.families.Binomial(link="cloglog")),
        ("Gamma(identity)", bmx.families.Gamma(link="identity")),
        ("poisson()", bmx.families.Poisson()), ("beta_family()", bmx.families.Beta()),
    ],
)  # fmt: skip
def test_names_of_families_as_others_write_them(name: str, ours: Any) -> None:
    assert bmx.families.get_family(name) == ours


def test_families_of_others_are_named() -> None:
    with pytest.raises(AttributeError, match=r"no 'binomial'; take bayesmix.families.Binomial"):
        bmx.families.binomial  # noqa: B018
    with pytest.raises(AttributeError, match=r"take bayesmix.families.NegativeBinomial"):
        bmx.families.nbinom2  # noqa: B018
    with pytest.raises(AttributeError, match=r"no 'nonsense': there is no family"):
        bmx.families.nonsense  # noqa: B018
    with pytest.raises(bmx.errors.BayesmixError, match="link"):
        bmx.families.get_family("binomial(link='nonsense')")


def test_fits_are_compared_by_a_function_of_the_package(eb: Any) -> None:
    with pytest.raises(bmx.errors.ArgumentError, match=r"bayesmix\.anova\(a, b\) compares"):
        eb.anova(eb)


def test_one_row_as_a_dict_of_scalars_predicts(eb: Any) -> None:
    one = {"Days": 3, "Subject": "308"}
    table = eb.predict(one)
    assert len(table) == 1
    same = eb.predict(pd.DataFrame({"Days": [3], "Subject": ["308"]}))
    assert table["estimate"].tolist() == same["estimate"].tolist()
    assert len(eb.predict({"Days": [1, 2], "Subject": "308"})) == 2


def test_ordinal_categories_without_rows_are_said() -> None:
    grades = pd.Categorical(["a", "b"] * 6, ["a", "b", "c"], ordered=True)
    with pytest.warns(bmx.errors.DataWarning, match="`y` has the category without rows.*'c'"):
        bmx.Model("y ~ x", {"y": grades, "x": range(12)}, family="cumulative")


def test_abs_and_sqrt_are_functions_of_formulas() -> None:
    data = {"y": [1.0, 2, 4, 3], "x": [-1.0, 3, 4, -2]}
    plain = bmx.Model("y ~ abs(x) + sqrt(abs(x))", data).design.mu.X
    numpy = bmx.Model("y ~ np.abs(x) + np.sqrt(np.abs(x))", data).design.mu.X
    assert (plain == numpy).all()
    with pytest.raises(bmx.errors.FormulaError):
        bmx.Model("y ~ abs(x, x)", data)


def test_contrasts_in_the_other_direction() -> None:
    penicillin = bmx.load_dataset("penicillin")
    eb = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
    means = eb.marginal_means("treat")
    one, other = (means.contrasts("reference", reverse=r).table for r in (False, True))
    assert other["contrast"].tolist() == ["A - B", "A - C", "A - D"]
    assert other["estimate"].tolist() == pytest.approx((-one["estimate"]).tolist())
    assert other["p"].tolist() == pytest.approx(one["p"].tolist())
    later = means.contrasts(reverse=True).table["contrast"]
    assert later.tolist()[:2] == ["B - A", "C - A"]
    there, back = (eb.comparisons("treat", contrast=c) for c in ("pairwise", "revpairwise"))
    assert back["contrast"][0] == "A - B"
    assert back["estimate"].tolist() == pytest.approx((-there["estimate"]).tolist())
    with pytest.raises(bmx.errors.ArgumentError, match="reverse=True turns differences"):
        means.contrasts("effects", reverse=True)


def test_a_graph_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesmix.statement.graph import ModelGraph

    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "the program `dot` of graphviz" in repr(ModelGraph(None, "y ~ Normal"))
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/dot")
    assert repr(ModelGraph(None, "y ~ Normal")) == "y ~ Normal"


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("contest", r"test\("), ("ls_means", "marginal_means"), ("difflsmeans", "contrasts"),
        ("rand", "ranova"), ("exactRLRT", "exact_rlrt"), ("step", "drop1"),
        ("show_tests", "anova"), ("extend", r"levels=\{"), ("KRmodcomp", "kenward-roger"),
        ("vcovAdj", "vcov"),
    ],
)  # fmt: skip
def test_words_of_lmertest_and_its_neighbours(word: str, ours: str, eb: Any) -> None:
    with pytest.raises(AttributeError, match=f"take .*{ours}"):
        getattr(eb, word)


@pytest.mark.parametrize(
    "word",
    ["emmeans", "joint_tests", "pairs", "emtrends", "ranova", "drop1", "summary", "avg_slopes"],
)
def test_functions_of_r_lead_to_methods_of_fits(word: str) -> None:
    with pytest.raises(AttributeError, match=r"take bayesmix\.EmpiricalBayes\.\w+\(\)"):
        getattr(bmx, word)
