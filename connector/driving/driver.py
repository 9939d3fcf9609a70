"""The interface between a worker and what drives it: who says when something is done, and who does it.

Whatever drives, the same functions run from claim to record; a driver decides only when, and on which machine. It can
lose a wake-up, be late or call twice: the inbox's leases and fencing numbers keep what is promised.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from connector.absence import Absence


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What one look at a portal came to."""

    is_more: bool
    """The claim left something behind that could be claimed at once."""
    again_in_ms: int | None
    """When to look again; None: when something comes."""


class Duties(Protocol):
    """What a worker does when it is told to; all of it may be called from any thread."""

    stopping: threading.Event
    absence: Absence
    lanes: int
    """How many claims of one portal may be worked off side by side."""

    def go_round(self) -> None:
        """Say that this worker lives, and take the rules anew when it was told to; to be called all the time."""
        ...

    def begin_claim(self) -> bool:
        """Take a claim of the portal whose turn it is and have a thread work it off; False when there was none."""
        ...

    def rest(self) -> None:
        """Wait a moment, or until a claim is worked off."""
        ...

    def work_turn(self, portal: int, *, at_more: Callable[[], None]) -> Turn:
        """Take one claim of this portal and work it off here; say at once when there is more and all goes well."""
        ...

    def look_around(self) -> Iterable[int]:
        """Name the portals that have due contacts in nobody's hands."""
        ...

    def tidy(self) -> int:
        """Delete some of what is old; 0 when nothing was."""
        ...

    def reconcile_meanwhile(self) -> AbstractContextManager[None]:
        """Reconcile portals that are due, in threads of this process, beside whatever a block does."""
        ...

    def due_to_reconcile(self) -> Iterable[int]:
        """Name the portals whose reconciliation is due."""
        ...

    def reconcile(self, portal: int) -> None:
        """Reconcile one portal, if nobody else does."""
        ...

    def be_answered(self) -> None:
        """Note that the database answers."""
        ...

    def tell_died(self, workers: Sequence[int], *, silent_for_s: float) -> None:
        """Tell that other workers have fallen silent; what they held passes on when its lease runs out."""
        ...


class Driver(Protocol):
    """Drives a worker until it is to stop."""

    def run(self, duties: Duties) -> None:
        """Drive until `duties.stopping` is set."""
        ...

    def stop(self) -> None:
        """Notice now that `duties.stopping` is set; may be called in a signal's handler."""
        ...
