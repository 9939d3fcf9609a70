"""Commands that begin with the libraries read: reading them takes longer than most commands run.

One process reads the libraries, and nothing of Stagekeeper. Each command is forked from it with its own arguments,
folder, environment and output, imports the product by itself, and ends as any process does.
"""

import atexit
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

LONGEST_S = 60.0
# Not prometheus_client, which looks at the environment when it is imported.
LIBRARIES = (
    "alembic.command", "cryptography.fernet", "flask", "jinja2.meta", "jinja2.sandbox", "pydantic",
    "requests", "rich.console", "rich.progress", "rich.table", "ruamel.yaml", "sqlalchemy.dialects.sqlite", "structlog",
    "tenacity", "urllib3", "z3",
)  # fmt: skip
_ROOT = Path(__file__).parents[1]
_idle: list["Nursery"] = []
_lock = threading.Lock()


class Nursery:
    """A process from which commands are forked, one at a time; to it and to them every warning is an error."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.forking"], cwd=_ROOT, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Run a command to its end: its exit code, and what it wrote to the standard output and error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            asked = {"arguments": arguments, "folder": str(folder), "environment": environment}
            print(json.dumps({**asked, "out": out.name, "err": err.name}), file=self._process.stdin, flush=True)
            alarm = threading.Timer(LONGEST_S, self.kill)
            alarm.start()
            answer = self._process.stdout.readline()
            alarm.cancel()
            said, complained = (Path(each.name).read_text("utf-8") for each in (out, err))
        if not answer:
            raise AssertionError(f"{arguments} did not end within {LONGEST_S} s: {said} {complained}")
        return int(answer), said, complained

    def kill(self) -> None:
        """End the process, and the command that it may be waiting for."""
        os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the process end, which it does when nobody can ask it for anything any more."""
        with self._process:
            pass


def run_forked(arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command to its end in a process forked for it; threads that call this do not wait for each other."""
    with _lock:
        nursery = _idle.pop() if _idle else None
    if nursery is None:
        nursery = Nursery(environment)
        atexit.register(nursery.close)
    ran = nursery.run(arguments, folder=folder, environment=environment)
    with _lock:
        _idle.append(nursery)
    return ran


def _fork_until_asked_no_more() -> dict[str, Any]:
    """Fork a process for each line and say how it ended; gives what was asked for, in the forked process alone."""
    for line in sys.stdin:
        process = os.fork()
        if not process:
            asked: dict[str, Any] = json.loads(line)
            return asked
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    raise SystemExit(0)


def _become(asked: Mapping[str, Any]) -> None:
    """Be as a process is that was started with this."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    for path, how, number in (
        (os.devnull, os.O_RDONLY, 0), (asked["out"], os.O_WRONLY, 1), (asked["err"], os.O_WRONLY | os.O_APPEND, 2)
    ):  # fmt: skip
        opened = os.open(path, how)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    command = Path(sys.executable).with_name("stagekeeper")
    sys.argv, sys.path[0] = [str(command), *asked["arguments"]], str(command.parent)


if __name__ == "__main__":
    for _library in LIBRARIES:
        with contextlib.suppress(ModuleNotFoundError):  # an extra
            import_module(_library)
    gc.freeze()  # no process that is forked goes through all of that again
    _become(_fork_until_asked_no_more())
    from connector.cli import main

    main()
