"""What nutpie throws comes out as a named error, what ends the process as it is."""

from __future__ import annotations

from typing import Any

import nutpie
import pytest

from bayesmix.errors import SamplingError
from bayesmix.inference.nutpie_run import run_nutpie
from bayesmix.inference.settings import SamplerSettings

SETTINGS = SamplerSettings.checked(
    draws=20, tune=20, chains=1, cores=1, seed=1, target_accept=0.9, progress=False
)


class _Panic(BaseException):
    """Like PyO3's PanicException."""


def _throw(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def sample(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(nutpie, "sample", sample)
    run_nutpie(None, ["z"], SETTINGS, {})


def test_a_failure_is_told_without_the_stack_of_another_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "All points failed\n\nCaused by:\n    ErrorCode(4)\n\nStack backtrace:\n   0: <unknown>"
    with pytest.raises(SamplingError) as caught:
        _throw(monkeypatch, RuntimeError(text))
    message = str(caught.value)
    assert "All points failed Caused by: ErrorCode(4); look at the scales" in message
    assert "backtrace" not in message
    assert "unknown" not in message
    with pytest.raises(SamplingError, match="index out of bounds; look"):
        _throw(monkeypatch, _Panic("index out of bounds"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_ends_the_process_passes(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        _throw(monkeypatch, error)
