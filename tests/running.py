"""Real processes of Stagekeeper, beside a practice HubSpot in the process of the test; all end in bounded time."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.forking import run_forked

LONGEST_S = 30.0
SECRETS = ("pat-na1-0a1b2c3d-4e5f", "client-secret-under-test", "ops-token-under-test")


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP."""

    status: int
    body: str
    headers: Mapping[str, str]


def wait_until(holds: Callable[[], object], *, seconds: float = LONGEST_S, what: str = "it") -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        pause.wait(0.05)


def environment(**more: str) -> dict[str, str]:
    """Give the environment of a command: this one's, without what would change its manners."""
    manners = ("STAGEKEEPER", "HUBSPOT", "PYTHONDONTWRITEBYTECODE")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(manners)}
    return {**clean, "NO_COLOR": "1", "PYTHONWARNINGS": "error", "COLUMNS": "200", **more}


def stagekeeper(*arguments: object, folder: Path, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end, in a process that has the libraries already."""
    return Ran(*run_forked([*map(str, arguments)], folder=folder, environment=environment(**(env or {}))))


def installed(*arguments: object, folder: Path, env: Mapping[str, str] | None = None) -> Ran:
    """Run the installed command to its end, in a process that starts from nothing."""
    command = [str(Path(sys.executable).with_name("stagekeeper")), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=environment(**(env or {})), capture_output=True, text=True, timeout=60, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@contextmanager
def running(
    *arguments: object, folder: Path, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m connector …` beside the test; its output goes to a file, and it is gone afterwards."""
    command = [sys.executable, "-m", "connector", *map(str, arguments)]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(**(env or {})), stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def get(url: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    """Call an address, whatever it answers."""
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Reply(answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.headers.items()})
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read().decode(), {k.lower(): v for k, v in error.headers.items()})


def answers(url: str) -> bool:
    """Ask whether an address answers 200."""
    try:
        return get(url).status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as a power cut does."""
    process.send_signal(signal.SIGKILL)
    process.wait()

