"""Webhook delivery as HubSpot does it: batches of at most 100, at least once while retries last, in no order.

At most ten requests are in flight. Anything but a 2xx within the time-out is a failure, and each of its events comes
back by itself, later, in some other batch, with a higher attemptNumber and a new signature; after ten retries it is
given up.
"""

import heapq
import http.client
import random
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from connector.sandbox.options import SandboxOptions
from connector.sandbox.refusals import JsonObject
from connector.sandbox.signing import signed_headers

LARGEST_BATCH = 100
MOST_IN_FLIGHT = 10
MOST_RETRIES = 10
_LONGEST_LOG = 10_000
_FAR_AWAY_S = 3600.0


class Waiting(NamedTuple):
    """An event that waits for its next attempt; heaps order by the first two."""

    due: float
    number: int
    event: JsonObject
    attempt: int


class Request(NamedTuple):
    """One delivered or failed POST, for the log; status 0 means that there was no answer."""

    moment: int
    status: int
    events: int
    highest_attempt: int


class Webhooks:
    """Sends events to one target; `emit` may be called before `start` and from any thread."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self.webhook_url = options.webhook_url
        self.deliver_to = options.deliver_to
        self.shuffle = options.shuffle
        self.double_rate = options.double_rate
        self.drop_rate = options.drop_rate
        self.events: deque[JsonObject] = deque(maxlen=_LONGEST_LOG)
        self.requests: deque[Request] = deque(maxlen=_LONGEST_LOG)
        self.emitted = self.delivered = self.given_up = self.dropped = self.doubled = self.failed_requests = 0
        self._fresh: deque[Waiting] = deque()
        self._later: list[Waiting] = []
        self._busy = 0
        self._in_flight = 0
        self._number = 0
        self._paused = False
        self._stopping = False
        self._changed = threading.Condition()
        self._random = random.Random(options.seed + 1)  # noqa: S311 - play, which must repeat with the seed
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._senders: ThreadPoolExecutor | None = None
        self._dispatcher: threading.Thread | None = None

    @property
    def pending(self) -> int:
        """Count the events that wait, wait for a retry, or are on their way."""
        with self._changed:
            return self._pending()

    def start(self) -> None:
        """Start delivering."""
        self._senders = ThreadPoolExecutor(MOST_IN_FLIGHT, thread_name_prefix="sandbox-webhook")
        self._dispatcher = threading.Thread(target=self._dispatch, name="sandbox-dispatcher", daemon=True)
        self._dispatcher.start()

    def stop(self) -> None:
        """Stop delivering; what is pending is lost."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._dispatcher and self._senders:
            self._dispatcher.join()
            self._senders.shutdown(wait=True, cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def retarget(self, webhook_url: str | None, deliver_to: str | None = None) -> None:
        """Send to another address from now on."""
        with self._changed:
            self.webhook_url, self.deliver_to = webhook_url, deliver_to

    def pause(self) -> None:
        """Hold everything back until `resume`."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Go on delivering."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def emit(self, events: Iterable[JsonObject]) -> None:
        """Take in new events; some are lost, some doubled, as the options say."""
        with self._changed:
            for event in events:
                self.emitted += 1
                self.events.append(event)
                if self.webhook_url is None:
                    continue
                if self.drop_rate and self._random.random() < self.drop_rate:
                    self.dropped += 1
                    continue
                self._enqueue(event)
                if self.double_rate and self._random.random() < self.double_rate:
                    self.doubled += 1
                    self._enqueue(event)
            self._changed.notify_all()

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until nothing is pending any more; False when the time is over first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._pending() == 0, timeout_s)

    def counts(self) -> dict[str, int]:
        """Give all counters at once."""
        with self._changed:
            return {
                "emitted": self.emitted, "delivered": self.delivered, "pending": self._pending(),
                "given_up": self.given_up, "dropped": self.dropped, "doubled": self.doubled,
                "failed_requests": self.failed_requests,
            }  # fmt: skip

    def _pending(self) -> int:
        return len(self._fresh) + len(self._later) + self._busy

    def _enqueue(self, event: JsonObject) -> None:
        self._number += 1
        due = time.monotonic() + self._options.batch_window_ms / 1000
        self._fresh.append(Waiting(due, self._number, event, 0))

    def _dispatch(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and not self._may_send():
                    self._changed.wait(self._idle_s())
                if self._stopping:
                    return
                batch = self._next_batch()
                self._busy += len(batch)
                self._in_flight += 1
            if self._senders:
                self._senders.submit(self._send, batch)

    def _may_send(self) -> bool:
        if self._in_flight >= MOST_IN_FLIGHT or self._paused:
            return False
        now = time.monotonic()
        if len(self._fresh) >= LARGEST_BATCH:
            return True
        return bool(self._fresh and self._fresh[0].due <= now) or bool(self._later and self._later[0].due <= now)

    def _idle_s(self) -> float:
        if self._in_flight >= MOST_IN_FLIGHT or self._paused:
            return _FAR_AWAY_S
        first = min((queue[0].due for queue in (self._fresh, self._later) if queue), default=None)
        return _FAR_AWAY_S if first is None else max(0.0, first - time.monotonic())

    def _next_batch(self) -> list[Waiting]:
        now = time.monotonic()
        batch: list[Waiting] = []
        while self._later and self._later[0].due <= now and len(batch) < LARGEST_BATCH:
            batch.append(heapq.heappop(self._later))
        if self.shuffle:
            self._mix()
        while self._fresh and len(batch) < LARGEST_BATCH:
            batch.append(self._fresh.popleft())
        if self.shuffle:
            self._random.shuffle(batch)
        return batch

    def _mix(self) -> None:
        """Mix the next few batches, so that order is lost between requests too."""
        heads = [self._fresh.popleft() for _ in range(min(len(self._fresh), 3 * LARGEST_BATCH))]
        self._random.shuffle(heads)
        self._fresh.extendleft(heads)

    def _send(self, batch: list[Waiting]) -> None:
        body = orjson.dumps([{**one.event, "attemptNumber": one.attempt} for one in batch])
        status = self._post(body)
        with self._changed:
            self._busy -= len(batch)
            self._in_flight -= 1
            highest = max(one.attempt for one in batch)
            self.requests.append(Request(self._options.clock(), status, len(batch), highest))
            if 200 <= status < 300:
                self.delivered += len(batch)
            else:
                self.failed_requests += 1
                self._retry_later(batch)
            self._changed.notify_all()

    def _retry_later(self, batch: list[Waiting]) -> None:
        for one in batch:
            if one.attempt >= MOST_RETRIES:
                self.given_up += 1
                continue
            delay = self._options.retry_delay_ms / 1000 * (one.attempt + 1) * self._random.uniform(0.5, 1.5)
            heapq.heappush(self._later, one._replace(due=time.monotonic() + delay, attempt=one.attempt + 1))

    def _post(self, body: bytes) -> int:
        url = self.webhook_url
        if url is None:
            return 0
        target = self.deliver_to or url
        connection = self._connection(target)
        parts = urlsplit(target if self.deliver_to and urlsplit(target).path not in ("", "/") else url)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        headers = signed_headers(self._options.client_secret, url, body, self._options.clock())
        # A receiver may close an idle connection at any time; only a fresh one that fails tells of trouble.
        for _ in range(1 if connection.sock is None else 2):
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                answer.read()
            except (ConnectionError, http.client.HTTPException):
                connection.close()
            except OSError:
                connection.close()
                return 0
            else:
                return answer.status
        return 0

    def _connection(self, target: str) -> http.client.HTTPConnection:
        """Give this thread's connection to the target; it stays open between requests."""
        parts = urlsplit(target)
        key = (parts.scheme, parts.netloc)
        if getattr(self._local, "key", None) != key:
            make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = make(parts.hostname or "", parts.port, timeout=self._options.response_timeout_ms / 1000)
            self._local.key, self._local.connection = key, connection
            with self._changed:
                self._connections.append(connection)
        found: http.client.HTTPConnection = self._local.connection
        return found
