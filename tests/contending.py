"""Threads that do everything at once, on the same rows."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Gate:
    """Lets many in together, or one alone; whoever wants to be alone comes before those who wait at the gate."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._inside = 0
        self._wish_to_be_alone = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Be inside beside others."""
        with self._moved:
            self._moved.wait_for(lambda: not self._wish_to_be_alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._moved:
                self._inside -= 1
                self._moved.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be inside with nobody beside."""
        with self._moved:
            self._wish_to_be_alone += 1
            self._moved.wait_for(lambda: not self._inside)
            try:
                yield
            finally:
                self._wish_to_be_alone -= 1
                self._moved.notify_all()


def at_once(*works: Callable[[], object], seconds: float) -> list[BaseException]:
    """Have each work done again and again by a thread of its own, for some seconds; give what was raised."""
    over = threading.Event()
    raised: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        while not over.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a thread's errors are the test's
                raised.append(error)
                return

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    over.wait(seconds)
    over.set()
    for thread in threads:
        thread.join(60)
    return raised
