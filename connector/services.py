"""Everything that a process needs, built from a configuration in one place and handed to functions from there."""

import contextlib
import random as random_numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from connector import __version__
from connector.config import Config, Portal
from connector.examiner import Examiner
from connector.hubspot.budget import BudgetState, BudgetStore, CallBudget, Limits
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.meaning import Meaning
from connector.hubspot.transport import CallSeen
from connector.inbox import Inbox
from connector.moments import HOUR, Clock, system_clock
from connector.oauth.access import AccessTokens
from connector.oauth.keyring import access_of, check_grants
from connector.packs import checked_rules
from connector.pipeline import Pipeline
from connector.plan import HUBSPOT_ORDER, STAGE, Terms
from connector.portals import Portals
from connector.reconciliation.reconciliation import CallTally, Reconciliation
from connector.reconciliation.watermarks import Watermarks
from connector.record import Recorder
from connector.rivals.rivals import Rivals
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.shadow.candidate import Candidate
from connector.snapshot import Wanted
from connector.store.budgets import DatabaseBudgets
from connector.store.engine import clock_of, open_database
from connector.telemetry import Metrics
from connector.tracing import tell_past
from connector.webhook import PortalKey
from connector.workdays import Workdays

Access = AccessTokens | Callable[[], str]
"""What gives the access token of now; AccessTokens can also be told that one was refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalServices:
    """What works for one portal."""

    id: int
    name: str
    live: bool
    pack: Pack
    shadow: Pack | None
    access: AccessTokens | None
    hubspot: HubSpotPortal
    budget: CallBudget
    recorder: Recorder
    pipeline: Pipeline
    reconciliation: Reconciliation


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What a process works with."""

    config: Config
    clock: Clock
    random: Callable[[], float]
    engine: sa.Engine
    inbox: Inbox
    troubles: Portals
    metrics: Metrics
    portals: Mapping[int, PortalServices]
    sleep: Callable[[float], None] | None = None


def what_runs(packs: Iterable[Pack]) -> frozenset[tuple[str, str]]:
    """Name this release beside each version of a pack that it decides by."""
    return frozenset((__version__, f"{pack.name}@{pack.hash[:12]}") for pack in packs)


def portal_keys(portals: Sequence[Portal]) -> tuple[PortalKey, ...]:
    """Give what proves requests of HubSpot."""
    return tuple(
        PortalKey(
            portal=portal.id,
            secrets=(portal.client_secret.get_secret_value(),),
            webhook_url=portal.webhook_url,
            allow_v1=portal.allow_v1,
            app_id=portal.app_id,
        )
        for portal in portals
    )


def open_services(
    config: Config, *, metrics: Metrics, clock: Clock = system_clock,
    sleep: Callable[[float], None] | None = None, packs: Mapping[int, Pack] | None = None,
) -> Services:
    """Open the database and build the services of every portal; raises FilesInvalid or DatabaseUnavailable.

    `packs` are by portal what is to decide, when it is not what the configuration names; no candidate runs beside it.
    """
    packs, candidates = checked_rules(config) if packs is None else (packs, {})
    engine = open_database(config.database)
    clock = clock_of(engine) if clock is system_clock else clock  # the one that all machines go by
    check_grants(config, engine, clock)
    inbox = Inbox(engine, clock, last_attempt=config.worker.attempts, told=metrics.count_placed)
    budgets = DatabaseBudgets(engine, to_row=BudgetState.as_row, from_row=BudgetState.of_row)
    random = random_numbers.SystemRandom().random
    services = Services(
        config=config, clock=clock, random=random, engine=engine, inbox=inbox, troubles=Portals(engine, clock),
        metrics=metrics, portals={}, sleep=sleep,
    )  # fmt: skip
    portals = {}
    for portal in config.portals:
        access = access_of(config, portal, clock=clock, engine=engine, sleep=sleep)
        way = open_hubspot(portal, store=budgets, clock=clock, metrics=metrics, sleep=sleep, access=access)
        portals[portal.id] = _portal_services(
            services, portal, packs[portal.id], shadow=candidates.get(portal.id), way=way, access=access
        )
    return replace(services, portals=portals)


