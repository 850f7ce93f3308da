"""Errors and warnings in the words of a shell."""

from __future__ import annotations

import re
import sys

__all__ = ["in_shell_words", "show_warning"]

# What Python's users write, and what stands for it on the command line.
_WORDS = (
    (r'Model\(\.\.\., family=bmx\.families\.(\w+)\(link="(\w+)"\)\)', r"--family \1 --link \2"),
    (r"pd\.read_csv\(sep=('[^']*'|\"[^\"]*\")\)", r"--sep \1"),
    (r"write data\['.+?'\] = pd\.to_numeric\(.+?, errors=\"coerce\"\), which makes the others",
     "--na-values TEXT makes them"),
    (r"write data\['.+?'\] = pd\.to_numeric\(.+?, regex=True\)\)",
     "write plain numbers into the file, or --decimal , where the commas are decimal"),
    (r"(?:data\['[^']+'\] = )?pd\.Categorical\(data\[(['\"])(.+?)\1\][^)]*\)",
     r'--order "\2=LOWEST,...,HIGHEST"'),
    (r" \(cat\.remove_unused_categories\(\) does so before\)", ""),
    (r'Model\(\.\.\., weights="(\w+)"\)', r"--weights \1"),
    (r'Model\(\.\.\., known_se="(\w+)"\)', r"--known-se \1"),
    (r"Model\(formula, data, priors=\{\.\.\.\}\)", '--prior "NAME=HalfNormal(1)"'),
    (r"priors=\{\.\.\.\}", '--prior "NAME=HalfNormal(1)"'),
    (r'missing="drop"', "--missing drop"),
    (r'missing="raise"', "--missing raise"),
    (r"raise draws and tune|raise tune and draws", "raise --tune and --draws"),
    (r"\braise draws\b", "raise --draws"),
    (r"\braise tune\b", "raise --tune"),
    (r"\braise target_accept\b", "raise --target-accept"),
    (r"\bdraws=(\d+)", r"--draws \1"),
    (r"\bna_values=", "--na-values "),
    (r"\b(weights|known_se|engine|chains|seed|family|link|method)=(?=['\"\w.])",
     lambda m: f"--{m[1].replace('_', '-')} "),
    (r"\bfit_eb\(\)", "--eb"),
)  # fmt: skip


def in_shell_words(text: str) -> str:
    """Write Python's arguments as options of the command.

    Parameters
    ----------
    text : str
        A message of the package.

    Returns
    -------
    str

    Examples
    --------
    >>> in_shell_words("an effective sample size of 90: raise draws; about draws=1500")
    'an effective sample size of 90: raise --draws; about --draws 1500'
    """
    for pattern, ours in _WORDS:
        text = re.sub(pattern, ours, text)
    return text


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as one line, without the code that gave it."""
    print(f"bayesmix: warning: {in_shell_words(str(message))}", file=sys.stderr)
