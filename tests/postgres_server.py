"""A PostgreSQL server that nobody misses: its own data, a random port on loopback, gone without a trace afterwards.

`python -m tests.postgres_server COMMAND …` runs a command with STAGEKEEPER_TEST_POSTGRES set to the server's address.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.databases import POSTGRES
from tests.ports import free_port
from tests.running import wait_until

_DEBIAN = "/usr/lib/postgresql"
_NOBODY_IN_PARTICULAR = ("postgres", "nobody")
_ENDS_WITHIN_S = 180  # it empties all that the disk still has to write, other servers' as well
_QUICK = {"fsync": "off", "full_page_writes": "off"}  # what stands in it is worth nothing after a crash of the machine


class Server:
    """A server that can be stopped, killed and started again on the same data."""

    def __init__(self, folder: Path, *, port: int, settings: dict[str, str]) -> None:
        self._folder = folder
        self._port = port
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self._port), "unix_socket_directories": "",
            "max_connections": "300", "shared_buffers": "64MB", "log_min_messages": "error", **self._settings,
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", str(self._folder / "data"), *options],
                stdout=log, stderr=log, start_new_session=True, cwd=self._folder, **_as_somebody(),
            )  # fmt: skip
        wait_until(self._answers, what="PostgreSQL's start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts everybody off, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_ENDS_WITHIN_S)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self._folder / "log").read_text("utf-8", "replace"))
        asked = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(asked, check=False).returncode == 0


@contextmanager
def serving(*, durable: bool = False, trusts: str = "", on_port: int = 0, **settings: str) -> Iterator[Server]:
    """Run a server; one that is not durable keeps nothing through a power cut, and is quicker.

    It trusts whoever comes over loopback, and from one more network.
    """
    folder = Path(tempfile.mkdtemp(prefix="stagekeeper-postgres-"))
    server = Server(folder, port=on_port or free_port(), settings={**({} if durable else _QUICK), **settings})
    try:
        _make_data(folder)
        if trusts:
            with (folder / "data" / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write(f"host all all {trusts} trust\n")
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def program(name: str) -> str:
    """Find a program of the server: on the path, or where Debian keeps it; the newest."""
    found = shutil.which(name)
    if found:
        return found
    kept = sorted(Path(_DEBIAN).glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if not kept:
        raise FileNotFoundError(f"{name} is not installed; on Debian and Ubuntu: apt-get install postgresql")
    return str(kept[-1])


def _make_data(folder: Path) -> None:
    if owner := _as_somebody():
        folder.chmod(0o711)
        data = folder / "data"
        data.mkdir(mode=0o700)
        shutil.chown(data, owner["user"])
    subprocess.run(
        [program("initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
         "--locale=C.UTF-8", "--no-sync"],
        stdout=subprocess.DEVNULL, check=True, cwd=folder, **_as_somebody(),
    )  # fmt: skip


def _as_somebody() -> dict[str, str]:
    """Name whom the server runs as, for it refuses root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    name = next(name for name in _NOBODY_IN_PARTICULAR if name in known)
    return {"user": name}


def main(command: Sequence[str]) -> int:
    """Run a command beside a server; both end, whichever way this does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with serving() as server:
        process = subprocess.Popen(command, env={**os.environ, POSTGRES: server.url})
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal told the command, too
            process.terminate()
            process.wait()
            return 130


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
