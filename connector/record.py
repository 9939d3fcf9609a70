"""What was read, decided and done about contacts, what is known of them now, and the effects that are under way.

A decision, the memory that follows from it and the effects that it intends are written in one transaction, before
anything is done in HubSpot: after a crash nothing is forgotten, and what is found intended is looked up in HubSpot
before it is created.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from connector.decision import NO_MEMORY, Decision, Mark, Memory
from connector.plan import Effect, Plan
from connector.snapshot import Snapshot, Wanted
from connector.store.engine import insert_into, reading
from connector.store.tables import contacts, effects, records

INTENDED, CONFIRMED, FAILED = "intended", "confirmed", "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What is known of a contact: the memory, values that HubSpot has not taken yet, effects still intended."""

    memory: Memory = NO_MEMORY
    unwritten: Mapping[str, str] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One contact's way through the pipeline up to the plan."""

    snapshot: Snapshot
    held: Held
    decision: Decision
    plan: Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a contact's writes went; `error` None: everything is done."""

    written: Mapping[str, str] = field(default_factory=dict)
    confirmed: Mapping[str, str] = field(default_factory=dict)
    """Keys of effects that are now known to be in HubSpot, with HubSpot's ids ("" where there is none)."""
    held: str | None = None
    error: str | None = None
    retryable: bool = True
    retry_after_ms: int | None = None
    gone: bool = False

    def as_data(self) -> dict[str, Any]:
        """Give the outcome as plain data for the record; values of properties are in the plan already."""
        return {
            "written": sorted(self.written), "effects": dict(self.confirmed), "held": self.held, "error": self.error,
        }  # fmt: skip


