"""Faults on demand: what goes wrong, on which calls, how often; the same seed gives the same faults.

`timeout_after` and `reset_after` do the work and lose the answer: they are how it is proven that nothing is done twice.
"""

import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from connector.sandbox.limits import DAILY, SECONDLY, TEN_SECONDLY, limit_body
from connector.sandbox.refusals import JsonObject, Refusal, error_body, invalid

_HTML = b"<html><head><title>%s</title></head><body><center><h1>%s</h1></center><hr>nginx</body></html>"
_ANSWERS: dict[str, tuple[int, str, str]] = {
    "423": (423, "LOCKED", "The resource is locked by another operation; the lock is held for 2 seconds."),
    "500": (500, "INTERNAL_ERROR", "internal error"),
    "503": (503, "INTERNAL_ERROR", "Service temporarily unavailable"),
    "477": (477, "MIGRATION_IN_PROGRESS", "This account is being migrated to another data centre."),
    "401": (401, "INVALID_AUTHENTICATION", "Authentication credentials not found or revoked."),
    "400": (400, "VALIDATION_ERROR", "Invalid input"),
}
_LIMITS = {"429_ten_secondly": TEN_SECONDLY, "429_daily": DAILY, "429_secondly_search": SECONDLY}
ANSWERING = (*_ANSWERS, *_LIMITS, "502_html", "504", "403_missing_scope")
LOSING = ("reset", "timeout_before", "timeout_after", "reset_after", "garbage", "slow")
KINDS_OF_FAULT = (*ANSWERING, *LOSING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that goes wrong. `times` None: for ever."""

    id: int
    kind: str
    route: str = "*"
    method: str | None = None
    times: int | None = None
    probability: float = 1.0
    seconds: float = 30.0
    retry_after: str | None = None

    def as_json(self) -> JsonObject:
        """Spell it as the control API does."""
        return {name: getattr(self, name) for name in self.__slots__}

    def matches(self, method: str, path: str) -> bool:
        """Ask whether it is about this call."""
        if self.method is not None and self.method.upper() != method:
            return False
        return self.route == "*" or re.search(self.route, path) is not None

    def refusal(self) -> Refusal:
        """Make the answer of a fault that answers."""
        headers = {"Retry-After": self.retry_after} if self.retry_after is not None else {}
        if self.kind in _LIMITS:
            return Refusal(429, limit_body(_LIMITS[self.kind]), headers | _emptied(self.kind))
        if self.kind == "403_missing_scope":
            return missing_scope("crm.objects.contacts.write")
        if self.kind in ("502_html", "504"):
            title = b"502 Bad Gateway" if self.kind == "502_html" else b"504 Gateway Time-out"
            return Refusal(int(self.kind[:3]), _HTML % (title, title), headers)
        if self.kind == "477":
            headers.setdefault("Retry-After", "60")
        status, category, message = _ANSWERS[self.kind]
        return Refusal(status, error_body(category, message), headers)


class Faults:
    """The faults in force; the first that matches a call and is struck by its probability happens."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed + 3)  # noqa: S311 - play, which must repeat with the seed
        self._faults: list[Fault] = []
        self._next = 1
        self._lock = threading.Lock()
        self.struck: dict[str, int] = {}

    def add(
        self, kind: str, *, route: str = "*", method: str | None = None, times: int | None = None, **more: Any
    ) -> Fault:
        """Put a fault in force (also: probability, seconds, retry_after)."""
        if kind not in KINDS_OF_FAULT:
            raise invalid(f"There is no fault {kind!r}; there is: {', '.join(KINDS_OF_FAULT)}.")
        unknown = set(more) - {"probability", "seconds", "retry_after"}
        if unknown:
            raise invalid(f"A fault has no {', '.join(sorted(unknown))}.")
        try:
            re.compile("" if route == "*" else route)
        except re.error as error:
            raise invalid(f"The route {route!r} is no regular expression: {error}.") from error
        with self._lock:
            fault = Fault(id=self._next, kind=kind, route=route, method=method, times=times, **more)
            self._next += 1
            self._faults.append(fault)
        return fault

    def add_json(self, body: Mapping[str, Any]) -> Fault:
        """Put a fault in force that came as JSON."""
        known = {name: value for name, value in body.items() if name not in ("kind", "retry_after")}
        if body.get("retry_after") is not None:
            known["retry_after"] = str(body["retry_after"])
        return self.add(str(body.get("kind")), **known)

    def remove(self, fault_id: int) -> None:
        """Take a fault out of force."""
        with self._lock:
            self._faults = [fault for fault in self._faults if fault.id != fault_id]

    def clear(self) -> None:
        """Take all faults out of force."""
        with self._lock:
            self._faults = []

    def list(self) -> tuple[Fault, ...]:
        """List the faults in force."""
        return tuple(self._faults)

    def strike(self, method: str, path: str) -> Fault | None:
        """Give the fault that happens to this call, if one does, and use it up."""
        if not self._faults:
            return None
        with self._lock:
            for place, fault in enumerate(self._faults):
                if not fault.matches(method, path):
                    continue
                if fault.probability < 1.0 and self._random.random() >= fault.probability:
                    continue
                self._use_up(place, fault)
                self.struck[fault.kind] = self.struck.get(fault.kind, 0) + 1
                return fault
        return None

    def _use_up(self, place: int, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times <= 1:
            del self._faults[place]
        else:
            self._faults[place] = replace(fault, times=fault.times - 1)


def missing_scope(*scopes: str) -> Refusal:
    """Refuse with 403 and name the scopes that would be needed."""
    message = "This app hasn't been granted all required scopes to make this call."
    details = [
        {
            "message": "One or more of the following scopes are required.",
            "context": {"requiredGranularScopes": list(scopes)},
        }
    ]
    links = {"scopes": "https://developers.hubspot.com/scopes"}
    return Refusal(403, error_body("MISSING_SCOPES", message, errors=details, links=links))


def _emptied(kind: str) -> dict[str, str]:
    if kind == "429_ten_secondly":
        return {"X-HubSpot-RateLimit-Remaining": "0", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}
    return {"X-HubSpot-RateLimit-Daily-Remaining": "0"} if kind == "429_daily" else {}
