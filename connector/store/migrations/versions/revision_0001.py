"""Make the first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    _make_contacts()
    _make_effects()
    _make_events()
    _make_portals()
    _make_receipts()
    _make_records()
    _make_waiting()


def _make_contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column("contact", sa.String(length=40), nullable=False),
        sa.Column("stage", sa.String(length=80), nullable=True),
        sa.Column("status", sa.String(length=80), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="when this stage was first decided"),
        sa.Column("rule", sa.String(length=120), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column(
            "marks", sa.JSON(), nullable=False, comment="what has been done for the present occasion, by rule id"
        ),
        sa.Column("pack_hash", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False, comment="digest of what was read"),
        sa.Column("snapshot", sa.JSON(), nullable=False, comment="what was read last"),
        sa.Column("unwritten", sa.JSON(), nullable=False, comment="values decided that HubSpot has not taken yet"),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("next_look_at", sa.BigInteger(), nullable=True),
        sa.Column("gone", sa.String(length=40), nullable=True, comment="deleted, or the id that it was merged into"),
        sa.Column("stage_seen", sa.String(length=80), nullable=True, comment="HubSpot's stage after the last look"),
        sa.Column(
            "theirs_until", sa.BigInteger(), nullable=True, comment="until when a person's stage is left as it is"
        ),
        sa.PrimaryKeyConstraint("portal", "contact"),
    )
    op.create_index("ix_contacts_decided_at", "contacts", ["decided_at"], unique=False)
    op.create_index("ix_contacts_portal_stage_status", "contacts", ["portal", "stage", "status"], unique=False)


def _make_effects() -> None:
    op.create_table(
        "effects",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column("contact", sa.String(length=40), nullable=False),
        sa.Column(
            "key", sa.String(length=200), nullable=False, comment="(portal, contact, rule, occurrence): the marker"
        ),
        sa.Column("kind", sa.String(length=20), nullable=False, comment="task, deal, unsubscribe, erase"),
        sa.Column("rule", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False, comment="intended, done, confirmed, failed"),
        sa.Column("body", sa.JSON(), nullable=False, comment="what to create"),
        sa.Column("hubspot_id", sa.String(length=40), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("intended_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("portal", "key", name=op.f("uq_effects_portal_key")),
    )
    op.create_index("ix_effects_portal_contact_state", "effects", ["portal", "contact", "state"], unique=False)
    op.create_index("ix_effects_portal_rule", "effects", ["portal", "rule"], unique=False)


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column(
            "key", sa.String(length=64), nullable=False, comment="of all deliveries of one change; begins with its time"
        ),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("contact", sa.String(length=40), nullable=True, comment="null: the event names no contact"),
        sa.Column("occurred_at", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True, comment="when to look at the contact; null: no reason to"),
        sa.Column("malformed", sa.String(length=200), nullable=True, comment="why the event could not be understood"),
        sa.Column("body", sa.JSON(), nullable=False, comment="as HubSpot sent it"),
        sa.Column(
            "placed", sa.SmallInteger(), server_default="0", nullable=False, comment="1: its contact waits for it"
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("portal", "key", name=op.f("uq_events_portal_key")),
    )
    placed, unplaced = sa.text("placed = 1"), sa.text("placed = 0")
    op.create_index(
        "ix_events_portal_contact",
        "events",
        ["portal", "contact"],
        unique=False,
        sqlite_where=placed,
        postgresql_where=placed,
    )
    op.create_index(
        "ix_events_received_at", "events", ["received_at"], unique=False, sqlite_where=placed, postgresql_where=placed
    )
    op.create_index(
        "ix_events_unplaced", "events", ["placed", "id"], unique=False, sqlite_where=unplaced, postgresql_where=unplaced
    )


def _make_portals() -> None:
    op.create_table(
        "portals",
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column("served_at", sa.BigInteger(), nullable=False, comment="fair turns: least recently served first"),
        sa.Column("trouble", sa.String(length=80), nullable=True, comment="why the portal waits: a code"),
        sa.Column("trouble_text", sa.Text(), nullable=True, comment="what was answered, and the cure"),
        sa.Column("trouble_since", sa.BigInteger(), nullable=True),
        sa.Column("trouble_until", sa.BigInteger(), nullable=False, comment="when it is tried again"),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False, comment="the call budget: no call before"),
        sa.Column("calls", sa.JSON(), nullable=False, comment="moments and counts of the calls in the rolling window"),
        sa.Column("searches", sa.JSON(), nullable=False, comment="likewise for search, per second"),
        sa.Column("day", sa.String(length=10), nullable=False, comment="the portal's day that is counted"),
        sa.Column("calls_today", sa.BigInteger(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=True, comment="HubSpot's clock, reconciled up to here"),
        sa.PrimaryKeyConstraint("portal"),
    )


def _make_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column(
            "digest", sa.String(length=64), nullable=False, comment="of portal and contact: who was erased, unnamed"
        ),
        sa.Column("reason", sa.String(length=20), nullable=False, comment="asked, privacy_deletion"),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False, comment="how many rows of each table were removed"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_receipts_portal_digest", "receipts", ["portal", "digest"], unique=False)


def _make_records() -> None:
    op.create_table(
        "records",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column("contact", sa.String(length=40), nullable=False),
        sa.Column("claim", sa.String(length=40), nullable=False, comment="the unit of work, also on its log lines"),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("pack", sa.String(length=120), nullable=False),
        sa.Column("pack_hash", sa.String(length=64), nullable=False),
        sa.Column("stage_before", sa.String(length=80), nullable=True),
        sa.Column("stage", sa.String(length=80), nullable=True),
        sa.Column("status", sa.String(length=80), nullable=True),
        sa.Column("rule", sa.String(length=120), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("read", sa.JSON(), nullable=False, comment="the snapshot; cleared when the person is erased"),
        sa.Column("decided", sa.JSON(), nullable=False, comment="facts, reason, what was due, next look"),
        sa.Column("planned", sa.JSON(), nullable=False, comment="the changes"),
        sa.Column("done", sa.JSON(), nullable=True, comment="the outcomes; null while they are under way"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_records_decided_at", "records", ["decided_at"], unique=False)
    op.create_index("ix_records_portal_contact_id", "records", ["portal", "contact", "id"], unique=False)


def _make_waiting() -> None:
    op.create_table(
        "waiting",
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column("contact", sa.String(length=40), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False, comment="not looked at before; also retries and next looks"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="when the oldest unjudged event came in"),
        sa.Column("generation", sa.BigInteger(), nullable=False, comment="grows whenever events come"),
        sa.Column("claim", sa.String(length=40), nullable=True, comment="the fencing token of the claim that holds it"),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("dead_at", sa.BigInteger(), nullable=True, comment="not null: a dead letter"),
        sa.PrimaryKeyConstraint("portal", "contact"),
    )
    op.create_index(
        "ix_waiting_claim",
        "waiting",
        ["claim"],
        unique=False,
        sqlite_where=sa.text("claim IS NOT NULL"),
        postgresql_where=sa.text("claim IS NOT NULL"),
    )
    op.create_index("ix_waiting_portal_dead_at_due", "waiting", ["portal", "dead_at", "due"], unique=False)
