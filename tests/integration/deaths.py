"""Processes that post and work off one inbox while some are killed: nothing may be lost, nor be in two hands."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import sqlalchemy as sa

from connector.store.engine import reading
from connector.store.tables import deliveries, waiting
from tests.integration import inbox_crew


def let_die(
    url: str, engine: sa.Engine, folder: Path, *, posters: int, workers: int, seed: int, every_s: tuple[float, float]
) -> None:
    """Let them work, kill a worker ever so often until all is posted, and look at what they wrote down."""
    logs = {role: folder / f"{role}.log" for role in ("work", "post")}
    chance = random.Random(seed)

    def start(role: str, number: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.integration.inbox_crew", role, url, str(logs[role]), str(number)]
        return subprocess.Popen(command)

    posting = [start("post", number) for number in range(posters)]
    working = [start("work", 100 + number) for number in range(workers)]
    born = 200
    while any(poster.poll() is None for poster in posting):
        # A real kill -9 at a random moment: there is nothing to wait on but time.
        threading.Event().wait(chance.uniform(*every_s))
        victim = chance.randrange(len(working))
        working[victim].send_signal(signal.SIGKILL)
        working[victim].wait()
        born += 1
        working[victim] = start("work", born)
    until = time.monotonic() + 60
    while left(engine) and time.monotonic() < until:
        threading.Event().wait(0.1)
    for worker in working:
        worker.kill()
        worker.wait()
    assert [poster.returncode for poster in posting] == [0] * posters
    assert left(engine) == 0
    _check_settled_after_posted(logs)
    _check_never_in_two_hands(logs["work"])


def left(engine: sa.Engine) -> int:
    with reading(engine) as connection:
        unplaced = sa.select(sa.func.count()).select_from(deliveries)
        waits = sa.select(sa.func.count()).select_from(waiting)
        return sum(connection.scalar(query) or 0 for query in (unplaced, waits))


def _check_settled_after_posted(logs: dict[str, Path]) -> None:
    posted: dict[str, int] = {}
    looked: dict[str, int] = {}
    for line in logs["post"].read_text().splitlines():
        _, contact, at = line.split()
        posted[contact] = max(posted.get(contact, 0), int(at))
    for line in logs["work"].read_text().splitlines():
        if line.startswith("held ") and line.count(" ") == 3:
            _, contact, _, ended = line.split()
            looked[contact] = max(looked.get(contact, 0), int(ended))
    # Posted is written down a moment after it is durable, so the look may come within that moment.
    assert len(posted) == inbox_crew.CONTACTS
    assert {c for c, at in posted.items() if looked.get(c, 0) < at - 500_000_000} == set()


def _check_never_in_two_hands(log: Path) -> None:
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for line in log.read_text().splitlines():
        if line.startswith("held ") and line.count(" ") == 3:
            _, contact, began, ended = line.split()
            spans[contact].append((int(began), int(ended)))
    overlaps = [
        (contact, one, other)
        for contact, found in spans.items()
        for one, other in zip(sorted(found), sorted(found)[1:], strict=False)
        if other[0] < one[1]
    ]
    assert overlaps == []
