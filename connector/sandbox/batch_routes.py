"""Batches over HTTP, with HubSpot's two ways of failing: the whole call with 400, or some inputs with 207.

One invalid value rejects the whole batch, unless every input carries a unique objectWriteTraceId. Results come in
another order than the inputs, because HubSpot promises none.
https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from connector.sandbox import pictures, removals
from connector.sandbox.associations import Link
from connector.sandbox.exchange import Answer, Call, associations_of, names_of, properties_of
from connector.sandbox.kinds import Kind
from connector.sandbox.links import associate, read_links
from connector.sandbox.object_routes import apply_update, missing_values
from connector.sandbox.portal import Portal
from connector.sandbox.records import Record
from connector.sandbox.refusals import (
    Flaw,
    JsonObject,
    Refusal,
    flaw_details,
    flaws_message,
    invalid,
    invalid_values,
)

_MOST_WITH_HISTORY = 50


class Draft(NamedTuple):
    """One input, checked but not yet done."""

    given: JsonObject
    record: Record | None
    changes: dict[str, str]
    links: list[Link]
    flaws: list[Flaw]
    trace: str


def read_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/batch/read`; ids that are gone or merged make it a 207.

    With `archived=true` it reads the recycle bin, and nothing else.
    """
    kind = call.kind()
    body = call.json()
    inputs = call.inputs()
    history = names_of(body, "propertiesWithHistory")
    if history and len(inputs) > _MOST_WITH_HISTORY:
        raise invalid(f"A batch read with history takes at most {_MOST_WITH_HISTORY} inputs")
    ids = _ids(inputs)
    binned = call.query.get("archived") == "true"
    find = portal.records[kind.id].binned.get if binned else _finder(portal, kind, body.get("idProperty"))
    names = pictures.known_names(portal, kind.id, names_of(body, "properties"))
    found = {record.id: record for record in map(find, ids) if record is not None}
    missing = [one for one in ids if find(one) is None]
    results = [pictures.picture(portal, found[one], names, history) for one in sorted(found)]
    return _answer(portal, 200, results, _not_found(kind, missing, "get"))


def create_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/batch/create`; nothing protects from making the same twice."""
    kind = call.kind()
    inputs = call.inputs()
    seen: dict[tuple[str, str], int] = {}
    drafts = [_draft_new(portal, kind, one, seen) for one in inputs]
    good, errors = _sift(drafts, traced=_are_traced(inputs))
    results = [_create(portal, kind, draft) for draft in good]
    return _answer(portal, 201, results[::-1], errors)


def update_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/batch/update`."""
    kind = call.kind()
    inputs = call.inputs()
    ids = _ids(inputs)
    drafts, missing = [], []
    for one, record_id in zip(inputs, ids, strict=True):
        record = _finder(portal, kind, one.get("idProperty"))(record_id)
        if record is None:
            missing.append(record_id)
            continue
        drafts.append(_draft_change(portal, kind, one, record))
    good, errors = _sift(drafts, traced=portal.options.trace_ids_on_update and _are_traced(inputs))
    results = [_update(portal, draft.record, draft) for draft in good if draft.record]
    return _answer(portal, 200, sorted(results, key=_id_of), errors + _not_found(kind, missing, "update"))


def upsert_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/batch/upsert`, by a unique property; associations cannot be given."""
    kind = call.kind()
    inputs = call.inputs()
    ids = _ids(inputs)
    drafts = []
    for one, value in zip(inputs, ids, strict=True):
        name = one.get("idProperty")
        if not isinstance(name, str):
            raise invalid("Every input of an upsert needs an idProperty")
        record = _finder(portal, kind, name)(value)
        if record is not None:
            drafts.append(_draft_change(portal, kind, one, record))
            continue
        with_id = {**one, "associations": [], "properties": {name: value, **properties_of(one)}}
        drafts.append(_draft_new(portal, kind, with_id, {}))
    good, errors = _sift(drafts, traced=_are_traced(inputs))
    results = []
    for draft in good:
        result = _update(portal, draft.record, draft) if draft.record else _create(portal, kind, draft)
        results.append({**result, "new": draft.record is None})
    return _answer(portal, 200, sorted(results, key=_id_of), errors)


