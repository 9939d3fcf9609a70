"""Property definitions over HTTP: what `stagekeeper setup` makes its properties with.

https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from connector.sandbox import pictures
from connector.sandbox.exchange import Answer, Call
from connector.sandbox.portal import Portal
from connector.sandbox.properties import Property
from connector.sandbox.refusals import JsonObject, Refusal, invalid


def list_all(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/properties/{type}`."""
    if call.query.get("archived") == "true":
        return Answer(200, {"results": []})
    definitions = portal.properties[call.kind().id].definitions
    return Answer(200, {"results": [one.as_json() for one in definitions.values()]})


def read_one(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/properties/{type}/{name}`."""
    return Answer(200, portal.properties[call.kind().id].get(call.parts["name"]).as_json())


def create_one(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/properties/{type}`; 409 when the name is taken."""
    return Answer(201, _create(portal, call.kind().id, call.json()).as_json())


def change_one(portal: Portal, call: Call) -> Answer:
    """Answer `PATCH /crm/properties/{type}/{name}`; options replace the whole list."""
    store = portal.properties[call.kind().id]
    return Answer(200, store.change(call.parts["name"], call.json(), portal.now()).as_json())


def archive_one(portal: Portal, call: Call) -> Answer:
    """Answer `DELETE /crm/properties/{type}/{name}`."""
    store = portal.properties[call.kind().id]
    if store.get(call.parts["name"]).standard:
        raise invalid(f"{call.parts['name']} belongs to HubSpot and cannot be archived")
    del store.definitions[call.parts["name"]]
    return Answer(204)


def create_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/properties/{type}/batch/create`; names that are taken make it a 207."""
    kind = call.kind()
    results, errors = [], []
    for one in call.inputs():
        try:
            results.append(_create(portal, kind.id, one).as_json())
        except Refusal as refusal:
            body = dict(refusal.body) if isinstance(refusal.body, dict) else {}
            errors.append({**body, "context": {"name": [str(one.get("name"))]}})
    return Answer(207 if errors else 201, pictures.batch_body(results, portal.now(), errors))


def read_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/properties/{type}/batch/read`; unknown names make it a 207."""
    definitions = portal.properties[call.kind().id].definitions
    names = [str(one.get("name", "")) for one in call.inputs()]
    missing = [name for name in names if name not in definitions]
    errors: list[JsonObject] = []
    if missing:
        message = "Some properties do not exist."
        context = {"name": missing}
        errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": context}]
    results = [definitions[name].as_json() for name in names if name in definitions]
    return Answer(207 if errors else 200, pictures.batch_body(results, portal.now(), errors))


def list_groups(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/properties/{type}/groups`."""
    return Answer(200, {"results": list(portal.properties[call.kind().id].groups.values())})


def read_group(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/properties/{type}/groups/{name}`."""
    groups = portal.properties[call.kind().id].groups
    if call.parts["name"] not in groups:
        raise Refusal(404, {"status": "error", "message": "Property group not found", "category": "OBJECT_NOT_FOUND"})
    return Answer(200, groups[call.parts["name"]])


def create_group(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/properties/{type}/groups`; 409 when the name is taken."""
    return Answer(201, portal.properties[call.kind().id].create_group(call.json()))


def _create(portal: Portal, kind_id: str, body: JsonObject) -> Property:
    made = portal.properties[kind_id].create(body, portal.now())
    if made.unique:
        portal.records[kind_id].make_unique(made.name)
    return made
