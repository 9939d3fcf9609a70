"""What was read, decided and done about contacts, what is known of them now, and the effects that are under way.

A decision, the memory that follows from it and the effects that it intends are written in one transaction, before
anything is done in HubSpot: after a crash nothing is forgotten, and what is found intended is looked up in HubSpot
before it is created.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from connector.decision import NO_MEMORY, Decision, Mark, Memory
from connector.plan import STAGE, Effect, Plan
from connector.snapshot import Snapshot, Wanted
from connector.store.engine import insert_into, reading
from connector.store.tables import contacts, effects, records

DELETED = "deleted"
_NOT_JUDGED = ""
"""The fingerprint of a contact of whom all that is known was handed over by those that were merged into it."""
INTENDED, CONFIRMED, FAILED = "intended", "confirmed", "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What is known of a contact: the memory, values that HubSpot has not taken yet, effects still intended."""

    memory: Memory = NO_MEMORY
    unwritten: Mapping[str, str] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    stage_seen: str | None = None
    """The stage in HubSpot after the last look; None: never looked."""
    theirs_until: int | None = None
    """Until when a stage that a person set is left as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One contact's way through the pipeline up to the plan."""

    snapshot: Snapshot
    held: Held
    decision: Decision
    plan: Plan
    dropped: tuple[str, ...] = ()
    """Keys of effects intended earlier that are not to be done any more."""


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
        known = {row.contact: _held(row) for row in rows}
        return {
            contact: replace(known.get(contact, Held()), effects=tuple(intended.get(contact, ()))) for contact in ids
        }

    def in_turn(self, judged: Mapping[str, Judged]) -> dict[str, Judged]:
        """Give each task whose owner is a list to the next in it, counted over all tasks of its rule."""
        listed = {e.rule for one in judged.values() for e in one.plan.effects if isinstance(e.body.get("owner"), list)}
        if not listed:
            return dict(judged)
        query = (
            sa.select(effects.c.rule, sa.func.count())
            .where(effects.c.portal == self._portal, effects.c.rule.in_(listed))
            .group_by(effects.c.rule)
        )
        with reading(self._engine) as connection:
            turns = Counter({row[0]: row[1] for row in connection.execute(query)})
        given = {}
        for contact, one in judged.items():
            own = tuple(_with_owner(effect, turns) for effect in one.plan.effects)
            given[contact] = replace(one, plan=replace(one.plan, effects=own))
        return given

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
        dropped = [{"_key": key} for one in judged for key in one.dropped]
        if dropped:
            these = (effects.c.portal == self._portal, effects.c.key == sa.bindparam("_key"))
            values = {"state": FAILED, "error": "the contact is closed", "settled_at": now}
            connection.execute(sa.update(effects).where(*these).values(values), dropped)
        rows = [self._effect_row(one.snapshot.contact, effect, now) for one in judged for effect in one.plan.effects]
        if live and rows:
            connection.execute(insert_into(self._engine, effects).on_conflict_do_nothing(), rows)

    def settle(self, connection: sa.Connection, claim: str, outcomes: Mapping[str, Outcome], now: int) -> None:
        """Write how it went: outcomes onto the records, effects confirmed or failed, what is written forgotten."""
        if not outcomes:
            return
        mine = (
            records.c.portal == self._portal, records.c.contact == sa.bindparam("_contact"), records.c.claim == claim,
        )  # fmt: skip
        rows = [{"_contact": contact, "_done": outcome.as_data()} for contact, outcome in outcomes.items()]
        connection.execute(sa.update(records).where(*mine).values(done=sa.bindparam("_done")), rows)
        # What HubSpot will never take is let go as well: kept, it would spoil every later look at the contact.
        over = [{"_contact": c} for c, one in outcomes.items() if one.written or one.error is None or not one.retryable]
        if over:
            this = (contacts.c.portal == self._portal, contacts.c.contact == sa.bindparam("_contact"))
            connection.execute(sa.update(contacts).where(*this).values(unwritten={}), over)
        self._confirm(connection, {key: id_ for one in outcomes.values() for key, id_ in one.confirmed.items()}, now)
        for contact, outcome in outcomes.items():
            if outcome.gone:
                self._give_up(connection, contact, now)

    def bury(
        self, connection: sa.Connection, claim: str, gone: Mapping[str, str], now: int, *, ladder: Sequence[str]
    ) -> None:
        """Record contacts that HubSpot no longer holds, with the id that each was merged into or "deleted".

        Of a deleted one, what was read and what its tasks say is personal and goes with it. What is known of a contact
        that was merged is handed to the survivor, who would otherwise be given every task a second time.
        """
        for contact, where in gone.items():
            if where == DELETED:
                self._forget(connection, contact)
            else:
                self._hand_over(connection, contact, where, ladder)
            this = (contacts.c.portal == self._portal, contacts.c.contact == contact)
            forgotten: dict[str, Any] = {"gone": where, "next_look_at": None, "unwritten": {}, "snapshot": {}}
            connection.execute(sa.update(contacts).where(*this).values(forgotten))
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
        if confirmed:
            done = {"state": CONFIRMED, "hubspot_id": sa.bindparam("_id"), "settled_at": now, "error": None}
            this = (effects.c.portal == self._portal, effects.c.key == sa.bindparam("_key"))
            rows = [{"_key": key, "_id": id_ or None} for key, id_ in confirmed.items()]
            connection.execute(sa.update(effects).where(*this).values(done), rows)

    def _hand_over(self, connection: sa.Connection, contact: str, survivor: str, ladder: Sequence[str]) -> None:
        """Give a survivor what is still to be done, and, until it is judged itself, what is known."""
        both = (contacts.c.portal == self._portal, contacts.c.contact.in_([contact, survivor]))
        query = sa.select(contacts).where(*both)
        rows = {row.contact: row for row in connection.execute(query)}
        mine, theirs = rows.get(contact), rows.get(survivor)
        if mine is not None and mine.gone is None and (theirs is None or theirs.fingerprint == _NOT_JUDGED):
            known = heir_of([_memory(row) for row in (mine, theirs) if row is not None], ladder)
            values = {
                **mine._mapping, "contact": survivor, "stage": known.stage, "status": known.status,
                "since": mine.since if known.since is None else known.since, "marks": _marks(known),
                "unwritten": {}, "fingerprint": _NOT_JUDGED,
            }  # fmt: skip
            insert = insert_into(self._engine, contacts)
            changed = {name: insert.excluded[name] for name in ("stage", "status", "since", "marks")}
            connection.execute(
                insert.on_conflict_do_update(index_elements=["portal", "contact"], set_=changed), values
            )
        open_ones = (
            effects.c.portal == self._portal, effects.c.contact == contact, effects.c.state == INTENDED,
        )  # fmt: skip
        connection.execute(sa.update(effects).where(*open_ones).values(contact=survivor))

    def _forget(self, connection: sa.Connection, contact: str) -> None:
        """Clear what was read of a contact and what its tasks say; that something was decided and done stays."""
        of_this = (records.c.portal == self._portal, records.c.contact == contact)
        connection.execute(sa.update(records).where(*of_this).values(read={}))
        these = (effects.c.portal == self._portal, effects.c.contact == contact)
        connection.execute(sa.update(effects).where(*these).values(body={}))

    def _give_up(self, connection: sa.Connection, contact: str, now: int) -> None:
        """Mark effects as failed whose contact is gone: there is nobody to do them for."""
        open_ones = (
            effects.c.portal == self._portal, effects.c.contact == contact, effects.c.state == INTENDED,
        )  # fmt: skip
        gone = {"state": FAILED, "error": "the contact is gone", "settled_at": now}
        connection.execute(sa.update(effects).where(*open_ones).values(gone))

    def _contact_row(self, one: Judged, now: int, *, live: bool) -> dict[str, Any]:
        decision, memory = one.decision, one.decision.memory
        return {
            "portal": self._portal, "contact": one.snapshot.contact, "stage": memory.stage, "status": memory.status,
            "since": memory.since if memory.since is not None else now, "rule": decision.rule or "",
            "because": decision.because, "marks": _marks(memory), "pack_hash": self._pack_hash,
            "fingerprint": one.snapshot.fingerprint(self._wanted.rule_inputs),
            "snapshot": one.snapshot.as_data(self._wanted.contact), "unwritten": one.plan.writes if live else {},
            "decided_at": now, "next_look_at": decision.next_look_at, "gone": None,
            "stage_seen": self._stage_after(one, live=live), "theirs_until": one.held.theirs_until,
        }  # fmt: skip

    def _stage_after(self, one: Judged, *, live: bool) -> str:
        before = one.snapshot.properties.get(STAGE) or ""
        return one.plan.writes.get(STAGE, before) if live else before

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


