"""A network's edits and reads are on the network itself: one thread at a time uses it."""

import threading


class OneThread:
    """A `with` block that one thread at a time may enter, as deep as it likes.

    Another thread is refused and does not wait: who holds the block may be waiting for it.
    """

    def __init__(self):
        """Nobody is inside."""
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        """Raises:
        RuntimeError: If another thread is inside.
        """
        if self._owner != threading.get_ident():
            if not self._lock.acquire(blocking=False):
                raise RuntimeError(
                    "another thread is using this network, whose edits and reads would be mixed "
                    "with those of this one; load a network for each thread, or hold a lock around "
                    "every use"
                )
            self._owner = threading.get_ident()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()

    def __reduce__(self) -> tuple[type["OneThread"], tuple[()]]:
        """A copy is of another network: nobody is inside."""
        return OneThread, ()
