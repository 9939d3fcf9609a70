"""The postman between the practice HubSpot and the receiver: loses answers, brings copies late, and keeps the book.

What is in the book is the ground truth of the promise that no event is acknowledged and lost: an event counts as
acknowledged as soon as the receiver has answered 204 to any delivery of it, whether HubSpot came to know of it or not.
"""

import hashlib
import heapq
import http.client
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from connector.sandbox.webhooks import MOST_RETRIES

_NOT_THE_CHANGE = ("attemptNumber", "subscriptionId")
_TIMEOUT_S = 4.9
_AWAY_S = 1.5  # a machine that is gone is not noticed at once; without it what fails would be tried in a tight loop
_LATER_S = 4.0
_PASSED_ON = ("content-type", "x-hubspot-signature", "x-hubspot-signature-version", "x-hubspot-signature-v3",
              "x-hubspot-request-timestamp")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Manners:
    """How the postman behaves, as shares of requests."""

    loses_answer: float = 0.0
    """The receiver's answer never reaches HubSpot, which delivers again."""
    refuses: float = 0.0
    """The receiver never sees the request; HubSpot delivers later."""
    copies: float = 0.0
    """The same request is brought once more, as it was, some seconds later."""
    copy_after_s: float = 10.0


def digest(event: Mapping[str, Any]) -> str:
    """Name an event by all that tells it from others: not by what only tells deliveries apart."""
    change = {name: value for name, value in event.items() if name not in _NOT_THE_CHANGE}
    return hashlib.blake2b(orjson.dumps(change, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


class Postman:
    """Passes requests on to the receiver."""

    def __init__(self, receivers: Sequence[tuple[str, int]], path: str, manners: Manners, seed: int) -> None:
        self._receivers = list(receivers)
        self._path = path
        self._manners = manners
        self._dice = random.Random(f"postman:{seed}")
        self._lock = threading.Lock()
        self._acknowledged: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._copies: list[tuple[float, int, dict[str, str], bytes]] = []
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Take requests, and bring the copies, in threads of their own."""
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="postman", daemon=True).start()
        threading.Thread(target=self._bring_copies, name="postman-copies", daemon=True).start()

    def stop(self) -> None:
        """Take no more requests."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def book(self) -> dict[str, Any]:
        """Give what has been done so far."""
        with self._lock:
            counts = {**self._counts, "copies_under_way": len(self._copies)}
            return {"counts": counts, "acknowledged": sorted(self._acknowledged)}

    def mend(self) -> None:
        """Behave well from now on."""
        with self._lock:
            self._manners = Manners()

    def deliver(self, headers: Mapping[str, str], body: bytes) -> int:
        """Deliver a request of HubSpot and give the answer that HubSpot sees; 0 is none at all."""
        with self._lock:
            refused, lost, copied = (
                self._dice.random() < share
                for share in (self._manners.refuses, self._manners.loses_answer, self._manners.copies)
            )
            if copied:
                due = time.monotonic() + self._dice.uniform(0.2, 1.0) * self._manners.copy_after_s
                heapq.heappush(self._copies, (due, next(self._numbers), dict(headers), body))
        if refused:
            self._count({"refused": 1})
            self._keep_last(headers, body)
            return 503
        status = self._pass_on(headers, body)
        if status != 204:
            self._keep_last(headers, body)
        if lost and status == 204:
            self._count({"answers_lost": 1})
            return 0
        return status

    def _keep_last(self, headers: Mapping[str, str], body: bytes) -> None:
        """Keep what the practice HubSpot is about to give up after minutes, for the real one tries on for a day."""
        if any(event["attemptNumber"] >= MOST_RETRIES - 1 for event in orjson.loads(body)):
            self._count({"kept_for_a_day": 1})
            with self._lock:
                heapq.heappush(self._copies, (time.monotonic() + _LATER_S, next(self._numbers), dict(headers), body))

    def _pass_on(self, headers: Mapping[str, str], body: bytes) -> int:
        with self._lock:  # as a load balancer does that knows of no one's health
            host, port = self._dice.choice(self._receivers)
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", self._path, body, dict(headers))
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            status = 0
            self._stopping.wait(_AWAY_S)
        finally:
            connection.close()
        events = orjson.loads(body)
        if status == 204:
            self._acknowledge(events)
        self._count({f"answer_{status}": 1, "events_carried": len(events)})
        return status

    def _acknowledge(self, events: Iterable[Mapping[str, Any]]) -> None:
        names = [digest(event) for event in events]
        with self._lock:
            self._acknowledged.update(names)

    def _count(self, more: Mapping[str, int]) -> None:
        with self._lock:
            self._counts.update(more)

    def _bring_copies(self) -> None:
        while not self._stopping.wait(0.1):
            due: list[tuple[float, int, dict[str, str], bytes]] = []
            with self._lock:
                while self._copies and self._copies[0][0] <= time.monotonic():
                    due.append(heapq.heappop(self._copies))
            for _, _, headers, body in due:
                self._count({"copies_brought": 1})
                if self._pass_on(headers, body) != 204:
                    self._keep_last(headers, body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, postman: Postman) -> None:
        self.postman = postman
        super().__init__(("127.0.0.1", 0), _Request)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/mend":
            self.server.postman.mend()
            self._answer(204)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() in _PASSED_ON}
        status = self.server.postman.deliver(headers, body)
        if status == 0:
            self.close_connection = True
            return
        self._answer(status)

    def do_GET(self) -> None:
        self._answer(200, orjson.dumps(self.server.postman.book()))

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing; the book says it all."""
