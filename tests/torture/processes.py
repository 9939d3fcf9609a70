"""Processes of Stagekeeper under torture: started, killed without warning, started anew, starved of disk, locked out.

What they say goes through a pipe to a file, so that a full disk takes their database from them and not their voice.
"""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import connector

ROOT = Path(connector.__file__).parents[1]
CAN_FILL_DISK = hasattr(resource, "prlimit")
WAYS_TO_DIE = ("all", "all", "leaf", "top")
"""All processes of a part at once, as in a power cut; the innermost alone; the outermost alone."""


def environment(**more: str) -> dict[str, str]:
    """Give the environment of a process: this one's, without what would change its manners."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STAGEKEEPER", "HUBSPOT"))}
    return {**clean, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


class Part:
    """One part of Stagekeeper: a command that is started anew whenever it has died."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, folder: Path, env: Mapping[str, str], within: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.exits: list[int] = []
        """The exit codes of those that ended by themselves."""
        config = str(folder / "config.yaml")
        self._command = [*within, sys.executable, "-m", "connector", "--config", config, *arguments]
        self._folder = folder
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    def said(self) -> str:
        """Give all that it has said so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def start(self) -> None:
        """Start it."""
        process = subprocess.Popen(
            self._command, cwd=self._folder, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stderr is not None
        self._process = process
        threading.Thread(target=_keep, args=(process.stderr, self.log), daemon=True).start()

    def is_running(self) -> bool:
        """Ask whether it runs; remember its exit code when it has ended by itself."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is not None:
            self._process = None
            self.exits.append(code)
        return code is None

    def pids(self) -> list[int]:
        """Give its processes, the outermost first."""
        if self._process is None:
            return []
        return [self._process.pid, *descendants(self._process.pid)]

    def kill(self, way: str) -> bool:
        """Kill it without warning; False when nothing ran. With its outermost process gone it has to be started."""
        if not self.is_running():
            return False
        process, pids = self._process, self.pids()
        chosen = {"all": pids, "top": pids[:1], "leaf": pids[-1:]}[way]
        for pid in chosen:
            _signal(pid, signal.SIGKILL)
        if process is not None and process.pid in chosen:
            process.wait()
            self._process = None
        return True

    def stop(self, *, seconds: float) -> bool:
        """Ask it to stop; False when it did not in time and was killed."""
        if not self.is_running() or self._process is None:
            return True
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill("all")
            return False
        return True


class FullDisk:
    """A disk that takes no more: every write of these processes into a file fails, until it is freed again.

    No mount and no privilege is needed: the limit on the size of a file (RLIMIT_FSIZE) of the running processes is set
    to nothing, so that each write beyond the first byte of a file fails with EFBIG, in SQLite's log as elsewhere. Only
    the soft limit is touched; it can be raised again. SQLite calls this an I/O error, and a disk without space "full":
    both are the same to Stagekeeper, which cannot store. Linux alone can limit a running process.
    """

    def __init__(self) -> None:
        self._limited: set[int] = set()

    def fill(self, parts: Sequence[Part]) -> None:
        """Let no process of these write; to be called again while they may have started others."""
        for part in parts:
            for pid in part.pids():
                if _limit_files(pid, 0):
                    self._limited.add(pid)

    def free(self) -> None:
        """Let them write again, and whoever they have started meanwhile."""
        for pid in self._limited:
            for each in (pid, *descendants(pid)):
                _limit_files(each, resource.RLIM_INFINITY)
        self._limited.clear()


class Stranger:
    """Somebody else who holds the write lock of the database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None

    def lock(self) -> bool:
        """Take the lock; False when it is not to be had just now."""
        connection = sqlite3.connect(self._database, timeout=2, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            connection.close()
            return False
        self._connection = connection
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._connection is not None:
            self._connection.rollback()
            self._connection.close()
            self._connection = None


def descendants(pid: int) -> list[int]:
    """Give the processes that a process has started, and those that these have, parents first."""
    children: dict[int, list[int]] = {}
    for child, parent in _every_process():
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        for child in sorted(children.get(queue.pop(0), ())):
            found.append(child)
            queue.append(child)
    return found


def end_leftovers(folder: Path) -> int:
    """Kill what still runs with the configuration of this folder, which nobody else uses; their number."""
    mark = str(folder / "config.yaml").encode()
    left = [pid for pid, _ in _every_process() if mark in _command_line(pid) and pid != os.getpid()]
    for pid in left:
        _signal(pid, signal.SIGKILL)
    return len(left)


def _every_process() -> Iterator[tuple[int, int]]:
    """Give every process with its parent."""
    if Path("/proc/self/stat").exists():
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (stat := _read(folder / "stat")):
                yield int(folder.name), int(stat.rpartition(b")")[2].split()[1])
        return
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        pid, parent = line.split()
        yield int(pid), int(parent)


def _command_line(pid: int) -> bytes:
    if Path("/proc/self/stat").exists():
        return _read(Path(f"/proc/{pid}/cmdline"))
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _limit_files(pid: int, size: int) -> bool:
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _keep(stream: BinaryIO, log: Path) -> None:
    with stream, log.open("ab", buffering=0) as file:
        shutil.copyfileobj(stream, file, 1)
