"""Associations over HTTP, version 4 and the dated ones: numbers in toObjectId, and a 207 for who has none.

https://developers.hubspot.com/docs/api-reference/crm-associations-v4/batch
"""

from connector.sandbox import pictures
from connector.sandbox.associations import TYPES, Link, spelled
from connector.sandbox.exchange import Answer, Call
from connector.sandbox.kinds import Kind
from connector.sandbox.links import associate, check_link, default_link, part
from connector.sandbox.portal import Portal
from connector.sandbox.refusals import JsonObject, invalid, not_found

MOST_INPUTS = 1000
_LARGEST_PAGE = 500


def read_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/associations/{from}/{to}/batch/read`."""
    source, target = call.kind("from"), call.kind("to")
    _check_pair(source, target)
    results, errors = [], []
    for one in call.inputs(MOST_INPUTS):
        record_id = str(one.get("id", ""))
        page, after = _page(portal, source, record_id, target, call.cursor(one.get("after") or 0), _LARGEST_PAGE)
        if not page:
            errors.append(_none(source, record_id, target))
            continue
        result: JsonObject = {"from": {"id": record_id}, "to": page}
        if after:
            result["paging"] = {"next": {"after": after, "link": f"https://api.hubapi.com{call.path}"}}
        results.append(result)
    return Answer(207 if errors else 200, pictures.batch_body(results, portal.now(), errors))


def read_one(portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/objects/{type}/{id}/associations/{to}`."""
    source, target = call.kind(), call.kind("to")
    _check_pair(source, target)
    record = portal.find(source.id, call.parts["id"])
    limit = call.number("limit", _LARGEST_PAGE, _LARGEST_PAGE)
    page, after = _page(portal, source, record.id, target, call.cursor(), limit)
    body: JsonObject = {"results": page}
    if after:
        body["paging"] = {"next": {"after": after, "link": f"https://api.hubapi.com{call.path}?after={after}"}}
    return Answer(200, body)


def put_default(portal: Portal, call: Call) -> Answer:
    """Answer `PUT …/associations/default/{to}/{to_id}`; doing it again changes nothing."""
    source, target = call.kind(), call.kind("to")
    record = portal.find(source.id, call.parts["id"])
    other = portal.find(target.id, call.parts["to_id"])
    link = default_link(source.id, record.id, target.id, other.id)
    associate(portal, link, portal.app)
    made = {
        "from": {"id": record.id},
        "to": {"id": other.id},
        "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": link.type_id},
    }
    return Answer(200, pictures.batch_body([made], portal.now()))


def put_labelled(portal: Portal, call: Call) -> Answer:
    """Answer `PUT …/associations/{to}/{to_id}` with a list of association types as its body."""
    source, target = call.kind(), call.kind("to")
    record = portal.find(source.id, call.parts["id"])
    other = portal.find(target.id, call.parts["to_id"])
    links = [Link(source.id, record.id, target.id, other.id, one) for one in _type_ids(call.anything())]
    for link in links:
        check_link(portal, link)
    for link in links:
        associate(portal, link, portal.app)
    given = {link.type_id for link in links}
    labels = [one.label for one in TYPES[source.id, target.id] if one.label and one.id in given]
    body = {
        "fromObjectTypeId": source.id, "fromObjectId": int(record.id), "toObjectTypeId": target.id,
        "toObjectId": int(other.id), "labels": labels,
    }  # fmt: skip
    return Answer(201, body)


def remove(portal: Portal, call: Call) -> Answer:
    """Answer `DELETE …/associations/{to}/{to_id}`."""
    source, target = call.kind(), call.kind("to")
    part(portal, source.id, call.parts["id"], target.id, call.parts["to_id"], portal.app)
    return Answer(204)


def create_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/associations/{from}/{to}/batch/create`; each input names its types."""
    return _create_batch(portal, call, default=False)


def create_default_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/associations/{from}/{to}/batch/associate/default`."""
    return _create_batch(portal, call, default=True)


def labels(_portal: Portal, call: Call) -> Answer:
    """Answer `GET /crm/associations/{from}/{to}/labels`."""
    source, target = call.kind("from"), call.kind("to")
    _check_pair(source, target)
    every = tuple(one.id for one in TYPES[source.id, target.id])
    return Answer(200, {"results": spelled(source.id, target.id, every)})


def _create_batch(portal: Portal, call: Call, *, default: bool) -> Answer:
    source, target = call.kind("from"), call.kind("to")
    _check_pair(source, target)
    links = []
    for one in call.inputs(MOST_INPUTS):
        from_id, to_id = _id(one, "from"), _id(one, "to")
        record = portal.find(source.id, from_id)
        plain = default_link(source.id, record.id, target.id, to_id)
        chosen = [plain] if default else [plain._replace(type_id=type_id) for type_id in _type_ids(one.get("types"))]
        for link in chosen:
            check_link(portal, link)
        links += chosen
    for link in links:
        associate(portal, link, portal.app)
    results = [{"fromObjectId": int(link.from_id), "toObjectId": int(link.to_id), "labels": []} for link in links]
    return Answer(200 if default else 201, pictures.batch_body(results, portal.now()))


def _page(
    portal: Portal, source: Kind, record_id: str, target: Kind, after: int, limit: int
) -> tuple[list[JsonObject], str | None]:
    """Give one page of what a record is associated with, in order of ids, and the cursor of the next."""
    live = portal.records[target.id].live
    is_live = record_id in portal.records[source.id].live
    linked = portal.associations.of(source.id, record_id, target.id) if is_live else {}
    ids = sorted(int(one) for one in linked if one in live and int(one) > after)
    page = [
        {"toObjectId": one, "associationTypes": spelled(source.id, target.id, linked[str(one)])} for one in ids[:limit]
    ]
    return page, str(ids[limit - 1]) if len(ids) > limit else None


def _none(source: Kind, record_id: str, target: Kind) -> JsonObject:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {target.singular} is associated with {source.singular} {record_id}.",
        "context": {
            "fromObjectId": [record_id],
            "fromObjectType": [source.singular],
            "toObjectType": [target.singular],
        },
    }


def _check_pair(source: Kind, target: Kind) -> None:
    if (source.id, target.id) not in TYPES:
        raise not_found(f"{source.plural} and {target.plural} have no associations in the sandbox")


def _type_ids(given: object) -> list[int]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given) or not given:
        raise invalid("Invalid input JSON: a list of association types was expected")
    return [one.get("associationTypeId") for one in given]


def _id(one: JsonObject, side: str) -> str:
    end = one.get(side)
    if not isinstance(end, dict) or "id" not in end:
        raise invalid(f"Invalid input JSON: every input needs {side}.id")
    return str(end["id"])
