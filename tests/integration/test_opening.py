"""Opening a database, whichever it is: by several processes at once, and one that a newer release has written."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.errors import DatabaseNewer
from connector.store.engine import open_database, writing
from tests.databases import empty_url


@pytest.fixture
def url(tmp_path: Path) -> str:
    return empty_url(tmp_path / "stagekeeper.db")


def test_many_processes_can_start_on_a_new_database_together(url: str) -> None:
    code = f"from connector.store.engine import open_database; open_database({url!r})"
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code], stderr=subprocess.PIPE) for _ in range(6)
    ]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [(b"", 0)] * 6


def test_a_database_of_a_newer_release_is_refused(url: str, engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseNewer, match=r"'9999'.*install the newer release or restore a backup"):
        open_database(url)
