"""Compiled kernels on disk: sealed files, so that a damaged one is compiled anew.

numba's own cache trusts its files: one that is cut off, overwritten or exchanged with
another ends in a foreign error, or in the wrong machine code. Here each kernel is one
file, moved into place when complete, with a checksum over what it is and what it holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature
from numba.core.typing import signature as typed

from bayesmix.errors import OWN_FILES, CacheWarning
from bayesmix.gaussian.staleness import drop_stale_kernels, file_tag, fingerprint

__all__ = ["compiled_function", "is_kept"]

_SEAL = b"bayesmix kernel 1\n"
_DIGEST = hashlib.sha256().digest_size
# numba calls back into this file.
_NOT_THE_USERS = (*OWN_FILES, str(Path(numba.__file__).parent))
_SAID: set[str] = set()  # what a process has warned of


class _KernelFiles(FunctionCache):
    """The file of one function, in the folder that numba chooses."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.folder = Path(self.cache_path)
        drop_stale_kernels(self.folder)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """What one source is compiled for: the signature, the machine, what a closure holds.

        Compiled functions count by name: numba would pickle them, with a number of the process.
        """
        function = self._py_func
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        held = [
            cell.py_func.__qualname__ if hasattr(cell, "py_func") else getattr(cell, "symbol", cell)
            for cell in cells
        ]
        code = hashlib.sha256(function.__code__.co_code).hexdigest()
        return sig, codegen.magic_tuple(), code, held

    def place(self, signature: Any, codegen: Any) -> tuple[Path, bytes]:
        """Where the machine code of a signature is kept, and what it is made of."""
        made_of = repr((
            self._impl.filename_base, self._index_key(signature, codegen),
            self._impl.locator.get_source_stamp(), fingerprint(),
            numba.__version__, llvmlite.__version__,
        )).encode()  # fmt: skip
        short = hashlib.sha256(made_of).hexdigest()[:12]
        return self.folder / f"{self._impl.filename_base}.{file_tag()}-{short}.nbc", made_of

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Machine code out of the file; None where there is none, or it is damaged."""
        # Without its `refresh`, which imports all that numba has for compiling.
        rtsys.initialize(target_context)
        path, made_of = self.place(signature, target_context.codegen())
        sealed = _read(path)
        if sealed is None:
            return None
        try:
            return self._impl.rebuild(target_context, pickle.loads(_unsealed(sealed, made_of)))  # noqa: S301
        except Exception:  # noqa: BLE001  # whatever is wrong with it, it can be made again
            _say(
                "damaged",
                f"compiled kernels in {str(self.folder)!r} are damaged and are compiled anew: "
                "if that happens again, look at the disk",
            )
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep machine code, where that can be; several processes may do so at once."""
        if not self._impl.check_cachable(data):
            return
        path, made_of = self.place(signature, data.codegen)
        content = dumps(self._impl.reduce(data))
        draft = path.with_name(f"{path.name}.tmp.{uuid.uuid4().hex[:16]}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(_SEAL + _digest(content, made_of) + content)
            os.replace(draft, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            _say_unkept(f"{str(self.folder)!r}: {error.strerror or error}")


class _KeptFunction(CFunc):
    def enable_caching(self) -> None:
        self._cache: Any = _KernelFiles(self.__wrapped__)


def compiled_function(function: Callable[..., Any], signature: Any, **options: Any) -> Any:
    """Compile a C function, or load it from its file.

    Parameters
    ----------
    function : callable
    signature : numba signature
    **options
        Options of `numba.cfunc`.

    Returns
    -------
    numba CFunc

    Warns
    -----
    CacheWarning
        Once a process, if a file is damaged, or none can be kept.
    """
    compiled = _KeptFunction(function, normalize_signature(signature), locals={}, options=options)
    try:
        compiled.enable_caching()
    except RuntimeError as error:  # numba knows no folder
        _say_unkept(str(error))
    compiled.compile()
    return compiled


def is_kept(function: Callable[..., Any], signature: Any) -> bool:
    """Whether a whole file of the function is on disk."""
    from numba.core.registry import cpu_target

    try:
        files = _KernelFiles(function)
    except RuntimeError:
        return False
    args, result = normalize_signature(signature)
    codegen = cpu_target.target_context.codegen()
    path, made_of = files.place(typed(result, *args), codegen)
    sealed = _read(path)
    if sealed is None:
        return False
    try:
        _unsealed(sealed, made_of)
    except ValueError:
        return False
    return True


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def _digest(content: bytes, made_of: bytes) -> bytes:
    return hashlib.sha256(made_of + b"\0" + content).digest()


def _unsealed(sealed: bytes, made_of: bytes) -> bytes:
    start = len(_SEAL) + _DIGEST
    content = sealed[start:]
    if sealed[:start] != _SEAL + _digest(content, made_of):
        raise ValueError("the seal is broken")
    return content


def _say_unkept(reason: str) -> None:
    _say(
        "unkept",
        f"compiled kernels cannot be kept on disk ({reason}), so each process compiles them "
        "anew: set the environment variable NUMBA_CACHE_DIR to a folder that can be written",
    )


def _say(what: str, text: str) -> None:
    if what not in _SAID:
        _SAID.add(what)
        warnings.warn(text, CacheWarning, skip_file_prefixes=_NOT_THE_USERS)
