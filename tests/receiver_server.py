"""The receiver as gunicorn serves it, in a process of its own, and raw bytes to send to it."""

import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from connector.gate import PATIENCE_S
from tests.ports import free_port

SERVER = """
import sys
from pathlib import Path
from gunicorn.app.base import BaseApplication
from connector import gate, receiver
from connector.telemetry import configure_logging
from tests.receivers import make_parts

class Server(BaseApplication):
    def load_config(self):
        for name, value in receiver.gunicorn_options(bind=sys.argv[2]).items():
            self.cfg.set(name, value)
    def load(self):
        configure_logging("json", "info")
        return receiver.create_app(make_parts(Path(sys.argv[1]), busy_timeout_ms=4_000))

receiver.PATIENCE_S = gate.PATIENCE_S = float(sys.argv[3])
Server(prog="receiver").run()
"""


@contextlib.contextmanager
def serving(database: Path, *, files: int | None = None, patience_s: float = PATIENCE_S) -> Iterator[int]:
    """Serve on a free port until the end of the block; `files` bounds how many the process may open."""
    port = free_port()

    def bound() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    command = [sys.executable, "-c", SERVER, str(database), f"127.0.0.1:{port}", str(patience_s)]
    with (
        log_of(database).open("wb") as log,
        subprocess.Popen(command, stderr=log, preexec_fn=bound) as process,  # noqa: PLW1509 - a limit, nothing more
    ):
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            yield port
        finally:
            process.terminate()
        assert process.wait(30) == 0


def log_of(database: Path) -> Path:
    """Say where a server writes its log."""
    return database.with_suffix(".log")


def talk(port: int, *parts: bytes, until: bytes = b"") -> bytes:
    """Send raw bytes and read until the server closes, or `until` has come."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        for part in parts:
            link.sendall(part)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while not (until and until in answer) and (more := link.recv(65_536)):
                answer += more
    return answer


def head(headers: dict[str, str], **more: str) -> bytes:
    """Make the head of a webhook's request."""
    lines = {"Host": "hooks.example.com", "Connection": "close", **headers, **more}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /webhooks/hubspot HTTP/1.1\r\n{text}\r\n".encode()


def chunked(body: bytes, size: int = 10_000) -> Iterator[bytes]:
    """Cut a body into chunks."""
    for start in range(0, len(body), size):
        part = body[start : start + size]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"