def archive_batch(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/batch/archive`; what is not there is as good as deleted."""
    kind = call.kind()
    for record_id in _ids(call.inputs()):
        record = portal.records[kind.id].find(record_id)
        if record is not None:
            removals.archive(portal, record, portal.app)
    return Answer(204)


def _draft_new(portal: Portal, kind: Kind, one: JsonObject, seen: dict[tuple[str, str], int]) -> Draft:
    given = properties_of(one)
    changes, flaws = portal.prepare(kind, given, portal.app)
    flaws += missing_values(kind, changes)
    for name, value in changes.items():
        if value and portal.properties[kind.id].definitions[name].unique:
            if (name, value.lower()) in seen:
                flaws.append(Flaw(name, "CONFLICT", f"{kind.singular} with {name} {value} stands twice in this batch"))
            seen[name, value.lower()] = 1
    links: list[Link] = []
    try:
        links = read_links(portal, kind.id, associations_of(one))
    except Refusal as refusal:
        flaws.append(Flaw("associations", "INVALID_ASSOCIATION", str(refusal)))
    return Draft(given, None, changes, links, flaws, _trace(one))


def _draft_change(portal: Portal, kind: Kind, one: JsonObject, record: Record) -> Draft:
    given = properties_of(one)
    changes, flaws = portal.prepare(kind, given, portal.app, record)
    return Draft(given, record, changes, [], flaws, _trace(one))


def _sift(drafts: Sequence[Draft], *, traced: bool) -> tuple[list[Draft], list[JsonObject]]:
    """Keep the good ones; refuse everything because of a bad one unless its trace id can name it."""
    bad = [draft for draft in drafts if draft.flaws]
    if bad and not traced:
        raise invalid_values([flaw for draft in bad for flaw in draft.flaws])
    errors = []
    for draft in bad:
        conflict = any(flaw.code == "CONFLICT" for flaw in draft.flaws)
        errors.append(
            {
                "status": "error",
                "category": "CONFLICT" if conflict else "VALIDATION_ERROR",
                "message": flaws_message(draft.flaws),
                "context": {"objectWriteTraceId": [draft.trace]},
                "errors": flaw_details(draft.flaws),
            }
        )
    return [draft for draft in drafts if not draft.flaws], errors


def _create(portal: Portal, kind: Kind, draft: Draft) -> JsonObject:
    record = portal.create(kind, draft.changes, portal.app)
    for link in draft.links:
        associate(portal, link._replace(from_id=record.id), portal.app)
    return _result(portal, record, draft)


def _update(portal: Portal, record: Record, draft: Draft) -> JsonObject:
    apply_update(portal, record, draft.changes, portal.app)
    return _result(portal, record, draft)


def _result(portal: Portal, record: Record, draft: Draft) -> JsonObject:
    shown = pictures.picture(portal, record, pictures.known_names(portal, record.kind.id, draft.given))
    if draft.trace:
        shown["objectWriteTraceId"] = draft.trace
    return shown


def _ids(inputs: list[JsonObject]) -> list[str]:
    ids = [str(one.get("id", "")) for one in inputs]
    if not all(ids):
        raise invalid("Invalid input JSON: every input needs an id")
    doubled = sorted({one for one in ids if ids.count(one) > 1}) if len(set(ids)) < len(ids) else []
    if doubled:
        message = f"Duplicate IDs found in batch input: [{', '.join(doubled)}]. IDs must be unique"
        raise invalid(message, context={"ids": doubled})
    return ids


def _finder(portal: Portal, kind: Kind, id_property: Any) -> Callable[[str], Record | None]:
    """Give what finds a record as batches do: not by an id that was merged into another."""
    store = portal.records[kind.id]
    if not id_property or id_property == "hs_object_id":
        return store.find
    if not portal.properties[kind.id].get(str(id_property)).unique:
        raise invalid(f"{id_property} is not a unique property of {kind.plural}")
    return lambda value: store.find_by(str(id_property), value)


def _not_found(kind: Kind, ids: list[str], verb: str) -> list[JsonObject]:
    if not ids:
        return []
    message = f"Could not {verb} some {kind.singular.upper()} objects, they may be deleted or not exist."
    return [
        {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": f"{message} Check that ids are valid.",
            "context": {"ids": ids},
        }
    ]


def _answer(portal: Portal, status: int, results: list[JsonObject], errors: list[JsonObject]) -> Answer:
    return Answer(207 if errors else status, pictures.batch_body(results, portal.now(), errors))


def _are_traced(inputs: list[JsonObject]) -> bool:
    traces = [_trace(one) for one in inputs]
    return all(traces) and len(set(traces)) == len(traces)


def _trace(one: JsonObject) -> str:
    return str(one.get("objectWriteTraceId") or "")


def _id_of(result: JsonObject) -> str:
    return str(result["id"])
