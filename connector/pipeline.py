"""The sentence: waiting contacts → snapshots → decisions → plans → writes → records, for one claim of one portal.

This is the only place where it is spelled out; `explain` and `test` call the same functions on the way. Between the
reads and the writes nothing does I/O: `now` is read once per claim and handed down.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
import structlog

from connector.decision import CLOSED, NO_MEMORY, Decision, Mark, Memory, decide
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError, PortalTrouble, concerns_portal, failure_of
from connector.hubspot.meaning import Meaning
from connector.inbox import Claim, Failure, Inbox, Waiting, next_try_at
from connector.moments import DAY, SECOND, Clock
from connector.people import contested, last_moves
from connector.plan import Terms, make_plan
from connector.record import DELETED, Held, Judged, Outcome, Recorder, heir_of
from connector.rulebook.cases import Case, Seen
from connector.rulebook.judging import Rulebook, Subject
from connector.snapshot import Snapshot, Snapshots, Wanted, read_snapshots, with_companies, with_deals
from connector.store.engine import writing
from connector.writes import Written, carry_out

_MOST_ECHOES = 4
"""So many times in a row our own writes may lead to the next; a pack that never comes to rest must not run on."""
_RESTLESS = DAY
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


def judge(rulebook: Rulebook, snapshot: Snapshot, held: Held, terms: Terms, now: int) -> Judged:
    """Decide about one contact and plan what is to be done."""
    decision = decide(rulebook, snapshot, held.memory, now)
    plan = make_plan(decision, snapshot, terms, now, held.unwritten, theirs_until=held.theirs_until)
    if decision.status != CLOSED:
        return Judged(snapshot=snapshot, held=held, decision=decision, plan=plan)
    # Whoever asked to be forgotten gets nothing that was intended before; only what forgets them is still done.
    forgetting = {action.id for action in rulebook.pack.actions if action.do}
    kept = tuple(effect for effect in held.effects if effect.rule in forgetting)
    dropped = tuple(effect.key for effect in held.effects if effect not in kept)
    return Judged(
        snapshot=snapshot, held=replace(held, effects=kept), decision=decision, plan=plan, dropped=dropped
    )


def see_case(rulebook: Rulebook, case: Case, now: int) -> Seen:
    """Decide about a contact of a case file, as the worker would."""
    decision = decide_case(rulebook, case, now)
    return Seen(
        stage=decision.stage,
        status=decision.status,
        rule=decision.rule,
        tasks=tuple(rule.id for rule in decision.tasks),
        actions=tuple(rule.id for rule in decision.actions),
        set=decision.set,
        facts=decision.facts,
    )


def decide_case(rulebook: Rulebook, case: Case, now: int) -> Decision:
    """Decide about a contact of a case file and give the whole decision."""
    marks = {name: Mark(count) for name, count in case.done.items()}
    memory = Memory(stage=case.stage, status=case.status, since=case.since, marks=marks)
    subject: Subject = case.subject
    return decide(rulebook, subject, memory, now)


class Pipeline:
    """Works off the claims of one portal under one pack."""

    def __init__(  # noqa: PLR0913 - the parts of the sentence, all named
        self, *, rulebook: Rulebook, hubspot: HubSpotPortal, engine: sa.Engine, inbox: Inbox, recorder: Recorder,
        terms: Callable[[], Terms], clock: Clock, random: Callable[[], float], lease_ms: int, last_attempt: int,
        default_owner: str | None, live: bool,
    ) -> None:  # fmt: skip
        self.rulebook = rulebook
        self.hubspot = hubspot
        self.wanted = Wanted.by(rulebook.pack)
        self._engine = engine
        self._inbox = inbox
        self._recorder = recorder
        self._terms = terms
        self._clock = clock
        self._random = random
        self._lease_ms = lease_ms
        self._last_attempt = last_attempt
        self._default_owner = default_owner
        self._live = live

    def work(self, claim: Claim) -> Work:
        """Work off a claim to its end; raises HubSpotError when nothing could be read, ClaimLost when it was lost."""
        now = self._clock()
        terms = self._terms()
        waiting = {held.contact: held for held in claim.contacts}
        held = self._recorder.held(list(waiting))
        snapshots = read_snapshots(self.hubspot, self.wanted, list(waiting))
        gone, lost = self._whereabouts(snapshots.missing)
        held |= _inherited(held, gone, self.rulebook.pack.ladder)
        judged, unread, judging_s = self._judge_all(snapshots.found, held, terms, now)
        judged = self._recorder.in_turn(self._respect_people(judged, unread, terms, now))
        meanings = {**snapshots.failed, **lost, **unread}
        self._check_portal(meanings, reached=bool(judged or gone))
        failed = self._failures(meanings, waiting)
        self._intend(claim, judged, gone, now)
        written = self._write(claim, judged, now) if self._live else Written(outcomes={c: Outcome() for c in judged})
        work = self._finish(_Done(claim, terms, judged, gone, failed, written))
        return replace(work, judging_s=judging_s)

    def read_and_judge(self, contact: str, held: Held, now: int) -> Judged | None:
        """Read everything about one contact and judge it, writing nothing; None when HubSpot has no such contact."""
        snapshots = read_snapshots(self.hubspot, self.wanted, [contact])
        if contact not in snapshots.found:
            return None
        snapshot = snapshots.found[contact]
        if snapshot.company is None:
            snapshot = with_companies(self.hubspot, self.wanted, [snapshot]).found[contact]
        if snapshot.deals is None:
            snapshot = with_deals(self.hubspot, self.wanted, [snapshot]).found[contact]
        return judge(self.rulebook, snapshot, held, self._terms(), now)

    # --- reading and judging ------------------------------------------------------------------------------------------

    def _whereabouts(self, missing: Iterable[str]) -> tuple[dict[str, str], dict[str, Meaning]]:
        """Say where contacts went that a batch does not find: the id they were merged into, or "deleted"."""
        gone, lost = {}, {}
        for contact in sorted(missing):
            try:
                record = self.hubspot.contacts.read_one(contact, ["hs_object_id"])
            except PortalTrouble:
                raise
            except HubSpotError as error:
                lost[contact] = error.meaning
                continue
            survivor = str(record["id"]) if record else DELETED
            gone[contact] = survivor if survivor != contact else DELETED
        return gone, lost

    def _check_portal(self, meanings: Mapping[str, Meaning], *, reached: bool) -> None:
        """Raise when it is the portal that fails and not its contacts, so that their attempts are not used up."""
        for meaning in meanings.values():
            if concerns_portal(meaning):
                raise failure_of(meaning, portal=self.hubspot.portal, endpoint="batch read", now=self._clock())
        if meanings and not reached and all(meaning.retryable for meaning in meanings.values()):
            self.hubspot.account()  # raises when HubSpot as a whole does not answer; else it is these contacts

    def _judge_all(
        self, snapshots: Mapping[str, Snapshot], held: Mapping[str, Held], terms: Terms, now: int
    ) -> tuple[dict[str, Judged], dict[str, Meaning], float]:
        """Judge all; companies, then deals, are read only for those whose decision could still depend on them."""
        judged, failed = dict[str, Judged](), dict[str, Meaning]()
        judging_s = 0.0

        def judge_each(found: Mapping[str, Snapshot]) -> None:
            nonlocal judging_s
            started = time.perf_counter()
            judged.update({c: judge(self.rulebook, snapshot, held[c], terms, now) for c, snapshot in found.items()})
            judging_s += time.perf_counter() - started

        judge_each(snapshots)
        for read, is_open in ((with_companies, self._needs_company), (with_deals, self._needs_deals)):
            open_ones = [one.snapshot for one in judged.values() if is_open(one)]
            if open_ones:
                more: Snapshots = read(self.hubspot, self.wanted, open_ones)
                failed |= more.failed
                judge_each(more.found)
        return {c: one for c, one in judged.items() if c not in failed}, failed, judging_s

    def _respect_people(
        self, judged: Mapping[str, Judged], failed: dict[str, Meaning], terms: Terms, now: int
    ) -> dict[str, Judged]:
        """Judge those anew whose stage a person has moved since the last look: that move wins for a time."""
        moved = contested(judged.values()) if terms.human_wins_for else []
        if not moved:
            return dict(judged)
        moves, unread = last_moves(self.hubspot, moved)
        failed |= unread
        after = {c: one for c, one in judged.items() if c not in unread}
        for contact, moment in moves.items():
            one = after[contact]
            held = replace(one.held, theirs_until=moment + terms.human_wins_for)
            after[contact] = judge(self.rulebook, one.snapshot, held, terms, now)
        return after

    def _needs_company(self, one: Judged) -> bool:
        return one.snapshot.company is None and (one.decision.undetermined or self._shows(one, "company"))

    def _needs_deals(self, one: Judged) -> bool:
        return one.snapshot.deals is None and (one.decision.undetermined or self._shows(one, "deal"))

    def _shows(self, one: Judged, object_: str) -> bool:
        """Ask whether a text that is due may speak of the company or the deal."""
        due = bool(one.decision.tasks or one.decision.actions)
        return due and bool(self.rulebook.pack.properties_in_texts(object_))

    # --- writing ------------------------------------------------------------------------------------------------------

    def _intend(self, claim: Claim, judged: Mapping[str, Judged], gone: Mapping[str, str], now: int) -> None:
        """Write down what was decided and what is about to be done, before anything is."""
        self._still_held(claim)
        with writing(self._engine) as connection:
            self._recorder.intend(connection, claim.token, list(judged.values()), now, live=self._live)
            self._recorder.bury(connection, claim.token, gone, now, ladder=self.rulebook.pack.ladder)

    def _write(self, claim: Claim, judged: Mapping[str, Judged], now: int) -> Written:
        busy = [one for one in judged.values() if one.plan.properties or one.plan.effects or one.held.effects]
        if not busy:
            return Written(outcomes={contact: Outcome(held=one.plan.held) for contact, one in judged.items()})
        written = carry_out(
            self.hubspot, busy, default_owner=self._default_owner, still_held=lambda: self._still_held(claim), now=now
        )
        idle = {c: Outcome(held=one.plan.held) for c, one in judged.items() if c not in written.outcomes}
        return replace(written, outcomes={**idle, **written.outcomes})

    def _still_held(self, claim: Claim) -> None:
        """Raise ClaimLost when the lease is over; hold it for longer once a third of it has gone."""
        if self._clock() > claim.until - self._lease_ms * 2 // 3:
            self._inbox.renew(claim, lease_ms=self._lease_ms)

    def _finish(self, done: "_Done") -> Work:
        """Record the outcomes and give the contacts back, in one transaction; the untried as if never claimed."""
        now = self._clock()
        claim, judged, outcomes = done.claim, done.judged, done.written.outcomes
        waiting = {held.contact: held for held in claim.contacts}
        undone = {c: outcome for c, outcome in outcomes.items() if outcome.error is not None}
        failed = {
            **done.failed,
            **{c: self._failure(one, waiting[c], now) for c, one in undone.items() if c not in done.written.untried},
        }
        settled: dict[str, int | None] = dict.fromkeys(done.gone)
        settled |= {
            c: self._next_look(judged[c], one, done.terms, now) for c, one in outcomes.items() if c not in undone
        }
        survivors = sorted({where for where in done.gone.values() if where != DELETED})
        with writing(self._engine) as connection:
            self._recorder.settle(connection, claim.token, outcomes, now)
            self._inbox.finish(claim, connection, settled=settled, failed=failed)
            self._inbox.look_at(claim.portal, survivors, due=now + _GATHER, connection=connection)
        if done.written.untried:
            self._inbox.release(claim)
        return Work(judged=judged, outcomes=outcomes, gone=done.gone, failed=failed, trouble=done.written.trouble)

    def _next_look(self, one: Judged, outcome: Outcome, terms: Terms, now: int) -> int | None:
        """Say when to look again: at once when our own writes change what the rules read, whose echo is not heard."""
        if outcome.gone:
            return now
        if self.wanted.rule_inputs.isdisjoint(outcome.written):
            looks = (one.decision.next_look_at, one.plan.held_until)
            return min((look for look in looks if look is not None), default=None)
        after = self._echoed(one, outcome.written, terms, now)
        if not after.plan.effects and not after.plan.properties:
            return after.decision.next_look_at
        for _ in range(_MOST_ECHOES):
            if not after.plan.effects and not after.plan.properties:
                return now
            after = self._echoed(after, after.plan.writes, terms, now)
        _log.error("contact.restless", contact=one.snapshot.contact, rule=one.decision.rule)
        return now + _RESTLESS

    def _echoed(self, one: Judged, written: Mapping[str, str], terms: Terms, now: int) -> Judged:
        """Judge a contact as it will be once these values are in HubSpot."""
        snapshot = replace(one.snapshot, properties={**one.snapshot.properties, **written})
        return judge(self.rulebook, snapshot, Held(memory=one.decision.memory), terms, now)

    def _failures(self, meanings: Mapping[str, Meaning], waiting: Mapping[str, Waiting]) -> dict[str, Failure]:
        now = self._clock()
        return {
            contact: self._failure(_as_outcome(meaning), waiting[contact], now)
            for contact, meaning in meanings.items()
        }

    def _failure(self, outcome: Outcome, waiting: Waiting, now: int) -> Failure:
        """Say when a contact is tried again; what HubSpot will never take becomes a dead letter at once."""
        error = outcome.error or "failed"
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
    gone: Mapping[str, str]
    failed: Mapping[str, Failure]
    written: Written


def _inherited(held: Mapping[str, Held], gone: Mapping[str, str], ladder: Sequence[str]) -> dict[str, Held]:
    """Hand what is known of contacts that were merged to their survivors, where nothing is known of those yet."""
    known: dict[str, list[Memory]] = {}
    for contact, survivor in gone.items():
        if survivor in held and held[survivor].memory == NO_MEMORY and held[contact].memory != NO_MEMORY:
            known.setdefault(survivor, []).append(held[contact].memory)
    return {survivor: Held(memory=heir_of(memories, ladder)) for survivor, memories in known.items()}


def _as_outcome(meaning: Meaning) -> Outcome:
    return Outcome(error=str(meaning), retryable=meaning.retryable, retry_after_ms=meaning.retry_after_ms)


def moves(judged: Sequence[Judged]) -> list[tuple[str, str]]:
    """List the changes of stage among decisions as (from, to); "none" where there is no stage."""
    return [
        (one.decision.stage_before or "none", one.decision.stage or "none") for one in judged if one.decision.entered
    ]
