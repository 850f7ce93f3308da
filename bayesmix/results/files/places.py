"""Places in the file system, and how something is written there: whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bayesmix.errors import FileError

__all__ = [
    "as_path", "draft_folder", "drafts_in", "found_there", "move_into_place", "write_whole",
]  # fmt: skip

# Host and process of who writes are in the name, so that drafts of the dead are recognised.
_DRAFT = re.compile(r"\.bayesmix-draft-([0-9a-f]{8})-([0-9]+)-[0-9a-f]{12}")
_ABANDONED = 24 * 3600.0  # seconds: a draft of another machine this old belongs to no one
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_TRIES = 50


def as_path(path: Any) -> Path:
    """Return a path with the home folder in it; ``~`` is that.

    Raises
    ------
    FileError
        If it is no path at all, or one that no file can have.
    """
    if not isinstance(path, str | os.PathLike):
        raise FileError(f'{path!r} is not a path; write one as text, such as "fit.nc"')
    try:
        text = os.fsdecode(path)
        os.fsencode(text)
        if "\0" in text:
            raise ValueError("it holds the character NUL")
        found = Path(text).expanduser()
    except (ValueError, RuntimeError) as error:  # ValueError: surrogates; RuntimeError: ~ of nobody
        raise FileError(f"{path!r} is no path of a file: {error}") from error
    found_there(found)
    return found


def found_there(path: Path) -> os.stat_result | None:
    """Say what is at a path, links followed; None where there is nothing.

    Raises
    ------
    FileError
        If it cannot be said: the name is too long, or a folder closed.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FileError(f"{_short(path)} cannot be reached: {error.strerror}") from error


def _short(path: Path) -> str:
    text = str(path)
    return repr(text if len(text) <= 200 else f"{text[:100]}...{text[-50:]}")


def write_whole(target: Path, content: bytes | memoryview) -> None:
    """Write a file beside its place, and move it there when it is complete and on disk.

    Parameters
    ----------
    target : Path
        A former file is replaced; without that, nothing is left where writing fails.
    content : bytes or memoryview

    Raises
    ------
    FileError
        Naming the path and the reason.
    """
    there = found_there(target)
    if there is not None and not stat.S_ISREG(there.st_mode):
        raise FileError(f"{str(target)!r} is there and is no file that could be replaced")
    drop_abandoned(target.parent)
    draft = draft_in(target.parent)
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except OSError as error:
        raise FileError(f"{str(target)!r} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def draft_in(folder: Path) -> Path:
    """Return a name for a draft in a folder, which tells who writes it."""
    return folder / f".bayesmix-draft-{_here()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"


def drafts_in(folder: Path) -> Iterator[Path]:
    """Go over the drafts in a folder, whoever writes them."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _DRAFT.fullmatch(path.name):
                yield path


def drop_abandoned(folder: Path) -> None:
    """Remove what saves left in a folder that were killed.

    A folder that such a save had set aside, and could not replace, is put back.
    """
    for draft in drafts_in(folder):
        if not _is_abandoned(draft):
            continue
        with contextlib.suppress(OSError):
            if not draft.is_dir() or draft.is_symlink():
                draft.unlink(missing_ok=True)
                continue
            for aside in draft.glob("old/*"):
                if not (folder / aside.name).exists():
                    aside.rename(folder / aside.name)
            shutil.rmtree(draft, ignore_errors=True)


def _is_abandoned(draft: Path) -> bool:
    found = _DRAFT.fullmatch(draft.name)
    if found is None:
        return False
    if found[1] == _here() and os.name == "posix":  # elsewhere signal 0 would end the process
        try:
            os.kill(int(found[2]), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except OSError:  # it lives, and is someone else's
            return False
        return False
    try:
        return time.time() - draft.stat().st_mtime > _ABANDONED
    except OSError:
        return False


def _here() -> str:
    """Where a process number means something: this machine, or this container."""
    where = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    with contextlib.suppress(OSError):
        where += os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(where.encode("utf-8", "replace")).hexdigest()[:8]


def move_into_place(draft: Path, target: Path) -> None:
    """Move a folder that is complete to its place, and what was there away.

    Linux exchanges the two at one instant. Elsewhere the old one is renamed away first,
    and for the time between two renames nothing is there.

    Parameters
    ----------
    draft : Path
        A folder with the new one as ``new`` in it; the old one may be left in it.
    target : Path
    """
    new = draft / "new"
    for _ in range(_TRIES):  # another process may save there at the same time
        try:
            if not os.path.lexists(target):
                new.rename(target)
                return
            if _exchange(new, target):
                return
            aside = draft / "old" / target.name
            aside.parent.mkdir(exist_ok=True)
            target.rename(aside)
            try:
                new.rename(target)
            except OSError:
                if not os.path.lexists(target):
                    aside.rename(target)
                raise
            return
        except OSError as error:
            last = error
            if not new.exists():
                raise
            shutil.rmtree(draft / "old", ignore_errors=True)
            time.sleep(0.01)
    raise last


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places at one instant; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    done: int = rename(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    return done == 0


@contextlib.contextmanager
def draft_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside a place, for a draft; it is gone afterwards, whatever happens."""
    drop_abandoned(target.parent)
    draft = draft_in(target.parent)
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
