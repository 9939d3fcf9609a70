"""Threads that do everything at once, on the same rows."""

import threading
from collections.abc import Callable


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
