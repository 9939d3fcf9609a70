"""Webhook events as HubSpot spells them: one change makes one event per subscribed property, all of one moment.

https://developers.hubspot.com/docs/api-reference/webhooks
"""

import random
import zlib
from collections.abc import Mapping
from functools import cache

from connector.sandbox.associations import Link
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, KINDS, TASK
from connector.sandbox.options import SandboxOptions
from connector.sandbox.properties import Property
from connector.sandbox.records import Author, Record
from connector.sandbox.refusals import JsonObject
from connector.sandbox.values import webhook_spelling

_NEVER_SUBSCRIBED = ("num_unique_conversion_events", "hs_lastmodifieddate", "lastmodifieddate")
_CLASSIC = (CONTACT, COMPANY, DEAL)


class EventMaker:
    """Makes the events of one app in one portal."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311 - ids need no secrecy, but must repeat with the seed

    def created(
        self, record: Record, definitions: Mapping[str, Property], now: int, author: Author
    ) -> list[JsonObject]:
        """Make the creation event and one propertyChange per property set; the creation stands in the middle."""
        events = self.changed(record, record.values, definitions, now, author)
        creation = self._event(record.kind.id, "creation", record.id, now, author, changeFlag="CREATED")
        return [*events[: len(events) // 2], *creation, *events[len(events) // 2 :]]

    def changed(
        self, record: Record, changes: Mapping[str, str], definitions: Mapping[str, Property], now: int, author: Author
    ) -> list[JsonObject]:
        """Make one propertyChange event for each subscribed property among the changes."""
        events: list[JsonObject] = []
        for name, value in changes.items():
            definition = definitions.get(name)
            if definition is None or not self.is_subscribed(definition):
                continue
            events += self._event(
                record.kind.id, "propertyChange", record.id, now, author,
                propertyName=name, propertyValue=self._shown(definition, value),
            )  # fmt: skip
        return events

    def removed(self, record: Record, now: int, author: Author) -> list[JsonObject]:
        """Make the deletion event."""
        return self._event(record.kind.id, "deletion", record.id, now, author, changeFlag="DELETED")

    def forgotten(self, record: Record, now: int, author: Author) -> list[JsonObject]:
        """Make the pair that a GDPR deletion fires, in no promised order."""
        twin = self._classic("contact.privacyDeletion", record.id, now, author)
        return [twin, *self.removed(record, now, author)]

    def restored(self, record: Record, now: int, author: Author) -> list[JsonObject]:
        """Make the restore event."""
        return self._event(record.kind.id, "restore", record.id, now, author)

    def merged(self, winner: str, loser: str, record: Record, moved: int, author: Author) -> list[JsonObject]:
        """Make the merge event; both old ids are gone, the new one lives."""
        return self._event(
            record.kind.id, "merge", record.id, record.updated, author, primaryObjectId=int(winner),
            mergedObjectIds=[int(loser)], newObjectId=int(record.id), numberOfPropertiesMoved=moved,
        )  # fmt: skip

    def associated(self, link: Link, now: int, author: Author, *, gone: bool = False) -> list[JsonObject]:
        """Make the associationChange event of one side; such events carry no objectId."""
        names = [KINDS[kind].singular.upper() for kind in (link.from_kind, link.to_kind)]
        facts = {
            "associationType": "_TO_".join(names), "fromObjectId": int(link.from_id), "toObjectId": int(link.to_id),
            "associationRemoved": gone, "isPrimaryAssociation": link.is_primary,
        }  # fmt: skip
        if self._options.generic_events:
            facts |= {"fromObjectTypeId": link.from_kind, "toObjectTypeId": link.to_kind}
        elif TASK in (link.from_kind, link.to_kind):
            return []
        return self._event(link.from_kind, "associationChange", None, now, author, **facts)

    def is_subscribed(self, definition: Property) -> bool:
        """Ask whether a change of this property fires at all; calculated ones never do."""
        if definition.calculated or definition.name in _NEVER_SUBSCRIBED:
            return False
        if definition.read_only and not self._options.counters_fire:
            return False
        return definition.name not in self._options.unsubscribed

    def _shown(self, definition: Property, value: str) -> str:
        if definition.name in self._options.sensitive and not self._options.generic_events:
            return "REDACTED"
        return webhook_spelling(definition, value)

    def _event(
        self, kind: str, what: str, record_id: str | None, now: int, author: Author, **facts: object
    ) -> list[JsonObject]:
        if not self._options.generic_events:
            if kind not in _CLASSIC:
                return []
            return [self._classic(f"{KINDS[kind].singular}.{what}", record_id, now, author, **facts)]
        event = self._classic(f"object.{what}", record_id, now, author, objectTypeId=kind, **facts)
        if what == "propertyChange":
            event["isSensitive"] = event["propertyName"] in self._options.sensitive
        return [event]

    def _classic(self, name: str, record_id: str | None, now: int, author: Author, **facts: object) -> JsonObject:
        event: JsonObject = {
            "eventId": self._random.getrandbits(32),
            "subscriptionId": subscription_id(name, str(facts.get("propertyName", ""))),
            "portalId": self._options.portal,
            "appId": self._options.app_id,
            "occurredAt": now,
            "subscriptionType": name,
            "attemptNumber": 0,
            "changeSource": author.source,
            "sourceId": author.source_id,
            **facts,
        }
        if record_id is not None:
            event["objectId"] = int(record_id)
        return event


@cache
def subscription_id(name: str, property_name: str) -> int:
    """Give the id of the subscription that an event belongs to, the same at every start."""
    return 1_000_000 + zlib.crc32(f"{name}:{property_name}".encode()) % 9_000_000
