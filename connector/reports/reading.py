"""Reports: what Stagekeeper's own tables and HubSpot hold, read for the pure cores in `forecast.py` and `tally.py`.

The forecast asks HubSpot for the prospects and for their deals, a hundred a call, out of the portal's call budget like
everybody else. Ids are held in memory, records are not. It is right as a whole or fails: a sum with holes is none.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.headcount import headcount
from connector.hubspot.batch import BatchAnswer
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError
from connector.record import DELETED
from connector.reports.forecast import (
    DEAL_PROPERTIES,
    DealStage,
    Forecast,
    OpenDeal,
    Prospect,
    place,
    read_deal,
    read_stages,
    read_step,
    sum_up,
)
from connector.reports.tally import (
    BUYER_FACTS,
    BUYER_STAGES,
    LEAD,
    PROSPECT,
    Past,
    Rates,
    RuleCount,
    RuleEntry,
    count_rates,
    count_rules,
)
from connector.rulebook.pack import Pack
from connector.store.engine import reading
from connector.store.tables import contacts, records

STEP = "sk_accepted_step"
_LINKS_AT_ONCE = 1_000  # HubSpot tells the deals of so many contacts in one call
_RECORDS_AT_ONCE = 100
_ROWS_AT_ONCE = 1_000

Progress = Callable[[str, int, int], None]
"""Hears what is being read, how many of them have been, and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalForecast:
    """The forecast of a portal, and how many of its prospects HubSpot no longer holds."""

    forecast: Forecast
    absent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalRules:
    """The rules of a portal's pack, and how many contacts another version of the pack decided about last."""

    rules: tuple[RuleCount, ...]
    contacts: int
    by_other_version: int


def forecast_of(engine: sa.Engine, hubspot: HubSpotPortal, progress: Progress) -> PortalForecast:
    """Sum the open deals of a portal's prospects; raises HubSpotError when any of them cannot be read."""
    ids = _prospect_ids(engine, hubspot.portal)
    places = place(_prospects(hubspot, ids, progress))
    deals = sorted(places.deals)
    home = _home_currency(hubspot) if deals else ""
    stages = read_stages(hubspot.deals.pipelines()) if deals else {}
    forecast = sum_up(places, _open_deals(hubspot, deals, stages=stages, home=home, progress=progress))
    return PortalForecast(forecast=forecast, absent=len(ids) - sum(places.prospects.values()))


def rates_of(engine: sa.Engine, portal: int, progress: Progress) -> Rates:
    """Count from the records who was a lead or a prospect, and who of them buys now."""
    into = sa.select(contacts.c.contact, contacts.c.gone).where(
        contacts.c.portal == portal, contacts.c.gone.is_not(None), contacts.c.gone != DELETED
    )
    with reading(engine) as connection:
        merged = {row.contact: row.gone for row in connection.execute(into)}
        total = connection.execute(
            sa.select(sa.func.count()).select_from(contacts).where(contacts.c.portal == portal)
        ).scalar_one()
        rows = connection.execute(_pasts(portal), execution_options={"yield_per": _ROWS_AT_ONCE})
        return count_rates(_read_pasts(rows, total, progress), merged)


def rules_of(engine: sa.Engine, portal: int, pack: Pack) -> PortalRules:
    """Count of how many contacts each rule of the pack is the present reason."""
    with reading(engine) as connection:
        by = (contacts.c.stage, contacts.c.status, contacts.c.rule, contacts.c.pack_hash)
        counted = headcount(connection, portal, *by)
    found: Counter[str] = Counter()
    for (*_, rule, _), number in counted.items():
        found[rule] += number
    entries = [RuleEntry(id=rule.id, stage=rule.stage, because=rule.because) for rule in pack.stages]
    return PortalRules(
        rules=count_rules(entries, found), contacts=found.total(),
        by_other_version=sum(number for (*_, version), number in counted.items() if version != pack.hash),
    )  # fmt: skip


def _prospect_ids(engine: sa.Engine, portal: int) -> Sequence[str]:
    query = (
        sa.select(contacts.c.contact)
        .where(contacts.c.portal == portal, contacts.c.stage == PROSPECT, contacts.c.gone.is_(None))
        .order_by(contacts.c.contact)
    )
    with reading(engine) as connection:
        return connection.scalars(query).all()


