"""Procrastinate's tables are made once by however many start together, and brought up to the release installed."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.driving.queue import JobQueue
from connector.store import queuetables
from connector.store.engine import open_database, reading, writing
from tests.databases import empty_url

MARK = sa.text("SELECT obj_description('procrastinate_jobs'::regclass, 'pg_class')")
WAITING = sa.text("SELECT queueing_lock FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return empty_url(tmp_path / "empty")


def test_many_processes_that_start_together_make_them_once(url: str) -> None:
    code = f"from connector.store.engine import open_database; open_database({url!r})"
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code], stderr=subprocess.PIPE) for _ in range(4)
    ]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [(b"", 0)] * 4
    engine = open_database(url, migrate=False)
    with reading(engine) as connection:
        assert str(connection.scalar(MARK)).startswith("stagekeeper: 0")


def test_changes_that_a_newer_release_brings_are_made_one_after_another(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(url)
    (tmp_path / "sql" / "migrations").mkdir(parents=True)
    for name in ("00.01.00_01_old", "98.00.00_01_first", "99.00.00_01_second"):
        change = "ALTER TABLE procrastinate_jobs ADD COLUMN later int;" if "first" in name else "SELECT 1;"
        change = "ALTER TABLE procrastinate_jobs RENAME COLUMN later TO latest;" if "second" in name else change
        (tmp_path / "sql" / "migrations" / f"{name}.sql").write_text(change)
    monkeypatch.setattr(queuetables, "_statements", lambda: tmp_path / "sql")
    for _ in range(2):
        queuetables.upgrade(engine)
    with reading(engine) as connection:
        assert connection.scalar(MARK) == "stagekeeper: 99.00.00_01_second"
        assert connection.scalar(sa.text("SELECT count(latest) FROM procrastinate_jobs")) == 0


def test_tables_that_somebody_else_made_are_used_as_they_are(url: str) -> None:
    engine = open_database(url)
    with writing(engine) as connection:
        connection.exec_driver_sql("COMMENT ON TABLE procrastinate_jobs IS NULL")
    open_database(url)
    with reading(engine) as connection:
        assert connection.scalar(MARK) is None


def test_of_the_like_one_job_waits_however_often_a_portal_is_woken(url: str) -> None:
    queue = JobQueue(open_database(url))
    for portal, lane in ((1, 0), (1, 0), (2, 0), (1, 1), (2, 0)):
        queue.wake(portal, lane)
    queue.reconcile(1)
    with reading(open_database(url, migrate=False)) as connection:
        assert connection.scalars(WAITING).all() == ["drain:1:0", "drain:2:0", "drain:1:1", "reconcile:1"]
