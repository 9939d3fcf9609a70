"""Single records over HTTP: read, create, update, delete, list, merge, GDPR-delete."""

from itertools import islice

from connector.sandbox import pictures, removals
from connector.sandbox.exchange import Answer, Call, associations_of, properties_of
from connector.sandbox.kinds import CONTACT, KINDS, TASK, Kind, find_kind
from connector.sandbox.links import associate, contacts_of_task, count_tasks, read_links
from connector.sandbox.portal import Portal, refuse_flaws
from connector.sandbox.records import Author, Record
from connector.sandbox.refusals import Flaw, JsonObject, invalid, not_found

_ASSOCIATIONS_PER_PAGE = 100
_LARGEST_PAGE = 100
_LARGEST_PAGE_WITH_HISTORY = 50


def read_one(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/objects/{type}/{id}`."""
    kind = call.kind()
    record = _find(portal, kind, call)
    names = pictures.known_names(portal, kind.id, call.names("properties"))
    shown = pictures.picture(portal, record, names, call.names("propertiesWithHistory"))
    wanted = call.names("associations")
    if wanted:
        shown["associations"] = _associations(portal, record, wanted)
    return Answer(200, shown)


def update_one(portal: Portal, call: Call) -> Answer:
    """Answer `PATCH /crm/objects/{type}/{id}`."""
    kind = call.kind()
    record = _find(portal, kind, call)
    given = properties_of(call.json())
    changes, flaws = portal.prepare(kind, given, portal.app, record)
    refuse_flaws(flaws)
    apply_update(portal, record, changes, portal.app)
    return Answer(200, pictures.picture(portal, record, pictures.known_names(portal, kind.id, given)))


def create_one(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}`."""
    kind = call.kind()
    body = call.json()
    given = properties_of(body)
    changes, flaws = portal.prepare(kind, given, portal.app)
    refuse_flaws(flaws + missing_values(kind, changes))
    links = read_links(portal, kind.id, associations_of(body))
    record = portal.create(kind, changes, portal.app)
    for link in links:
        associate(portal, link._replace(from_id=record.id), portal.app)
    return Answer(201, pictures.picture(portal, record, pictures.known_names(portal, kind.id, given)))


def delete_one(portal: Portal, call: Call) -> Answer:
    """Answer `DELETE /crm/objects/{type}/{id}`; what is not there is as good as deleted."""
    record = portal.records[call.kind().id].resolve(call.parts["id"])
    if record is not None:
        removals.archive(portal, record, portal.app)
    return Answer(204)


def list_all(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/objects/{type}`, a page after another in order of ids."""
    kind = call.kind()
    history = call.names("propertiesWithHistory")
    limit = call.number("limit", 10, _LARGEST_PAGE_WITH_HISTORY if history else _LARGEST_PAGE)
    after = call.cursor()
    names = pictures.known_names(portal, kind.id, call.names("properties"))
    store = portal.records[kind.id]
    if call.query.get("archived") == "true":
        found = sorted(store.binned.values(), key=lambda record: int(record.id))
        records = [record for record in found if int(record.id) > after][: limit + 1]
    else:
        records = list(islice(store.after(after), limit + 1))
    body: JsonObject = {"results": [pictures.picture(portal, one, names, history) for one in records[:limit]]}
    if len(records) > limit:
        last = records[limit - 1].id
        body["paging"] = {"next": {"after": last, "link": f"https://api.hubapi.com{call.path}?after={last}"}}
    return Answer(200, body)


def merge(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/merge` with the record that now exists."""
    kind = call.kind()
    if kind.id != CONTACT:
        raise invalid(f"The sandbox merges contacts only, not {kind.plural}")
    body = call.json()
    winner, loser = (
        portal.find(kind.id, str(body.get(key, ""))) for key in ("primaryObjectId", "objectIdToMerge")
    )
    record = removals.merge(portal, winner, loser, portal.app)
    return Answer(200, pictures.picture(portal, record, pictures.known_names(portal, kind.id, ())))


def gdpr_delete(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/gdpr-delete`; a second one finds nothing more to delete."""
    kind = call.kind()
    if kind.id != CONTACT:
        raise not_found()
    body = call.json()
    asked = str(body.get("objectId", ""))
    store = portal.records[kind.id]
    if body.get("idProperty"):
        record = _find_by(portal, kind, str(body["idProperty"]), asked)
    else:
        record = store.resolve(asked) or store.binned.get(asked)
        if record is None:
            raise not_found()
    if record is not None:
        removals.forget(portal, record, portal.app)
    return Answer(204)


def apply_update(portal: Portal, record: Record, changes: dict[str, str], author: Author) -> None:
    """Change a record, and count anew what depends on it."""
    changed = portal.change(record, changes, author)
    if record.kind.id == TASK and ("hs_timestamp" in changed or "hs_task_status" in changed):
        for contact in contacts_of_task(portal, record):
            count_tasks(portal, contact)


def missing_values(kind: Kind, changes: dict[str, str]) -> list[Flaw]:
    """List the required values that a create lacks."""
    if kind.id == TASK and not changes.get("hs_timestamp"):
        return [Flaw("hs_timestamp", "REQUIRED_FIELD", "hs_timestamp is required")]
    return []


def _find(portal: Portal, kind: Kind, call: Call) -> Record:
    asked = call.parts["id"]
    id_property = call.query.get("idProperty")
    if id_property:
        record = _find_by(portal, kind, id_property, asked)
        if record is None:
            raise not_found()
        return record
    if call.query.get("archived") == "true" and asked in portal.records[kind.id].binned:
        return portal.records[kind.id].binned[asked]
    return portal.find(kind.id, asked)


def _find_by(portal: Portal, kind: Kind, name: str, value: str) -> Record | None:
    if name == "hs_object_id":
        return portal.records[kind.id].resolve(value)
    if not portal.properties[kind.id].get(name).unique:
        raise invalid(f"{name} is not a unique property of {kind.plural}")
    return portal.records[kind.id].find_by(name, value)


def _associations(portal: Portal, record: Record, wanted: list[str]) -> JsonObject:
    shown: JsonObject = {}
    for name in wanted:
        kind = find_kind(name)
        if kind is None:
            raise invalid(f"Unable to infer object type from: {name}")
        live = portal.records[kind.id].live
        ids = [one for one in portal.associations.of(record.kind.id, record.id, kind.id) if one in live]
        if not ids:
            continue
        label = f"{record.kind.singular}_to_{KINDS[kind.id].singular}"
        page: JsonObject = {"results": [{"id": one, "type": label} for one in ids[:_ASSOCIATIONS_PER_PAGE]]}
        if len(ids) > _ASSOCIATIONS_PER_PAGE:
            page["paging"] = {"next": {"after": ids[_ASSOCIATIONS_PER_PAGE - 1]}}
        shown[kind.plural] = page
    return shown
