"""Workers that die between two calls to HubSpot, or in whose midst something else happens."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connector.worker import Worker
from tests.practice import Practice

Act = Callable[[], None]


class Killed(BaseException):
    """Stands for SIGKILL."""


def die() -> None:
    raise Killed


@contextmanager
def amid(the: Practice, number: int, act: Act, *, after: bool) -> Iterator[None]:
    """Do something once, before or after the n-th call to HubSpot."""
    left = [number]

    def before_it() -> None:
        left[0] -= 1
        if left[0] == -1 and not after:
            act()

    def after_it() -> None:
        if left[0] == -1 and after:
            act()

    undo = _surround_calls(the, before_it, after_it)
    try:
        yield
    finally:
        undo()


class Mortal:
    """A worker that dies now and then, before or after a call to HubSpot; another one then comes in its place."""

    def __init__(self, the: Practice, chance: random.Random) -> None:
        self._the = the
        self._chance = chance
        self.deaths = 0
        self._worker = self._born()

    def work_once(self) -> int:
        """Work off a claim and give the number of its contacts; 0 for one that it dies of, too."""
        try:
            return self._worker.work_once()
        except Killed:
            self.deaths += 1
            self._worker = self._born()
            return 0

    def _born(self) -> Worker:
        anew = self._the.again()
        _surround_calls(anew, self._maybe_die, self._maybe_die)
        return anew.worker

    def _maybe_die(self) -> None:
        if self._chance.random() < 0.01:
            die()


def _surround_calls(the: Practice, before: Act, after: Act) -> Act:
    """Do something before and after each call to HubSpot; give what undoes that."""
    transport = the.services.portals[the.portal].hubspot._transport
    send = transport.send

    def surrounded(*given: Any, **more: Any) -> Any:
        before()
        answer = send(*given, **more)
        after()
        return answer

    def undo() -> None:
        transport.send = send  # type: ignore[method-assign]

    transport.send = surrounded  # type: ignore[method-assign]
    return undo
