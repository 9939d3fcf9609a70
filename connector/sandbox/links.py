"""Associating and parting records, with what HubSpot counts and moves by itself when that happens."""

from connector.moments import read_moment, write_moment
from connector.sandbox.associations import Link, default_type, has_type, inverse_type
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, KINDS, TASK
from connector.sandbox.portal import COUNTERS, Portal
from connector.sandbox.records import Author, Record
from connector.sandbox.refusals import JsonObject, invalid


def check_link(portal: Portal, link: Link) -> None:
    """Refuse a type id that does not belong to the direction, or a record that is not there."""
    if not has_type(link.from_kind, link.to_kind, link.type_id):
        raise invalid(
            f"Association type {link.type_id} is not valid from {KINDS[link.from_kind].singular} to "
            f"{KINDS[link.to_kind].singular}",
            subCategory="crm.associations.INVALID_ASSOCIATION_TYPE",
        )
    if portal.records[link.to_kind].resolve(link.to_id) is None:
        raise invalid(
            f"No {KINDS[link.to_kind].singular} with id {link.to_id} exists",
            subCategory="crm.associations.INVALID_OBJECT_IDS",
            context={"ids": [link.to_id]},
        )


def read_links(portal: Portal, from_kind: str, given: list[JsonObject]) -> list[Link]:
    """Read the `associations` of a create as links whose own id is still empty, checked."""
    links = []
    for one in given:
        to_id = str(one["to"]["id"])
        for spec in one["types"]:
            to_kind = _kind_of_type(from_kind, spec["associationTypeId"])
            link = Link(from_kind, "", to_kind, to_id, spec["associationTypeId"])
            check_link(portal, link)
            links.append(link._replace(to_id=portal.find(to_kind, to_id).id))
    return links


def _kind_of_type(from_kind: str, type_id: object) -> str:
    found = next((kind for kind in KINDS if has_type(from_kind, kind, type_id)), None)
    if found is None:
        raise invalid(
            f"Association type {type_id} is not valid from {KINDS[from_kind].singular}",
            subCategory="crm.associations.INVALID_ASSOCIATION_TYPE",
        )
    return found


def default_link(from_kind: str, from_id: str, to_kind: str, to_id: str) -> Link:
    """Give the unlabelled link of a direction."""
    type_id = default_type(from_kind, to_kind)
    if type_id is None:
        raise invalid(f"{KINDS[from_kind].plural} cannot be associated with {KINDS[to_kind].plural}")
    return Link(from_kind, from_id, to_kind, to_id, type_id)


def associate(portal: Portal, link: Link, author: Author) -> None:
    """Associate two records, fire the events of both sides, and let HubSpot count."""
    was_there = link.to_id in portal.associations.of(link.from_kind, link.from_id, link.to_kind)
    made = portal.associations.add(link)
    _tell(portal, made, author, gone=False)
    if made:
        _follow(portal, link, 0 if was_there else 1)


def part(portal: Portal, from_kind: str, from_id: str, to_kind: str, to_id: str, author: Author) -> None:
    """Part two records, fire the events of both sides, and let HubSpot count."""
    gone = portal.associations.remove(from_kind, from_id, to_kind, to_id)
    _tell(portal, gone, author, gone=True)
    if gone:
        _follow(portal, gone[0], -1)


def count_tasks(portal: Portal, contact: Record, step: int = 0) -> None:
    """Keep what HubSpot counts of a contact's tasks: they are activities, Stagekeeper's own as well."""
    now = portal.now()
    tasks = (portal.records[TASK].find(one) for one in portal.associations.of(CONTACT, contact.id, TASK))
    dues = [
        due[0]
        for task in tasks
        if task is not None and task.values.get("hs_task_status") != "COMPLETED"
        and (due := read_moment(task.values.get("hs_timestamp", ""))) is not None
        and due[0] > now
    ]  # fmt: skip
    changes = {"notes_next_activity_date": write_moment(min(dues)) if dues else ""}
    if step:
        changes["num_notes"] = str(max(0, int(contact.values.get("num_notes") or 0) + step))
        changes["notes_last_updated"] = write_moment(now)
    portal.change(contact, changes, COUNTERS)


def contacts_of_task(portal: Portal, task: Record) -> list[Record]:
    """Give the contacts that a task is about."""
    found = (portal.records[CONTACT].find(one) for one in portal.associations.of(TASK, task.id, CONTACT))
    return [contact for contact in found if contact is not None]


def _tell(portal: Portal, links: list[Link], author: Author, *, gone: bool) -> None:
    if portal.is_silent:
        return
    now = portal.now()
    for link in links:
        other = Link(
            link.to_kind, link.to_id, link.from_kind, link.from_id,
            inverse_type(link.from_kind, link.to_kind, link.type_id),
        )  # fmt: skip
        portal.emit(
            portal.events.associated(link, now, author, gone=gone)
            + portal.events.associated(other, now, author, gone=gone)
        )


def _follow(portal: Portal, link: Link, step: int) -> None:
    ids = {link.from_kind: link.from_id, link.to_kind: link.to_id}
    contact = portal.records[CONTACT].find(ids.get(CONTACT, ""))
    if contact is not None and TASK in ids:
        count_tasks(portal, contact, step)
    if contact is not None and COMPANY in ids:
        primary = portal.associations.primary(CONTACT, contact.id, COMPANY)
        portal.change(contact, {"associatedcompanyid": primary or ""}, COUNTERS)
    if DEAL in ids:
        _count_deals(portal, ids, step)
        deal = portal.records[DEAL].find(ids[DEAL])
        if deal is not None and step > 0:
            won = deal.values.get("dealstage") == "closedwon"
            portal.advance_with(deal, "customer" if won else "opportunity", "deal_won" if won else "deal_created")


def _count_deals(portal: Portal, ids: dict[str, str], step: int) -> None:
    for kind in (CONTACT, COMPANY):
        record = portal.records[kind].find(ids.get(kind, ""))
        if record is not None and step:
            number = max(0, int(record.values.get("num_associated_deals") or 0) + step)
            portal.change(record, {"num_associated_deals": str(number)}, COUNTERS)
