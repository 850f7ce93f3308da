"""The demonstration that `make demo` and `bayesmix demo` run."""

from __future__ import annotations

from pathlib import Path

__all__ = ["run_demo"]

FORMULA = "Reaction ~ Days + (Days | Subject)"


def run_demo(folder: Path, *, seed: int = 1) -> list[Path]:
    """Fit sleepstudy with NUTS, print the model and the summary, write the plots.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    seed : int

    Returns
    -------
    list of Path
        The pictures.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from bayesmix import Model, load_dataset

    folder.mkdir(parents=True, exist_ok=True)  # before the work, not after it

    model = Model(FORMULA, load_dataset("sleepstudy"))
    print(f"The model\n---------\n{model}\n")
    posterior = model.fit(seed=seed)
    print(f"\nThe posterior\n-------------\n{posterior.summary()}\n")
    pictures = {
        "group_effects.png": posterior.plot_group_effects(),
        "shrinkage.png": posterior.plot_shrinkage(),
    }
    paths = []
    for name, figure in pictures.items():
        paths.append(folder / name)
        figure.savefig(paths[-1], dpi=120)
    print("Pictures:")
    for path in paths:
        print(f"  {path.resolve()}")
    return paths
