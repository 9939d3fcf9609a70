"""What was called: counts per method, route and status, and a bounded log of the latest calls."""

import threading
from collections import Counter, deque
from typing import NamedTuple

from connector.sandbox.refusals import JsonObject

_LONGEST_LOG = 10_000


class LoggedCall(NamedTuple):
    """One call as it was answered; status 0 means that the connection was cut or left hanging."""

    moment: int
    method: str
    path: str
    route: str
    status: int
    inputs: int


class CallLog:
    """Counts calls. Routes are named without their version: `/crm/objects/contacts/batch/read`."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.log: deque[LoggedCall] = deque(maxlen=_LONGEST_LOG)
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """Count all calls."""
        with self._lock:
            return self.counts.total()

    def add(self, call: LoggedCall) -> None:
        """Note one call."""
        with self._lock:
            self.counts[call.method, call.route, call.status] += 1
            self.log.append(call)

    def count(self, method: str | None = None, route: str | None = None, status: int | None = None) -> int:
        """Count the calls of a method, a route or a status; what is left out may be anything."""
        wanted = (method, route, status)
        with self._lock:
            return sum(
                number
                for key, number in self.counts.items()
                if all(want is None or want == have for want, have in zip(wanted, key, strict=True))
            )

    def reset(self) -> None:
        """Start counting anew."""
        with self._lock:
            self.counts.clear()
            self.log.clear()

    def as_json(self) -> list[JsonObject]:
        """List the counts, the most frequent first."""
        with self._lock:
            return [
                {"method": method, "route": route, "status": status, "count": number}
                for (method, route, status), number in self.counts.most_common()
            ]
