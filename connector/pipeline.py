"""The sentence: waiting contacts → snapshots → decisions → plans → writes → records, for one claim of one portal.

This is the only place where it is spelled out; `explain` and `test` call the same functions on the way. Between the
reads and the writes nothing does I/O: `now` is read once per claim and handed down.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
import structlog

from connector.decision import Decision, Mark, Memory, decide
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import PortalTrouble
from connector.hubspot.meaning import Meaning
from connector.inbox import Claim, Failure, Inbox, Waiting, next_try_at
from connector.moments import Clock
from connector.plan import Terms, make_plan
from connector.record import Held, Judged, Outcome, Recorder
from connector.rulebook.cases import Case, Seen
from connector.rulebook.judging import Rulebook, Subject
from connector.snapshot import Snapshot, Snapshots, Wanted, read_snapshots, with_companies, with_deals
from connector.store.engine import writing
from connector.writes import Written, carry_out

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
    plan = make_plan(decision, snapshot, terms, now, held.unwritten)
    return Judged(snapshot=snapshot, held=held, decision=decision, plan=plan)


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
        waiting = {held.contact: held for held in claim.contacts}
        held = self._recorder.held(list(waiting))
        snapshots = read_snapshots(self.hubspot, self.wanted, list(waiting))
        gone = self._whereabouts(snapshots.missing)
        judged, unread, judging_s = self._judge_all(snapshots.found, held, now)
        failed = self._failures({**snapshots.failed, **unread}, waiting)
        self._intend(claim, judged, gone, now)
        written = self._write(claim, judged) if self._live else Written(outcomes={c: Outcome() for c in judged})
        work = self._finish(claim, judged, gone, failed, written)
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

    def _whereabouts(self, missing: Iterable[str]) -> dict[str, str]:
        """Say where contacts went that a batch does not find: the id they were merged into, or "deleted"."""
        gone = {}
        for contact in sorted(missing):
            record = self.hubspot.contacts.read_one(contact, ["hs_object_id"])
            survivor = str(record["id"]) if record else "deleted"
            gone[contact] = survivor if survivor != contact else "deleted"
        return gone

    def _judge_all(
        self, snapshots: Mapping[str, Snapshot], held: Mapping[str, Held], now: int
    ) -> tuple[dict[str, Judged], dict[str, Meaning], float]:
        """Judge all; companies, then deals, are read only for those whose decision could still depend on them."""
        terms = self._terms()
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

    def _needs_company(self, one: Judged) -> bool:
        in_texts = bool(one.decision.tasks) and bool(self.rulebook.pack.properties_in_texts("company"))
        return one.snapshot.company is None and (one.decision.undetermined or in_texts)

    def _needs_deals(self, one: Judged) -> bool:
        return one.snapshot.deals is None and one.decision.undetermined

    # --- writing ------------------------------------------------------------------------------------------------------

    def _intend(self, claim: Claim, judged: Mapping[str, Judged], gone: Mapping[str, str], now: int) -> None:
        """Write down what was decided and what is about to be done, before anything is."""
        self._still_held(claim)
        with writing(self._engine) as connection:
            self._recorder.intend(connection, claim.token, list(judged.values()), now, live=self._live)
            self._recorder.bury(connection, claim.token, gone, now)

    def _write(self, claim: Claim, judged: Mapping[str, Judged]) -> Written:
        busy = [one for one in judged.values() if one.plan.properties or one.plan.effects or one.held.effects]
        if not busy:
            return Written(outcomes={contact: Outcome(held=one.plan.held) for contact, one in judged.items()})
        written = carry_out(
            self.hubspot, busy, default_owner=self._default_owner, still_held=lambda: self._still_held(claim)
        )
        idle = {c: Outcome(held=one.plan.held) for c, one in judged.items() if c not in written.outcomes}
        return replace(written, outcomes={**idle, **written.outcomes})

    def _still_held(self, claim: Claim) -> None:
        """Raise ClaimLost when the lease is over; hold it for longer once a third of it has gone."""
        if self._clock() > claim.until - self._lease_ms * 2 // 3:
            self._inbox.renew(claim, lease_ms=self._lease_ms)

    def _finish(
        self, claim: Claim, judged: Mapping[str, Judged], gone: Mapping[str, str], failed: Mapping[str, Failure],
        written: Written,
    ) -> Work:  # fmt: skip
        """Record the outcomes and give the contacts back, in one transaction."""
        now = self._clock()
        waiting = {held.contact: held for held in claim.contacts}
        outcomes = written.outcomes
        undone = {c: outcome for c, outcome in outcomes.items() if outcome.error is not None}
        failed = {**failed, **{c: self._failure(outcome, waiting[c], now) for c, outcome in undone.items()}}
        settled: dict[str, int | None] = dict.fromkeys(gone)
        settled |= {c: self._next_look(judged[c], outcome, now) for c, outcome in outcomes.items() if c not in undone}
        with writing(self._engine) as connection:
            self._recorder.settle(connection, claim.token, outcomes, now)
            self._inbox.finish(claim, connection, settled=settled, failed=failed)
            survivors = sorted({where for where in gone.values() if where != "deleted"})
            self._inbox.look_at(claim.portal, survivors, due=now, connection=connection)
        return Work(judged=judged, outcomes=outcomes, gone=gone, failed=failed, trouble=written.trouble)

    def _next_look(self, one: Judged, outcome: Outcome, now: int) -> int | None:
        """Say when to look again: at once when our own writes change what the rules read, whose echo is not heard."""
        if outcome.gone:
            return now
        if self.wanted.rule_inputs.isdisjoint(outcome.written):
            return one.decision.next_look_at
        properties = {**one.snapshot.properties, **outcome.written}
        after = judge(
            self.rulebook, replace(one.snapshot, properties=properties), Held(memory=one.decision.memory),
            self._terms(), now,
        )  # fmt: skip
        return now if after.plan.effects or after.plan.properties else after.decision.next_look_at

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


def _as_outcome(meaning: Meaning) -> Outcome:
    return Outcome(error=str(meaning), retryable=meaning.retryable, retry_after_ms=meaning.retry_after_ms)


def moves(judged: Sequence[Judged]) -> list[tuple[str, str]]:
    """List the changes of stage among decisions as (from, to); "none" where there is no stage."""
    return [
        (one.decision.stage_before or "none", one.decision.stage or "none") for one in judged if one.decision.entered
    ]
