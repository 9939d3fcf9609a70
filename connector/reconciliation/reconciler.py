"""Reconciliation by itself, every so often: a thread per portal, so that a large or a troubled one delays no other.

Whichever process comes first takes a portal's turn; the others find it taken and go on. A portal in trouble is left
alone until it is to be tried again. What fails is tried again after some minutes, from where it came to.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from connector.absence import Absence
from connector.errors import DatabaseUnavailable, Stopped
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.moments import MINUTE, Clock
from connector.portals import Portals
from connector.reconciliation.reconciliation import Reconciliation, Report, Scope
from connector.reconciliation.watermarks import Turn, TurnLost
from connector.telemetry import Metrics

_LOOK_S = 5.0
_LEAVE_S = 1.0
_AGAIN = 5 * MINUTE
_OVER_WHEN_READING_WORKS = frozenset({"unauthorised", "migrating", "limited"})
_log = structlog.get_logger()


class Reconciler:
    """Reconciles portals whenever they are due, until told to stop."""

    def __init__(  # noqa: PLR0913 - what a loop needs, all named
        self, portals: Mapping[int, Reconciliation], *, troubles: Portals, metrics: Metrics, clock: Clock,
        every_ms: int | None, stopping: threading.Event, absence: Absence,
    ) -> None:  # fmt: skip
        self._portals = portals
        self._troubles = troubles
        self._metrics = metrics
        self._clock = clock
        self._every_ms = every_ms
        self._stopping = stopping
        self._absence = absence

    @contextmanager
    def running(self) -> Iterator[None]:
        """Reconcile beside whatever the block does; a pace of None is never."""
        threads = [
            threading.Thread(target=self._run, args=(portal,), name=f"reconcile-{portal}", daemon=True)
            for portal in (self._portals if self._every_ms is not None else ())
        ]
        for thread in threads:
            thread.start()
        yield
        # Who hangs in a call is not waited for; the turn then runs out by itself.
        deadline = time.monotonic() + _LEAVE_S
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def take(self, portals: Mapping[int, Reconciliation]) -> None:
        """Go on with these, of the same portals; what is under way is finished as it was begun."""
        self._portals = portals

    def due(self) -> list[int]:
        """Name the portals that are due and nobody is at."""
        if self._every_ms is None or not self._portals:
            return []
        watermarks = next(iter(self._portals.values())).watermarks
        return watermarks.due(self._portals, every_ms=self._every_ms)

    def run_due(self, portal: int) -> Report | None:
        """Reconcile a portal if it is due and nobody else is at it; None when nothing was done."""
        reconciliation, every = self._portals[portal], self._every_ms
        trouble = self._troubles.troubles().get(portal)
        if every is None or (trouble is not None and trouble.until > self._clock()):
            return None
        watermarks = reconciliation.watermarks
        turn = watermarks.begin(portal, every_ms=every) if watermarks.is_due(portal, every_ms=every) else None
        return None if turn is None else self._take(reconciliation, turn)

    def _run(self, portal: int) -> None:
        with structlog.contextvars.bound_contextvars(portal=portal):
            # Not at once: what came in while nobody worked is looked at first.
            while not self._stopping.wait(min(_LOOK_S, (self._every_ms or 0) / 1_000)):
                try:
                    self.run_due(portal)
                except DatabaseUnavailable as error:
                    self._absence.notice(error)
                except Exception:  # noqa: BLE001 - the worker's other loop: it outlives whatever a portal does to it
                    _log.exception("reconciliation.broken")
                    self._stopping.wait(_AGAIN / 1_000)

    def _take(self, reconciliation: Reconciliation, turn: Turn) -> Report | None:
        """Take a turn to its end, however it ends."""
        started = time.perf_counter()
        try:
            report = reconciliation.run(Scope(), turn, stopping=self._stopping.is_set)
            if report.is_whole:
                reconciliation.watermarks.end(turn)
            else:
                reconciliation.watermarks.give_up(turn)
        except TurnLost:
            self._count(turn.portal, "lost")
            _log.warning("reconciliation.lost", portal=turn.portal)
            return None
        except Stopped:
            reconciliation.watermarks.give_up(turn)
            return None
        except HubSpotError as error:
            self._fail(reconciliation, turn, error)
            return None
        self._tell(turn, report, time.perf_counter() - started)
        return report

    def _fail(self, reconciliation: Reconciliation, turn: Turn, error: HubSpotError) -> None:
        """Give the turn back; where every other call would fail too, the portal is in trouble, also without events."""
        portal = turn.portal
        self._count(portal, "failed")
        _log.warning("reconciliation.failed", portal=portal, code=error.meaning.kind, error=str(error))
        # What search alone may not read must not keep events from being worked off.
        if isinstance(error, PortalTrouble) and error.meaning.kind != "forbidden":
            self._troubles.begin_trouble(portal, code=error.meaning.kind, text=str(error), until=error.until)
            reconciliation.watermarks.give_up(turn)
        else:
            reconciliation.watermarks.give_up(turn, pause_ms=min(_AGAIN, self._every_ms or _AGAIN))

    def _tell(self, turn: Turn, report: Report, seconds: float) -> None:
        trouble = self._troubles.troubles().get(report.portal)
        if trouble is not None and trouble.code in _OVER_WHEN_READING_WORKS:
            self._troubles.end_trouble(report.portal, tried_at=turn.began_at)
        self._count(report.portal, "whole" if report.is_whole else "stopped")
        found = {"changed": report.changed, "unknown": report.unknown, "gone": report.gone, "placed": report.placed}
        for what, number in {"modified": report.modified.get("contacts", 0), **found}.items():
            self._metrics.reconciled_contacts.labels(str(report.portal), what).inc(number)
        _log.info(
            "reconciliation.finished", portal=report.portal, **found, modified=dict(report.modified),
            calls=report.calls, searches=report.searches, whole=report.is_whole, duration_ms=round(seconds * 1_000),
        )  # fmt: skip

    def _count(self, portal: int, outcome: str) -> None:
        self._metrics.reconciliations.labels(str(portal), outcome).inc()
