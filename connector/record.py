"""What was read, decided and done about contacts, what is known of them now, and the effects that are under way.

A decision, the memory that follows from it and the effects that it intends are written in one transaction, before
anything is done in HubSpot: after a crash nothing is forgotten, and what is found intended is looked up in HubSpot
before it is created.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from connector.decision import NO_MEMORY, Decision, Mark, Memory
from connector.plan import STAGE, Effect, Plan
from connector.rivals.bouts import Bouts, bouts_as_data, bouts_from_data
from connector.rulebook.pack import Pack
from connector.shadow.verdicts import Shadow, shadow_of
from connector.snapshot import Snapshot, Wanted
from connector.store.engine import insert_into, reading
from connector.store.tables import contacts, effects, packs, records, turns

DELETED = "deleted"
_NOT_JUDGED = ""
"""The fingerprint of a contact of whom nothing is known but where it went."""
_PUT_AWAY: Mapping[str, Any] = MappingProxyType({"next_look_at": None, "snapshot": {}})
INTENDED, CONFIRMED, FAILED = "intended", "confirmed", "failed"
IS_INTENDED: sa.ColumnElement[bool] = effects.c.state == sa.literal_column(f"'{INTENDED}'")
"""Written out: a database does not see that a parameter fits the condition of an index."""


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
    decided_at: int | None = None
    """When it was last decided; None: never."""
    bouts: Bouts = ()
    """What was written of late, and what is left alone because another automation sets it back each time."""
    shadow: Shadow | None = None
    """What a candidate pack knows; None: it starts from the memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One contact's way through the pipeline up to the plan."""

    snapshot: Snapshot
    held: Held
    decision: Decision
    plan: Plan
    dropped: tuple[str, ...] = ()
    """Keys of effects intended earlier that are not to be done any more."""
    shadow: Shadow | None = None
    """What a candidate pack says beside."""
    in_turn: tuple[str, ...] = ()
    """Rules of tasks that were given to the next in a list of owners."""


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

    def __init__(
        self, engine: sa.Engine, *, portal: int, pack: str, pack_hash: str, wanted: Wanted,
        candidate: Pack | None = None,
    ) -> None:  # fmt: skip
        self._candidate = candidate
        self._candidate_hash = candidate.hash if candidate else None
        self._is_told = False
        self._engine = engine
        self._portal = portal
        self._pack = pack
        self._pack_hash = pack_hash
        self._wanted = wanted

    def held(self, ids: Collection[str]) -> dict[str, Held]:
        """Give what is known of contacts; nothing for those never seen."""
        of_these = (contacts.c.portal == self._portal, contacts.c.contact.in_(ids))
        open_ones = (
            effects.c.portal == self._portal, effects.c.contact.in_(ids), IS_INTENDED,
        )  # fmt: skip
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(contacts).where(*of_these)).all()
            waiting = connection.execute(sa.select(effects).where(*open_ones).order_by(effects.c.id)).all()
        intended: dict[str, list[Effect]] = {}
        for row in waiting:
            effect = Effect(key=row.key, kind=row.kind, rule=row.rule, body=row.body)
            intended.setdefault(row.contact, []).append(effect)
        known = {row.contact: self._known(row) for row in rows}
        return {
            contact: replace(known.get(contact, Held()), effects=tuple(intended.get(contact, ()))) for contact in ids
        }

    def in_turn(self, judged: Mapping[str, Judged]) -> dict[str, Judged]:
        """Give each task whose owner is a list to the next in it, counted over all tasks of its rule."""
        listed = {e.rule for one in judged.values() for e in one.plan.effects if _has_listed_owners(e)}
        if not listed:
            return dict(judged)
        query = sa.select(turns.c.rule, turns.c.given).where(turns.c.portal == self._portal, turns.c.rule.in_(listed))
        with reading(self._engine) as connection:
            next_ones = Counter({row.rule: row.given for row in connection.execute(query)})
        given = {}
        for contact, one in judged.items():
            own = tuple(_with_owner(effect, next_ones) for effect in one.plan.effects)
            rules = tuple(effect.rule for effect in one.plan.effects if _has_listed_owners(effect))
            given[contact] = replace(one, plan=replace(one.plan, effects=own), in_turn=rules)
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
        if not self._is_told:
            self._tell_pack(connection, now)
        dropped = [{"_key": key} for one in judged for key in one.dropped]
        if dropped:
            these = (effects.c.portal == self._portal, effects.c.key == sa.bindparam("_key"))
            values = {"state": FAILED, "error": "the contact is closed", "settled_at": now}
            connection.execute(sa.update(effects).where(*these).values(values), dropped)
        rows = [self._effect_row(one.snapshot.contact, effect, now) for one in judged for effect in one.plan.effects]
        if live and rows:
            connection.execute(insert_into(self._engine, effects).on_conflict_do_nothing(), rows)
            self._count_turns(connection, Counter(rule for one in judged for rule in one.in_turn))

    def settle(  # noqa: PLR0913 - all that became of a claim
        self, connection: sa.Connection, claim: str, outcomes: Mapping[str, Outcome], now: int,
        *, bouts: Mapping[str, Bouts] = MappingProxyType({}), looks: Mapping[str, int | None] = MappingProxyType({}),
        since: int = 0,
    ) -> None:  # fmt: skip
        """Write how it went: outcomes onto the records, effects confirmed or failed, what is written forgotten.

        `bouts` are those of contacts of whom something was written, `looks` the next looks of those of whom all is
        done; no record of the claim was made before `since`.
        """
        if not outcomes:
            return
        self._is_told = True  # not before: what `intend` writes may be rolled back
        mine = (*_newest_of(self._portal, sa.bindparam("_contact"), since), records.c.claim == claim)
        done = [{"_contact": contact, "_done": outcome.as_data()} for contact, outcome in outcomes.items()]
        connection.execute(sa.update(records).where(*mine).values(done=sa.bindparam("_done")), done)
        # What HubSpot will never take is let go as well: kept, it would spoil every later look at the contact.
        # Of a contact that went meanwhile nothing is: it is looked for, and may live on in another.
        over = {
            c for c, one in outcomes.items()
            if one.written or not one.retryable or (one.error is None and not one.gone)
        }  # fmt: skip
        this = (contacts.c.portal == self._portal, contacts.c.contact == sa.bindparam("_contact"))
        let_go = sa.update(contacts).where(*this).values(unwritten={})
        noted: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for c in over:
            values = ({"bouts": bouts_as_data(bouts[c], now)} if c in bouts else {}) | (
                {"next_look_at": looks[c]} if c in looks else {}
            )
            noted.setdefault((*values,), []).append({"_contact": c} | {f"_{name}": values[name] for name in values})
        for names, rows in noted.items():
            connection.execute(let_go.values({name: sa.bindparam(f"_{name}") for name in names}), rows)
        # Not before it is written: what a person had set when a crash came between would count as moved by them since.
        moved = [{"_contact": c, "_stage": one.written[STAGE]} for c, one in outcomes.items() if STAGE in one.written]
        if moved:
            connection.execute(sa.update(contacts).where(*this).values(stage_seen=sa.bindparam("_stage")), moved)
        self._confirm(connection, {key: id_ for one in outcomes.values() for key, id_ in one.confirmed.items()}, now)

    def bury(
        self, connection: sa.Connection, claim: str, gone: Mapping[str, str], now: int, *, heirs: Mapping[str, str]
    ) -> None:
        """Record contacts that HubSpot no longer holds, with the id that each was merged into or "deleted".

        Of a deleted one, what was read and what its tasks say is personal and goes with it; the rest is kept for a
        restore. What is known of a merged one is kept until its survivor is judged; `heirs` are those whose survivors
        just were. What is under way for a merged one is done for its survivor.
        """
        for contact, survivor in heirs.items():
            this = (contacts.c.portal == self._portal, contacts.c.contact == contact)
            taken: dict[str, Any] = {"gone": survivor, "heir_waits": 0, "unwritten": {}, **_PUT_AWAY}
            connection.execute(sa.update(contacts).where(*this).values(taken))
            self._move_effects(connection, contact, survivor)
        for contact, where in gone.items():
            if where == DELETED:
                self._forget(connection, contact, now)
            else:
                self._await_heir(connection, contact, where, now)
                self._move_effects(connection, contact, where)
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

    def _count_turns(self, connection: sa.Connection, given: Mapping[str, int]) -> None:
        """Count the tasks that were given in turn; in one order everywhere, so that nobody waits in a circle."""
        if given:
            insert = insert_into(self._engine, turns)
            more = {"given": turns.c.given + insert.excluded.given}
            rows = [{"portal": self._portal, "rule": rule, "given": number} for rule, number in sorted(given.items())]
            connection.execute(insert.on_conflict_do_update(index_elements=["portal", "rule"], set_=more), rows)

    def _tell_pack(self, connection: sa.Connection, now: int) -> None:
        """Say once what this version of the pack reads: what a record does not name was read and empty."""
        wanted = self._wanted
        reads = {
            "contact": sorted(wanted.rule_inputs), "company": sorted(wanted.company), "deals": sorted(wanted.deals),
            "reads_deals": wanted.reads_deals,
        }  # fmt: skip
        row = {"hash": self._pack_hash, "name": self._pack, "reads": reads, "first_at": now}
        connection.execute(insert_into(self._engine, packs).on_conflict_do_nothing(), row)

    def _confirm(self, connection: sa.Connection, confirmed: Mapping[str, str], now: int) -> None:
        if confirmed:
            done = {"state": CONFIRMED, "hubspot_id": sa.bindparam("_id"), "settled_at": now, "error": None}
            this = (effects.c.portal == self._portal, effects.c.key == sa.bindparam("_key"))
            rows = [{"_key": key, "_id": id_ or None} for key, id_ in confirmed.items()]
            connection.execute(sa.update(effects).where(*this).values(done), rows)

    def _await_heir(self, connection: sa.Connection, contact: str, survivor: str, now: int) -> None:
        """Keep what is known of a merged contact, and of those merged into it before, until the survivor is judged."""
        mine = contacts.c.portal == self._portal
        kept = contacts.c.gone.is_(None) | (contacts.c.gone == DELETED) | (contacts.c.heir_waits == 1)
        waits: dict[str, Any] = {"gone": survivor, "heir_waits": 1, **_PUT_AWAY}
        connection.execute(sa.update(contacts).where(mine, contacts.c.contact == contact, kept).values(waits))
        earlier = (mine, contacts.c.gone == contact, contacts.c.heir_waits == 1)
        connection.execute(sa.update(contacts).where(*earlier).values(gone=survivor))
        # Whoever was merged before ever being judged is found by this when the survivor must be erased.
        link = {
            "portal": self._portal, "contact": contact, "gone": survivor, "since": now, "decided_at": now,
            "rule": "gone", "because": "", "marks": {}, "pack_hash": self._pack_hash, "fingerprint": _NOT_JUDGED,
            "snapshot": {}, "unwritten": {},
        }  # fmt: skip
        connection.execute(insert_into(self._engine, contacts).on_conflict_do_nothing(), link)

    def _move_effects(self, connection: sa.Connection, contact: str, survivor: str) -> None:
        """Let what is under way be done for the survivor; its key stays: by it HubSpot's task is recognised."""
        connection.execute(sa.update(effects).where(*self._under_way(contact)).values(contact=survivor))

    def _forget(self, connection: sa.Connection, contact: str, now: int) -> None:
        """Clear what was read of a deleted contact and what its tasks say; that something was decided and done stays.

        What is still under way is given up: there is nobody to do it for.
        """
        this = (contacts.c.portal == self._portal, contacts.c.contact == contact)
        forgotten: dict[str, Any] = {"gone": DELETED, "unwritten": {}, **_PUT_AWAY}
        connection.execute(sa.update(contacts).where(*this).values(forgotten))
        of_this = (records.c.portal == self._portal, records.c.contact == contact)
        connection.execute(sa.update(records).where(*of_this).values(read={}))
        given_up = {"state": FAILED, "error": "the contact is gone", "settled_at": now}
        connection.execute(sa.update(effects).where(*self._under_way(contact)).values(given_up))
        these = (effects.c.portal == self._portal, effects.c.contact == contact)
        connection.execute(sa.update(effects).where(*these).values(body={}))

    def _under_way(self, contact: str) -> tuple[sa.ColumnElement[bool], ...]:
        return effects.c.portal == self._portal, effects.c.contact == contact, IS_INTENDED

    def _known(self, row: sa.Row[Any]) -> Held:
        """Read what is known; under other rules a value that was left alone is tried again."""
        bouts = bouts_from_data(row.bouts) if row.pack_hash == self._pack_hash else ()
        return Held(
            memory=_memory(row), unwritten=row.unwritten, stage_seen=row.stage_seen, theirs_until=row.theirs_until,
            decided_at=row.decided_at, bouts=bouts,
            shadow=shadow_of(row.shadow, self._candidate_hash),
        )  # fmt: skip

    def _contact_row(self, one: Judged, now: int, *, live: bool) -> dict[str, Any]:
        decision, memory = one.decision, one.decision.memory
        return {
            "portal": self._portal, "contact": one.snapshot.contact, "stage": memory.stage, "status": memory.status,
            "since": memory.since if memory.since is not None else now, "rule": decision.rule or "",
            "because": decision.because, "marks": _marks(memory), "pack_hash": self._pack_hash,
            "fingerprint": one.snapshot.fingerprint(self._wanted.rule_inputs),
            "snapshot": one.snapshot.as_data(self._wanted.contact), "unwritten": one.plan.writes if live else {},
            "decided_at": now, "next_look_at": decision.next_look_at, "gone": None, "heir_waits": 0,
            "stage_seen": one.snapshot.properties.get(STAGE) or "", "theirs_until": one.held.theirs_until,
            "bouts": bouts_as_data(one.held.bouts, now),
            "shadow": None if one.shadow is None else one.shadow.as_data(),
        }  # fmt: skip

    def _record_row(self, one: Judged, claim: str, now: int) -> dict[str, Any]:
        decision = one.decision
        return {
            "portal": self._portal, "contact": one.snapshot.contact, "claim": claim, "decided_at": now,
            "pack": self._pack, "pack_hash": self._pack_hash, "stage_before": decision.stage_before,
            "stage": decision.stage, "status": decision.status, "rule": decision.rule or "",
            "fingerprint": one.snapshot.fingerprint(self._wanted.rule_inputs),
            "read": {**one.snapshot.as_data(self._wanted.rule_inputs), "before": one.held.memory.as_data()},
            "decided": decided_data(decision), "planned": one.plan.as_data(), "done": None,
            "shadow": one.shadow.otherwise(self._candidate.name) if one.shadow and self._candidate else None,
        }  # fmt: skip

    def _effect_row(self, contact: str, effect: Effect, now: int) -> dict[str, Any]:
        return {
            "portal": self._portal, "contact": contact, "key": effect.key, "kind": effect.kind, "rule": effect.rule,
            "state": INTENDED, "body": dict(effect.body), "intended_at": now,
        }  # fmt: skip


