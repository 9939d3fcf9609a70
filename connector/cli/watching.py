"""Watching files: something is done at once, and again whenever one of them has changed, come or gone.

File times are compared twice a second; there is nothing else to do in between, so it costs nearly nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

INTERVAL_S = 0.5
Stamps = Mapping[Path, tuple[int, int] | None]


def stamps(paths: Iterable[Path]) -> Stamps:
    """Give the time and size of each file; None of one that is not there."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def changes(paths: Callable[[], Iterable[Path]], *, pause: Callable[[], object]) -> Iterator[None]:
    """Yield at once, and again after each change, for as long as it is asked; what changes meanwhile is not missed."""
    seen = stamps(paths())
    yield
    while True:
        pause()
        now = stamps(paths())
        if now != seen:
            seen = now
            yield
