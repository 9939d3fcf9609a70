"""What holds for every test: nothing of it stays in a PostgreSQL server. And a new database, with which many begin."""

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from hypothesis import HealthCheck, settings

from connector.store.engine import open_database
from tests.databases import _no_connection_left_behind, _no_database_left_behind, database_url, in_a_file, is_postgres

__all__ = ["_no_connection_left_behind", "_no_database_left_behind", "in_a_file"]

# How fast the machine is, is no property of the product.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
collect_ignore = [] if is_postgres() else ["postgres"]
if find_spec("selenium") is None:  # `make browser` installs it
    collect_ignore.append("browser")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a test has set up for logging: it may write to what pytest closes after that test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def url(tmp_path: Path) -> str:
    return database_url(tmp_path / "stagekeeper.db")


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()