def heir_of(memories: Sequence[Memory], ladder: Sequence[str]) -> Memory:
    """Give what is known of a contact that several became: the highest stage, and all that was done for any of them."""
    rungs = {stage: rung for rung, stage in enumerate(ladder)}
    highest = max(memories, key=lambda memory: rungs.get(memory.stage or "", -1))
    marks: dict[str, Mark] = {}
    for memory in memories:
        for name, mark in memory.marks.items():
            marks[name] = max(mark, marks.get(name, mark), key=lambda each: (each.count, each.last or 0))
    return replace(highest, marks=marks)


def _marks(memory: Memory) -> dict[str, Any]:
    return {name: asdict(mark) for name, mark in memory.marks.items()}


def _decided(decision: Decision) -> dict[str, Any]:
    return {
        "because": decision.because, "facts": dict(decision.facts), "set": dict(decision.set),
        "tasks": [rule.id for rule in decision.tasks], "actions": [rule.id for rule in decision.actions],
        "next_look_at": decision.next_look_at,
    }  # fmt: skip


def _with_owner(effect: Effect, turns: "Counter[str]") -> Effect:
    owners = effect.body.get("owner")
    if not isinstance(owners, list):
        return effect
    owner = owners[turns[effect.rule] % len(owners)]
    turns[effect.rule] += 1
    return replace(effect, body={**effect.body, "owner": owner})


def _held(row: sa.Row[Any]) -> Held:
    return Held(
        memory=_memory(row), unwritten=row.unwritten, stage_seen=row.stage_seen, theirs_until=row.theirs_until
    )


def _memory(row: sa.Row[Any]) -> Memory:
    return Memory(
        stage=row.stage,
        status=row.status,
        since=row.since,
        marks={name: Mark(mark["count"], mark["last"], mark.get("seen")) for name, mark in row.marks.items()},
    )
