"""The sentence: waiting contacts → snapshots → decisions → plans → writes → records, for one claim of one portal.

This is the only place where it is spelled out; `explain` and `test` call the same functions on the way. Between the
reads and the writes nothing does I/O: `now` is read once per claim and handed down.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
import structlog

from connector.examiner import Examiner, judge, worded
from connector.hubspot.failure import PortalTrouble, concerns_portal, failure_of
from connector.hubspot.meaning import Meaning
from connector.identity.erasure import remove_people, remove_traces
from connector.identity.presence import Presence, Reader
from connector.identity.receipts import Receipt
from connector.inbox import Claim, Failure, Inbox, Waiting, next_try_at
from connector.moments import DAY, MINUTE, SECOND, Clock
from connector.plan import Effect, Terms
from connector.record import DELETED, Held, Judged, Outcome, Recorder
from connector.rewound import seeking
from connector.rivals.bouts import Bouts, after_writing, hold_back
from connector.rivals.rivals import Found, Rivals
from connector.shadow.candidate import Candidate, Compared
from connector.store.engine import again_when_collided, writing
from connector.tracing import span
from connector.writes import Written, carry_out

_MOST_ECHOES = 4
"""So many times in a row our own writes may lead to the next; a pack that never comes to rest must not run on."""
_RESTLESS = DAY
_HINDERED = 15 * MINUTE
"""So often it is tried to do what the app lacks a scope for."""
_GATHER = 5 * SECOND
"""So long a survivor of a merge waits, for those that were merged may be found gone one by one."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What became of a claim: the decisions with their outcomes, contacts that are gone, contacts that failed."""

    judged: Mapping[str, Judged] = field(default_factory=dict)
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Failure] = field(default_factory=dict)
    judging_s: float = 0.0
    """How long judging and planning took for all of them together, without HubSpot's time."""
    trouble: PortalTrouble | None = None
    hindered: Mapping[str, str] = field(default_factory=dict)
    """Kinds of effects that wait for a scope, and what HubSpot said."""
    receipts: Sequence[Receipt] = ()
    """Of people whom the rules had erased."""
    fights: Sequence[tuple[str, str]] = ()
    """Those that have begun: (property, rival)."""
    unshadowed: int = 0
    """About how many contacts the candidate pack could say nothing."""


def _everyone(_: Judged) -> bool:
    return True


