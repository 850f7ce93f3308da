"""The named errors and warnings of the package."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "OWN_FILES",
    "ApproximationWarning",
    "ArgumentError",
    "BayesmixError",
    "BayesmixWarning",
    "CacheWarning",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "FileError",
    "FormulaError",
    "NotApplicableError",
    "NotEstimableWarning",
    "NotSupportedError",
    "PriorError",
    "SamplingError",
    "SamplingWarning",
    "SeparationWarning",
]


# Warnings point at the caller's line, not into the package.
OWN_FILES = (str(Path(__file__).parent),)


class BayesmixError(Exception):
    """Base class of every error that bayesmix raises on purpose."""


class FormulaError(BayesmixError, ValueError):
    """A formula that cannot be read, is refused, or does not fit the data.

    Parameters
    ----------
    message : str
        What is wrong and what would work.
    text : str, optional
        The whole formula. With `start` the message points at the place.
    start, stop : int, optional
        Half-open range of character positions in `text`.

    Attributes
    ----------
    reason : str
        The message without the picture of the place.
    """

    def __init__(
        self,
        message: str,
        *,
        text: str | None = None,
        start: int | None = None,
        stop: int | None = None,
    ) -> None:
        self.reason = message
        self.text = text
        self.start = start
        self.stop = stop
        super().__init__(message + _pointer(text, start, stop))


class DataError(BayesmixError, ValueError):
    """Data that a model cannot be built from, or cannot meet again."""


class PriorError(BayesmixError, ValueError):
    """A prior that does not exist, does not fit its parameter, or names none."""


class NotSupportedError(BayesmixError, ValueError):
    """A valid request that this engine, family or object does not answer."""


class ArgumentError(NotSupportedError):
    """An argument of a type or value that the call never takes."""


class NotApplicableError(NotSupportedError, AttributeError):
    """A property that this kind of fit or model does not have, so that `hasattr` says no."""


class FileError(BayesmixError, OSError):
    """A file that cannot be written, or is not what it should be."""


class SamplingError(BayesmixError, RuntimeError):
    """The sampler could not start or broke off without any draws."""


class BayesmixWarning(UserWarning):
    """Base class of every warning that bayesmix gives."""


class CacheWarning(BayesmixWarning):
    """Compiled kernels on disk are damaged, or cannot be kept there; the fit is not touched."""


class DataWarning(BayesmixWarning):
    """The data were used, but not quite as they came."""


class NotEstimableWarning(BayesmixWarning):
    """Some of what was asked for is NaN: the data do not determine it."""


class SamplingWarning(BayesmixWarning):
    """Sampling ended early or took another route than was asked for."""


class ConvergenceWarning(BayesmixWarning):
    """The draws are there, but a diagnostic says not to trust them yet."""


class ApproximationWarning(BayesmixWarning):
    """An approximation moves an estimate by a good part of its standard error."""


class SeparationWarning(BayesmixWarning):
    """The likelihood rises for ever, and some estimates have run away."""


def _pointer(text: str | None, start: int | None, stop: int | None) -> str:
    """Show the line of `text` that holds `start`, with carets below the place."""
    if text is None or start is None:
        return ""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    width = max(1, min(stop or start + 1, line_end) - start)
    line = text[line_start:line_end].replace("\t", " ")
    return f"\n    {line}\n    {' ' * (start - line_start)}{'^' * width}"