def _marks(memory: Memory) -> dict[str, Any]:
    return {name: asdict(mark) for name, mark in memory.marks.items()}


def decided_data(decision: Decision) -> dict[str, Any]:
    """Give what a record says of a decision beside its stage, status and rule."""
    return {
        "because": decision.because, "facts": dict(decision.facts), "set": dict(decision.set),
        "tasks": [rule.id for rule in decision.tasks], "actions": [rule.id for rule in decision.actions],
        "next_look_at": decision.next_look_at,
    }  # fmt: skip


def _newest_of(
    portal: int, contact: sa.ColumnElement[str], since: int
) -> tuple[sa.ColumnElement[bool], ...]:
    """Tell the newest record of a contact, which is that of the claim that holds it; older ones are not even read."""
    other = records.alias()
    theirs = (other.c.portal == portal, other.c.contact == contact, other.c.decided_at >= since)
    newest = sa.select(sa.func.max(other.c.id)).where(*theirs).scalar_subquery()
    return records.c.id == newest, records.c.decided_at >= since


def _has_listed_owners(effect: Effect) -> bool:
    return isinstance(effect.body.get("owner"), list)


def _with_owner(effect: Effect, next_ones: "Counter[str]") -> Effect:
    if not _has_listed_owners(effect):
        return effect
    owners = effect.body["owner"]
    owner = owners[next_ones[effect.rule] % len(owners)]
    next_ones[effect.rule] += 1
    return replace(effect, body={**effect.body, "owner": owner})


def _memory(row: sa.Row[Any]) -> Memory:
    return Memory(
        stage=row.stage,
        status=row.status,
        since=row.since,
        marks={name: Mark(mark["count"], mark["last"], mark.get("seen")) for name, mark in row.marks.items()},
    )
