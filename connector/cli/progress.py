"""A bar on stderr for what takes longer than a second: on a terminal only, and never with `--quiet`."""

import sys
import time
from collections.abc import Callable
from typing import Any

from connector.cli.options import is_quiet

_PATIENCE_S = 1.0


class ProgressBar:
    """Shows how far something is, once it has taken longer than a second."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._wanted = sys.stderr.isatty() and not is_quiet()
        self._shown: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Hear that so many of them are done."""
        if not self._wanted or self._clock() - self._started < _PATIENCE_S:
            return
        if self._shown is None:
            self._begin()
        if what not in self._tasks:
            self._tasks[what] = self._shown.add_task(what, total=total)
        self._shown.update(self._tasks[what], completed=done, total=total)

    def _begin(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - slower to import than most commands run
        from rich.progress import Progress  # noqa: PLC0415

        self._shown = Progress(console=Console(stderr=True), transient=True)
        self._shown.start()
