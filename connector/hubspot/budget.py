"""The call budget of a portal, in a store that every worker of the portal shares.

Each call asks for its turn before it goes out, one short transaction; that it was answered, and what HubSpot's headers
said, is carried into the next one instead of costing its own.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, get_args

from connector.errors import DatabaseUnavailable, Stopped
from connector.hubspot import allowance
from connector.hubspot.allowance import BudgetState, Heard, Limits
from connector.hubspot.failure import failure_of
from connector.hubspot.meaning import Meaning
from connector.hubspot.paths import CallKind
from connector.moments import Clock

__all__ = ["BudgetState", "BudgetStore", "CallBudget", "Limits", "MemoryBudgetStore"]

T = TypeVar("T")

_LONGEST_TURN_MS = 60_000
_TOLD_EVERY_MS = 1_000
_MOST_HEARD = 1_000


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
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._portal = portal
        self._limits = limits
        self._store = store
        self._clock = clock
        self._closed = threading.Event()
        self._sleep = sleep or self._closed.wait
        self._heard: list[Heard] = []
        self._lock = threading.Lock()
        # One thread asks for the turn of all, in the order in which they came; the others would only ask in vain.
        self._queues = {kind: threading.Lock() for kind in get_args(CallKind)}

    def count_days_in(self, time_zone: str) -> None:
        """Count the day as HubSpot does: in the time zone of the account, as the account itself names it."""
        self._store.change(self._portal, lambda state: (allowance.count_days_in(state, time_zone), None))

    def wait_for_turn(self, kind: CallKind = "call") -> float:
        """Wait until a call may go out and count it; give the seconds waited.

        Raises PortalTrouble when the turn is further away than a call should wait: the day's calls are used up.
        Raises Stopped when the process ends meanwhile.
        """
        asked = self._clock()
        with self._queues[kind]:
            while wait := self._take(kind):
                if wait > _LONGEST_TURN_MS:
                    raise self._trouble(wait)
                # Not in one go: what was answered meanwhile is told to the other workers each time.
                self.pause(min(wait, _TOLD_EVERY_MS) / 1_000)
        return max(self._clock() - asked, 0) / 1_000

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than the process has; raises Stopped when it ends."""
        if not self._closed.is_set():
            self._sleep(seconds)
        self._check()

    def close(self) -> None:
        """Let no further call out; whoever waits for a turn is told at once, by Stopped."""
        self._closed.set()

    def hear(self, headers: Mapping[str, str], *, sent: int, kind: CallKind = "call", refused: bool = False) -> None:
        """Remember that a call has come to its end and what HubSpot's headers say is left, for the next turn."""
        said = {name: value for name, value in headers.items() if name.lower().startswith("x-hubspot-ratelimit")}
        heard = Heard(kind=kind, sent=sent, at=self._clock(), headers=said, refused=refused)
        with self._lock:
            self._heard.append(heard)
            self._limits = allowance.corrected(self._limits, said) if said else self._limits

    def block(self, wait_ms: int) -> None:
        """Let no worker of the portal call for so long."""
        until = self._clock() + wait_ms
        self._store.change(self._portal, lambda state: (allowance.block(state, until), None))

    def end_day(self) -> int:
        """Let no worker call until HubSpot counts anew, and give that moment."""
        now = self._clock()
        return self._store.change(self._portal, lambda state: allowance.end_day(state, self._limits, now))

    def left(self) -> Mapping[str, int]:
        """Count the calls left in the window and on the day."""
        now = self._clock()
        return self._store.change(
            self._portal, lambda state: (state, allowance.calls_left(state, self._limits, now=now))
        )

    def state(self) -> BudgetState:
        """Give what has gone out lately, as far as HubSpot's answers have told."""
        return self._store.change(self._portal, lambda state: (state, state))

    def _take(self, kind: CallKind) -> int:
        self._check()
        with self._lock:
            heard, self._heard = self._heard, []

        def update(state: BudgetState) -> tuple[BudgetState, int]:
            for one in heard:
                state = allowance.learn(state, self._limits, one)
            return allowance.take(state, self._limits, now=self._clock(), kind=kind)

        try:
            return self._store.change(self._portal, update)
        except DatabaseUnavailable:
            with self._lock:
                self._heard = [*heard, *self._heard][-_MOST_HEARD:]
            raise

    def _check(self) -> None:
        if self._closed.is_set():
            raise Stopped

    def _trouble(self, wait: int) -> Exception:
        now = self._clock()
        meaning = Meaning(kind="limited", policy="daily", message="no call may go out: the day's are used up")
        return failure_of(meaning, portal=self._portal, endpoint="call budget", now=now, until=now + wait)
