"""One process at a time in a folder; the lock of a process that was killed is free again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_NAME = ".lock"


def lock_folder(folder: Path) -> FileLock | None:
    """The folder's lock, taken, or None if another holds it. It is free again once released."""
    lock = FileLock(folder / _NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


@contextmanager
def alone_in(folder: Path, work: str) -> Iterator[None]:
    """Holds the lock of a folder, which is made if it is missing, inside a `with` block.

    Args:
        folder: Where to work alone.
        work: What is done there, such as `a training`.

    Raises:
        ValueError: If another holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder)
    if lock is None:
        raise ValueError(f"{work} is running in {folder}; wait for it, or choose another folder")
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether somebody holds the folder's lock; nothing is written to find out."""
    if not (folder / _NAME).exists():
        return False
    lock = lock_folder(folder)
    if lock is None:
        return True
    lock.release()
    return False