class Pipeline:
    """Works off the claims of one portal under one pack."""

    def __init__(  # noqa: PLR0913 - the parts of the sentence, all named
        self, *, examiner: Examiner, engine: sa.Engine, inbox: Inbox, recorder: Recorder,
        rivals: Rivals, terms: Callable[[], Terms], clock: Clock, random: Callable[[], float], lease_ms: int,
        last_attempt: int, default_owner: str | None, live: bool, candidate: Candidate | None = None,
    ) -> None:  # fmt: skip
        self.examiner = examiner
        self.hubspot = examiner.hubspot
        self._engine = engine
        self._inbox = inbox
        self._recorder = recorder
        self._ladder = examiner.rulebook.pack.ladder
        self._reader = Reader(
            hubspot=examiner.hubspot, wanted=examiner.asked, engine=engine, recorder=recorder, ladder=self._ladder,
            shadow_ladder=candidate.pack.ladder if candidate else (),
        )  # fmt: skip
        self._candidate = candidate
        self._rivals = rivals
        self.terms = terms
        self._clock = clock
        self._random = random
        self._lease_ms = lease_ms
        self._last_attempt = last_attempt
        self._default_owner = default_owner
        self._live = live

    def work(self, claim: Claim, *, admits: Callable[[Judged], bool] = _everyone) -> Work:
        """Work off a claim to its end; raises HubSpotError when nothing could be read, ClaimLost when it was lost.

        Contacts that are not admitted, once they have been judged, are given back as if never claimed.
        """
        now = self._clock()
        terms = self.terms()
        waiting = {held.contact: held for held in claim.contacts}
        with span("read"):
            there = self._reader.read(claim, now=now, still_held=lambda: self._still_held(claim))
        judged, unread, judging_s = self.examiner.judge_all(there.found, there.held, terms, now)
        judged, fought = self._leave_to_rivals(self.examiner.respect_people(judged, unread, terms, now), now)
        unread |= fought.unread
        judged = {contact: worded(one, terms, now) for contact, one in judged.items() if admits(one)}
        judged = {contact: seeking(one) for contact, one in self._recorder.in_turn(judged).items()}
        meanings = {**there.failed, **unread}
        self._check_portal(meanings, reached=bool(judged or there.gone or there.erased))
        failed = self._failures({**meanings, **there.busy}, waiting)
        beside = self._candidate.put_beside(judged, now) if self._candidate else Compared(judged=judged)
        judged = dict(beside.judged)
        begun = self._intend(claim, judged, there, fought, now)
        written = self._write(claim, judged, now) if self._live else Written(outcomes={c: Outcome() for c in judged})
        work = self._finish(_Done(claim, terms, judged, there, failed, written))
        return replace(work, judging_s=judging_s, fights=begun, unshadowed=beside.failed)

    # --- reading and judging ------------------------------------------------------------------------------------------

    def _check_portal(self, meanings: Mapping[str, Meaning], *, reached: bool) -> None:
        """Raise when it is the portal that fails and not its contacts, so that their attempts are not used up."""
        for meaning in meanings.values():
            if concerns_portal(meaning):
                raise failure_of(meaning, portal=self.hubspot.portal, endpoint="batch read", now=self._clock())
        if meanings and not reached and all(meaning.retryable for meaning in meanings.values()):
            self.hubspot.account()  # raises when HubSpot as a whole does not answer; else it is these contacts

    def _leave_to_rivals(self, judged: Mapping[str, Judged], now: int) -> tuple[dict[str, Judged], Found]:
        """Take out of the plans what another automation sets back each time."""
        found = self._rivals.find(judged.values(), now)
        after = {c: one for c, one in judged.items() if c not in found.unread}
        for contact, bouts in found.bouts.items():
            one = after[contact]
            after[contact] = replace(one, held=replace(one.held, bouts=bouts), plan=hold_back(one.plan, bouts, now))
        return after, found

    # --- writing ------------------------------------------------------------------------------------------------------

    @again_when_collided
    def _intend(
        self, claim: Claim, judged: Mapping[str, Judged], there: Presence, fought: Found, now: int
    ) -> Sequence[tuple[str, str]]:
        """Write down what was decided and what is about to be done, before anything is; give the fights that begin."""
        self._still_held(claim)
        with writing(self._engine) as connection:
            self._inbox.ensure_held(claim, connection)  # nobody who was erased meanwhile is to come back by this
            self._recorder.intend(connection, claim.token, list(judged.values()), now, live=self._live)
            self._recorder.bury(connection, claim.token, there.gone, now, heirs=there.heirs_among(judged))
            begun = self._rivals.note(connection, fought.rivals, now)
        self._rivals.tell(begun)
        return begun

    def _write(self, claim: Claim, judged: Mapping[str, Judged], now: int) -> Written:
        busy = [one for one in judged.values() if one.plan.properties or one.plan.effects or one.held.effects]
        if not busy:
            return Written(outcomes={contact: Outcome(held=one.plan.held) for contact, one in judged.items()})
        with span("write", contacts=len(busy)):
            written = carry_out(
                self.hubspot, busy, default_owner=self._default_owner, still_held=lambda: self._still_held(claim),
                now=now,
            )  # fmt: skip
        idle = {c: Outcome(held=one.plan.held) for c, one in judged.items() if c not in written.outcomes}
        return replace(written, outcomes={**idle, **written.outcomes})

    def _still_held(self, claim: Claim) -> None:
        """Raise ClaimLost when the lease is over; hold it for longer once a third of it has gone."""
        if self._clock() > claim.until - self._lease_ms * 2 // 3:
            self._inbox.renew(claim, lease_ms=self._lease_ms)

    @again_when_collided
    def _finish(self, done: "_Done") -> Work:
        """Record the outcomes and give the contacts back, in one transaction; the untried as if never claimed."""
        now = self._clock()
        claim, judged, outcomes = done.claim, done.judged, done.written.outcomes
        waiting = {held.contact: held for held in claim.contacts}
        there = done.there
        undone = {c: outcome for c, outcome in outcomes.items() if outcome.error is not None or outcome.gone}
        failed = {
            **done.failed,
            **{c: self._failure(one, waiting[c], now) for c, one in undone.items() if c not in done.written.untried},
        }
        settled: dict[str, int | None] = dict.fromkeys([*there.gone, *there.erased])
        settled |= {
            c: self._next_look(judged[c], one, done.terms, now) for c, one in outcomes.items() if c not in undone
        }
        again = now + _HINDERED
        settled |= {c: min(settled[c] or again, again) for c in done.written.postponed & settled.keys()}
        survivors = sorted({*there.gone.values()} - {DELETED} - judged.keys())
        with writing(self._engine) as connection:
            # First what waits, then what is known, as whoever intends or erases takes them: nobody waits in a circle.
            self._inbox.finish(claim, connection, settled=settled, failed=failed)
            self._recorder.settle(
                connection, claim.token, outcomes, now, bouts=_bouts_after(judged, outcomes, now), looks=settled,
                since=claim.taken_at - DAY,  # the clock may have been set right meanwhile
            )  # fmt: skip
            self._inbox.look_at(claim.portal, survivors, due=now + _GATHER, connection=connection)
            receipts = self._forget(connection, done, now)
        if done.written.untried:
            self._inbox.release(claim)
        return Work(
            judged=judged, outcomes=outcomes, gone=there.gone, failed=failed, trouble=done.written.trouble,
            hindered=done.written.hindered, receipts=receipts,
        )  # fmt: skip

    def _forget(self, connection: sa.Connection, done: "_Done", now: int) -> Sequence[Receipt]:
        """Erase whom the rules had erased in HubSpot, and what later events brought back of people who were erased."""
        portal, there = done.claim.portal, done.there
        if there.erased:
            remove_traces(connection, portal, there.erased, now=now)
        confirmed = {key for outcome in done.written.outcomes.values() for key in outcome.confirmed}
        over = [c for c, one in done.judged.items() if any(effect.key in confirmed for effect in _erasing(one))]
        over += [c for c, where in there.gone.items() if where == DELETED and any(map(_erases, there.held[c].effects))]
        return remove_people(connection, portal, over, reason="privacy_deletion", now=now)

    def _next_look(self, one: Judged, outcome: Outcome, terms: Terms, now: int) -> int | None:
        """Say when to look again: at once when our own writes change what the rules read, whose echo is not heard."""
        beside = self._candidate.next_look(one, outcome.written, now) if self._candidate else None
        if self.examiner.wanted.rule_inputs.isdisjoint(outcome.written):
            return _earliest(one.decision.next_look_at, one.plan.held_until, beside)
        after = self._echoed(one, outcome.written, terms, now)
        if not after.plan.effects and not after.plan.properties:
            return _earliest(after.decision.next_look_at, after.plan.held_until, beside)
        for _ in range(_MOST_ECHOES):
            if not after.plan.effects and not after.plan.properties:
                return now
            after = self._echoed(after, after.plan.writes, terms, now)
        _log.error("contact.restless", contact=one.snapshot.contact, rule=one.decision.rule)
        return now + _RESTLESS

    def _echoed(self, one: Judged, written: Mapping[str, str], terms: Terms, now: int) -> Judged:
        """Judge a contact as it will be once these values are in HubSpot."""
        snapshot = replace(one.snapshot, properties={**one.snapshot.properties, **written})
        held = Held(memory=one.decision.memory, theirs_until=one.held.theirs_until, bouts=one.held.bouts)
        return judge(self.examiner.rulebook, snapshot, held, terms, now)

    def _failures(self, meanings: Mapping[str, Meaning], waiting: Mapping[str, Waiting]) -> dict[str, Failure]:
        now = self._clock()
        return {
            contact: self._failure(_as_outcome(meaning), waiting[contact], now)
            for contact, meaning in meanings.items()
        }

    def _failure(self, outcome: Outcome, waiting: Waiting, now: int) -> Failure:
        """Say when a contact is tried again; what HubSpot will never take becomes a dead letter at once."""
        if outcome.gone and waiting.attempts == 1:
            return Failure(error="gone between reading and writing", retry_at=now)
        error = outcome.error or ("gone between reading and writing" if outcome.gone else "failed")
        if not outcome.retryable:
            return Failure(error=error, retry_at=None)
        at = next_try_at(waiting.attempts, now=now, random=self._random, last=self._last_attempt)
        later = None if at is None else max(at, now + (outcome.retry_after_ms or 0))
        return Failure(error=error, retry_at=later)