def with_rules(services: Services) -> Services:
    """Give these services under the rules as they stand in their files now; raises FilesInvalid when they are broken.

    A portal whose rules are the same keeps all it has; every portal keeps its connections and its call budget.
    """
    packs, candidates = checked_rules(services.config)
    portals = dict(services.portals)
    for portal in services.config.portals:
        known, pack, shadow = portals[portal.id], packs[portal.id], candidates.get(portal.id)
        if (known.pack.hash, known.shadow and known.shadow.hash) != (pack.hash, shadow and shadow.hash):
            way = (known.hubspot, known.budget)
            portals[portal.id] = _portal_services(
                services, portal, pack, shadow=shadow, way=way, access=known.access
            )
    return replace(services, portals=portals)


def open_hubspot(
    portal: Portal, *, store: BudgetStore, clock: Clock = system_clock, metrics: Metrics | None = None,
    sleep: Callable[[float], None] | None = None, access: Access | None = None,
) -> tuple[HubSpotPortal, CallBudget]:
    """Build the client of one portal with its call budget; opens no connection yet.

    `access` opens a portal that has no access token of its own.
    """
    budget = CallBudget(portal=portal.id, limits=limits_of(portal), store=store, clock=clock, sleep=sleep)
    counting = _counting(metrics) if metrics else None
    return _client(portal, budget, clock=clock, sleep=sleep, on_call=counting, access=access), budget


def _client(
    portal: Portal, budget: CallBudget, *, clock: Clock, sleep: Callable[[float], None] | None,
    on_call: Callable[[CallSeen], None] | None, access: Access | None,
) -> HubSpotPortal:  # fmt: skip
    return HubSpotPortal(
        portal=portal.id,
        access_token=access or (portal.access_token.get_secret_value() if portal.access_token else ""),
        on_refused=access.refused if isinstance(access, AccessTokens) else None,
        api_url=portal.api_url,
        api_version=portal.api_version,
        budget=budget,
        clock=clock,
        sleep=sleep,
        on_call=on_call,
    )


def limits_of(portal: Portal) -> Limits:
    """Give a portal's limits as they are configured."""
    return Limits(
        calls_per_10s=portal.limits.calls_per_10s,
        calls_per_day=portal.limits.calls_per_day,
        reserve=portal.limits.reserve,
        time_zone=portal.calendar.time_zone,
    )


def _portal_services(
    services: Services, portal: Portal, pack: Pack, *, shadow: Pack | None, way: tuple[HubSpotPortal, CallBudget],
    access: AccessTokens | None,
) -> PortalServices:  # fmt: skip
    (hubspot, budget), config, engine, clock = way, services.config, services.engine, services.clock
    candidate = None if shadow is None else Candidate(shadow, hubspot, live=pack)
    recorder = Recorder(
        engine, portal=portal.id, pack=pack.name, pack_hash=pack.hash, wanted=Wanted.by(pack), candidate=shadow
    )
    live = portal.mode == "live"
    pipeline = Pipeline(
        examiner=Examiner(Rulebook(pack), hubspot, beside=candidate.wanted if candidate else None),
        engine=engine, inbox=services.inbox, recorder=recorder,
        rivals=Rivals(engine, hubspot, portal=portal.id, app_id=portal.app_id),
        terms=StageTerms(portal, pack, hubspot, budget, clock), clock=clock, random=services.random,
        lease_ms=config.worker.lease, last_attempt=config.worker.attempts, default_owner=portal.owners.default,
        live=live, candidate=candidate,
    )  # fmt: skip
    tally = CallTally()
    counting = _counting(services.metrics, tally)
    reconciliation = Reconciliation(
        portal=portal.id, pack=pack, tally=tally, engine=engine, inbox=services.inbox,
        watermarks=Watermarks(engine, clock), clock=clock, settle_ms=config.worker.settle,
        hubspot=_client(portal, budget, clock=clock, sleep=services.sleep, on_call=counting, access=access),
    )  # fmt: skip
    return PortalServices(
        id=portal.id, name=portal.name, live=live, pack=pack, shadow=shadow, access=access, hubspot=hubspot,
        budget=budget,
        recorder=recorder, pipeline=pipeline, reconciliation=reconciliation,
    )  # fmt: skip


