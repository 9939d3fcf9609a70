"""The schema of case files."""

from collections.abc import Mapping

from connector.rulebook.cases import CaseFileEntry
from connector.rulebook.conditions import OBJECTS, STATUSES
from connector.schema.offers import Offers, Property, Schema, consts
from connector.schema.patterns import MOMENT, NAME, whole
from connector.schema.shapes import ref, shapes, titled

SAID: Mapping[str, str] = {
    "CaseFileEntry": "Cases of one pack: invented people, and what must be decided about them.",
    "CaseFileEntry.pack": "The pack, relative to this file.",
    "CaseFileEntry.now": "The present moment; needed as soon as the pack depends on time.",
    "CaseFileEntry.cases": "Invented people, and what must be decided about them.",
    "CaseEntry.name": "A sentence; no two alike.",
    "CaseEntry.now": "The present moment of this case.",
    "CaseEntry.contact": "Properties of the contact, as HubSpot spells them; several boxes as `a;b` or as a list.",
    "CaseEntry.company": "Properties of the primary company.",
    "CaseEntry.deals": "The contact's deals, each with its properties.",
    "CaseEntry.before": "What Stagekeeper knew.",
    "CaseEntry.expect": "What must come out; at least one key, and only what is named is judged.",
    "BeforeEntry.stage": "The stage that was decided last; null: none.",
    "BeforeEntry.status": "The status that was decided last; null: none.",
    "BeforeEntry.since": "Since when the contact has had its stage.",
    "BeforeEntry.done": "How often each task, cadence or action was done.",
    "ExpectEntry.stage": "The stage; null: none.",
    "ExpectEntry.status": "The status; null: none.",
    "ExpectEntry.rule": "The id of the stage rule that decided.",
    "ExpectEntry.tasks": "Exactly these tasks and cadences are due now.",
    "ExpectEntry.no_tasks": "None of these is due now.",
    "ExpectEntry.set": "These properties are set so; null: cleared, or not touched.",
    "ExpectEntry.actions": "Exactly these actions are due now.",
    "ExpectEntry.facts": "These facts have these answers.",
}
_SCALARS = ["string", "number", "boolean", "null"]


def cases_schema(offers: Offers) -> Schema:
    """Give the schema of case files."""
    moment: Schema = {"anyOf": [{"type": "string", "pattern": whole(MOMENT)}, {"type": "null"}]}
    status: Schema = {"enum": [*STATUSES, None]}
    instead: dict[str, Schema] = {
        **dict.fromkeys(("CaseFileEntry.now", "CaseEntry.now", "BeforeEntry.since"), moment),
        **dict.fromkeys(("BeforeEntry.status", "ExpectEntry.status"), status),
        "CaseEntry.contact": _row(offers, "contact"),
        "CaseEntry.company": {**_row(offers, "company"), "type": ["object", "null"]},
        "CaseEntry.deals": {"type": "array", "items": _row(offers, "deal")},
        "ExpectEntry.facts": _answers(),
        "ExpectEntry.set": _set(offers),
    }
    made = {**shapes(CaseFileEntry, said=SAID, instead=instead), **_values(offers)}
    made["ExpectEntry"]["minProperties"] = 1
    top = made.pop("CaseFileEntry")
    return titled("A case file of Stagekeeper", top, made)


def _row(offers: Offers, object_: str) -> Schema:
    """Offer an object's properties; a case may hold others, and any value of them."""
    value: Schema = {"anyOf": [{"type": _SCALARS}, {"type": "array", "items": {"type": _SCALARS}}]}
    named = {one.name: _value(one, object_, value) for one in offers.of(object_)}
    return {"type": "object", "properties": named, "additionalProperties": value}


def _values(offers: Offers) -> dict[str, Schema]:
    """Give the options of each property that has any, by `object.name`."""
    return {f"{object_}.{one.name}": {"anyOf": consts(one.options)}
            for object_ in OBJECTS for one in offers.of(object_) if one.options}  # fmt: skip


def _value(of: Property, object_: str, others: Schema) -> Schema:
    options: Schema = {"anyOf": [ref(f"{object_}.{of.name}"), others]} if of.options else others
    return {"description": of.said, **options}


def _set(offers: Offers) -> Schema:
    value: Schema = {"type": _SCALARS}
    return {"type": ["object", "null"], "propertyNames": {"pattern": f"^{NAME}$"}, "additionalProperties": value,
            "properties": {one.name: _value(one, "contact", value) for one in offers.of("contact")}}  # fmt: skip


def _answers() -> Schema:
    return {"type": ["object", "null"], "propertyNames": {"pattern": f"^{NAME}$"},
            "additionalProperties": {"enum": ["yes", "no", "unknown"]}}  # fmt: skip
