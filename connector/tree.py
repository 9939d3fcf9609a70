"""The process tree of `stagekeeper serve`: starts the parts, starts anew what dies, stops all when told to.

SIGHUP is passed on as the time of a file that all parts look at, so that no part is replaced for it and no work is
dropped. A part that has once lived is started again however often it dies: a pack that is broken on the disk meanwhile
must not end the receiver, which needs none.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import ClassVar

import structlog

from connector.errors import StagekeeperError
from connector.parts import PART_OF
from connector.summons import SUMMONS, summon
from connector.systemd import FOR_US_ALONE, Supervisor
from connector.telemetry import MULTIPROCESS_FOLDER

_ROUND_S = 0.2
_GRACE_S = 8.0
_YOUNG_S = 3.0
_RESTART_S, _LONGEST_RESTART_S = 1.0, 30.0
_log = structlog.get_logger()


class NoRoom(StagekeeperError):
    """Nothing can be written anywhere; is the disk full?"""

    code: ClassVar[str] = "no-room"
    exit_code: ClassVar[int] = 5


@dataclass(kw_only=True, slots=True)
class _Part:
    """One part and the process that is it at present."""

    name: str
    command: Sequence[str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    has_lived: bool = False
    again_at: float = 0.0
    pause_s: float = _RESTART_S


class Tree:
    """Keeps parts alive as processes of their own."""

    def __init__(
        self, parts: Mapping[str, Sequence[str]], *, is_ready: Callable[[], bool] = lambda: True,
        supervisor: Supervisor | None = None,
    ) -> None:  # fmt: skip
        self._parts = [_Part(name=name, command=command) for name, command in parts.items()]
        self._is_ready: Callable[[], bool] | None = is_ready
        self._supervisor = supervisor or Supervisor()
        self._stopping = threading.Event()
        self._reloading = threading.Event()

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until a part cannot even start; give the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self._reloading.set())
        with _folder() as folder:
            self._environment = _environment(folder)
            for part in self._parts:
                self._start(part)
            code = self._watch()
            self._supervisor.tell_stopping()
            self._end()
        return code

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _start(self, part: _Part) -> None:
        part.process = subprocess.Popen(part.command, env=self._environment, start_new_session=True)
        part.started = time.monotonic()

    def _watch(self) -> int:
        while not self._stopping.wait(_ROUND_S):
            self._supervisor.tell_alive()
            self._maybe_tell_ready()
            self._maybe_reload()
            for part in self._parts:
                code = self._look_after(part)
                if code is not None:
                    return code
        return 0

    def _maybe_tell_ready(self) -> None:
        if self._is_ready is not None and self._is_ready():
            self._is_ready = None
            self._supervisor.tell_ready()
            _log.info("serve.started")

    def _maybe_reload(self) -> None:
        """Have every part read the rules anew; each checks them for itself, and keeps its own when they are broken."""
        if not self._reloading.is_set():
            return
        self._reloading.clear()
        self._supervisor.tell_reloading()
        summon(Path(self._environment[SUMMONS]))
        _log.info("serve.reload_passed_on", parts=[part.name for part in self._parts])
        if self._is_ready is None:
            self._supervisor.tell_ready()

    def _look_after(self, part: _Part) -> int | None:
        """Start a part anew that has died; give its exit code when it never lived."""
        now = time.monotonic()
        if part.process is None:
            if now >= part.again_at:
                self._start(part)
            return None
        code, is_young = part.process.poll(), now - part.started < _YOUNG_S
        if code is None:
            part.has_lived = part.has_lived or not is_young
            return None
        if is_young and code > 0 and not part.has_lived:
            _log.error("serve.part_cannot_start", part=part.name, exit_code=code)
            return code
        part.pause_s = min(part.pause_s * 2, _LONGEST_RESTART_S) if is_young and code > 0 else _RESTART_S
        part.process, part.again_at = None, now + part.pause_s
        _log.error("serve.part_died", part=part.name, exit_code=code, started_again_in_ms=round(part.pause_s * 1_000))
        return None

    def _end(self) -> None:
        living = [part.process for part in self._parts if part.process is not None]
        for process in living:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for process in living:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def part_command(config: Path, *arguments: str) -> list[str]:
    """Give the command line of one part."""
    return [sys.executable, "-m", "connector", "--config", str(config), *arguments]


def check_room() -> None:
    """Raise NoRoom when no folder for temporary files takes a byte; libraries would say it with a traceback."""
    try:
        tempfile.gettempdir()
    except OSError as error:
        found = f"no folder for temporary files can be written ({error.strerror or error})"
        cure = "free space on the disk, or name another folder in the environment variable TMPDIR"
        raise NoRoom(f"{found}; expected room for a few megabytes; {cure}") from error


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make the folder that the parts share, and remove it in the end."""
    check_room()
    try:
        folder = tempfile.TemporaryDirectory(prefix="stagekeeper-", ignore_cleanup_errors=True)
    except OSError as error:
        found = f"no folder can be made in {tempfile.gettempdir()} ({error.strerror})"
        raise NoRoom(f"{found}; expected room for a few megabytes; free space on the disk") from error
    with folder as name:
        (Path(name) / "metrics").mkdir()
        (Path(name) / "summons").touch()
        yield Path(name)


def _environment(folder: Path) -> dict[str, str]:
    """Give what the parts find in their environment."""
    kept = {name: value for name, value in os.environ.items() if name not in FOR_US_ALONE}
    shared = {MULTIPROCESS_FOLDER: str(folder / "metrics"), SUMMONS: str(folder / "summons")}
    return {**kept, **shared, PART_OF: str(os.getpid())}