def terms_of(portal: Portal, pack: Pack) -> Terms:
    """Give a portal's terms as they are configured, with HubSpot's own order of stages."""
    return Terms(
        portal=portal.id,
        ladder=pack.ladder,
        stages=portal.stages,
        backward_moves=portal.allow.backward_moves,
        human_wins_for=portal.human_wins_for,
        create_deals=portal.allow.create_deals,
        erase_contacts=portal.allow.erase_contacts,
        workdays=Workdays(
            time_zone=portal.calendar.time_zone,
            days=frozenset(portal.calendar.working_days),
            holidays=portal.calendar.holidays,
            quiet=(quiet.from_, quiet.to) if (quiet := portal.calendar.quiet_hours) else None,
        ),
    )


class StageTerms:
    """A portal's terms, with the order of its lifecycle stages as HubSpot has it, read once an hour."""

    def __init__(self, portal: Portal, pack: Pack, hubspot: HubSpotPortal, budget: CallBudget, clock: Clock) -> None:
        self._hubspot = hubspot
        self._budget = budget
        self._clock = clock
        self._read_at: int | None = None
        self._terms = terms_of(portal, pack)

    def __call__(self) -> Terms:
        """Give the terms of now; raises HubSpotError while the portal's stages were never read."""
        now = self._clock()
        if self._read_at is None or now - self._read_at > HOUR:
            try:
                order = self._order()
                self._tell_time_zone()
            except PortalTrouble:
                raise
            except HubSpotError:
                if self._read_at is None:
                    raise
                return self._terms  # as they were an hour ago; tried again with the next claim
            self._terms = replace(self._terms, order=order)
            self._read_at = now
        return self._terms

    def _tell_time_zone(self) -> None:
        """Tell the budget when HubSpot's day begins, which only the account knows; once."""
        if self._read_at is None:
            with contextlib.suppress(HubSpotError):  # the configuration's must do, then
                self._budget.count_days_in(str(self._hubspot.account().get("timeZone")))

    def _order(self) -> tuple[str, ...]:
        """Read the portal's lifecycle stages, low to high; raises PortalTrouble when the configuration names others."""
        definition = self._hubspot.properties.definition("contacts", STAGE)
        options = [option for option in (definition or {}).get("options") or () if isinstance(option, dict)]
        ordered = sorted(options, key=lambda option: int(option.get("displayOrder") or 0))
        order = tuple(str(option.get("value")) for option in ordered) or HUBSPOT_ORDER
        used = [self._terms.stages[name] for name in self._terms.ladder if name in self._terms.stages]
        missing = [stage for stage in used if stage not in order]
        if missing:
            cure = "correct `stages:` of the portal in the configuration, or make the stage in HubSpot"
            found = f"the portal has no lifecycle stage {', '.join(map(repr, missing))}; it has: {', '.join(order)}"
            meaning = Meaning(kind="invalid", message=found)
            text = f"HubSpot portal {self._hubspot.portal}: {found}; {cure}"
            raise PortalTrouble(text, meaning=meaning, cure=cure)
        return order


def _counting(metrics: Metrics, tally: CallTally | None = None) -> Callable[[CallSeen], None]:
    def count(call: CallSeen) -> None:
        if tally is not None:
            tally(call)
        tell_past("hubspot.call", call.seconds, portal=call.portal, endpoint=call.endpoint, outcome=call.outcome)
        metrics.hubspot_calls.labels(str(call.portal), call.endpoint, call.outcome).inc()
        metrics.hubspot_wait_seconds.labels(str(call.portal)).inc(call.waited_seconds)

    return count
