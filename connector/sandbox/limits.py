"""Rate limits: a rolling window of ten seconds, a day that ends at the account's midnight, searches per second.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

import threading
import uuid
from collections import deque
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from connector.moments import SECOND
from connector.sandbox.options import SandboxOptions
from connector.sandbox.refusals import JsonObject, Refusal

WINDOW = 10 * SECOND
# What the headers say when there is no limit.
PLENTY_PER_WINDOW, PLENTY_PER_DAY = 100_000, 100_000_000

TEN_SECONDLY, DAILY, SECONDLY = "TEN_SECONDLY_ROLLING", "DAILY", "SECONDLY"


class Limits:
    """Counts calls and refuses those that are too many; refused calls do not count."""

    def __init__(self, options: SandboxOptions) -> None:
        self.per_window = options.calls_per_10s
        self.per_day = options.calls_per_day
        self.searches = options.searches_per_second
        self._clock = options.clock
        # Machines without a time zone database still know UTC.
        self._zone: tzinfo = UTC if options.time_zone == "UTC" else ZoneInfo(options.time_zone)
        self._calls: deque[int] = deque()
        self._search_calls: deque[int] = deque()
        self._today = 0
        self._day = ""
        self._lock = threading.Lock()

    def take(self, *, search: bool, exempt: bool, granted: bool) -> dict[str, str]:
        """Count one call and give the headers that its answer carries; refuse with 429 when a limit is reached.

        Searches have a limit of their own and no headers; association batches are exempt from the window; calls with
        an OAuth token have no daily limit.
        """
        with self._lock:
            now = self._clock()
            self._roll(now)
            if not granted and self.per_day is not None and self._today >= self.per_day:
                raise Refusal(429, limit_body(DAILY), self._headers(granted))
            if search:
                self._take_search(now)
            elif not exempt and self.per_window is not None:
                if len(self._calls) >= self.per_window:
                    raise Refusal(429, limit_body(TEN_SECONDLY), self._headers(granted))
                self._calls.append(now)
            self._today += 1
            return {} if search else self._headers(granted)

    def _take_search(self, now: int) -> None:
        while self._search_calls and self._search_calls[0] <= now - SECOND:
            self._search_calls.popleft()
        if self.searches is not None:
            if len(self._search_calls) >= self.searches:
                raise Refusal(429, limit_body(SECONDLY))
            self._search_calls.append(now)

    def _roll(self, now: int) -> None:
        while self._calls and self._calls[0] <= now - WINDOW:
            self._calls.popleft()
        if self.per_day is None:
            return
        day = datetime.fromtimestamp(now / 1000, tz=UTC).astimezone(self._zone).date().isoformat()
        if day != self._day:
            self._day, self._today = day, 0

    def _headers(self, granted: bool) -> dict[str, str]:
        most = self.per_window if self.per_window is not None else PLENTY_PER_WINDOW
        headers = {
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(0, most - len(self._calls))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(WINDOW),
        }
        if not granted:
            daily = self.per_day if self.per_day is not None else PLENTY_PER_DAY
            headers["X-HubSpot-RateLimit-Daily"] = str(daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, daily - self._today))
        return headers


def limit_body(policy: str) -> JsonObject:
    """Make the body of a 429; that of searches has another shape than the two others."""
    if policy == SECONDLY:
        return {
            "status": "error", "message": "You have reached your secondly limit.",
            "correlationId": str(uuid.uuid4()), "category": "RATE_LIMITS",
        }  # fmt: skip
    body: JsonObject = {
        "status": "error", "message": f"You have reached your {policy.lower()} limit.", "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()), "policyName": policy, "requestId": uuid.uuid4().hex,
    }  # fmt: skip
    if policy == TEN_SECONDLY:
        body["groupName"] = "publicapi:private_app-api-calls-ten-secondly:sandbox"
    return body
