"""One practice portal: everything it holds, behind one lock, and what happens when something in it changes.

People and HubSpot itself may do more than integrations: only integrations meet read-only values and forward-only
stages. Every change, whoever made it, fires its events.
"""

import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connector.moments import write_moment
from connector.sandbox import standard
from connector.sandbox.associations import AssociationStore
from connector.sandbox.events import EventMaker
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, KINDS, TASK, Kind
from connector.sandbox.options import SandboxOptions
from connector.sandbox.properties import Property, standard_properties
from connector.sandbox.records import Author, Record, RecordStore
from connector.sandbox.refusals import Flaw, JsonObject, invalid_values, not_found
from connector.sandbox.stages import STAGE, date_property, guard, is_backward
from connector.sandbox.tokens import Tokens
from connector.sandbox.values import clean
from connector.sandbox.webhooks import Webhooks

HUBSPOT = Author("AUTOMATION_PLATFORM", "lifecycle-automation")
COUNTERS = Author("CALCULATED", "RollupProperties")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A colleague who can own contacts and tasks."""

    id: str
    user_id: int
    email: str
    first: str
    last: str
    created: int
    archived: bool = False

    def as_json(self) -> JsonObject:
        """Spell it as the owners API does."""
        created = write_moment(self.created)
        return {
            "id": self.id, "email": self.email, "type": "PERSON", "firstName": self.first, "lastName": self.last,
            "userId": self.user_id, "userIdIncludingInactive": self.user_id, "createdAt": created,
            "updatedAt": created, "archived": self.archived, "teams": [],
        }  # fmt: skip


class Portal:
    """The state of one practice portal; whoever touches it holds `lock`."""

    def __init__(self, options: SandboxOptions, webhooks: Webhooks) -> None:
        now = options.clock()
        self.options = options
        self.webhooks = webhooks
        self.lock = threading.RLock()
        self.app = Author("INTEGRATION", str(options.app_id))
        self.properties = {
            kind.id: standard_properties(kind, now, kind.id != TASK or options.unique_task_properties)
            for kind in KINDS.values()
        }
        self.records = {kind.id: RecordStore(kind, options.search_lag_ms) for kind in KINDS.values()}
        self.records[CONTACT].make_unique("email")
        self.associations = AssociationStore()
        self.events = EventMaker(options)
        self.tokens = Tokens(options)
        self.missing_scopes = set(options.missing_scopes)
        self.owners: dict[str, Owner] = {}
        self.unsubscribed: dict[str, int] = {}
        self.subscriptions: dict[tuple[str, int], str] = {}
        self.random = random.Random(options.seed + 2)  # noqa: S311 - play, which must repeat with the seed
        self.is_silent = False
        for first, last, email in standard.COLLEAGUES:
            self.add_owner(email, first, last)

    def now(self) -> int:
        """Give the portal's present moment."""
        return self.options.clock()

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Fire no events meanwhile: what is made now was there before anybody subscribed."""
        before, self.is_silent = self.is_silent, True
        try:
            yield
        finally:
            self.is_silent = before

    def emit(self, events: list[JsonObject]) -> None:
        """Hand events to the delivery."""
        if events and not self.is_silent:
            self.webhooks.emit(events)

    def add_owner(self, email: str, first: str = "", last: str = "") -> Owner:
        """Add a colleague."""
        number = len(self.owners)
        owner = Owner(id=str(64_492_917 + number), user_id=98_499_705 + number, email=email.lower(), first=first,
                      last=last, created=self.now())  # fmt: skip
        self.owners[owner.id] = owner
        return owner

    def find(self, kind: str, record_id: str) -> Record:
        """Find a record as single calls do, merged ids included, or refuse with 404."""
        record = self.records[kind].resolve(record_id)
        if record is None:
            raise not_found()
        return record

    def prepare(
        self, kind: Kind, given: Mapping[str, Any], author: Author, record: Record | None = None
    ) -> tuple[dict[str, str], list[Flaw]]:
        """Turn given properties into stored values, and list what is wrong with them."""
        store = self.properties[kind.id]
        current = record.values if record else {}
        changes: dict[str, str] = {}
        flaws: list[Flaw] = []
        for name, value in given.items():
            definition = store.definitions.get(name)
            if definition is None:
                flaws.append(Flaw(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
                continue
            cleaned = self._clean(definition, value, author, current.get(name, ""))
            if isinstance(cleaned, Flaw):
                flaws.append(cleaned)
            else:
                changes[name] = cleaned
                flaws += self._clashes(kind, definition, cleaned, record)
        flaws += guard(store, changes, current, author, self.options.backward_writes)
        return changes, flaws

    def create(self, kind: Kind, changes: Mapping[str, str], author: Author) -> Record:
        """Make a record from stored values and fire its events."""
        now = self.now()
        values = {name: value for name, value in changes.items() if value}
        if kind.id == CONTACT and self.options.default_stage:
            values.setdefault(STAGE, self.options.default_stage)
        values |= self._following(kind, values, {}, now)
        record = self.records[kind.id].add(values, now, author)
        if not self.is_silent:
            self.emit(self.events.created(record, self.properties[kind.id].definitions, now, author))
        return record

    def change(self, record: Record, changes: Mapping[str, str], author: Author) -> dict[str, str]:
        """Change a record, fire its events, let HubSpot's automations follow; give what really changed."""
        now = self.now()
        kind = record.kind
        following = self._following(kind, changes, record.values, now)
        changed = self.records[kind.id].change(record, {**changes, **following}, now, author)
        if changed and not self.is_silent:
            self.emit(self.events.changed(record, changed, self.properties[kind.id].definitions, now, author))
        if kind.id == DEAL and changed.get("dealstage") == "closedwon":
            self.advance_with(record, "customer", "deal_won")
        if kind.id == COMPANY and changed.get(STAGE) and "company_stage" in self.options.automations:
            for contact_id in list(self.associations.of(COMPANY, record.id, CONTACT)):
                if self.associations.primary(CONTACT, contact_id, COMPANY) == record.id:
                    self.advance(self.find(CONTACT, contact_id), changed[STAGE])
        return changed

    def advance_with(self, deal: Record, stage: str, automation: str) -> None:
        """Move the contacts and companies of a deal forward, when that automation is on."""
        if automation not in self.options.automations:
            return
        for kind in (CONTACT, COMPANY):
            for record_id in list(self.associations.of(DEAL, deal.id, kind)):
                self.advance(self.find(kind, record_id), stage)

    def advance(self, record: Record, stage: str) -> None:
        """Move a record to a stage unless that would be backward, as HubSpot's own automations do."""
        if not is_backward(self.properties[record.kind.id], record.values.get(STAGE, ""), stage):
            self.change(record, {STAGE: stage}, HUBSPOT)

    def _clean(self, definition: Property, value: object, author: Author, current: str) -> str | Flaw:
        if definition.read_only and author is self.app:
            return Flaw(definition.name, "READ_ONLY_VALUE", f"{definition.name} is a read only property")
        if definition.referenced == "OWNER" and value and str(value) not in self.owners:
            return Flaw(definition.name, "INVALID_OWNER_ID", f"Owner {value} does not exist")
        return clean(definition, value, current=current)

    def _clashes(self, kind: Kind, definition: Property, value: str, record: Record | None) -> list[Flaw]:
        if not definition.unique or not value:
            return []
        other = self.records[kind.id].find_by(definition.name, value)
        if other is None or other is record:
            return []
        if definition.name == "email":
            return [Flaw("email", "CONFLICT", f"Contact already exists. Existing ID: {other.id}")]
        message = f"{kind.singular} {other.id} already has that value for {definition.name}"
        return [Flaw(definition.name, "CANNOT_HAVE_DUPLICATE_VALUE", message)]

    def _following(
        self, kind: Kind, changes: Mapping[str, str], current: Mapping[str, str], now: int
    ) -> dict[str, str]:
        """Give the values that HubSpot sets by itself together with these changes."""
        following: dict[str, str] = {}
        stage = changes.get(STAGE)
        if stage and stage != current.get(STAGE) and kind.id in (CONTACT, COMPANY):
            name = date_property(stage)
            if name in self.properties[kind.id].definitions:
                following[name] = write_moment(now)
        if "hubspot_owner_id" in changes and kind.id == CONTACT and changes["hubspot_owner_id"]:
            following["hubspot_owner_assigneddate"] = write_moment(now)
        if changes.get("email") and kind.id == CONTACT:
            following["hs_email_domain"] = changes["email"].rpartition("@")[2]
        if changes.get("hs_task_status") == "COMPLETED":
            following["hs_task_completion_date"] = write_moment(now)
        if kind.id == DEAL and changes.get("dealstage"):
            following |= _deal_facts(changes["dealstage"])
        return following


def _deal_facts(stage: str) -> dict[str, str]:
    probability = next((chance for name, _, chance in standard.DEAL_STAGES if name == stage), 0.0)
    closed = {"closedwon": (True, True, False), "closedlost": (True, False, True)}.get(stage, (False, False, False))
    names = ("hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost")
    facts = {name: str(value).lower() for name, value in zip(names, closed, strict=True)}
    return {**facts, "hs_deal_stage_probability": str(probability)}


def refuse_flaws(flaws: list[Flaw]) -> None:
    """Refuse when there is anything wrong."""
    if flaws:
        raise invalid_values(flaws)