class Recorder:
    """Keeps contacts, records and effects of one portal and pack in the database."""

    def __init__(self, engine: sa.Engine, *, portal: int, pack: str, pack_hash: str, wanted: Wanted) -> None:
        self._engine = engine
        self._portal = portal
        self._pack = pack
        self._pack_hash = pack_hash
        self._wanted = wanted

    def held(self, ids: Collection[str]) -> dict[str, Held]:
        """Give what is known of contacts; nothing for those never seen."""
        of_these = (contacts.c.portal == self._portal, contacts.c.contact.in_(ids))
        open_ones = (
            effects.c.portal == self._portal, effects.c.contact.in_(ids), effects.c.state == INTENDED,
        )  # fmt: skip
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(contacts).where(*of_these)).all()
            waiting = connection.execute(sa.select(effects).where(*open_ones).order_by(effects.c.id)).all()
        intended: dict[str, list[Effect]] = {}
        for row in waiting:
            effect = Effect(key=row.key, kind=row.kind, rule=row.rule, body=row.body)
            intended.setdefault(row.contact, []).append(effect)
        found = {row.contact: (_memory(row), row.unwritten) for row in rows}
        return {
            contact: Held(
                memory=found.get(contact, (NO_MEMORY, {}))[0],
                unwritten=found.get(contact, (NO_MEMORY, {}))[1],
                effects=tuple(intended.get(contact, ())),
            )
            for contact in ids
        }

    def intend(self, connection: sa.Connection, claim: str, judged: Sequence[Judged], now: int, *, live: bool) -> None:
        """Write decisions, memories and (when live) intended effects, inside the caller's transaction."""
        if not judged:
            return
        insert = insert_into(self._engine, contacts)
        names = [column.name for column in contacts.c if not column.primary_key]
        insert = insert.on_conflict_do_update(
            index_elements=["portal", "contact"], set_={name: insert.excluded[name] for name in names}
        )
        connection.execute(insert, [self._contact_row(one, now, live=live) for one in judged])
        connection.execute(sa.insert(records), [self._record_row(one, claim, now) for one in judged])
        rows = [self._effect_row(one.snapshot.contact, effect, now) for one in judged for effect in one.plan.effects]
        if live and rows:
            connection.execute(insert_into(self._engine, effects).on_conflict_do_nothing(), rows)

    def settle(self, connection: sa.Connection, claim: str, outcomes: Mapping[str, Outcome], now: int) -> None:
        """Write how it went: outcomes onto the records, effects confirmed or failed, what is written forgotten."""
        for contact, outcome in outcomes.items():
            mine = (records.c.portal == self._portal, records.c.contact == contact, records.c.claim == claim)
            connection.execute(sa.update(records).where(*mine).values(done=outcome.as_data()))
            this = (contacts.c.portal == self._portal, contacts.c.contact == contact)
            if outcome.error is None:
                connection.execute(sa.update(contacts).where(*this).values(unwritten={}))
            if outcome.confirmed:
                self._confirm(connection, outcome.confirmed, now)
            if outcome.gone:
                self._give_up(connection, contact, now)

    def bury(self, connection: sa.Connection, claim: str, gone: Mapping[str, str], now: int) -> None:
        """Record contacts that HubSpot no longer holds, with the id that each was merged into or "deleted"."""
        for contact, where in gone.items():
            this = (contacts.c.portal == self._portal, contacts.c.contact == contact)
            connection.execute(sa.update(contacts).where(*this).values(gone=where, next_look_at=None, unwritten={}))
            self._give_up(connection, contact, now)
            connection.execute(
                sa.insert(records).values(
                    portal=self._portal, contact=contact, claim=claim, decided_at=now, pack=self._pack,
                    pack_hash=self._pack_hash, rule="gone", fingerprint="", read={}, decided={"gone": where},
                    planned={}, done={},
                )
            )

    def latest(self, contact: str) -> Mapping[str, Any] | None:
        """Give the newest record of a contact as plain data."""
        query = (
            sa.select(records)
            .where(records.c.portal == self._portal, records.c.contact == contact)
            .order_by(records.c.id.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        return dict(row) if row else None

    def _confirm(self, connection: sa.Connection, confirmed: Mapping[str, str], now: int) -> None:
        for key, id_ in confirmed.items():
            connection.execute(
                sa.update(effects)
                .where(effects.c.portal == self._portal, effects.c.key == key)
                .values(state=CONFIRMED, hubspot_id=id_ or None, settled_at=now, error=None)
            )

    def _give_up(self, connection: sa.Connection, contact: str, now: int) -> None:
        """Mark effects as failed whose contact is gone: there is nobody to do them for."""
        open_ones = (
            effects.c.portal == self._portal, effects.c.contact == contact, effects.c.state == INTENDED,
        )  # fmt: skip
        gone = {"state": FAILED, "error": "the contact is gone", "settled_at": now}
        connection.execute(sa.update(effects).where(*open_ones).values(gone))

    def _contact_row(self, one: Judged, now: int, *, live: bool) -> dict[str, Any]:
        decision, memory = one.decision, one.decision.memory
        marks = {name: asdict(mark) for name, mark in memory.marks.items()}
        return {
            "portal": self._portal, "contact": one.snapshot.contact, "stage": memory.stage, "status": memory.status,
            "since": memory.since if memory.since is not None else now, "rule": decision.rule or "",
            "because": decision.because, "marks": marks, "pack_hash": self._pack_hash,
            "fingerprint": one.snapshot.fingerprint(self._wanted.rule_inputs),
            "snapshot": one.snapshot.as_data(self._wanted.contact), "unwritten": one.plan.writes if live else {},
            "decided_at": now, "next_look_at": decision.next_look_at, "gone": None,
        }  # fmt: skip

    def _record_row(self, one: Judged, claim: str, now: int) -> dict[str, Any]:
        decision = one.decision
        return {
            "portal": self._portal, "contact": one.snapshot.contact, "claim": claim, "decided_at": now,
            "pack": self._pack, "pack_hash": self._pack_hash, "stage_before": decision.stage_before,
            "stage": decision.stage, "status": decision.status, "rule": decision.rule or "",
            "fingerprint": one.snapshot.fingerprint(self._wanted.rule_inputs),
            "read": one.snapshot.as_data(self._wanted.rule_inputs), "decided": _decided(decision),
            "planned": one.plan.as_data(), "done": None,
        }  # fmt: skip

    def _effect_row(self, contact: str, effect: Effect, now: int) -> dict[str, Any]:
        return {
            "portal": self._portal, "contact": contact, "key": effect.key, "kind": effect.kind, "rule": effect.rule,
            "state": INTENDED, "body": dict(effect.body), "intended_at": now,
        }  # fmt: skip


def _decided(decision: Decision) -> dict[str, Any]:
    return {
        "because": decision.because, "facts": dict(decision.facts), "set": dict(decision.set),
        "tasks": [rule.id for rule in decision.tasks], "actions": [rule.id for rule in decision.actions],
        "next_look_at": decision.next_look_at,
    }  # fmt: skip


def _memory(row: sa.Row[Any]) -> Memory:
    return Memory(
        stage=row.stage,
        status=row.status,
        since=row.since,
        marks={name: Mark(mark["count"], mark["last"]) for name, mark in row.marks.items()},
    )
