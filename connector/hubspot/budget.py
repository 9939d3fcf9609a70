"""The call budget of a portal, in a store that every worker of the portal shares.

Each call asks for its turn before it goes out, one short transaction; what HubSpot's headers said is carried into the
next one instead of costing its own.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from connector.hubspot import allowance
from connector.hubspot.allowance import BudgetState, Limits
from connector.hubspot.failure import failure_of
from connector.hubspot.meaning import Meaning
from connector.hubspot.paths import CallKind
from connector.moments import HOUR, Clock

__all__ = ["BudgetState", "BudgetStore", "CallBudget", "Limits", "MemoryBudgetStore"]

T = TypeVar("T")

_LONGEST_TURN_MS = 60_000


class BudgetStore(Protocol):
    """Keeps one `BudgetState` per portal."""

    def change(self, portal: int, update: Callable[[BudgetState], tuple[BudgetState, T]]) -> T:
        """Replace the portal's state by what `update` makes of it, alone among all workers, and give its result."""
        ...


class MemoryBudgetStore:
    """Keeps the states in this process: for commands without a database, and for tests."""

    def __init__(self) -> None:
        self._states: dict[int, BudgetState] = {}
        self._lock = threading.Lock()

    def change(self, portal: int, update: Callable[[BudgetState], tuple[BudgetState, T]]) -> T:
        """Replace the portal's state under a lock."""
        with self._lock:
            self._states[portal], result = update(self._states.get(portal, BudgetState()))
            return result


class CallBudget:
    """Lets calls out in turn; thread-safe."""

    def __init__(
        self,
        *,
        portal: int,
        limits: Limits,
        store: BudgetStore,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._portal = portal
        self._limits = limits
        self._store = store
        self._clock = clock
        self._sleep = sleep
        self._heard: tuple[Mapping[str, str], int, int] | None = None
        self._lock = threading.Lock()

    def wait_for_turn(self, kind: CallKind = "call") -> float:
        """Wait until a call may go out and count it; give the seconds waited.

        Raises PortalTrouble when the turn is further away than a call should wait: the day's calls are used up.
        """
        waited = 0
        while wait := self._take(kind):
            if wait > _LONGEST_TURN_MS:
                raise self._trouble(wait)
            self._sleep(wait / 1_000)
            waited += wait
        return waited / 1_000

    def hear(self, headers: Mapping[str, str], *, sent: int) -> None:
        """Remember what HubSpot's headers say is left, for the next turn."""
        said = {name: value for name, value in headers.items() if name.lower().startswith("x-hubspot-ratelimit")}
        if said:
            with self._lock:
                self._heard = (said, self._clock(), sent)

    def block(self, wait_ms: int) -> None:
        """Let no worker of the portal call for so long."""
        until = self._clock() + wait_ms
        self._store.change(self._portal, lambda state: (allowance.block(state, until), None))

    def end_day(self) -> int:
        """Let no worker call until HubSpot counts anew, and give that moment.

        An hour at most: the account's midnight may not be where the configuration has it.
        """
        now = self._clock()
        wait = min(allowance.day_ends(now, self._limits.time_zone) - now, HOUR)
        self.block(wait)
        return now + wait

    def left(self) -> Mapping[str, int]:
        """Count the calls left in the window and on the day."""
        now = self._clock()
        return self._store.change(
            self._portal, lambda state: (state, allowance.calls_left(state, self._limits, now=now))
        )

    def _take(self, kind: CallKind) -> int:
        with self._lock:
            heard, self._heard = self._heard, None

        def update(state: BudgetState) -> tuple[BudgetState, int]:
            if heard:
                headers, then, sent = heard
                state = allowance.learn(state, self._limits, headers, now=then, sent=sent)
            return allowance.take(state, self._limits, now=self._clock(), kind=kind)

        return self._store.change(self._portal, update)

    def _trouble(self, wait: int) -> Exception:
        now = self._clock()
        meaning = Meaning(kind="limited", policy="daily", message="no call may go out: the day's are used up")
        return failure_of(meaning, portal=self._portal, endpoint="call budget", now=now, until=now + wait)
