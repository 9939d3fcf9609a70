"""How fast webhooks are acknowledged: the receiver against the least that any receiver must do.

`python -m tests.bench.acks [--json]`. Both run under gunicorn with the same settings and are sent the same signed
batches of 100 events over real sockets. The bare one checks the signature and stores 100 rows in one durable
transaction, nothing more: no duplicates, no contacts, no malformed events, no metrics, no log. Measured twice: with
nobody else at work, and while a worker on the same machine and the same database places what comes in.
"""

import argparse
import base64
import contextlib
import hmac
import json
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import flask
import orjson
from gunicorn.app.base import BaseApplication

from connector.inbox import Inbox
from connector.moments import system_clock
from connector.receiver import ReceiverParts, create_app, gunicorn_options
from connector.store.engine import open_database
from connector.telemetry import build_metrics, configure_logging, render_metrics
from connector.webhook import PortalKey

SECRET = "bench-client-secret-0123456789abcdef"
URL = "https://hooks.example.com/webhooks/hubspot"
PORTAL = 4242
EVENTS = 100
PROPERTIES = ("sk_intent", "sk_need", "sk_engagement", "lifecyclestage")
TARGET = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Median rates in requests per second."""

    receiver: float
    bare: float
    ratio: float
    p50_ms: float
    p99_ms: float


# The two servers


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
        local.connection.execute("BEGIN IMMEDIATE")
        local.connection.executemany("INSERT INTO events (portal, body) VALUES (?, ?)", rows)
        local.connection.execute("COMMIT")
        return flask.Response(status=204)

    return app


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """Runs one of the two under the settings of the receiver."""

    def __init__(self, kind: str, *, database: Path, bind: str, threads: int) -> None:
        self._kind = kind
        self._database = database
        self._options = gunicorn_options(bind=bind) | ({"threads": threads} if kind == "bare" else {})
        super().__init__()

    def load_config(self) -> None:
        """Take the receiver's settings."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """Make the application, after the fork."""
        return {"receiver": real_app, "bare": bare_app}[self._kind](self._database)


# The clients


def sign(body: bytes, stamp: str) -> str:
    """Sign as HubSpot does."""
    source = b"POST" + URL.encode() + body + stamp.encode()
    return base64.b64encode(hmac.digest(SECRET.encode(), source, "sha256")).decode()


def make_requests(number: int, *, contacts: int, seed: int) -> list[bytes]:
    """Make whole HTTP requests, so that the client costs next to nothing while it is measured.

    A request is what a burst looks like: one write sets several properties of a contact, which gives as many events of
    the very same moment, and the writes of a batch follow each other within a tenth of a second.
    """
    chance = random.Random(seed)
    started = system_clock()
    return [_request(orjson.dumps(_burst(chance, started + 50 * at, contacts))) for at in range(number)]


