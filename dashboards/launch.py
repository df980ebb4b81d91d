"""Starting the dashboard from a command line or a notebook."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_OPTIONS = (
    "--server.headless=true",
    "--server.fileWatcherType=none",
    "--browser.gatherUsageStats=false",
    "--client.toolbarMode=minimal",
    "--logger.hideWelcomeMessage=true",
    f"--theme.base={_HERE / 'theme.toml'}",
)


def launch(port: int = 8501, host: str = "localhost", runs: str | Path | None = None) -> int:
    """Serves the dashboard until it is interrupted, and prints its address.

    Args:
        port: Where it listens, 1 to 65535.
        host: Address that it is bound to; `localhost` cannot be reached from other machines.
        runs: Folder of all runs; None takes the variable WORLDSCOPE_RUNS, else ./runs.

    Returns:
        The server's exit status; 0 after an interrupt.

    Raises:
        ValueError: If the port is not free, or the host is not an address of this machine.
    """
    check_free(port, host)
    environment = dict(os.environ)
    if runs is not None:
        environment["WORLDSCOPE_RUNS"] = str(Path(runs).resolve())
    command = [sys.executable, "-m", "streamlit", "run", str(_HERE / "app.py"), *_OPTIONS]
    command += [f"--server.port={port}", f"--server.address={host}"]
    sys.stdout.write(f"Worldscope: http://{host}:{port} (Ctrl+C stops it)\n")
    sys.stdout.flush()
    with _interrupted_by_sigterm(), subprocess.Popen(command, env=environment) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


def check_free(port: int, host: str) -> None:
    """Raises:
    ValueError: If nothing can listen on this port of this host.
    """
    if not 1 <= port <= 65535:
        raise ValueError(f"the port is {port}; choose one from 1 to 65535")
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"port {port} of {host} is in use; stop what runs there, or choose another port"
            ) from None
        raise ValueError(f"nothing can listen on port {port} of {host}: {error}") from None


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Lets a request to end interrupt this process too, so that it takes the server along."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
