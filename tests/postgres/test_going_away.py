"""The database goes away and comes back: 503 meanwhile, one alert, and what was acknowledged is there afterwards."""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.moments import system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.signing import signed_headers
from connector.store.engine import open_database, reading
from connector.store.tables import deliveries, events, waiting
from tests.ports import free_port
from tests.postgres_server import Server
from tests.postgres_server import serving as serving_postgres
from tests.practice import INBOUND, WEBHOOK_URL, prepare, write_config
from tests.receivers import change, packed
from tests.running import answers, get, running, wait_until

OUTAGES = (signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT)  # a crash forgets what was not flushed; a stop cuts off
AWAY_S = 3.0


@pytest.fixture
def server() -> Iterator[Server]:
    # Settings under which whoever does not ask for more loses what it has just committed.
    with serving_postgres(durable=True, synchronous_commit="off", wal_writer_delay="10s") as server:
        yield server


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(port=0)) as one:
        prepare(one)
        yield one


def configure(folder: Path, sandbox: Sandbox, server: Server, port: int) -> Path:
    more = f"server: {{bind: '127.0.0.1:{port}'}}\nworker: {{settle: 100ms, reconcile_every: never}}"
    path = write_config(folder, [sandbox], worker=more)
    path.write_text(re.sub(r"(?m)^database: .*$", f"database: {server.url}", path.read_text()))
    return path


class Poster(threading.Thread):
    """Posts events of new contacts without a pause, each until it is acknowledged; notes every answer."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        super().__init__()
        self._sandbox = sandbox
        self._url = url
        self.acknowledged: list[str] = []
        self.statuses: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            contact = self._sandbox.create_contact(INBOUND)
            while not self._post(contact) and not self.over.wait(0.2):
                pass

    def _post(self, contact: str) -> bool:
        body = packed(change(int(contact)))
        headers = signed_headers("sandbox-secret", WEBHOOK_URL, body, system_clock())
        began = time.monotonic()
        status = get(self._url, method="POST", body=body, headers=headers).status
        assert time.monotonic() - began < 5  # HubSpot waits no longer
        self.statuses.append(status)
        if status == 204:
            self.acknowledged.append(contact)
        return status == 204


def test_nothing_acknowledged_is_lost_and_all_goes_on_by_itself(
    tmp_path: Path, sandbox: Sandbox, server: Server
) -> None:
    port = free_port()
    config, log = configure(tmp_path, sandbox, server, port), tmp_path / "serve.log"
    base = f"http://127.0.0.1:{port}"
    with running("--config", config, "serve", folder=tmp_path, log=log):
        wait_until(lambda: answers(f"{base}/readyz"), what="readiness")
        poster = Poster(sandbox, f"{base}/webhooks/hubspot")
        poster.start()
        for how in OUTAGES:
            known = len(poster.acknowledged)
            wait_until(lambda known=known: len(poster.acknowledged) > known + 20, what="some acknowledgements")
            server.stop(how)
            wait_until(lambda: get(f"{base}/readyz").status == 503, what="being unready")
            poster.over.wait(AWAY_S)
            server.start()
            wait_until(lambda: answers(f"{base}/readyz"), what="readiness again")
            wait_until(lambda: told(log)[-1:] == ["database.came_back"], what="the worker's return")
        known = len(poster.acknowledged)
        wait_until(lambda: len(poster.acknowledged) > known + 20, what="some acknowledgements more")
        poster.over.set()
        poster.join(30)
        engine = open_database(server.url, migrate=False)
        wait_until(lambda: left(engine) == 0, seconds=60, what="the end of the work")
        assert set(poster.statuses) == {204, 503}
        assert set(poster.acknowledged) <= stored(engine)
        assert {sandbox.contact(one).get("lifecyclestage") for one in poster.acknowledged} == {"lead"}
        engine.dispose()
    assert told(log) == ["database.went_away", "database.came_back"] * len(OUTAGES)
    assert "Traceback" not in log.read_text("utf-8")


def told(log: Path) -> list[str]:
    """What the worker says about the database."""
    lines = (json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{"))
    return [line["event"] for line in lines if line["event"].startswith("database.")]


def stored(engine: sa.Engine) -> set[str]:
    with reading(engine) as connection:
        return {str(contact) for contact in connection.scalars(sa.select(events.c.contact))}


def left(engine: sa.Engine) -> int:
    due = sa.select(sa.func.count()).select_from(waiting).where(waiting.c.due <= system_clock())
    with reading(engine) as connection:
        unplaced = sa.select(sa.func.count()).select_from(deliveries)
        return (connection.scalar(due) or 0) + (connection.scalar(unplaced) or 0)
