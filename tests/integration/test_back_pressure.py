"""While the database takes nothing, every webhook is answered 503 within HubSpot's five seconds, in bounded memory."""

import resource
import sqlite3
import subprocess
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from connector.moments import system_clock
from connector.sandbox.signing import signed_headers
from tests.ports import free_port
from tests.practice import WEBHOOK_URL
from tests.running import answers, get, running, wait_until

pytestmark = pytest.mark.usefixtures("in_a_file")

HUBSPOT_WAITS_S = 5.0
SENDERS = 150
RULES = Path(__file__).parents[2] / "rules" / "default.yaml"
CONFIG = """version: 1
database: sqlite:///{database}
server: {{bind: "127.0.0.1:{port}"}}
portals:
  - {{id: 4242, access_token: t, client_secret: sandbox-secret, webhook_url: "{url}", rules: {rules}}}
"""


@dataclass(frozen=True)
class Receiver:
    """A receiver in a process of its own."""

    process: subprocess.Popen[bytes]
    base: str
    database: Path
    log: Path

    def post(self, number: int) -> tuple[int, float]:
        """Send a hundred events; the status and the seconds until it came."""
        body = orjson.dumps([event(number, place) for place in range(100)])
        headers = signed_headers("sandbox-secret", WEBHOOK_URL, body, system_clock())
        began = time.monotonic()
        try:
            status = get(f"{self.base}/webhooks/hubspot", method="POST", body=body, headers=headers).status
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            status = 0
        return status, time.monotonic() - began

    def post_all(self, numbers: Sequence[int]) -> list[tuple[int, float]]:
        """Send many requests at the same moment."""
        found: list[tuple[int, float]] = []
        threads = [threading.Thread(target=lambda n=n: found.append(self.post(n))) for n in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def memory_kib(self) -> int:
        """Sum up what gunicorn's processes hold, and the process that keeps them."""
        return sum(_rss_kib(pid) for pid in (self.process.pid, *_children(self.process.pid)))

    @property
    def log_of_writes(self) -> Path:
        return self.database.with_name(f"{self.database.name}-wal")

    def bound_files(self, size: int) -> None:
        """Let no file that the receiver writes grow beyond a size."""
        for pid in (self.process.pid, *_children(self.process.pid)):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def stored(self) -> int:
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            counts = "SELECT (SELECT count(*) FROM events) + (SELECT coalesce(sum(number), 0) FROM deliveries)"
            return int(connection.execute(counts).fetchone()[0])

    def is_ready(self) -> bool:
        return answers(f"{self.base}/readyz")


def event(number: int, place: int) -> dict[str, object]:
    return {
        "portalId": 4242, "objectId": number * 100 + place + 1, "subscriptionType": "contact.propertyChange",
        "propertyName": "email", "propertyValue": "x" * 200, "occurredAt": 1, "eventId": number * 100 + place,
    }  # fmt: skip


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *_children(child)]
    return found


def _rss_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


@contextmanager
def receiving(folder: Path, database: Path) -> Iterator[Receiver]:
    port = free_port()
    text = CONFIG.format(port=port, url=WEBHOOK_URL, rules=RULES, database=database)
    (folder / "config.yaml").write_text(text, "utf-8")
    log = folder / "serve.log"
    with running("serve", "--no-worker", folder=folder, log=log) as process:
        receiver = Receiver(process, f"http://127.0.0.1:{port}", database, log)
        wait_until(receiver.is_ready, what="being ready")
        yield receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path, tmp_path / "held.db") as one:
        yield one


def test_a_database_locked_by_a_stranger_is_answered_503_in_time_and_recovers_by_itself(receiver: Receiver) -> None:
    assert receiver.post(0)[0] == 204
    before_kib = receiver.memory_kib()
    stranger = sqlite3.connect(receiver.database, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    peak_kib = [0]
    over = threading.Event()
    watch = threading.Thread(target=lambda: _watch(receiver, peak_kib, over))
    watch.start()
    answered = receiver.post_all(range(1, SENDERS + 1)) + receiver.post_all(range(1, SENDERS + 1))
    ready, alive = receiver.is_ready(), answers(f"{receiver.base}/livez")
    over.set()
    watch.join()
    stranger.execute("ROLLBACK")
    stranger.close()

    assert {status for status, _ in answered} == {503}
    assert max(seconds for _, seconds in answered) < HUBSPOT_WAITS_S
    assert (ready, alive) == (False, True)
    assert peak_kib[0] - before_kib < 64 * 1024
    assert receiver.stored() == 100, "what was acknowledged is untouched, and nothing came that was not"

    wait_until(receiver.is_ready, seconds=5, what="being ready again")
    again = receiver.post_all(range(1, 21))
    assert Counter(status for status, _ in again) == {204: 20}
    assert receiver.stored() == 2_100


def _watch(receiver: Receiver, peak_kib: list[int], over: threading.Event) -> None:
    while not over.wait(0.05):
        peak_kib[0] = max(peak_kib[0], receiver.memory_kib())


def test_a_full_disk_is_answered_503_and_recovers_by_itself(receiver: Receiver) -> None:
    """A bound on the size of files stands in for the end of the disk."""
    assert [status for status, _ in receiver.post_all(range(10))] == [204] * 10
    receiver.bound_files(receiver.log_of_writes.stat().st_size)
    answered = receiver.post_all(range(10, 30))
    assert {status for status, _ in answered} == {503}
    assert max(seconds for _, seconds in answered) < HUBSPOT_WAITS_S
    wait_until(lambda: not receiver.is_ready(), seconds=5, what="not being ready")
    assert receiver.stored() == 1_000

    receiver.bound_files(resource.RLIM_INFINITY)
    wait_until(receiver.is_ready, seconds=5, what="being ready again")
    assert [status for status, _ in receiver.post_all(range(10, 30))] == [204] * 20
    assert receiver.stored() == 3_000
