"""One process at a time in a folder; the lock of a process that was killed is free again."""

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


def is_locked(folder: Path) -> bool:
    """Whether somebody holds the folder's lock; nothing is written to find out."""
    if not (folder / _NAME).exists():
        return False
    lock = lock_folder(folder)
    if lock is None:
        return True
    lock.release()
    return False