@dataclass(frozen=True, slots=True)
class _Done:
    """All that became of a claim, before it is written down."""

    claim: Claim
    terms: Terms
    judged: Mapping[str, Judged]
    there: Presence
    failed: Mapping[str, Failure]
    written: Written


def _bouts_after(judged: Mapping[str, Judged], outcomes: Mapping[str, Outcome], now: int) -> dict[str, Bouts]:
    """Give the bouts of contacts of whom something was written."""
    return {
        c: after_writing(judged[c].held.bouts, one.written, held=one.held, now=now)
        for c, one in outcomes.items()
        if one.written
    }


def _earliest(*looks: int | None) -> int | None:
    return min((look for look in looks if look is not None), default=None)


def _erasing(one: Judged) -> Iterator[Effect]:
    return filter(_erases, (*one.held.effects, *one.plan.effects))


def _erases(effect: Effect) -> bool:
    return effect.kind == "erase"


def _as_outcome(meaning: Meaning) -> Outcome:
    return Outcome(error=meaning.traced(), retryable=meaning.retryable, retry_after_ms=meaning.retry_after_ms)


def moves(judged: Sequence[Judged]) -> list[tuple[str, str]]:
    """List the changes of stage among decisions as (from, to); "none" where there is no stage."""
    return [
        (one.decision.stage_before or "none", one.decision.stage or "none") for one in judged if one.decision.entered
    ]
