"""The tables, in the words of the glossary; every moment is epoch milliseconds, every id of HubSpot is text.

Personal data stands in `deliveries.body`, `events.body`, `contacts.snapshot`, `records.read` and `effects.body` only;
all the rest refers to a contact by id.
"""

import sqlalchemy as sa

from connector.moments import HOUR

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

PERIOD = 6 * HOUR
"""Events that came in within so long lie together: a longer one is written to in more places, shorter ones are more."""

_Moment = sa.BigInteger
_CLAIMED = sa.text("claim IS NOT NULL")  # few rows are claimed at a time, and every event writes a row
_PRIVACY = sa.text("type = 'contact.privacyDeletion'")
_MERGE = sa.text("type = 'contact.merge'")
_UNFILED = sa.text("contact IS NULL AND malformed IS NOT NULL")
_GONE = sa.text("gone IS NOT NULL")
_DIFFERS = sa.text("shadow IS NOT NULL")
_INTENDED = sa.text("state = 'intended'")
_Absent = sa.JSON(none_as_null=True)
_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER

# All that is written while HubSpot waits: a row at the end of one tree. The rest comes when it is placed.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("received_at", _Moment, nullable=False),
    sa.Column("due", _Moment, nullable=False, comment="when to look at its contacts"),
    sa.Column("number", sa.Integer, nullable=False, comment="of events in it"),
    sa.Column("apps", sa.JSON, nullable=False, comment="the portals that it speaks for, each with our app's id"),
    sa.Column("nameless", sa.BigInteger, nullable=False, comment="the portal of events that name none; 0: any"),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="as HubSpot sent it"),
    sqlite_autoincrement=True,  # a number that is used again would be taken for the delivery that had it before
)

_LENGTH: sa.ColumnElement[int] = sa.literal_column(str(PERIOD), sa.BigInteger)  # an index knows no parameter
_received_at = sa.Column("received_at", _Moment, nullable=False)


def period_of(table: sa.FromClause) -> sa.ColumnElement[int]:
    """Give the period of time in which an event came in, as its index has it."""
    return table.c.received_at // _LENGTH


events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("portal", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String(64), nullable=False, comment="of all deliveries of one change; begins with its time"),
    sa.Column("type", sa.String(80), nullable=False),
    sa.Column("contact", sa.String(40), nullable=True, comment="null: the event names no contact"),
    sa.Column("occurred_at", _Moment, nullable=True),
    _received_at,
    sa.Column("malformed", sa.String(200), nullable=True, comment="why the event could not be understood"),
    sa.Column("body", sa.JSON, nullable=False, comment="as HubSpot sent it"),
    sa.UniqueConstraint("portal", "key"),
    sa.Index("ix_events_period_portal_contact", _received_at // _LENGTH, "portal", "contact"),
    sa.Index("ix_events_received_at", "received_at"),
    sa.Index("ix_events_privacy_deletion", "portal", "contact", sqlite_where=_PRIVACY, postgresql_where=_PRIVACY),
    sa.Index("ix_events_merge", "portal", "contact", sqlite_where=_MERGE, postgresql_where=_MERGE),
    sa.Index("ix_events_unfiled", "portal", sqlite_where=_UNFILED, postgresql_where=_UNFILED),
)

