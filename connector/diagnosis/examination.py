"""The whole examination, check after check, in the order in which things depend on each other.

It works when next to nothing does: what a broken part keeps from being looked at is left out, and all else is told.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from connector.config import Config, Portal
from connector.diagnosis import access, arrivals, database, files, holdings
from connector.diagnosis.check import Check, cleaned, examined, secrets_of
from connector.diagnosis.flow import Flow
from connector.diagnosis.readings import Readings
from connector.errors import UsageError
from connector.moments import Clock
from connector.rulebook.pack import Pack
from connector.store.engine import file_of

Sleep = Callable[[float], None]


def examine(path: Path, *, clock: Clock, only: int | None = None, sleep: Sleep | None = None) -> Iterator[Check]:
    """Examine a set-up and give each check as soon as it is made; raises UsageError for a portal that is not named."""
    config, found = files.configuration(path)
    if config is None:
        yield from found
        return
    if only is not None and config.portal(only) is None:
        known = " | ".join(str(portal.id) for portal in config.portals)
        raise UsageError(f"no portal {only} is configured; name one of them: --portal {known}")
    portals = [portal for portal in config.portals if only in (None, portal.id)]
    secrets = secrets_of(config)
    yield from (cleaned(check, secrets) for check in found)
    yield from _Examination(path, config, portals, secrets, clock, sleep).run()


@dataclass(slots=True)
class _Examination:
    """One run: what was found so far that later checks build on."""

    path: Path
    config: Config
    portals: list[Portal]
    secrets: Collection[str]
    clock: Clock
    sleep: Sleep | None
    engine: sa.Engine | None = None
    packs: dict[int, Pack] = field(default_factory=dict)

    def run(self) -> Iterator[Check]:
        yield from self._check("permissions", lambda: files.permissions(self.path, self.config))
        yield from self._database()
        for portal in self.portals:
            yield from self._of_files(portal)
            readings = Readings.of(self.config, portal, self.clock, self.sleep)
            yield from self._of_hubspot(portal, readings)
            yield from self._of_database(portal, readings)
            readings.hubspot.close()
        if self.engine is not None:
            flow = Flow(engine=self.engine, now=self.clock(), worker=self.config.worker)
            yield from self._check("workers", lambda: flow.workers([portal.id for portal in self.portals]))
            self.engine.dispose()

    def _check(self, id_: str, look: Callable[[], Iterable[Check]], portal: Portal | None = None) -> Iterator[Check]:
        number = None if portal is None else portal.id
        return examined(id_, look, portal=number, secrets=self.secrets)

    def _database(self) -> Iterator[Check]:
        yield from self._check("database", self._open)
        if (engine := self.engine) is not None:
            yield from self._check("database", lambda: database.writable(engine))
        file = file_of(self.config.database)
        if file is not None and file.exists():
            yield from self._check("database-log", lambda: database.log(file))
        if file is not None and file.parent.is_dir():
            yield from self._check("disk", lambda: database.disk(file))
            yield from self._check("file-system", lambda: database.own_disk(file))

    def _open(self) -> list[Check]:
        self.engine, found = database.opened(self.config.database)
        return found

    def _of_files(self, portal: Portal) -> Iterator[Check]:
        def rules() -> list[Check]:
            pack, found = files.rules(portal)
            if pack is not None:
                self.packs[portal.id] = pack
            return found

        yield from self._check("rules", rules, portal)
        yield from self._check("webhook_url", lambda: files.webhook_address(portal), portal)
        yield from self._check("client_secret", lambda: files.client_secret(portal), portal)

    def _of_hubspot(self, portal: Portal, readings: Readings) -> Iterator[Check]:
        """Examine what HubSpot answers; nothing more is asked where it lets nobody in, or into another's portal."""
        pack = self.packs.get(portal.id)
        token = list(self._check("token", lambda: access.token(portal, readings), portal))
        yield from token
        if readings.hubspot.clock_ahead_ms is not None or _is_well(token):
            yield from self._check("clock", lambda: access.clock(readings), portal)
        if not _is_well(token):
            return
        yield from self._check("app_id", lambda: access.app(portal, readings), portal)
        if pack is not None:
            yield from self._check("scopes", lambda: access.granted(portal, pack, readings), portal)
        yield from self._check("stages", lambda: holdings.stages(portal, pack, readings), portal)
        if pack is not None:
            yield from self._check("properties", lambda: holdings.properties(portal, pack, readings), portal)
            yield from self._check("deals", lambda: holdings.deals(portal, pack, readings), portal)
            yield from self._check("owners", lambda: holdings.owners(portal, pack, readings), portal)
        yield from self._check("budget", lambda: access.budget(portal, readings), portal)

    def _of_database(self, portal: Portal, readings: Readings) -> Iterator[Check]:
        """Examine what has arrived and what waits."""
        if self.engine is None:
            return
        engine, now, pack = self.engine, self.clock(), self.packs.get(portal.id)
        flow = Flow(engine=engine, now=now, worker=self.config.worker)
        seen: list[arrivals.Arrivals] = []

        def events() -> Iterable[Check]:
            seen.append(arrivals.read_arrivals(engine, portal.id))
            return arrivals.last_event(seen[0], now)

        yield from self._check("events", events, portal)
        if pack is not None:
            calculated, every = readings.calculated(), self.config.worker.reconcile_every
            if seen:
                yield from self._check("subscriptions", lambda: arrivals.subscribed(pack, seen[0], calculated), portal)
            yield from self._check("silent-properties", lambda: arrivals.silent(pack, calculated, every), portal)
        yield from self._check("inbox", lambda: flow.inbox(portal.id), portal)
        yield from self._check("trouble", lambda: flow.trouble(portal.id), portal)
        yield from self._check("reconciliation", lambda: flow.reconciliation(portal.id), portal)


def _is_well(checks: Iterable[Check]) -> bool:
    return all(check.state == "ok" for check in checks)
