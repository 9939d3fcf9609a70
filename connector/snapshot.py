"""What HubSpot holds of contacts now: a hundred a call, only the properties that the rules name.

Companies and deals are read only for contacts whose decision could still depend on them; until then they count as
unread, from which nothing is concluded. One company is read once, however many of its contacts are looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import orjson

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.meaning import Meaning
from connector.hubspot.records import is_id
from connector.rulebook.pack import Pack

Properties = Mapping[str, str | None]

WRITTEN = (
    "lifecyclestage", "sk_prospect_status", "sk_lead_status", "sk_reason", "sk_rule", "sk_decided_at",
)  # fmt: skip
MERGED_IDS = "hs_merged_object_ids"
_ALWAYS = ("email", "hubspot_owner_id", "lifecyclestage", MERGED_IDS)
_COMPANY = "associatedcompanyid"
_DEAL_STAGE = "dealstage"
_CLOSED = frozenset({"closedwon", "closedlost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A contact with its primary company ({}: it has none) and deals, as read; None: not read."""

    contact: str
    properties: Properties
    company: Properties | None = None
    deals: tuple[Properties, ...] | None = None

    @property
    def company_id(self) -> str | None:
        """Give the id of the primary company."""
        return self.properties.get(_COMPANY) or None

    @property
    def merged_ids(self) -> tuple[str, ...]:
        """Give the ids of those that were merged into it."""
        listed = (self.properties.get(MERGED_IDS) or "").split(";")
        return tuple(each for each in map(str.strip, listed) if is_id(each) and each != self.contact)

    @property
    def deal(self) -> Properties:
        """Give the deal that texts speak of: the first that is open, else the first; {} without any."""
        deals = self.deals or ()
        return next((deal for deal in deals if deal.get(_DEAL_STAGE) not in _CLOSED), deals[0] if deals else {})

    def as_data(self, names: Iterable[str]) -> dict[str, Any]:
        """Give the named contact properties, the company and the deals as plain data, without what is empty."""
        own = self.properties
        properties = {name: own[name] for name in sorted(own.keys() & names) if own[name]}
        return {"properties": properties, "company": self.company, "deals": self.deals}

    def fingerprint(self, names: Iterable[str]) -> str:
        """Give a digest of what was read: equal digests, equal decisions at the same moment."""
        return blake2b(orjson.dumps(self.as_data(names), option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What of each object a pack needs to be read."""

    rule_inputs: frozenset[str]
    """The contact properties that conditions test."""
    contact: frozenset[str]
    company: frozenset[str]
    deals: frozenset[str]
    reads_deals: bool

    @classmethod
    def by(cls, pack: Pack) -> "Wanted":
        """Collect what a pack's conditions, texts and outputs need."""
        inputs = pack.properties("contact")
        texts = pack.properties_in_texts("contact")
        company = pack.properties("company") | pack.properties_in_texts("company")
        shown = pack.properties_in_texts("deal")
        extra = {_COMPANY} if company or any(rule.create_deal for rule in pack.actions) else set()
        return cls(
            rule_inputs=inputs,
            contact=frozenset({*inputs, *texts, *pack.written(), *WRITTEN, *_ALWAYS, *extra}),
            company=company,
            deals=frozenset({*pack.properties("deal"), *shown, *({_DEAL_STAGE} if shown else ())}),
            reads_deals=pack.reads_deals or bool(shown),
        )

    def widened(self, other: "Wanted") -> "Wanted":
        """Ask for what another pack needs, too, in those calls that are made for this one."""
        return replace(
            self,
            contact=self.contact | other.contact,
            company=self.company | other.company if self.company else self.company,
            deals=self.deals | other.deals if self.reads_deals else self.deals,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshots:
    """What became of reading some contacts."""

    found: Mapping[str, Snapshot]
    missing: frozenset[str]
    failed: Mapping[str, Meaning]


def read_snapshots(hubspot: HubSpotPortal, wanted: Wanted, ids: Sequence[str]) -> Snapshots:
    """Read contacts; companies and deals stay unread where the pack names any."""
    answer = hubspot.contacts.read(ids, wanted.contact)
    found = {contact: snapshot_of(contact, record, wanted) for contact, record in answer.found.items()}
    return Snapshots(found=found, missing=answer.missing, failed=answer.failed)


def snapshot_of(contact: str, record: Mapping[str, Any], wanted: Wanted) -> Snapshot:
    """Make a snapshot from a record of HubSpot's API."""
    return Snapshot(
        contact=contact,
        properties=_texts(record.get("properties"), wanted.contact),
        company=None if wanted.company else {},
        deals=None if wanted.reads_deals else (),
    )


def with_companies(hubspot: HubSpotPortal, wanted: Wanted, snapshots: Iterable[Snapshot]) -> Snapshots:
    """Read the primary companies of contacts, each once."""
    snapshots = list(snapshots)
    ids = sorted({company for snapshot in snapshots if (company := snapshot.company_id)})
    answer = hubspot.companies.read(ids, wanted.company) if ids else None
    found, failed = {}, {}
    for snapshot in snapshots:
        company = snapshot.company_id
        if answer and company and company in answer.failed:
            failed[snapshot.contact] = answer.failed[company]
            continue
        record = answer.found.get(company) if answer and company else None
        properties = _texts(record.get("properties"), wanted.company) if record else {}
        found[snapshot.contact] = replace(snapshot, company=properties)
    return Snapshots(found=found, missing=frozenset(), failed=failed)


def with_deals(hubspot: HubSpotPortal, wanted: Wanted, snapshots: Iterable[Snapshot]) -> Snapshots:
    """Read the deals of contacts: their associations in one call, then the deals a hundred a call."""
    snapshots = list(snapshots)
    ids = hubspot.deals.of_contacts([snapshot.contact for snapshot in snapshots])
    every = sorted({deal for deals in ids.values() for deal in deals})
    answer = hubspot.deals.read(every, wanted.deals) if every else None
    found, failed = {}, {}
    for snapshot in snapshots:
        mine = ids.get(snapshot.contact, ())
        fault = next((answer.failed[deal] for deal in mine if answer and deal in answer.failed), None)
        if fault is not None:
            failed[snapshot.contact] = fault
            continue
        records = [answer.found[deal] for deal in mine if answer and deal in answer.found]
        deals = tuple(_texts(record.get("properties"), wanted.deals) for record in records)
        found[snapshot.contact] = replace(snapshot, deals=deals)
    return Snapshots(found=found, missing=frozenset(), failed=failed)


def _texts(properties: Any, names: Iterable[str]) -> dict[str, str | None]:
    """Keep the named properties of a record; whatever is no text is spelled as one."""
    if not isinstance(properties, Mapping):
        return {}
    return {
        name: None if (value := properties[name]) is None else str(value) for name in names if name in properties
    }
