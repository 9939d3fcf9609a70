"""Which webhook subscriptions the rules need, which of them were seen to arrive, and which changes fire none."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from connector.diagnosis.check import Check, ok, roughly, some, warning
from connector.moments import DAY
from connector.needs import PROPERTY_CHANGE, Subscription, silent_inputs, subscriptions
from connector.rulebook.pack import Pack
from connector.store.engine import reading
from connector.store.tables import events

_QUIET = 3 * DAY
_MOST_EVENTS = 200_000
_LIST = "`stagekeeper setup --hubspot-project DIR` writes all of them"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrivals:
    """What has arrived of a portal, among the newest events that are kept."""

    last: Mapping[Subscription, int]
    """When each was last seen."""

    @property
    def newest(self) -> int | None:
        """Give the moment at which the latest event came."""
        return max(self.last.values(), default=None)


def read_arrivals(engine: sa.Engine, portal: int) -> Arrivals:
    """Read what has arrived, by type and property."""
    named = events.c.body["propertyName"].as_string().label("property")
    recent = (
        sa.select(events.c.type, sa.case((events.c.type == PROPERTY_CHANGE, named), else_=None).label("property"),
                  events.c.received_at)
        .where(events.c.portal == portal, events.c.malformed.is_(None))
        .order_by(events.c.id.desc())
        .limit(_MOST_EVENTS)
        .subquery()
    )  # fmt: skip
    kinds = (recent.c.type, recent.c.property)
    with reading(engine) as connection:
        rows = connection.execute(sa.select(*kinds, sa.func.max(recent.c.received_at)).group_by(*kinds)).all()
    return Arrivals(last={Subscription(kind, name or ""): moment for kind, name, moment in rows})


def last_event(arrivals: Arrivals, now: int) -> Iterator[Check]:
    """Say when the last event came."""
    if arrivals.newest is None:
        cure = (
            "change a contact in HubSpot and look again; if nothing comes, compare the app's target URL with "
            "`webhook_url`, and see the app's webhook log in HubSpot"
        )
        yield warning("events", "no event of this portal is kept: none came for a week, or ever", cure)
        return
    found = f"the last event came {roughly(max(now - arrivals.newest, 0))} ago"
    if now - arrivals.newest > _QUIET:
        yield warning("events", found, "change a contact in HubSpot and look again; see the app's webhook log there")
    else:
        yield ok("events", found)


def subscribed(pack: Pack, arrivals: Arrivals, calculated: Collection[str]) -> Iterator[Check]:
    """Compare what the rules need with what was seen to arrive."""
    needed = subscriptions(pack, calculated)
    unseen = [each for each in needed if each not in arrivals.last]
    spare = sorted(each.property for each in arrivals.last if each.property and each not in needed)
    extra = f"; {some(spare)} arrive though no rule reads them" if spare else ""
    if not unseen:
        yield ok("subscriptions", f"all {len(needed)} that the rules need were seen{extra}")
        return
    seen = f"{len(needed) - len(unseen)} of {len(needed)} that the rules need were seen"
    cure = (
        f"where one of them is not among the app's webhook subscriptions in HubSpot, add it ({_LIST}); "
        "the others may just not have happened"
    )
    yield warning("subscriptions", f"{seen}; never: {_listed(unseen)}{extra}", cure)


def silent(pack: Pack, calculated: Collection[str], reconcile_every: int | None) -> Iterator[Check]:
    """Say which changes fire no event, and who finds them."""
    names = [*silent_inputs(pack, calculated)]
    names += [f"company.{name}" for name in sorted(pack.properties("company"))]
    names += [f"deal.{name}" for name in sorted(pack.properties("deal"))]
    if not names:
        yield ok("silent-properties", "every property that the rules read can fire")
        return
    found = f"no event tells of changes of {some(names)}"
    if reconcile_every is None:
        yield warning("silent-properties", f"{found}, and `worker.reconcile_every` is never",
                      "set it: reconciliation finds them")  # fmt: skip
    else:
        yield ok("silent-properties", f"{found}; reconciliation finds them, every {roughly(reconcile_every)}")


def _listed(unseen: Collection[Subscription]) -> str:
    kinds = [each.type for each in unseen if not each.property]
    properties = [each.property for each in unseen if each.property]
    return ", ".join([*kinds, *([f"{PROPERTY_CHANGE} of {some(properties, 40)}"] if properties else ())])
