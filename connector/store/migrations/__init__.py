"""Bring the tables of a database up to this release, once, however many processes start together.

There is no way back: what a newer release made is refused by an older one, so take a backup before an upgrade.
"""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from connector.errors import DatabaseNewer

# Any number will do as long as nothing else in the same PostgreSQL database takes it as an advisory lock.
_LOCK = 5_746_391_027


def upgrade(engine: sa.Engine) -> None:
    """Run the revisions that the database lacks; refuse one that a newer release has changed."""
    config = script_config()
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        if _current(connection, script) == script.get_current_head():
            return
    with engine.begin() as connection:
        # SQLite: the transaction itself is the lock, it was begun IMMEDIATE. Who waited finds the work done.
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if _current(connection, script) != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """At which revision a database is, and which is this release's newest."""

    current: str | None
    newest: str | None
    is_unknown: bool


def standing(connection: sa.Connection, script: ScriptDirectory | None = None) -> Standing:
    """Say at which revision a database is, and change nothing."""
    script = script or ScriptDirectory.from_config(script_config())
    current = MigrationContext.configure(connection).get_current_revision()
    known = {revision.revision for revision in script.walk_revisions()}
    is_unknown = current is not None and current not in known
    return Standing(current=current, newest=script.get_current_head(), is_unknown=is_unknown)


def script_config() -> Config:
    """Say where the revisions are: beside this module, in the wheel as in the source tree."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _current(connection: sa.Connection, script: ScriptDirectory) -> str | None:
    at = standing(connection, script)
    if at.is_unknown:
        message = f"database: it is at revision {at.current!r}; this release knows up to {at.newest!r}"
        raise DatabaseNewer(f"{message}; install the newer release or restore a backup")
    return at.current
