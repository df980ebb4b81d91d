"""Starting the dashboard."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def taken() -> Any:
    with socket.create_server(("localhost", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_refused_in_one_sentence(taken: int) -> None:
    from dashboards.launch import launch

    with pytest.raises(ValueError) as caught:
        launch(port=taken)
    assert str(caught.value) == (
        f"port {taken} of localhost is in use; stop what runs there, or choose another port"
    )


@pytest.mark.parametrize(
    ("port", "host", "message"),
    [
        (0, "localhost", "the port is 0; choose one from 1 to 65535"),
        (70000, "localhost", "the port is 70000; choose one from 1 to 65535"),
        (8501, "no such host", "nothing can listen on port 8501 of no such host"),
    ],
)
def test_an_address_that_cannot_be_is_refused(port: int, host: str, message: str) -> None:
    from dashboards.launch import check_free

    with pytest.raises(ValueError, match=message):
        check_free(port, host)


def test_the_server_is_bound_to_the_host_quiet_and_sees_the_runs(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    repository: Path,
) -> None:
    from dashboards import launch as module

    started: list[tuple[list[str], dict[str, str]]] = []

    class Server:
        def __init__(self, command: list[str], env: dict[str, str]):
            started.append((command, env))

        def __enter__(self) -> "Server":
            return self

        def __exit__(self, *_: object) -> None: ...

        def wait(self) -> int:
            raise KeyboardInterrupt

        def terminate(self) -> None: ...

    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(subprocess, "Popen", Server)
    monkeypatch.chdir(tmp_path)
    assert module.launch(port, runs="my runs") == 0
    ((command, environment),) = started
    assert command[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert command[4] == str(repository / "dashboards" / "app.py")
    assert {
        f"--server.port={port}",
        "--server.address=localhost",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
    } <= set(command)
    assert environment["WORLDSCOPE_RUNS"] == str(tmp_path / "my runs")
    assert capsys.readouterr().out.startswith(f"Worldscope: http://localhost:{port} ")
