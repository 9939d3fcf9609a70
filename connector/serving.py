"""The receiver of `stagekeeper serve`: the application with the web page, under gunicorn."""

import contextlib
import http.client
import socket
import threading
import time

import flask
import sqlalchemy as sa
from gunicorn.app.base import BaseApplication

from connector.config import Config
from connector.driving.choice import bell_for
from connector.errors import DatabaseUnavailable, StagekeeperError
from connector.gauges import Gauges
from connector.inbox import Inbox
from connector.moments import SECOND, system_clock
from connector.portals import Portals
from connector.receiver import Check, ReceiverParts, create_app, gunicorn_options
from connector.reloading import LivePacks
from connector.services import limits_of, portal_keys, what_runs
from connector.store.engine import check_writing, clock_of, open_database, reading
from connector.summons import Summons
from connector.telemetry import build_metrics, render_metrics, start_refusals_at_zero
from connector.tracing import start_tracing
from connector.tree import check_room
from connector.web.admission import make_admission
from connector.web.page import make_page

_WEBHOOK_WAIT_MS = 2 * SECOND  # then 503: HubSpot waits for five in all, and delivers again
_PROBE_WAIT_MS = SECOND


def build_app(config: Config) -> flask.Flask:
    """Build the receiver's application with the web page; called in the process that serves."""
    metrics = build_metrics()
    start_refusals_at_zero(metrics)
    start_tracing("receiver")  # here, for what a fork leaves behind sends nothing
    packs = LivePacks(config, metrics)
    packs.follow(Summons())
    engine = open_database(config.database, migrate=False)
    clock = clock_of(engine)
    inbox = Inbox(engine, clock, last_attempt=config.worker.attempts, told=metrics.count_placed)
    # Engines do not take turns with each other, so a webhook waits no longer than this, whatever the page is doing.
    hurried = open_database(config.database, migrate=False, busy_timeout_ms=_WEBHOOK_WAIT_MS)
    bell = bell_for(engine, config.worker.driver)
    with contextlib.suppress(DatabaseUnavailable), reading(hurried):
        pass  # it asks for the time, so that also what comes first is due by the database's clock
    probing = open_database(config.database, migrate=False, busy_timeout_ms=_PROBE_WAIT_MS)
    troubles = Portals(engine, clock)
    gauges = Gauges(
        engine=engine, inbox=inbox, troubles=troubles, limits={one.id: limits_of(one) for one in config.portals},
        reconcile_every_ms=config.worker.reconcile_every, clock=clock,
    )  # fmt: skip
    token = config.server.ops_token
    admission = make_admission(config, system_clock)
    return create_app(
        ReceiverParts(
            keys=portal_keys(config.portals),
            inbox=Inbox(hurried, clock_of(hurried), ring=bell.ring if bell else None),
            settle_ms=config.worker.settle,
            clock=system_clock,
            metrics=metrics,
            render_metrics=lambda: render_metrics(metrics, gauges.read, running=what_runs(packs.values())),
            checks={"database": Probe(probing).check},
            ops_token=token.get_secret_value() if token else None,
            at_once=config.server.threads,
            may_look=admission.may_look,
            page=make_page(
                config=config, packs=packs, engine=engine, inbox=inbox, troubles=troubles,
                clock=clock, admission=admission, metrics=metrics,
            ),
        )
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


def is_answering(bind: str) -> bool:
    """Ask whether a receiver answers there."""
    host, _, port = bind.rpartition(":")
    here = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 - what is listened on
    connection = http.client.HTTPConnection(here, int(port), timeout=_PROBE_WAIT_MS / SECOND)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


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
    check_room()
    _Server(config).run()
