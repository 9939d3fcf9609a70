"""The worker: takes claims, works them off, keeps the portals' troubles, until it is told to stop.

A thread per claim, several claims of a portal while it has a backlog. A claim that fails as a whole goes back as it
was; the portal then waits, not its contacts. Killing the worker at any moment loses nothing: its leases run out and the
next one goes on. Told to stop, it gives its claims back within ten seconds, so that nobody waits for a lease.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import structlog

from connector.absence import Absence
from connector.daybook import DayCounter
from connector.driving.choice import driver_for
from connector.driving.driver import Turn
from connector.errors import ClaimLost, DatabaseUnavailable, Stopped
from connector.following import events_behind
from connector.hands import Hands
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.identity.erasure import erase_reported, remove_malformed
from connector.identity.receipts import Receipt
from connector.inbox import Claim, Failure, next_try_at
from connector.moments import HOUR, SECOND
from connector.pipeline import Work, moves
from connector.pruning import Pruner
from connector.reconciliation.reconciler import Reconciler
from connector.record import Judged, Outcome
from connector.reloading import renewed
from connector.rivals.rivals import end_fights
from connector.rulebook.pack import Pack
from connector.services import PortalServices, Services
from connector.snapshot import WRITTEN
from connector.summons import Summons
from connector.systemd import Supervisor
from connector.telemetry import start_at_zero
from connector.telling import tell_contacts
from connector.tracing import span

MOST_CONTACTS = 500
"""In one claim: companies, associations and tasks are pooled over it, so a larger one costs fewer calls."""
IDLE_S = 0.25
_FULL = 100
_PACE = SECOND
"""After a claim that did not fill one call the next is given time to gather; a backlog is never kept waiting."""
_SOON = 5 * SECOND
"""What is due within this, and within the settling time, is waited for by a job; what is due later, a sweep finds."""
_TIED_MS = 250
"""How long to leave a portal to other workers while suspects of it are in hand here."""
_DATABASE_WAIT_S = 2.0
_FINISH_S, _LEAVE_S = 3.0, 2.0
_SHOWS_AFTER = 15 * SECOND
_log = structlog.get_logger()


class Worker:
    """Works off the inbox of all portals."""

    def __init__(
        self, services: Services, *, summons: Summons | None = None, supervisor: Supervisor | None = None
    ) -> None:
        self._services = services
        self._summons = summons or Summons({})
        self._supervisor = supervisor or Supervisor({})
        self.stopping = threading.Event()
        self.lanes = services.config.worker.threads
        self._driver = driver_for(services.engine, services.config.worker.driver)
        self._hands = Hands(services.portals, most=services.config.worker.threads, clock=services.clock)
        self._tidied_at = 0
        self._pruner = Pruner(services.engine, keep_ms=services.config.worker.keep_records)
        self._day_counter = DayCounter(
            services.engine, {one.id: one.calendar.time_zone for one in services.config.portals}
        )
        start_at_zero(services.metrics, {one.id: {*one.pack.written(), *WRITTEN} for one in services.portals.values()})
        self.absence = Absence(services.clock)
        self.reconciler = Reconciler(
            {one.id: one.reconciliation for one in services.portals.values()}, troubles=services.troubles,
            metrics=services.metrics, clock=services.clock, every_ms=services.config.worker.reconcile_every,
            stopping=self.stopping, absence=self.absence,
        )  # fmt: skip

    def stop(self) -> None:
        """Ask the worker to stop: it takes no more claims, and finishes or gives back those in hand."""
        self.stopping.set()
        self._driver.stop()

    def run(self) -> None:
        """Work until told to stop; then come to an end within ten seconds, whatever HubSpot does."""
        _log.info("worker.started", portals=sorted(self._services.portals))
        self._supervisor.tell_ready()
        self._driver.run(self)
        self._supervisor.tell_stopping()
        self._end()
        _log.info("worker.stopped")

    # What it does when its driver tells it to

    def go_round(self) -> None:
        """Say that this worker lives, and take the rules anew when it was told to; to be called all the time."""
        self._supervisor.tell_alive()
        self.maybe_take_rules()
        self._services.metrics.worker_seen.set(self._services.clock() / SECOND)

    def begin_claim(self) -> bool:
        """Take a claim of the portal whose turn it is and have a thread work it off; False when there was none."""
        claim = self._claim(self._hands.free())
        if claim is None:
            return False
        self._hands.take(claim)
        # A daemon: whoever hangs in a call when the process ends is not waited for; its claim is given back.
        name = f"claim-{claim.token[:8]}"
        threading.Thread(target=self._work_in_hand, args=(claim,), name=name, daemon=True).start()
        return True

    def rest(self) -> None:
        """Wait a moment, or until a claim is worked off."""
        self._hands.wait(IDLE_S)

    def work_turn(self, portal: int, *, at_more: Callable[[], None]) -> Turn:
        """Take one claim of this portal and work it off here; say at once when there is more and all goes well."""
        was_well = self._hands.goes_well(portal)
        claim = None
        if not self.stopping.is_set():
            claim = self._hands.reach_out(portal, lambda: self._claim(frozenset({portal})))
        if claim is None:
            soon = _SOON + self._services.config.worker.settle
            due_in = _TIED_MS if self._hands.are_tied(portal) else self._services.inbox.due_in(portal, within=soon)
            return Turn(is_more=False, again_in_ms=due_in)
        if claim.leaves_more and was_well:
            at_more()
        went_well, rest_ms = self._work_in_hand(claim)
        if claim.leaves_more and went_well and not was_well:
            at_more()
        return Turn(is_more=claim.leaves_more, again_in_ms=rest_ms if went_well else None)

    def look_around(self) -> Iterable[int]:
        """Name the portals that have due contacts in nobody's hands."""
        self._erase_reported()
        return [portal for portal in self._services.inbox.portals_with_work() if portal in self._services.portals]

    def reconcile_meanwhile(self) -> contextlib.AbstractContextManager[None]:
        """Reconcile portals that are due, in threads of this process, beside whatever a block does."""
        return self.reconciler.running()

    def due_to_reconcile(self) -> Iterable[int]:
        """Name the portals whose reconciliation is due."""
        return self.reconciler.due()

    def reconcile(self, portal: int) -> None:
        """Reconcile one portal, if nobody else does."""
        self.reconciler.run_due(portal)

    def be_answered(self) -> None:
        """Note that the database answers."""
        self.absence.end()

    def tell_died(self, workers: Sequence[int], *, silent_for_s: float) -> None:
        """Tell that other workers have fallen silent."""
        self._services.metrics.workers_died.inc(len(workers))
        _log.error("worker.died", workers=workers, silent_for_s=silent_for_s)

    def packs(self) -> list[Pack]:
        """Give what it decides by at present."""
        return [one.pack for one in self._services.portals.values()]

    def maybe_take_rules(self) -> None:
        """Take the rules anew when a summons has come; claims in hand go on under those by which they were taken."""
        if self._summons.came():
            self._supervisor.tell_reloading()
            self._services = renewed(self._services)
            self.reconciler.take({one.id: one.reconciliation for one in self._services.portals.values()})
            self._supervisor.tell_ready()

    def tidy(self) -> int:
        """Delete some events that are old and judged, and some old records, once an hour until none is left.

        Each call is a small step; gives how many were looked at, 0 when there is nothing more to do for now. The book
        of days is kept up beside it.
        """
        now = self._services.clock()
        counted = self._day_counter.step(now)
        if now - self._tidied_at < HOUR:
            return counted
        self._services.inbox.place()
        end_fights(self._services.engine, now)
        remove_malformed(self._services.engine, frozenset(self._services.portals))
        deleted = self._services.inbox.expire(received_before=now - self._services.config.worker.keep_events)
        if deleted:
            _log.info("inbox.expired", events=deleted)
        looked_at = self._pruner.step(now)
        if not deleted and not looked_at:
            self._tidied_at = now
        return counted + deleted + looked_at

    def work_once(self) -> int:
        """Work off one claim and give the number of its contacts; 0 when there was nothing to claim."""
        claim = self._claim(frozenset(self._services.portals))
        if claim is None:
            return 0
        self._work(claim)
        return len(claim.contacts)

    def _claim(self, portals: frozenset[int]) -> Claim | None:
        self._erase_reported()
        if not portals:
            return None
        return self._services.inbox.claim(
            lease_ms=self._services.config.worker.lease, limit=MOST_CONTACTS, portals=portals
        )

    def _erase_reported(self) -> None:
        """Erase whom HubSpot says to have deleted for good, before anybody looks at them."""
        self._services.inbox.place()
        self._tell_erased(erase_reported(self._services.engine, now=self._services.clock()))

    def _work_in_hand(self, claim: Claim) -> tuple[bool, int]:
        """Work off a claim in hand; tell whether that went well, and what rest the portal is to have."""
        # It did not fill one call, and was no second attempt: nothing more lay there.
        is_ahead = len(claim.contacts) < _FULL and all(held.attempts == 1 for held in claim.contacts)
        went_well, rest_ms = False, _PACE if is_ahead else 0
        try:
            went_well = self._work(claim)
        except DatabaseUnavailable as error:
            self.absence.notice(error)
            self._release_when_possible(claim)
        finally:
            self._hands.put_down(claim, went_well=went_well, rest_ms=rest_ms)
        return went_well, rest_ms

    def _release_when_possible(self, claim: Claim) -> None:
        """Give a claim back as soon as the database takes it; at the latest its lease does that."""
        while not self.stopping.wait(_DATABASE_WAIT_S) and self._services.clock() < claim.until:
            with contextlib.suppress(DatabaseUnavailable):
                self._services.inbox.release(claim)
                return

    def _end(self) -> None:
        """Let what is in hand be finished; then stop it before its next call; then give back what hangs in one."""
        if self._hands.wait_until_empty(_FINISH_S):
            return
        for portal in self._services.portals.values():
            portal.budget.close()
        if self._hands.wait_until_empty(_LEAVE_S):
            return
        for claim in self._hands.held():
            # What such a call makes may show a little later: nobody looks for it before, and so makes it again.
            is_making = self._services.portals[claim.portal].hubspot.is_making
            delay = _SHOWS_AFTER if is_making else 0
            _log.warning("claim.given_back", claim=claim.token, contacts=len(claim.contacts), due_in_ms=delay)
            try:
                self._services.inbox.release(claim, due_in=delay)
            except DatabaseUnavailable as error:
                self.absence.notice(error)

    def _work(self, claim: Claim) -> bool:
        """Work off a claim; tell whether the portal could be worked with."""
        portal = self._services.portals[claim.portal]
        with structlog.contextvars.bound_contextvars(claim=claim.token, portal=claim.portal), self._traced(claim):
            started = time.perf_counter()
            self._tell_taken(claim)
            try:
                work = portal.pipeline.work(claim)
            except ClaimLost:
                _log.warning("claim.lost", contacts=len(claim.contacts))
            except Stopped:
                self._services.inbox.release(claim)
                _log.info("claim.given_back", contacts=len(claim.contacts))
            except HubSpotError as error:
                self._services.inbox.release(claim)
                self._in_trouble(portal, error)
                return False
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one of the three places: the worker outlives whatever a contact does to it
                _log.exception("claim.failed", contacts=len(claim.contacts))
                self._give_back(claim, error)
            else:
                self._told(claim, portal, work, time.perf_counter() - started)
                return work.trouble is None
        return True

    def _traced(self, claim: Claim) -> contextlib.AbstractContextManager[object]:
        """Trace a claim, linked to the events that it looks at."""
        led_by = partial(events_behind, self._services.engine, claim)
        return span("claim", events=led_by, claim=claim.token, portal=claim.portal, contacts=len(claim.contacts))

    def _tell_taken(self, claim: Claim) -> None:
        """Name the contacts whose events come to be looked at, so that each can be followed from its webhook on."""
        ids = [held.contact for held in claim.contacts]
        waited = max(claim.taken_at - min(held.since for held in claim.contacts), 0)
        _log.info("claim.taken", contact_ids=ids, waited_ms=waited)

    def _give_back(self, claim: Claim, error: Exception) -> None:
        """Work off each contact by itself, so that only the one that broke the claim fails."""
        if len(claim.contacts) == 1:
            self._fail(claim, error)
            return
        for held in claim.contacts:
            alone = replace(claim, contacts=(held,))
            if self.stopping.is_set():
                self._services.inbox.release(alone)
            else:
                self._work(alone)

    def _in_trouble(self, portal: PortalServices, error: HubSpotError) -> None:
        until = error.until if isinstance(error, PortalTrouble) else None
        self._services.troubles.begin_trouble(portal.id, code=error.meaning.kind, text=str(error), until=until)

    def _fail(self, claim: Claim, error: Exception) -> None:
        """Give the contacts back with the error; what made it fail shows after the attempts, as dead letters."""
        now = self._services.clock()
        last = self._services.config.worker.attempts
        failed = {
            held.contact: Failure(
                error=f"{type(error).__name__}: {error}"[:500],
                retry_at=next_try_at(held.attempts, now=now, random=self._services.random, last=last),
            )
            for held in claim.contacts
        }
        try:
            self._services.inbox.finish(claim, failed=failed)
        except ClaimLost:
            _log.warning("claim.lost", contacts=len(claim.contacts))

    def _told(self, claim: Claim, portal: PortalServices, work: Work, seconds: float) -> None:
        """Count and log what was done."""
        if work.trouble is not None:
            self._in_trouble(portal, work.trouble)
        else:
            self._services.troubles.end_trouble(portal.id, tried_at=claim.taken_at, done=_kinds_done(work))
        if work.hindered:
            self._services.troubles.hinder(portal.id, work.hindered)
        self._count(claim, portal, work)
        tell_contacts(claim, work, now=self._services.clock())
        _log.info(
            "claim.finished",
            contacts=len(claim.contacts),
            written=sum(bool(outcome.written) for outcome in work.outcomes.values()),
            effects=sum(len(outcome.confirmed) for outcome in work.outcomes.values()),
            gone=len(work.gone),
            failed=len(work.failed),
            duration_ms=round(seconds * 1_000),
        )
        self._tell_erased(work.receipts)
        for contact, failure in work.failed.items():
            buried = failure.retry_at is None
            _log.warning("contact.buried" if buried else "contact.failed", contact=contact, error=failure.error)

    def _tell_erased(self, receipts: Iterable[Receipt]) -> None:
        """Count and log that people were erased, without saying who."""
        for receipt in receipts:
            self._services.metrics.erasures.labels(str(receipt.portal), receipt.reason).inc()
            rows = sum(receipt.counts.values())
            _log.info("person.erased", portal=receipt.portal, receipt=receipt.id, reason=receipt.reason, rows=rows)

    def _count(self, claim: Claim, portal: PortalServices, work: Work) -> None:
        metrics, name = self._services.metrics, str(portal.id)
        now = self._services.clock()
        since = {held.contact: held.since for held in claim.contacts}
        for contact, one in work.judged.items():
            decision, outcome = one.decision, work.outcomes[contact]
            metrics.decision_seconds.observe(work.judging_s / len(work.judged))
            metrics.decisions.labels(name, decision.stage or "none", decision.status or "none").inc()
            for kind, how in _writes(one, outcome):
                metrics.writes.labels(name, kind, how).inc()
            if outcome.written:
                metrics.event_to_write_seconds.observe(max(now - since[contact], 0) / 1_000)
            if (not portal.live and one.plan.properties) or (one.shadow is not None and one.shadow.is_otherwise):
                metrics.shadow_disagreements.inc()
        if work.unshadowed:
            metrics.shadow_failures.labels(name).inc(work.unshadowed)
        for property_, _ in work.fights:
            metrics.fights.labels(name, property_).inc()
        for before, after in moves(list(work.judged.values())):
            metrics.stage_moves.labels(name, before, after).inc()


def _writes(one: Judged, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Name what was to be written of a contact, by its kind, and what became of it."""
    if outcome.written or (one.plan.properties and outcome.error is not None):
        yield "properties", "done" if outcome.written else "failed"
    for key, effect in {each.key: each for each in (*one.held.effects, *one.plan.effects)}.items():
        if key in outcome.confirmed or outcome.error is not None:
            yield effect.kind, "done" if key in outcome.confirmed else "failed"
    if outcome.held is not None:
        yield "stage", "held"


def _kinds_done(work: Work) -> set[str]:
    """Name the kinds of effects of which one was done."""
    return {
        effect.kind
        for contact, one in work.judged.items()
        for effect in (*one.held.effects, *one.plan.effects)
        if effect.key in work.outcomes[contact].confirmed
    }