waiting = sa.Table(
    "waiting",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("contact", sa.String(40), primary_key=True),
    sa.Column("due", _Moment, nullable=False, comment="not looked at before; also retries"),
    sa.Column("since", _Moment, nullable=False, comment="when the oldest unjudged event came in"),
    sa.Column("generation", sa.BigInteger, nullable=False, comment="grows whenever events come"),
    sa.Column("claim", sa.String(40), nullable=True, comment="the fencing token of the claim that holds it"),
    sa.Column("claimed_until", _Moment, nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("last_error", sa.Text, nullable=True),
    sa.Column("dead_at", _Moment, nullable=True, comment="not null: a dead letter"),
    sa.Index("ix_waiting_portal_dead_at_due", "portal", "dead_at", "due"),
    sa.Index("ix_waiting_claim", "claim", sqlite_where=_CLAIMED, postgresql_where=_CLAIMED),
)

# Written by the end of every claim, so it is in the order of time: a contact's place is where its time is. Which of a
# contact's looks holds, `contacts.next_look_at` says.
looks = sa.Table(
    "looks",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("due", _Moment, primary_key=True, comment="when the contact begins to wait"),
    sa.Column("contact", sa.String(40), primary_key=True),
    sqlite_with_rowid=False,
)

contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("contact", sa.String(40), primary_key=True),
    sa.Column("stage", sa.String(80), nullable=True),
    sa.Column("status", sa.String(80), nullable=True),
    sa.Column("since", _Moment, nullable=False, comment="when this stage was first decided"),
    sa.Column("rule", sa.String(120), nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("marks", sa.JSON, nullable=False, comment="what has been done for the present occasion, by rule id"),
    sa.Column("pack_hash", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, comment="digest of what was read"),
    sa.Column("snapshot", sa.JSON, nullable=False, comment="what was read last"),
    sa.Column("unwritten", sa.JSON, nullable=False, comment="values decided that HubSpot has not taken yet"),
    sa.Column("decided_at", _Moment, nullable=False),
    sa.Column("next_look_at", _Moment, nullable=True, comment="by itself; null: when an event comes"),
    sa.Column("gone", sa.String(40), nullable=True, comment="deleted, or the id that it was merged into"),
    sa.Column("stage_seen", sa.String(80), nullable=True, comment="HubSpot's stage after the last look"),
    sa.Column("theirs_until", _Moment, nullable=True, comment="until when a person's stage is left as it is"),
    sa.Column("bouts", sa.JSON, nullable=True, comment="what was written of late, and what is left to a rival"),
    sa.Column(
        "heir_waits", sa.SmallInteger, nullable=False, server_default="0",
        comment="1: what is known waits for the contact that it was merged into",
    ),
    sa.Column("shadow", _Absent, nullable=True, comment="what a candidate pack has decided beside the live one"),
    sa.Index("ix_contacts_portal_stage_status_rule", "portal", "stage", "status", "rule", "pack_hash"),
    sa.Index("ix_contacts_portal_gone", "portal", "gone", sqlite_where=_GONE, postgresql_where=_GONE),
)

# On PostgreSQL partitioned by month of `decided_at`, which stands in the primary key there, beside the id.
records = sa.Table(
    "records",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("portal", sa.BigInteger, nullable=False),
    sa.Column("contact", sa.String(40), nullable=False),
    sa.Column("claim", sa.String(40), nullable=False, comment="the unit of work, also on its log lines"),
    sa.Column("decided_at", _Moment, nullable=False),
    sa.Column("pack", sa.String(120), nullable=False),
    sa.Column("pack_hash", sa.String(64), nullable=False),
    sa.Column("stage_before", sa.String(80), nullable=True),
    sa.Column("stage", sa.String(80), nullable=True),
    sa.Column("status", sa.String(80), nullable=True),
    sa.Column("rule", sa.String(120), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    # Beside the snapshot, under `before`, what was known then: with it a decision can be made again.
    sa.Column("read", sa.JSON, nullable=False, comment="the snapshot; cleared when the person is erased"),
    sa.Column("decided", sa.JSON, nullable=False, comment="facts, reason, what was due, next look"),
    sa.Column("planned", sa.JSON, nullable=False, comment="the changes"),
    sa.Column("done", sa.JSON, nullable=True, comment="the outcomes; null while they are under way"),
    sa.Column("shadow", _Absent, nullable=True, comment="what a candidate pack decided otherwise"),
    sa.Index("ix_records_portal_contact_id", "portal", "contact", "id"),
    sa.Index("ix_records_decided_at", "decided_at"),
    sa.Index("ix_records_shadow", "portal", "id", sqlite_where=_DIFFERS, postgresql_where=_DIFFERS),
)

days = sa.Table(
    "days",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("begins", _Moment, primary_key=True, comment="midnight where the portal is"),
    sa.Column("ends", _Moment, primary_key=True),
    sa.Column("until", _Moment, nullable=False, comment="counted up to here"),
    sa.Column("turns", sa.JSON, nullable=False, comment="decisions by where from, where to and which rule"),
    sa.Column("gone", sa.JSON, nullable=False, comment="where those stood who were deleted or merged"),
    sa.Column("stays", sa.JSON, nullable=False, comment="how long stages had lasted for those who left them"),
)

packs = sa.Table(
    "packs",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True, comment="of a version of a pack by which records were made"),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("reads", sa.JSON, nullable=False, comment="the properties that it reads of each object"),
    sa.Column("first_at", _Moment, nullable=False, comment="when a contact was first decided by it"),
)

effects = sa.Table(
    "effects",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("portal", sa.BigInteger, nullable=False),
    sa.Column("contact", sa.String(40), nullable=False),
    sa.Column("key", sa.String(200), nullable=False, comment="(portal, contact, rule, occurrence): the marker"),
    sa.Column("kind", sa.String(20), nullable=False, comment="task, deal, unsubscribe, erase"),
    sa.Column("rule", sa.String(120), nullable=False),
    sa.Column("state", sa.String(20), nullable=False, comment="intended, done, confirmed, failed"),
    sa.Column("body", sa.JSON, nullable=False, comment="what to create"),
    sa.Column("hubspot_id", sa.String(40), nullable=True),
    sa.Column("error", sa.Text, nullable=True),
    sa.Column("intended_at", _Moment, nullable=False),
    sa.Column("settled_at", _Moment, nullable=True),
    sa.UniqueConstraint("portal", "key"),
    # The state is no part of it: an effect that is done would move in it. The few that are under way have their own.
    sa.Index("ix_effects_portal_contact", "portal", "contact"),
    sa.Index("ix_effects_intended", "portal", "contact", sqlite_where=_INTENDED, postgresql_where=_INTENDED),
    sa.Index("ix_effects_portal_rule", "portal", "rule"),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("rule", sa.String(120), primary_key=True),
    sa.Column("given", sa.BigInteger, nullable=False, comment="how many tasks its list of owners was given"),
)

fights = sa.Table(
    "fights",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("property", sa.String(120), primary_key=True),
    sa.Column("rival", sa.String(200), primary_key=True, comment="who sets the value back, from its history"),
    sa.Column("began_at", _Moment, nullable=False),
    sa.Column("seen_at", _Moment, nullable=False, comment="when a value was last left to the rival"),
    sa.Column("times", sa.BigInteger, nullable=False, comment="how often one was"),
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("portal", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, comment="of portal and contact: who was erased, unnamed"),
    sa.Column("reason", sa.String(20), nullable=False, comment="asked, privacy_deletion"),
    sa.Column("erased_at", _Moment, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False, comment="how many rows of each table were removed"),
    sa.Index("ix_receipts_portal_digest", "portal", "digest"),
    sa.Index("ix_receipts_portal_erased_at", "portal", "erased_at"),
)

portals = sa.Table(
    "portals",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("served_at", _Moment, nullable=False, default=0, comment="fair turns: least recently served first"),
    sa.Column("trouble", sa.String(80), nullable=True, comment="why the portal waits: a code"),
    sa.Column("trouble_text", sa.Text, nullable=True, comment="what was answered, and the cure"),
    sa.Column("trouble_since", _Moment, nullable=True),
    sa.Column("trouble_until", _Moment, nullable=False, default=0, comment="when it is tried again"),
    sa.Column("blocked_until", _Moment, nullable=False, default=0, comment="the call budget: no call before"),
    sa.Column("calls", sa.JSON, nullable=False, comment="moments and counts of the calls in the rolling window"),
    sa.Column("searches", sa.JSON, nullable=False, comment="likewise for search, per second"),
    sa.Column("day", sa.String(10), nullable=False, default="", comment="the portal's day that is counted"),
    sa.Column("calls_today", sa.BigInteger, nullable=False, default=0),
    sa.Column("time_zone", sa.String(80), nullable=False, server_default="", comment="as HubSpot named it"),
    sa.Column("watermark", _Moment, nullable=True, comment="HubSpot's clock, reconciled up to here"),
    sa.Column("unsettled_since", _Moment, nullable=True, comment="ours; search may still show more up to it; null: no"),
    sa.Column("company_watermark", _Moment, nullable=True, comment="likewise for companies that the rules read"),
    sa.Column("company_unsettled_since", _Moment, nullable=True),
    sa.Column("deal_watermark", _Moment, nullable=True, comment="likewise for deals"),
    sa.Column("deal_unsettled_since", _Moment, nullable=True),
    sa.Column("reconciled_at", _Moment, nullable=True, comment="when the last whole reconciliation began, our clock"),
    sa.Column("reconciling", sa.String(40), nullable=True, comment="the fencing token of the one under way"),
    sa.Column("reconciling_until", _Moment, nullable=True, comment="until when nobody else begins one"),
    sa.Column("records_since", _Moment, nullable=True, comment="older records were removed, but each contact's last"),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("portal", sa.BigInteger, primary_key=True),
    sa.Column("client_id", sa.String(120), nullable=False, comment="of the OAuth app that was installed"),
    sa.Column("sealed", sa.Text, nullable=False, comment="access and refresh token, encrypted"),
    sa.Column("scopes", sa.JSON, nullable=False, comment="as HubSpot named them; empty: it did not"),
    sa.Column("granted_at", _Moment, nullable=False, comment="when somebody installed the app"),
    sa.Column("refreshed_at", _Moment, nullable=False),
    sa.Column("expires_at", _Moment, nullable=False),
    sa.Column("refused", sa.String(80), nullable=True, comment="why HubSpot refuses to refresh; null: it does not"),
    sa.Column("refused_at", _Moment, nullable=True),
    sa.Column("refreshing", sa.String(40), nullable=True, comment="the fencing token of the refresh under way"),
    sa.Column("refreshing_until", _Moment, nullable=True, comment="until when nobody else begins one"),
)
