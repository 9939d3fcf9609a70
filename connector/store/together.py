"""Work of several threads in one transaction: while one is being committed, the next ones gather.

One commit costs the disk the same for one batch as for ten. Nobody waits for a crowd: a thread that finds the way free
goes at once, with whoever has gathered by then.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from connector.errors import StagekeeperError

Item = TypeVar("Item")
Result = TypeVar("Result")


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Ticket(Generic[Item, Result]):
    item: Item
    results: list[Result] = field(default_factory=list)
    error: StagekeeperError | None = None
    alone: bool = False
    """Work on it and others failed in a way that nobody foresaw; any may be at fault, so each is tried alone."""
    called: threading.Lock = field(default_factory=_locked)
    """Held until the thread is called: it has its result, or it is its turn."""

    def is_served(self) -> bool:
        """Ask whether it has come to a result."""
        return bool(self.results) or self.error is not None


class Together(Generic[Item, Result]):
    """Runs `work` over the items of all threads that wait; gives each thread its own result.

    Whoever is served is called at once, beside the next one whose turn it is: nobody who has his result waits for the
    work of others to end.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], *, at_most: int = 16) -> None:
        self._work = work
        self._at_most = at_most
        self._gathered: list[_Ticket[Item, Result]] = []
        self._guard = threading.Lock()
        self._is_taken = False
        """Somebody has the turn."""

    def run(self, item: Item) -> Result:
        """Have the item worked on with those of others, and give or raise what comes of it."""
        ticket = _Ticket[Item, Result](item)
        with self._guard:
            self._gathered.append(ticket)
            waits, self._is_taken = self._is_taken, True
        if waits:
            ticket.called.acquire()
        if not ticket.is_served():
            try:
                self._serve(self._next())
            finally:
                self._hand_over()
        if ticket.error is not None:
            raise ticket.error
        return ticket.results[0]

    def _next(self) -> Sequence[_Ticket[Item, Result]]:
        """Take those at the front; whose turn it is stands there."""
        with self._guard:
            number = 1 if self._gathered[0].alone else self._at_most
            tickets, self._gathered = self._gathered[:number], self._gathered[number:]
        return tickets

    def _serve(self, tickets: Sequence[_Ticket[Item, Result]]) -> None:
        leader, *others = tickets
        is_done = False
        try:
            results = list(zip(tickets, self._work([ticket.item for ticket in tickets]), strict=True))
            for ticket, result in results:
                ticket.results.append(result)
            is_done = True
        except StagekeeperError as error:
            # It took its time to fail; whoever gathered meanwhile is not kept for as long again.
            with self._guard:
                others, self._gathered = [*others, *self._gathered], []
            for ticket in (leader, *others):
                ticket.error = error
            is_done = True
        finally:
            if is_done:
                for ticket in others:
                    ticket.called.release()
            else:
                self._put_back(others)

    def _put_back(self, tickets: Sequence[_Ticket[Item, Result]]) -> None:
        for ticket in tickets:
            ticket.alone = True
        with self._guard:
            self._gathered = [*tickets, *self._gathered]

    def _hand_over(self) -> None:
        with self._guard:
            heir = self._gathered[0] if self._gathered else None
            self._is_taken = heir is not None
        if heir is not None:
            heir.called.release()
