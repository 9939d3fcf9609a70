"""The processes of `stagekeeper serve`: the receiver under gunicorn, and the tree that keeps it and a worker alive."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import flask
import sqlalchemy as sa
import structlog
from gunicorn.app.base import BaseApplication

from connector import __version__
from connector.config import Config
from connector.errors import StagekeeperError
from connector.inbox import Inbox
from connector.moments import SECOND, system_clock
from connector.parts import PART_OF
from connector.portals import Portals
from connector.receiver import Check, ReceiverParts, create_app, gunicorn_options
from connector.services import checked_packs, portal_keys
from connector.store.engine import check_writing, clock_of, open_database
from connector.telemetry import MULTIPROCESS_FOLDER, InboxState, build_metrics, render_metrics
from connector.web.admission import make_admission
from connector.web.page import make_page

_WEBHOOK_WAIT_MS = 2 * SECOND  # then 503: HubSpot waits for five in all, and delivers again
_PROBE_WAIT_MS = SECOND
_GRACE_S = 8.0
_YOUNG_S = 3.0
_RESTART_S = 1.0
_log = structlog.get_logger()


def build_app(config: Config) -> flask.Flask:
    """Build the receiver's application with the web page; called in the process that serves."""
    packs = checked_packs(config)
    engine = open_database(config.database, migrate=False)
    clock = clock_of(engine)
    inbox = Inbox(engine, clock, last_attempt=config.worker.attempts)
    # Engines do not take turns with each other, so a webhook waits no longer than this, whatever the page is doing.
    hurried = open_database(config.database, migrate=False, busy_timeout_ms=_WEBHOOK_WAIT_MS)
    probing = open_database(config.database, migrate=False, busy_timeout_ms=_PROBE_WAIT_MS)
    troubles = Portals(engine, clock)
    metrics = build_metrics()
    for pack in {pack.hash: pack for pack in packs.values()}.values():
        metrics.build_info.labels(__version__, f"{pack.name}@{pack.hash[:12]}").set(1)
    token = config.server.ops_token
    admission = make_admission(config, system_clock)
    return create_app(
        ReceiverParts(
            keys=portal_keys(config.portals),
            inbox=Inbox(hurried, clock_of(hurried)),
            settle_ms=config.worker.settle,
            clock=system_clock,
            metrics=metrics,
            render_metrics=lambda: render_metrics(metrics, lambda: _inbox_state(inbox, troubles)),
            checks={"database": Probe(probing).check},
            ops_token=token.get_secret_value() if token else None,
            at_once=config.server.threads,
            may_look=admission.may_look,
            page=make_page(
                config=config, packs=packs, engine=engine, inbox=inbox, troubles=troubles,
                clock=clock, admission=admission,
            ),
        )
    )


def _inbox_state(inbox: Inbox, troubles: Portals) -> InboxState:
    counts = inbox.counts().values()
    oldest = min((count.oldest_since for count in counts if count.oldest_since is not None), default=None)
    return InboxState(
        pending=sum(count.pending for count in counts),
        oldest_seconds=0 if oldest is None else max(system_clock() - oldest, 0) / 1_000,
        dead_letters=sum(count.dead for count in counts),
        troubles={portal: trouble.code for portal, trouble in troubles.troubles().items()},
    )


class Probe:
    """Finds out whether the database takes anything; it is asked once a second at most, however many want to know."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._last = Check(ok=True)
        self._asked_at: int | None = None

    def check(self) -> Check:
        """Give the latest answer."""
        with self._lock:
            if self._asked_at is None or time.monotonic() * SECOND - self._asked_at > _PROBE_WAIT_MS:
                self._last = self._ask()
                self._asked_at = round(time.monotonic() * SECOND)
            return self._last

    def _ask(self) -> Check:
        try:
            check_writing(self._engine)
        except StagekeeperError as error:
            return Check(ok=False, hint=str(error))
        return Check(ok=True)


class AddressTaken(StagekeeperError):
    """The address of the receiver cannot be listened on."""

    code = "address-taken"


def check_address(bind: str) -> None:
    """Raise AddressTaken when nobody could listen there; gunicorn itself would try for ever."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            cure = "end what listens there, or choose another address in `server.bind`"
            raise AddressTaken(f"{bind}: {error.strerror or error}; expected a free address; {cure}") from error


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """Gunicorn with our application; one process with threads, as the work of a request is one transaction."""

    def __init__(self, config: Config) -> None:
        self._stagekeeper = config
        super().__init__()

    def load_config(self) -> None:
        server = self._stagekeeper.server
        for name, value in gunicorn_options(bind=server.bind).items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        return build_app(self._stagekeeper)


def run_receiver(config: Config) -> None:
    """Serve until told to stop."""
    _Server(config).run()


class Tree:
    """Starts the parts as processes of their own, starts anew what dies, stops all when told to."""

    def __init__(self, parts: Mapping[str, Sequence[str]]) -> None:
        self._parts = parts
        self._running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._stopping = threading.Event()

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until a part cannot even start; give the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with tempfile.TemporaryDirectory(prefix="stagekeeper-metrics-") as folder:
            environment = {**os.environ, MULTIPROCESS_FOLDER: folder, PART_OF: str(os.getpid())}
            for name in self._parts:
                self._start(name, environment)
            code = self._watch(environment)
            self._end()
        return code

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _start(self, name: str, environment: Mapping[str, str]) -> None:
        process = subprocess.Popen(self._parts[name], env=environment, start_new_session=True)
        self._running[name] = (process, time.monotonic())

    def _watch(self, environment: Mapping[str, str]) -> int:
        while not self._stopping.wait(0.2):
            for name, (process, started) in list(self._running.items()):
                code = process.poll()
                if code is None:
                    continue
                if time.monotonic() - started < _YOUNG_S and code > 0:
                    _log.error("serve.part_cannot_start", part=name, exit_code=code)
                    return code
                _log.error("serve.part_died", part=name, exit_code=code)
                self._stopping.wait(_RESTART_S)
                self._start(name, environment)
        return 0

    def _end(self) -> None:
        for process, _ in self._running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for process, _ in self._running.values():
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def part_command(config: Path, *arguments: str) -> list[str]:
    """Give the command line of one part."""
    return [sys.executable, "-m", "connector", "--config", str(config), *arguments]
