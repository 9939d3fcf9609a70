"""What the sandbox's tests call it with, and what receives its webhooks: plain sockets, no HubSpot client."""

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from connector.sandbox import Sandbox, SandboxOptions

NOW = 1_790_000_000_000


class Heard(NamedTuple):
    """An answer of the sandbox."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Api:
    """Calls one sandbox over one connection that stays open."""

    def __init__(self, sandbox: Sandbox, *, token: str | None = None) -> None:
        self.sandbox = sandbox
        parts = urlsplit(sandbox.address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        bearer = f"Bearer {token or sandbox.options.access_token}"
        self.headers = {"Authorization": bearer, "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: object = None) -> Heard:
        return self.raw(method, path, b"" if body is None else orjson.dumps(body))

    def raw(self, method: str, path: str, body: bytes) -> Heard:
        """Send bytes as they are."""
        try:
            self._connection.request(method, path, body, self.headers)
            answer = self._connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        try:
            shown = orjson.loads(data) if is_json else data
        except orjson.JSONDecodeError:
            shown = data
        return Heard(answer.status, shown, {name.lower(): value for name, value in answer.headers.items()})

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@contextmanager
def calling(**options: Any) -> Iterator[tuple[Sandbox, Api]]:
    """Run a sandbox on a free port, with a caller."""
    with Sandbox(SandboxOptions(port=0, **options)) as sandbox:
        api = Api(sandbox)
        try:
            yield sandbox, api
        finally:
            api.close()


class Received(NamedTuple):
    """A webhook as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """Read the events."""
        events: list[dict[str, Any]] = orjson.loads(self.body)
        return events


@dataclass
class Receiver:
    """Receives webhooks; `statuses` are answered first, then 204 for ever. Status 0: no answer at all."""

    statuses: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    address: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Give all events received so far."""
        return [event for one in self.received for event in one.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Give the events of one subscription type."""
        return [event for event in self.events if event["subscriptionType"] == kind]


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    """Run a receiver of webhooks on a free port."""
    receiver = Receiver(list(statuses))

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            if not status:
                receiver.released.wait(5)
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    receiver.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Ticking:
    """A clock that a test moves by hand."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now
