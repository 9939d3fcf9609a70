"""Bring the tables of a database up to this release, once, however many processes start together.

There is no way back: what a newer release made is refused by an older one, so take a backup before an upgrade.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from connector.errors import DatabaseNewer

if TYPE_CHECKING:
    from alembic.config import Config

# Any number will do as long as nothing else in the same PostgreSQL database takes it as an advisory lock.
_LOCK = 5_746_391_027
_REVISIONS = "revision_"


def upgrade(engine: sa.Engine) -> None:
    """Run the revisions that the database lacks; refuse one that a newer release has changed."""
    with engine.connect() as connection:
        if _is_up_to_date(connection):
            return
    from alembic import command  # noqa: PLC0415 - slow to import, and most starts find nothing to do

    with engine.begin() as connection:
        # SQLite: the transaction itself is the lock, it was begun IMMEDIATE. Who waited finds the work done.
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if not _is_up_to_date(connection):
            config = script_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """At which revision a database is, and which is this release's newest."""

    current: str | None
    newest: str
    is_unknown: bool


def standing(connection: sa.Connection) -> Standing:
    """Say at which revision a database is, and change nothing."""
    known = revisions()
    has_any = sa.inspect(connection).has_table("alembic_version")
    current = connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if has_any else None
    is_unknown = current is not None and current not in known
    return Standing(current=current, newest=known[-1], is_unknown=is_unknown)


def revisions() -> list[str]:
    """Name the revisions of this release, oldest first, as their files are called: Alembic is slow to be asked."""
    found = (Path(__file__).parent / "versions").glob(f"{_REVISIONS}*.py")
    return sorted(path.stem.removeprefix(_REVISIONS) for path in found)


def script_config() -> "Config":
    """Say where the revisions are: beside this module, in the wheel as in the source tree."""
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _is_up_to_date(connection: sa.Connection) -> bool:
    at = standing(connection)
    if at.is_unknown:
        message = f"database: it is at revision {at.current!r}; this release knows up to {at.newest!r}"
        raise DatabaseNewer(f"{message}; install the newer release or restore a backup")
    return at.current == at.newest
