"""The metrics of a worker that runs alone, where Prometheus can fetch them: `/metrics` on an address of its own.

It counts this process and nothing else. What lies in the database is told by the receivers, so that it is not told
twice. Under `serve` the receiver tells it all, and no worker listens.
"""

import hmac
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from connector.errors import StagekeeperError
from connector.telemetry import Metrics, render_metrics

_SLOWEST_S = 10
_log = structlog.get_logger()


class MetricsAddressTaken(StagekeeperError):
    """The address of the worker's metrics cannot be listened on."""

    code = "address-taken"


@contextmanager
def exposed(
    metrics: Metrics, bind: str | None, *, tokens: Collection[str] = (),
    running: Callable[[], Iterable[tuple[str, str]]] = tuple,
) -> Iterator[int]:  # fmt: skip
    """Answer `/metrics` meanwhile, by one of the tokens where there are any; give the port, 0 without an address."""
    if bind is None:
        yield 0
        return
    host, _, port = bind.rpartition(":")
    try:
        server = ThreadingHTTPServer((host, int(port)), _answering(metrics, tokens, running))
    except OSError as error:
        cure = "end what listens there, or choose another address in `worker.metrics`"
        raise MetricsAddressTaken(f"{bind}: {error.strerror or error}; expected a free address; {cure}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    _log.info("metrics.exposed", bind=f"{host}:{server.server_port}")
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _answering(
    metrics: Metrics, tokens: Collection[str], running: Callable[[], Iterable[tuple[str, str]]]
) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        server_version = "stagekeeper"
        sys_version = ""
        timeout = _SLOWEST_S

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, b"Only /metrics is here.\n")
            elif tokens and not self._is_known():
                self._answer(401, b"Send the ops or the read token: Authorization: Bearer ...\n")
            else:
                self._answer(200, render_metrics(metrics, running=running()), kind="text/plain; version=0.0.4")

        def _is_known(self) -> bool:
            scheme, _, given = self.headers.get("Authorization", "").partition(" ")
            said = given.strip().encode("utf-8", "replace")
            found = [hmac.compare_digest(said, token.encode()) for token in tokens]  # all of them, in the same time
            return scheme.lower() == "bearer" and any(found)

        def _answer(self, status: int, body: bytes, *, kind: str = "text/plain") -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing of each scrape."""

    return Answering
