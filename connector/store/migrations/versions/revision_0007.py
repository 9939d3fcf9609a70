"""Size: indexes that cost less, turns that are counted once, and on PostgreSQL a table of records for each month."""

import calendar
import time

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INTENDED = sa.text("state = 'intended'")
_DIFFERS = sa.text("shadow IS NOT NULL")
_AHEAD = 3
# Rows that change stay on their page where it has room, and no index is touched; what changes much is looked at often.
_STORAGE = {
    "waiting": "fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02",
    "contacts": "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02",
    "effects": "fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05",
    "events": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, "
    "autovacuum_analyze_scale_factor = 0.02",
}


def upgrade() -> None:
    """Change the indexes, count the turns; convert the records without moving them."""
    since = "older records were removed, but each contact's last"
    op.add_column("portals", sa.Column("records_since", sa.BigInteger(), nullable=True, comment=since))
    _make_turns()
    op.drop_index("ix_contacts_decided_at", table_name="contacts")
    op.drop_index("ix_effects_portal_contact_state", table_name="effects")
    op.create_index("ix_effects_portal_contact", "effects", ["portal", "contact"])
    op.create_index(
        "ix_effects_intended", "effects", ["portal", "contact"], sqlite_where=_INTENDED, postgresql_where=_INTENDED
    )
    if op.get_bind().dialect.name == "postgresql":
        _partition()
        for table, storage in _STORAGE.items():
            op.execute(f"ALTER TABLE {table} SET ({storage})")
        op.execute("ANALYZE")


def _make_turns() -> None:
    given = "how many tasks its list of owners was given"
    op.create_table(
        "turns",
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=120), nullable=False),
        sa.Column("given", sa.BigInteger(), nullable=False, comment=given),
        sa.PrimaryKeyConstraint("portal", "rule"),
    )
    op.execute("INSERT INTO turns SELECT portal, rule, count(*) FROM effects GROUP BY portal, rule")


def _partition() -> None:
    """Let the table that is there become the partition of all that is older than the first month."""
    until = _first_month()
    year, month = _month(until)
    older = f"records_before_{year}_{month:02}"
    op.execute("ALTER TABLE records DROP CONSTRAINT records_pkey")
    for name in ("portal_contact_id", "decided_at", "shadow"):
        op.execute(f"ALTER INDEX ix_records_{name} RENAME TO ix_{older}_{name}")
    op.execute(f"ALTER TABLE records RENAME TO {older}")
    op.execute(
        f"CREATE TABLE records (LIKE {older} INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE (decided_at)"
    )
    op.execute("ALTER SEQUENCE records_id_seq OWNED BY records.id")
    op.create_primary_key("records_pkey", "records", ["id", "decided_at"])
    op.create_index("ix_records_portal_contact_id", "records", ["portal", "contact", "id"])
    op.create_index("ix_records_decided_at", "records", ["decided_at"])
    op.create_index("ix_records_shadow", "records", ["portal", "id"], postgresql_where=_DIFFERS)
    op.execute("CREATE TABLE records_default PARTITION OF records DEFAULT")
    # A clock that was wrong may have written what is yet to come.
    later = f"DELETE FROM {older} WHERE decided_at >= {until} RETURNING *"  # noqa: S608 - our own name and number
    op.execute(f"WITH later AS ({later}) INSERT INTO records_default SELECT * FROM later")  # noqa: S608
    op.execute(f"ALTER TABLE {older} ADD PRIMARY KEY (id, decided_at)")
    op.execute(f"ALTER TABLE {older} ADD CONSTRAINT {older}_here CHECK (decided_at < {until})")
    op.execute(f"ALTER TABLE records ATTACH PARTITION {older} FOR VALUES FROM (MINVALUE) TO ({until})")
    op.execute(f"ALTER TABLE {older} DROP CONSTRAINT {older}_here")
    _make_months(year, month)


def _first_month() -> int:
    """Give where months begin: with this one, or with the next where this one holds records already."""
    year, month = _month(_now())
    this = _begin(year, month)
    newest = op.get_bind().scalar(sa.text("SELECT max(decided_at) FROM records"))
    return this if newest is None or newest < this else _begin(year, month + 1)


def _make_months(year: int, month: int) -> None:
    for later in range(_AHEAD):
        begin, end = _begin(year, month + later), _begin(year, month + later + 1)
        name = "records_{}_{:02}".format(*_month(begin))
        moved = f"DELETE FROM records_default WHERE decided_at >= {begin} AND decided_at < {end} RETURNING *"  # noqa: S608
        op.execute(f"CREATE TABLE {name} (LIKE records INCLUDING ALL)")
        op.execute(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved")  # noqa: S608 - our own names
        op.execute(f"ALTER TABLE records ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})")


def _now() -> int:
    return int(op.get_bind().execute(sa.text("SELECT extract(epoch FROM now()) * 1000")).scalar_one())


def _month(moment: int) -> tuple[int, int]:
    at = time.gmtime(moment // 1_000)
    return at.tm_year, at.tm_mon


def _begin(year: int, month: int) -> int:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return calendar.timegm((year, month, 1, 0, 0, 0)) * 1_000
