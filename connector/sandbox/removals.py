"""Records that go, and come back: recycle bin, GDPR deletion, merging."""

from connector.sandbox.kinds import CONTACT, TASK, Kind
from connector.sandbox.links import associate, contacts_of_task, count_tasks, part
from connector.sandbox.portal import Portal
from connector.sandbox.records import Author, Record
from connector.sandbox.refusals import invalid, not_found
from connector.sandbox.stages import STAGE, is_backward

MERGE = "MERGE_OBJECTS"


def archive(portal: Portal, record: Record, author: Author) -> None:
    """Move a record to the recycle bin; its associations are remembered until somebody restores it."""
    now = portal.now()
    contacts = contacts_of_task(portal, record) if record.kind.id == TASK else []
    portal.records[record.kind.id].remove(record, now, keep=True)
    portal.emit(portal.events.removed(record, now, author))
    for contact in contacts:
        count_tasks(portal, contact, -1)


def restore(portal: Portal, kind: Kind, record_id: str, author: Author) -> Record:
    """Bring a record back from the recycle bin."""
    store = portal.records[kind.id]
    record = store.binned.get(record_id)
    if record is None:
        raise not_found(f"There is no {kind.singular} {record_id} in the recycle bin")
    now = portal.now()
    store.bring_back(record, now)
    portal.emit(portal.events.restored(record, now, author))
    for contact in contacts_of_task(portal, record) if kind.id == TASK else ():
        count_tasks(portal, contact, 1)
    return record


def forget(portal: Portal, record: Record, author: Author) -> None:
    """Delete a contact for good, history and associations and recycle bin included."""
    now = portal.now()
    for link in list(portal.associations.all_of(record.kind.id, record.id)):
        portal.associations.remove(link.from_kind, link.from_id, link.to_kind, link.to_id)
    store = portal.records[record.kind.id]
    if record.id in store.binned:
        del store.binned[record.id]
    else:
        store.remove(record, now, keep=False)
    record.history.clear()
    portal.emit(portal.events.forgotten(record, now, author))


def merge(portal: Portal, winner: Record, loser: Record, author: Author) -> Record:
    """Merge two contacts, by default into a third with a new id; old ids go on working in single calls, not in batches.

    https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
    """
    if winner is loser:
        raise invalid("A contact cannot be merged with itself.")
    now = portal.now()
    values, moved = _merged_values(portal, winner, loser)
    store = portal.records[winner.kind.id]
    going = (winner, loser) if portal.options.merging_makes_third else (loser,)
    links = [
        link._replace(from_id="")
        for one in reversed(going)
        for link in list(portal.associations.all_of(one.kind.id, one.id))
    ]
    with portal.silence():
        for one in going:
            for link in list(portal.associations.all_of(one.kind.id, one.id)):
                part(portal, link.from_kind, link.from_id, link.to_kind, link.to_id, author)
            store.remove(one, now, keep=portal.options.merged_are_binned)
        author_of_values = Author(MERGE, author.source_id)
        if portal.options.merging_makes_third:
            record = store.add(values, now, author_of_values)
        else:
            record = winner
            store.change(winner, values, now, author_of_values)
        for link in links:
            associate(portal, link._replace(from_id=record.id), author)
    gone = {one.id for one in going}
    store.aliases = {old: record.id if new in gone else new for old, new in store.aliases.items()}
    store.aliases |= dict.fromkeys(gone, record.id)
    portal.emit(portal.events.merged(winner.id, loser.id, record, moved, author))
    return record


def _merged_values(portal: Portal, winner: Record, loser: Record) -> tuple[dict[str, str], int]:
    """Take the winner's values, fill its gaps from the loser, and keep the stage that is further on."""
    counted = ("num_notes", "num_associated_deals", "associatedcompanyid", "notes_next_activity_date")
    gaps = {name: value for name, value in loser.values.items() if name not in winner.values and name not in counted}
    values = {name: value for name, value in winner.values.items() if name not in counted} | gaps
    if is_backward(portal.properties[CONTACT], loser.values.get(STAGE, ""), winner.values.get(STAGE, "")):
        values[STAGE] = loser.values[STAGE]
    emails = [one.values["email"] for one in (winner, loser) if "email" in one.values]
    if len(emails) > 1:
        values["hs_additional_emails"] = emails[1]
    earlier = [one.values.get("hs_merged_object_ids", "") for one in (winner, loser)]
    last = (winner.id, loser.id) if portal.options.merging_makes_third else (loser.id,)
    ids = [*";".join(earlier).split(";"), *last]
    values["hs_merged_object_ids"] = ";".join(dict.fromkeys(filter(None, ids)))
    return values, len(gaps)
