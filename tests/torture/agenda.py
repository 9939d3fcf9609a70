"""What happens when: the moments of a run, all drawn from the seed before it begins.

Only what processes make of it is not repeatable: which call a fault strikes, what a kill interrupts.
"""

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Act = Callable[[], object]

EVERYWHERE: Sequence[Mapping[str, Any]] = (
    {"kind": "slow", "route": r"(tasks|deals)/batch/create", "probability": 0.35, "seconds": 0.8},
    {"kind": "timeout_after", "route": r"(tasks|deals)/batch/create", "probability": 0.08, "seconds": 0.5},
    {"kind": "reset_after", "route": r"(tasks|deals)/batch/create", "probability": 0.08},
    {"kind": "garbage", "route": r"(tasks|deals)/batch/create", "probability": 0.04},
    {"kind": "timeout_before", "probability": 0.01, "seconds": 1.0},
    {"kind": "timeout_after", "probability": 0.01, "seconds": 1.0},
    {"kind": "reset", "probability": 0.02},
    {"kind": "reset_after", "probability": 0.02},
    {"kind": "423", "probability": 0.01},
    {"kind": "500", "probability": 0.02},
    {"kind": "502_html", "probability": 0.02},
    {"kind": "503", "probability": 0.01},
    {"kind": "504", "probability": 0.01},
    {"kind": "garbage", "probability": 0.005},
)  # fmt: skip
"""In force for the whole run: most of what goes wrong does so while something is being created."""

ONCE: Sequence[Mapping[str, Any]] = (
    {"kind": "429_ten_secondly", "times": 1},
    {"kind": "429_secondly_search", "times": 2},
    {"kind": "477", "times": 1, "retry_after": "2"},
    {"kind": "423", "times": 3},
    {"kind": "timeout_after", "route": r"batch/create", "times": 1, "seconds": 11.0},
    {"kind": "timeout_before", "route": r"batch/update", "times": 1, "seconds": 11.0},
)
"""Each struck once or a few times, at a moment of its own: those that cost the run much time."""


SOON_OVER = tuple(fault for fault in ONCE if fault["kind"] != "429_ten_secondly" and "seconds" not in fault)
"""Those of them that cost a short run no more than it has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A time in which something is wrong: between the two acts."""

    name: str
    at: float
    seconds: float


class Agenda:
    """Does everything in its time, one after another."""

    def __init__(self) -> None:
        self._acts: list[tuple[float, int, Act]] = []
        self._numbers = itertools.count()
        self._started = time.monotonic()
        self._pause = threading.Event()

    @property
    def now(self) -> float:
        """Give the seconds since the start."""
        return time.monotonic() - self._started

    def at(self, moment: float, act: Act) -> None:
        """Do something at a moment, or at once when that is over."""
        heapq.heappush(self._acts, (moment, next(self._numbers), act))

    def soon(self, seconds: float, act: Act) -> None:
        """Do something after so many seconds."""
        self.at(self.now + seconds, act)

    def run(self) -> None:
        """Begin to count, and do everything to the end, with what is added meanwhile."""
        self._started = time.monotonic()
        while self._acts:
            moment, _, act = heapq.heappop(self._acts)
            if (wait := moment - self.now) > 0:
                self._pause.wait(wait)
            act()

    def wait_while(self, holds: Callable[[], object], *, seconds: float) -> bool:
        """Wait while something holds; False when it still does in the end."""
        deadline = self.now + seconds
        while holds():
            if self.now > deadline:
                return False
            self._pause.wait(0.25)
        return True


def windows(dice: random.Random, names: Sequence[str], *, seconds: float, length: float) -> list[Window]:
    """Spread times of trouble over a run, in an order of the seed, so that they do not meet."""
    order = dice.sample(list(names), len(names))
    slot = seconds / max(len(order), 1)
    return [
        Window(
            name=name, at=place * slot + dice.uniform(0.05, 0.3) * slot, seconds=min(length, slot * 0.6),
        )
        for place, name in enumerate(order)
    ]  # fmt: skip


def kill_times(dice: random.Random, kills: int, *, begin: float, end: float) -> list[float]:
    """Spread the kills over a time: random, with a little room for the dead to come back."""
    slot = (end - begin) / max(kills, 1)
    return [begin + slot * (place + dice.uniform(0.05, 0.95)) for place in range(kills)]
