"""Contacts that were merged: what is known of them, and what is under way for them, passes to the survivor, once.

It passes while the survivor is judged, in the survivor's own claim, so that nobody else changes it meanwhile. The
survivor tells by a property of its own who was merged into it: whether the event of the merge comes first, last or
never makes no difference. The price: a survivor waits while another worker is at work on one of those.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from connector.decision import NO_MEMORY, Mark, Memory
from connector.inbox import Claim
from connector.record import DELETED, IS_INTENDED, Held, Recorder
from connector.shadow.verdicts import Shadow
from connector.snapshot import Snapshot
from connector.store.engine import reading
from connector.store.tables import contacts, effects, waiting

_ASKED_AT_ONCE = 5_000
_PATIENT_WITH_OTHERS, _PATIENT_WITH_ITSELF = 6, 2
"""So many attempts wait for other workers (which is longer than their leases), or for HubSpot to agree with itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passing:
    """What passes to the survivors of a claim."""

    held: Mapping[str, Held] = field(default_factory=dict)
    """By survivor: what is known of it, together with what was known of those merged into it."""
    heirs: Mapping[str, str] = field(default_factory=dict)
    """By merged contact: the survivor that takes over."""
    busy: frozenset[str] = frozenset()
    """Survivors that must wait: somebody is at work on a contact that was merged into them."""


def pass_on(  # noqa: PLR0913 - all that the claim has found out
    engine: sa.Engine, recorder: Recorder, claim: Claim, *, found: Mapping[str, Snapshot], gone: Mapping[str, str],
    held: Mapping[str, Held], ladder: Sequence[str], shadow_ladder: Sequence[str] = (),
) -> Passing:  # fmt: skip
    """Say what passes to the contacts that were found, by their own word and by that of those that were not."""
    named = _named(found, gone)
    with reading(engine) as connection:
        busy = frozenset(_busy(connection, claim, named, found))
        heirs = dict(_heirs(connection, claim.portal, named, found))
    heirs = {merged: survivor for merged, survivor in heirs.items() if survivor not in busy and merged not in found}
    left = recorder.held(list(heirs)) if heirs else {}
    estates: dict[str, list[Held]] = {}
    for merged, survivor in heirs.items():
        estates.setdefault(survivor, []).append(left[merged])
    taken = {
        survivor: inherited(held[survivor], estate, ladder, shadow_ladder or ladder)
        for survivor, estate in estates.items()
    }
    return Passing(held=taken, heirs=heirs, busy=busy)


def inherited(
    own: Held, estate: Sequence[Held], ladder: Sequence[str], shadow_ladder: Sequence[str] = ()
) -> Held:
    """Put what is known of a survivor together with what was known of those that were merged into it.

    `shadow_ladder` is the candidate pack's.
    """
    known = [one for one in (own, *estate) if one.memory != NO_MEMORY]
    first = max(known, key=lambda one: _rung(one.memory, ladder), default=own)
    looked_at = own if own.stage_seen is not None else first
    stays = [one.theirs_until for one in (own, *estate) if one.theirs_until is not None]
    unwritten: dict[str, str] = {}
    for one in (*estate, own):
        unwritten |= one.unwritten
    return replace(
        first,
        memory=heir_of([one.memory for one in known], ladder),
        unwritten=unwritten,
        effects=tuple({effect.key: effect for one in (own, *estate) for effect in one.effects}.values()),
        stage_seen=looked_at.stage_seen,
        theirs_until=max(stays, default=None),
        shadow=_shadow(known, shadow_ladder),
    )


def _shadow(known: Sequence[Held], ladder: Sequence[str]) -> Shadow | None:
    """Put together what a candidate pack knows; of whom it knows nothing yet it starts from what the live one does."""
    first = next((one.shadow for one in known if one.shadow is not None), None)
    if first is None:
        return None
    memories = [one.memory if one.shadow is None else one.shadow.memory for one in known]
    return replace(first, memory=heir_of(memories, ladder))


def heir_of(memories: Sequence[Memory], ladder: Sequence[str]) -> Memory:
    """Give what is known of a contact that several became: the highest stage, and all that was done for any of them."""
    if not memories:
        return NO_MEMORY
    highest = max(memories, key=lambda memory: _rung(memory, ladder))
    stays = [each.since for each in memories if each.stage == highest.stage and each.since is not None]
    marks: dict[str, Mark] = {}
    for memory in memories:
        for name, mark in memory.marks.items():
            marks[name] = max(mark, marks.get(name, mark), key=lambda each: (each.count, each.last or 0))
    return replace(highest, since=min(stays, default=None), marks=marks)


def _rung(memory: Memory, ladder: Sequence[str]) -> int:
    return ladder.index(memory.stage) if memory.stage in ladder else -1


def _named(found: Mapping[str, Snapshot], gone: Mapping[str, str]) -> dict[str, str]:
    """Give by merged contact the survivor, as far as HubSpot's answers say."""
    named = {merged: contact for contact, snapshot in found.items() for merged in snapshot.merged_ids}
    return {**named, **{contact: where for contact, where in gone.items() if where in found}}


def _busy(
    connection: sa.Connection, claim: Claim, named: Mapping[str, str], found: Mapping[str, Snapshot]
) -> Iterator[str]:
    attempts = {held.contact: held.attempts for held in claim.contacts}
    others = (waiting.c.claim != claim.token, waiting.c.claimed_until > claim.taken_at)
    in_hand = (waiting.c.portal == claim.portal, *others)
    for some in _some(named):
        query = sa.select(waiting.c.contact).where(*in_hand, waiting.c.contact.in_(some))
        for merged in connection.scalars(query):
            if attempts.get(named[merged], 0) <= _PATIENT_WITH_OTHERS:
                yield named[merged]
    for merged in named.keys() & found.keys():  # merged between two calls of ours
        if attempts.get(named[merged], 0) <= _PATIENT_WITH_ITSELF:
            yield named[merged]


def _heirs(
    connection: sa.Connection, portal: int, named: Mapping[str, str], found: Mapping[str, Snapshot]
) -> Iterator[tuple[str, str]]:
    """Give those of whom something is known or under way that was not passed on yet, with their survivors."""
    told = sa.select(contacts.c.contact, contacts.c.gone).where(
        contacts.c.portal == portal, contacts.c.gone.in_(found), contacts.c.heir_waits == 1
    )
    yield from ((row.contact, row.gone) for row in connection.execute(told))
    kept = contacts.c.gone.is_(None) | (contacts.c.gone == DELETED) | (contacts.c.heir_waits == 1)
    for some in _some(named):
        known = sa.select(contacts.c.contact).where(contacts.c.portal == portal, contacts.c.contact.in_(some), kept)
        under_way = sa.select(effects.c.contact).where(
            effects.c.portal == portal, effects.c.contact.in_(some), IS_INTENDED
        )
        for query in (known, under_way):
            yield from ((merged, named[merged]) for merged in connection.scalars(query))


def _some(ids: Collection[str]) -> Iterator[list[str]]:
    every = list(ids)
    for start in range(0, len(every), _ASKED_AT_ONCE):
        yield every[start : start + _ASKED_AT_ONCE]
