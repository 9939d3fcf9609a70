"""What people do in the practice portal by hand: create, change, associate. Their stages move both ways."""

from collections.abc import Iterable, Mapping
from typing import Any

from connector.sandbox import pictures, removals
from connector.sandbox.associations import Link
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, TASK
from connector.sandbox.links import associate, default_link
from connector.sandbox.object_routes import apply_update
from connector.sandbox.portal import Portal, refuse_flaws
from connector.sandbox.records import Author, Record
from connector.sandbox.refusals import JsonObject

PERSON = Author("CRM_UI", "userId:1")
_PRIMARY_COMPANY = {CONTACT: 1, DEAL: 5}


def create(
    portal: Portal, kind_id: str, properties: Mapping[str, Any], author: Author = PERSON, *,
    company: str | None = None, contacts: Iterable[str] = (),
) -> Record:  # fmt: skip
    """Create a record as a person would, with its primary company and contacts."""
    kind = portal.records[kind_id].kind
    with portal.lock:
        changes, flaws = portal.prepare(kind, properties, author)
        refuse_flaws(flaws)
        record = portal.create(kind, changes, author)
        if company is not None:
            owner = portal.find(COMPANY, company)
            associate(portal, Link(kind_id, record.id, COMPANY, owner.id, _PRIMARY_COMPANY[kind_id]), author)
        for contact_id in contacts:
            contact = portal.find(CONTACT, contact_id)
            associate(portal, default_link(kind_id, record.id, CONTACT, contact.id), author)
        return record


def change(
    portal: Portal, kind_id: str, record_id: str, properties: Mapping[str, Any], author: Author = PERSON
) -> Record:
    """Change a record as a person would."""
    with portal.lock:
        record = portal.find(kind_id, record_id)
        changes, flaws = portal.prepare(record.kind, properties, author, record)
        refuse_flaws(flaws)
        apply_update(portal, record, changes, author)
        return record


def everything_about(portal: Portal, contact_id: str) -> JsonObject:
    """Show all there is about one contact: properties, tasks, deals, companies, history, subscription."""
    with portal.lock:
        contact = portal.find(CONTACT, contact_id)
        properties = dict(contact.values)
        return {
            "id": contact.id,
            "properties": properties,
            "tasks": associated(portal, contact, TASK),
            "deals": associated(portal, contact, DEAL),
            "companies": associated(portal, contact, COMPANY),
            "history": {name: pictures.past(versions) for name, versions in contact.history.items()},
            "unsubscribed": properties.get("email", "") in portal.unsubscribed,
        }


def associated(portal: Portal, record: Record, kind_id: str) -> list[JsonObject]:
    """Show the live records of a kind that are associated with a record, in order of ids."""
    live = portal.records[kind_id].live
    ids = sorted(one for one in portal.associations.of(record.kind.id, record.id, kind_id) if one in live)
    return [{"id": one, "properties": dict(live[one].values)} for one in ids]


def remove(portal: Portal, contact_id: str, *, for_good: bool, author: Author = PERSON) -> None:
    """Delete a contact, into the recycle bin or for good."""
    with portal.lock:
        record = portal.find(CONTACT, contact_id)
        act = removals.forget if for_good else removals.archive
        act(portal, record, author)
