"""The worker: takes claims, works them off, keeps the portals' troubles, until it is told to stop.

One claim at a time and thread. A claim that fails as a whole goes back as it was; the portal then waits, not its
contacts. Killing the worker at any moment loses nothing: its lease runs out and the next one goes on.
"""

import threading
import time
from dataclasses import replace

import structlog

from connector.errors import ClaimLost, DatabaseUnavailable
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.inbox import Claim, Failure, next_try_at
from connector.moments import HOUR
from connector.pipeline import Work, moves
from connector.services import PortalServices, Services

MOST_CONTACTS = 500
"""In one claim: companies, associations and tasks are pooled over it, so a larger one costs fewer calls."""
IDLE_S = 0.25
_FULL = 100
_PACE_S = 1.0
"""After a claim that did not fill one call the next is given time to gather; a backlog is never kept waiting."""
_DATABASE_WAIT_S = 2.0
_log = structlog.get_logger()


class Worker:
    """Works off the inbox of all portals."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = threading.Event()
        self._is_ahead = False
        """The last claim did not fill one call, and was no second attempt: nothing more lay there."""
        self._tidied_at = 0

    def stop(self) -> None:
        """Ask the worker to stop after the claim in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Work until told to stop."""
        _log.info("worker.started", portals=sorted(self._services.portals))
        while not self._stopping.is_set():
            try:
                contacts = self.work_once()
            except DatabaseUnavailable as error:
                _log.error("worker.database_unavailable", error=str(error))
                self._stopping.wait(_DATABASE_WAIT_S)
                continue
            if not contacts:
                self.tidy()
                self._stopping.wait(IDLE_S)
            elif self._is_ahead:
                self._stopping.wait(_PACE_S)
        _log.info("worker.stopped")

    def tidy(self) -> int:
        """Delete some events that are old and judged, once an hour until none is left; their number."""
        now = self._services.clock()
        if now - self._tidied_at < HOUR:
            return 0
        deleted = self._services.inbox.expire(received_before=now - self._services.config.worker.keep_events)
        if deleted:
            _log.info("inbox.expired", events=deleted)
        else:
            self._tidied_at = now
        return deleted

    def work_once(self) -> int:
        """Work off one claim and give the number of its contacts; 0 when there was nothing to claim."""
        claim = self._services.inbox.claim(
            lease_ms=self._services.config.worker.lease, limit=MOST_CONTACTS, portals=frozenset(self._services.portals)
        )
        if claim is None:
            return 0
        self._is_ahead = len(claim.contacts) < _FULL and all(held.attempts == 1 for held in claim.contacts)
        with structlog.contextvars.bound_contextvars(claim=claim.token, portal=claim.portal):
            self._work(claim, self._services.portals[claim.portal])
        return len(claim.contacts)

    def _work(self, claim: Claim, portal: PortalServices) -> None:
        started = time.perf_counter()
        try:
            work = portal.pipeline.work(claim)
        except ClaimLost:
            _log.warning("claim.lost", contacts=len(claim.contacts))
        except HubSpotError as error:
            self._services.inbox.release(claim)
            self._in_trouble(portal, error)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one of the three places: the worker outlives whatever a contact does to it
            _log.exception("claim.failed", contacts=len(claim.contacts))
            self._give_back(claim, portal, error)
        else:
            self._told(claim, portal, work, time.perf_counter() - started)

    def _give_back(self, claim: Claim, portal: PortalServices, error: Exception) -> None:
        """Work off each contact by itself, so that only the one that broke the claim fails."""
        if len(claim.contacts) == 1:
            self._fail(claim, error)
            return
        for held in claim.contacts:
            alone = replace(claim, contacts=(held,))
            if self._stopping.is_set():
                self._services.inbox.release(alone)
            else:
                self._work(alone, portal)

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
            self._services.troubles.end_trouble(portal.id)
        self._count(claim, portal, work)
        _log.info(
            "claim.finished",
            contacts=len(claim.contacts),
            written=sum(bool(outcome.written) for outcome in work.outcomes.values()),
            effects=sum(len(outcome.confirmed) for outcome in work.outcomes.values()),
            gone=len(work.gone),
            failed=len(work.failed),
            duration_ms=round(seconds * 1_000),
        )
        for contact, failure in work.failed.items():
            buried = failure.retry_at is None
            _log.warning("contact.buried" if buried else "contact.failed", contact=contact, error=failure.error)

    def _count(self, claim: Claim, portal: PortalServices, work: Work) -> None:
        metrics, name = self._services.metrics, str(portal.id)
        now = self._services.clock()
        since = {held.contact: held.since for held in claim.contacts}
        for window, left in portal.budget.left().items():
            metrics.hubspot_calls_left.labels(name, window).set(left)
        for contact, one in work.judged.items():
            decision, outcome = one.decision, work.outcomes[contact]
            metrics.decision_seconds.observe(work.judging_s / len(work.judged))
            metrics.decisions.labels(name, decision.stage or "none", decision.status or "none").inc()
            if outcome.written:
                metrics.writes.labels(name, "properties", "done").inc()
                metrics.event_to_write_seconds.observe(max(now - since[contact], 0) / 1_000)
            if outcome.error is not None:
                metrics.writes.labels(name, "properties" if not outcome.written else "effects", "failed").inc()
            if outcome.confirmed:
                metrics.writes.labels(name, "effects", "done").inc(len(outcome.confirmed))
            if outcome.held is not None:
                metrics.writes.labels(name, "stage", "held").inc()
            if not portal.live and one.plan.properties:
                metrics.shadow_disagreements.inc()
        for before, after in moves(list(work.judged.values())):
            metrics.stage_moves.labels(name, before, after).inc()
