"""What takes webhooks in the benches: Stagekeeper's receiver, and receivers that are measured beside it.

The bare one checks the signature and stores 100 rows in one durable transaction, nothing more: no duplicates, no
contacts, no malformed events, no metrics, no log. The one after the pattern of HubSpot's sample application inserts and
commits each event by itself. Node-RED takes a request and answers it, without looking at the signature or storing.

`python -m tests.bench.receivers KIND SERVER DATABASE PORT THREADS` is one of them, in a process of its own.
"""

import contextlib
import hmac
import importlib.util
import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
import orjson
from gunicorn.app.base import BaseApplication

from connector.inbox import Inbox
from connector.moments import system_clock
from connector.receiver import ReceiverParts, create_app, gunicorn_options
from connector.store.engine import open_database
from connector.telemetry import build_metrics, configure_logging, render_metrics
from connector.webhook import PortalKey
from tests.bench import nodered
from tests.bench.posting import PORTAL, SECRET, URL, sign
from tests.ports import free_port
from tests.running import get, wait_until

SERVERS = ("gunicorn", "granian", "waitress", "cheroot")
_KIND, _DATABASE = "STAGEKEEPER_BENCH_KIND", "STAGEKEEPER_BENCH_DATABASE"


@dataclass(frozen=True, slots=True)
class Running:
    """A receiver in a process of its own."""

    port: int
    pid: int


def real_app(database: Path) -> flask.Flask:
    """Make the receiver as it is shipped."""
    configure_logging("json", "info")
    inbox = Inbox(open_database(f"sqlite:///{database}"), system_clock)
    metrics = build_metrics()
    parts = ReceiverParts(
        keys=(PortalKey(portal=PORTAL, secrets=(SECRET,), webhook_url=URL),),
        inbox=inbox,
        settle_ms=2_000,
        clock=system_clock,
        metrics=metrics,
        render_metrics=lambda: render_metrics(metrics, inbox.state),
        checks={},
    )
    return create_app(parts)


def bare_app(database: Path) -> flask.Flask:
    """Make the least that a receiver can be: signature, parse, one durable transaction."""
    return _plain_app(database, commit_each=False)


def sample_app(database: Path) -> flask.Flask:
    """Make one that stores event by event: https://github.com/HubSpot/hubspot-webhooks-sample-app does."""
    return _plain_app(database, commit_each=True)


def _plain_app(database: Path, *, commit_each: bool) -> flask.Flask:
    app = flask.Flask("bare")
    local = threading.local()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(database, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    with contextlib.closing(connect()) as first:
        first.execute("CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, portal INTEGER, body TEXT)")

    @app.post("/webhooks/hubspot")
    def take() -> flask.Response:
        body = flask.request.get_data()
        stamp = flask.request.headers["X-HubSpot-Request-Timestamp"]
        expected = sign(body, stamp)
        if not hmac.compare_digest(expected, flask.request.headers["X-HubSpot-Signature-v3"]):
            return flask.Response(status=401)
        rows = [(event["portalId"], orjson.dumps(event).decode()) for event in orjson.loads(body)]
        if not hasattr(local, "connection"):
            local.connection = connect()
        for part in ([row] for row in rows) if commit_each else (rows,):
            local.connection.execute("BEGIN IMMEDIATE")
            local.connection.executemany("INSERT INTO events (portal, body) VALUES (?, ?)", part)
            local.connection.execute("COMMIT")
        return flask.Response(status=204)

    return app


APPS: Mapping[str, Callable[[Path], flask.Flask]] = {"receiver": real_app, "bare": bare_app, "sample": sample_app}


# The servers


class Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """Runs one of them under the settings of the receiver."""

    def __init__(self, kind: str, database: Path, port: int, threads: int) -> None:
        self._make = lambda: APPS[kind](database)
        options = gunicorn_options(bind=f"127.0.0.1:{port}")
        # Ours needs a thread for each connection that is being read, and bounds what is worked on by itself.
        self._options = options if kind == "receiver" else {**options, "threads": threads}
        super().__init__()

    def load_config(self) -> None:
        """Take the receiver's settings."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """Make the application, after the fork."""
        return self._make()


def from_environment() -> flask.Flask:
    """Make the application in a process that granian has started."""
    return APPS[os.environ[_KIND]](Path(os.environ[_DATABASE]))


def serve(kind: str, server: str, database: Path, port: int, threads: int) -> None:
    """Serve until told to stop."""
    if server == "gunicorn":
        Gunicorn(kind, database, port, threads).run()
    elif server == "granian":
        _serve_granian(kind, database, port, threads)
    elif server == "waitress":
        import waitress  # noqa: PLC0415 - only for this comparison

        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        waitress.serve(APPS[kind](database), host="127.0.0.1", port=port, threads=threads, _quiet=True)
    else:
        from cheroot import wsgi  # noqa: PLC0415 - only for this comparison

        wsgi.Server(("127.0.0.1", port), APPS[kind](database), numthreads=threads, max=threads).start()


def _serve_granian(kind: str, database: Path, port: int, threads: int) -> None:
    import granian  # noqa: PLC0415 - only for this comparison

    os.environ |= {_KIND: kind, _DATABASE: str(database)}
    options: dict[str, Any] = {"workers": 1, "blocking_threads": threads, "factory": True, "log_enabled": False}
    target = "tests.bench.receivers:from_environment"
    granian.Granian(target, address="127.0.0.1", port=port, interface="wsgi", **options).serve()


def has(server: str) -> bool:
    """Ask whether a server is installed."""
    return importlib.util.find_spec(server) is not None


@contextlib.contextmanager
def running(kind: str, folder: Path, *, threads: int = 8, server: str = "gunicorn") -> Iterator[Running]:
    """Run a receiver in its own process."""
    port = free_port()
    if kind == "Node-RED":
        command = nodered.command(folder / "node-red", port)
    else:
        module = [sys.executable, "-m", "tests.bench.receivers"]
        command = [*module, kind, server, str(folder / f"{kind}-{server}.db"), str(port), str(threads)]
    with (folder / f"{kind}-{server}.log").open("ab") as log, subprocess.Popen(
        command, stdout=log, stderr=log
    ) as process:
        try:
            wait_until(lambda: _answers(port) or process.poll() is not None, what=f"the start of {kind}")
            if process.poll() is not None:
                raise SystemExit(f"{kind} under {server} could not start: {_tail(log.name)}")
            yield Running(port, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _tail(log: str) -> str:
    return Path(log).read_text("utf-8", "replace")[-500:]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return get(f"http://127.0.0.1:{port}/livez").status > 0
    return False


# The worker beside them


def place_for_ever(database: Path) -> None:
    """Do what a worker does before each claim."""
    inbox, pause = Inbox(open_database(f"sqlite:///{database}"), system_clock), threading.Event()
    while True:
        if inbox.claim(lease_ms=60_000) is None:
            pause.wait(0.05)


@contextlib.contextmanager
def placing(folder: Path, *, server: str = "gunicorn") -> Iterator[None]:
    """Run a process that places what the receiver stores."""
    database = folder / f"receiver-{server}.db"
    command = [sys.executable, "-m", "tests.bench.receivers", "worker", server, str(database), "0", "0"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def main(kind: str, server: str, database: str, port: str, threads: str) -> None:
    """Be one of them."""
    if kind == "worker":
        place_for_ever(Path(database))
    serve(kind, server, Path(database), int(port), int(threads))


if __name__ == "__main__":
    main(*sys.argv[1:6])
