"""What tests of the store begin with: a new database, and an inbox whose clock stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.inbox import Inbox
from connector.store.engine import open_database
from tests.databases import database_url
from tests.inboxes import Hands


@pytest.fixture
def url(tmp_path: Path) -> str:
    return database_url(tmp_path / "stagekeeper.db")


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def inbox(engine: sa.Engine, clock: Hands) -> Inbox:
    return Inbox(engine, clock)
