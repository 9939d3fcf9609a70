"""Procrastinate's own tables beside ours: made where ours are made, and brought up to the release that is installed.

Its releases bring statements to run one after another and leave it to the user to know which have been. So the name of
the last one is kept as a comment on its main table. Tables without such a comment are somebody else's, who uses it in
the same database; they are used as they are. https://procrastinate.readthedocs.io/en/stable/howto/production/migrations.html
"""

import importlib.util
from pathlib import Path
from typing import Any

import sqlalchemy as sa

_LOCK = 5_746_391_029  # beside the migrations' own
_MARK = "stagekeeper: "
# Not by `to_regclass`: it remembers within a session that there was no such table.
_STANDING = sa.text(
    "SELECT obj_description(oid, 'pg_class') FROM pg_class WHERE relname = 'procrastinate_jobs' AND relkind = 'r' "
    "AND pg_table_is_visible(oid)"
)


def upgrade(engine: sa.Engine) -> None:
    """Make the tables, or bring them up to date, once, however many start together; nothing without Procrastinate."""
    folder = _statements()
    if folder is None:
        return
    changes = sorted((folder / "migrations").glob("*.sql"))
    with engine.connect() as connection:
        if not _missing(connection, folder, changes):
            return
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        missing = _missing(connection, folder, changes)  # who waited finds the work done
        session: Any = connection.connection.driver_connection
        for file in missing:
            session.execute(file.read_text("utf-8"))
        if missing:
            session.execute(f"COMMENT ON TABLE procrastinate_jobs IS '{_MARK}{changes[-1].stem}'")


def _missing(connection: sa.Connection, folder: Path, changes: list[Path]) -> list[Path]:
    """List what is to be run: everything in one file for a new database, else the changes after the last one."""
    table = connection.execute(_STANDING).first()
    if table is None:
        return [folder / "schema.sql"]
    comment = table[0] or ""
    if not comment.startswith(_MARK):
        return []
    return [change for change in changes if change.stem > comment.removeprefix(_MARK)]


def _statements() -> Path | None:
    """Find Procrastinate's statements without importing it, which takes longer than to look whether any are missing."""
    found = importlib.util.find_spec("procrastinate")
    return None if found is None or found.origin is None else Path(found.origin).parent / "sql"
