"""Work of several threads in one transaction: while one is being committed, the next ones gather.

One commit costs the disk the same for one batch as for ten. Nobody waits for a crowd: a thread that finds the way free
goes at once, with whoever has gathered by then.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from connector.errors import StagekeeperError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Ticket(Generic[Item, Result]):
    item: Item
    results: list[Result]
    error: StagekeeperError | None = None
    alone: bool = False
    """Work on it and others failed in a way that nobody foresaw; any may be at fault, so each is tried alone."""

    def is_served(self) -> bool:
        """Ask whether it has come to a result."""
        return bool(self.results) or self.error is not None


class Together(Generic[Item, Result]):
    """Runs `work` over the items of all threads that wait; gives each thread its own result."""

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], *, at_most: int = 16) -> None:
        self._work = work
        self._at_most = at_most
        self._gathered: list[_Ticket[Item, Result]] = []
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def run(self, item: Item) -> Result:
        """Have the item worked on with those of others, and give or raise what comes of it."""
        ticket = _Ticket[Item, Result](item, [])
        with self._guard:
            self._gathered.append(ticket)
        while not ticket.is_served():
            with self._turn:
                if ticket.is_served():  # by whoever had the turn before
                    break
                if ticket.alone:
                    return self._work([item])[0]
                self._serve(self._next())
        if ticket.error is not None:
            raise ticket.error
        return ticket.results[0]

    def _next(self) -> Sequence[_Ticket[Item, Result]]:
        with self._guard:
            tickets, self._gathered = self._gathered[: self._at_most], self._gathered[self._at_most :]
        return tickets

    def _serve(self, tickets: Sequence[_Ticket[Item, Result]]) -> None:
        for ticket in tickets:
            ticket.alone = True
        try:
            results = self._work([ticket.item for ticket in tickets])
        except StagekeeperError as error:
            # It took its time to fail; whoever gathered meanwhile is not kept for as long again.
            with self._guard:
                tickets, self._gathered = [*tickets, *self._gathered], []
            for ticket in tickets:
                ticket.error = error
        else:
            for ticket, result in zip(tickets, results, strict=True):
                ticket.results.append(result)
