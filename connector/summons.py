"""How a process hears that it is to read the rules anew: by SIGHUP of its own, or from the tree that it is a part of.

A tree tells its parts by the time of a file, which needs no room on the disk and reaches whatever server a part runs
under, without ending a request or a claim.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

SUMMONS = "STAGEKEEPER_SUMMONS"
"""Names that file, in the environment of the parts."""


class Summons:
    """Hears for one process; thread-safe."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._file = Path(environment[SUMMONS]) if environment.get(SUMMONS) else None
        self._asked = threading.Event()
        self._seen = 0
        self._seen = self._time()

    def listen(self) -> None:
        """Hear SIGHUP from now on; in the main thread."""
        signal.signal(signal.SIGHUP, lambda *_: self._asked.set())

    def came(self) -> bool:
        """Ask whether a summons has come since the last time."""
        was_asked = self._asked.is_set()
        if was_asked:
            self._asked.clear()
        before, self._seen = self._seen, self._time()
        return was_asked or self._seen != before

    def _time(self) -> int:
        with contextlib.suppress(OSError):
            return self._file.stat().st_mtime_ns if self._file else 0
        return self._seen


def summon(file: Path) -> None:
    """Tell the parts of a tree."""
    try:
        before = file.stat().st_mtime_ns
    except FileNotFoundError:  # somebody tidies up where temporary files lie
        file.touch()
        return
    later = max(time.time_ns(), before + 1_000_000)
    os.utime(file, ns=(later, later))