def _burst(chance: random.Random, moment: int, contacts: int) -> list[dict[str, object]]:
    events = []
    for _ in range(EVENTS // len(PROPERTIES)):
        contact = 541_935_488_729 + chance.randrange(contacts)
        occurred_at = moment - chance.randrange(100)
        events += [_event(chance, contact, name, occurred_at) for name in PROPERTIES]
    chance.shuffle(events)
    return events


def _event(chance: random.Random, contact: int, name: str, occurred_at: int) -> dict[str, object]:
    return {
        "eventId": chance.getrandbits(32), "subscriptionId": 7562680, "portalId": PORTAL, "appId": 50780459,
        "occurredAt": occurred_at, "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0, "objectId": contact, "propertyName": name,
        "propertyValue": "interested", "changeSource": "CRM_UI", "sourceId": "userId:98499705",
    }  # fmt: skip


def _request(body: bytes) -> bytes:
    stamp = str(system_clock())
    head = (
        "POST /webhooks/hubspot HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-HubSpot-Signature-v3: {sign(body, stamp)}\r\n"
        f"X-HubSpot-Request-Timestamp: {stamp}\r\n\r\n"
    )
    return head.encode() + body


def post_all(port: int, requests: list[bytes], *, connections: int) -> tuple[float, list[float]]:
    """Post every request once over so many connections; give the rate and the times that each took."""
    took: list[float] = []
    turn = count()

    def post() -> None:
        with socket.create_connection(("127.0.0.1", port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (at := next(turn)) < len(requests):
                began = time.perf_counter()
                link.sendall(requests[at])
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += link.recv(4_096) or b"closed\r\n\r\n"
                if not answer.startswith(b"HTTP/1.1 204"):
                    print(f"expected 204, got {answer[:300]!r}", file=sys.stderr)
                    return
                took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=post) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(took) < len(requests):
        raise SystemExit(f"{len(requests) - len(took)} requests were not answered 204")
    return len(took) / (time.perf_counter() - began), took


@contextlib.contextmanager
def running(kind: str, folder: Path, *, threads: int) -> Iterator[int]:
    """Run a server in its own process and give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.bench.acks", "--serve", kind, "--database", str(folder / f"{kind}.db"),
               "--bind", f"127.0.0.1:{port}", "--threads", str(threads)]  # fmt: skip
    with (folder / f"{kind}.log").open("ab") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            _await(port)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _await(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            if link.recv(12).startswith(b"HTTP/1.1"):
                return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def place_for_ever(database: Path) -> None:
    """Do what a worker does before each claim."""
    inbox = Inbox(open_database(f"sqlite:///{database}"), system_clock)
    while True:
        if inbox.claim(lease_ms=60_000) is None:
            time.sleep(0.05)


@contextlib.contextmanager
def placing(folder: Path) -> Iterator[None]:
    """Run a process that places what the receiver stores."""
    command = [sys.executable, "-m", "tests.bench.acks", "--serve", "worker", "--database", str(folder / "receiver.db")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def measure(*, rounds: int, number: int, connections: int, threads: int, contacts: int, busy: bool) -> Outcome:
    """Post to the two in turn, so that a busy machine is equally busy for both."""
    rates: dict[str, list[float]] = {"receiver": [], "bare": []}
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ports = {kind: stack.enter_context(running(kind, Path(folder), threads=threads)) for kind in rates}
        if busy:
            stack.enter_context(placing(Path(folder)))
        for turn in range(rounds + 1):
            requests = make_requests(number, contacts=contacts, seed=turn)
            for kind, port in ports.items():
                rate, times = post_all(port, requests, connections=connections)
                if turn:  # the first round warms up
                    rates[kind].append(rate)
                    took += times if kind == "receiver" else []
    medians = {kind: statistics.median(found) for kind, found in rates.items()}
    ratio = statistics.median(ours / bare for ours, bare in zip(rates["receiver"], rates["bare"], strict=True))
    centiles = statistics.quantiles(took, n=100)
    return Outcome(
        receiver=medians["receiver"],
        bare=medians["bare"],
        ratio=ratio,
        p50_ms=centiles[49] * 1_000,
        p99_ms=centiles[98] * 1_000,
    )


def main() -> None:
    """Measure and print, or serve when told to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400, help="per round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--contacts", type=int, default=2_000)
    parser.add_argument("--serve", choices=("receiver", "bare", "worker"), help=argparse.SUPPRESS)
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--bind", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve == "worker":
        place_for_ever(asked.database)
    if asked.serve:
        Server(asked.serve, database=asked.database, bind=asked.bind, threads=asked.threads).run()
        return
    outcomes = {
        name: measure(
            rounds=asked.rounds, number=asked.requests, connections=asked.connections, threads=asked.threads,
            contacts=asked.contacts, busy=busy,
        )
        for name, busy in (("idle", False), ("a worker is placing", True))
    }  # fmt: skip
    if asked.json:
        print(json.dumps({name: asdict(outcome) for name, outcome in outcomes.items()}))
    else:
        print("\n\n".join(_table(name, outcome) for name, outcome in outcomes.items()))


def _table(name: str, outcome: Outcome) -> str:
    return "\n".join((
        name,
        f"{'server':<10}{'requests/s':>12}{'events/s':>12}",
        f"{'receiver':<10}{outcome.receiver:>12.0f}{outcome.receiver * EVENTS:>12.0f}",
        f"{'bare':<10}{outcome.bare:>12.0f}{outcome.bare * EVENTS:>12.0f}",
        f"ratio {outcome.ratio:.2f}, at least {TARGET} wanted",
        f"receiver: p50 {outcome.p50_ms:.1f} ms, p99 {outcome.p99_ms:.1f} ms",
    ))  # fmt: skip


if __name__ == "__main__":
    main()