def _prospects(hubspot: HubSpotPortal, ids: Sequence[str], progress: Progress) -> Iterator[Prospect]:
    """Read the steps and the deals of prospects; those that HubSpot no longer holds are left out."""
    deals: Mapping[str, tuple[str, ...]] = {}
    for start in range(0, len(ids), _RECORDS_AT_ONCE):
        if start % _LINKS_AT_ONCE == 0:
            deals = hubspot.deals.of_contacts(ids[start : start + _LINKS_AT_ONCE])
        part = ids[start : start + _RECORDS_AT_ONCE]
        for contact, properties in _found(hubspot.contacts.read(part, [STEP])):
            if contact in deals:
                yield Prospect(step=read_step(properties.get(STEP)), deals=deals[contact])
        progress("prospects", start + len(part), len(ids))


def _open_deals(
    hubspot: HubSpotPortal, ids: Sequence[str], *, stages: Mapping[tuple[str, str], DealStage], home: str,
    progress: Progress,
) -> Iterator[OpenDeal]:  # fmt: skip
    """Read deals and give those that are open."""
    for start in range(0, len(ids), _RECORDS_AT_ONCE):
        part = ids[start : start + _RECORDS_AT_ONCE]
        for deal, properties in _found(hubspot.deals.read(part, DEAL_PROPERTIES)):
            read = read_deal(deal, properties, stages, home)
            if read is not None:
                yield read
        progress("deals", start + len(part), len(ids))


def _found(answer: BatchAnswer) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give what was found with its properties; raises HubSpotError when any record could not be read."""
    for meaning in answer.failed.values():
        raise HubSpotError(f"nothing was summed, for not everything could be read: {meaning}", meaning=meaning)
    for id_, record in answer.found.items():
        properties = record.get("properties")
        yield id_, properties if isinstance(properties, Mapping) else {}


def _home_currency(hubspot: HubSpotPortal) -> str:
    """Give the portal's own currency, so that deals which name it and deals which name none are summed together."""
    try:
        return str(hubspot.account().get("companyCurrency") or "").strip().upper()
    except HubSpotError as failure:
        if failure.meaning.kind != "forbidden":  # the account's details may need a scope that nothing else here does
            raise
        return ""


def _pasts(portal: int) -> sa.Select[Any]:
    """Ask for every contact with records: stages it ever had, its last stage in HubSpot, its last facts."""
    seen = (
        sa.select(
            records.c.contact,
            *(sa.func.max(sa.case((_had(stage), 1), else_=0)).label(f"was_{stage}") for stage in (LEAD, PROSPECT)),
            # A record without a fingerprint says that the contact is gone; it holds no decision.
            sa.func.max(sa.case((records.c.fingerprint != "", records.c.id))).label("last"),
        )
        .where(records.c.portal == portal)
        .group_by(records.c.contact)
        .subquery()
    )
    facts = [records.c.decided["facts", fact].as_string().label(f"fact_{fact}") for fact in BUYER_FACTS]
    return (
        sa.select(
            seen, contacts.c.snapshot["properties", "lifecyclestage"].as_string().label("lifecyclestage"), *facts
        )
        .outerjoin(contacts, sa.and_(contacts.c.portal == portal, contacts.c.contact == seen.c.contact))
        .outerjoin(records, records.c.id == seen.c.last)
    )


def _read_pasts(rows: sa.CursorResult[Any], total: int, progress: Progress) -> Iterator[Past]:
    for done, row in enumerate(rows, start=1):
        yield _past(row)
        if done % _ROWS_AT_ONCE == 0:
            progress("contacts", done, max(done, total))


def _had(stage: str) -> sa.ColumnElement[bool]:
    return (records.c.stage == stage) | (records.c.stage_before == stage)


def _past(row: sa.Row[Any]) -> Past:
    says = {getattr(row, f"fact_{fact}") for fact in BUYER_FACTS}
    return Past(
        contact=row.contact,
        stages=frozenset(stage for stage in (LEAD, PROSPECT) if getattr(row, f"was_{stage}")),
        buys="yes" in says or str(row.lifecyclestage or "").strip().lower() in BUYER_STAGES,
    )
