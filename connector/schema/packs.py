"""The schema of rule packs."""

from collections.abc import Mapping, Sequence

from connector.rulebook.checking import RESERVED
from connector.rulebook.pack import PackFile
from connector.rulebook.sections import SALES_STEPS
from connector.schema.conditions import condition_definitions
from connector.schema.offers import DealPipeline, Offers, Property, Schema, address, consts, one_of
from connector.schema.patterns import BUSINESS_DAYS, DURATION, NAME, SETTING, whole
from connector.schema.shapes import ref, shapes, text_like, titled

_OWN = ("lifecyclestage", "sk_reason", "sk_rule", "sk_decided_at")
_STEPS = ("sk_sales_step", "sk_accepted_step")
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_WHEN = "The condition; without it the rule always applies."
_TEXT = "May show what is known, as in `{{ contact.firstname }}`."

SAID: Mapping[str, str] = {
    "PackFile": "A rule pack: what a company calls a contact, a lead and a prospect.",
    "PackFile.version": "Always 1.",
    "PackFile.pack": "The pack's name.",
    "PackFile.description": "A sentence for people: what this pack calls a lead and a prospect.",
    "PackFile.ladder": "The stages, low to high.",
    "PackFile.settings": "Numbers and times to tune; used as `$name`.",
    "PackFile.derived": "Contact properties that are taken from the deals where the contact has no value.",
    "PackFile.min_stay": "For how long nobody who has entered a stage is moved down again.",
    "PackFile.insist_on": "Properties that our own tasks and writes change, and that the rules read all the same.",
    "PackFile.facts": "Questions with names; each is answered yes, no or unknown. Facts build on facts.",
    "PackFile.stages": "Rules in order: the first whose `when` is yes decides the stage.",
    "PackFile.statuses": "Rules in order: the first that is yes, of those for the stage, decides the status.",
    "PackFile.values": "Properties that are filled in besides, while a condition is yes.",
    "PackFile.tasks": "What there is to do once.",
    "PackFile.cadences": "What there is to do again and again.",
    "PackFile.actions": "Deals to open; people to unsubscribe and erase.",
    "StageEntry.id": "The rule's name; it is written to `sk_rule`.",
    "StageEntry.stage": "A stage of the ladder, or null: no stage, HubSpot's lifecycle stage is left alone.",
    "StageEntry.when": _WHEN,
    "StageEntry.because": "One sentence; the salesperson reads it in `sk_reason`.",
    "StageEntry.backward": "true: this rule may move HubSpot's stage back, where the portal allows it.",
    "StatusEntry.id": "The rule's name.",
    "StatusEntry.of": "The stage, or a list of stages, that it is for; without it: any stage, and none.",
    "StatusEntry.status": "What is written to `sk_prospect_status` or `sk_lead_status`.",
    "StatusEntry.when": _WHEN,
    "StatusEntry.because": "One sentence for people.",
    "ValueEntry.id": "The rule's name; not needed.",
    "ValueEntry.when": _WHEN,
    "ValueEntry.set": 'Properties with the values that they have while the condition is yes; "" clears one.',
    "TaskBody.title": f"The task's title, one line. {_TEXT}",
    "TaskBody.notes": f"What stands below the title. {_TEXT}",
    "TaskBody.type": "What is to be done.",
    "TaskBody.priority": "How urgent it is.",
    "TaskBody.due": "When it is due: `2 business days`, `1 day`, `4 hours`.",
    "TaskBody.owner": "`contact_owner`, `default` (the portal's), the address of a HubSpot user, or a list of "
                      "addresses that take turns.",
    "TaskBody.queue": "The number of a task queue in HubSpot.",
    "TaskBody.effort": "How much work it is; for people and reports.",
    "TaskEntry.id": "The rule's name.",
    "TaskEntry.when": f"{_WHEN} The task is made once while it is yes.",
    "CadenceEntry.id": "The rule's name.",
    "CadenceEntry.while": "The condition; the first task is due as soon as it is yes.",
    "CadenceEntry.every": "The time from one task to the next, as in `3 days`.",
    "CadenceEntry.at_most": "How many tasks there are, or `$setting`; without it there is no end.",
    "CadenceEntry.starts_anew_on": "Contact properties; when one of them changes, the count starts anew.",
    "CadenceEntry.task": "The task.",
    "CadenceEntry.afterwards": "What is done when another one would be due but the number is reached.",
    "AfterwardsEntry.set": 'Properties with their values; "" clears one.',
    "ActionEntry.id": "The rule's name.",
    "ActionEntry.when": f"{_WHEN} The action is done once while it is yes.",
    "ActionEntry.create_deal": "Opens a deal, where the portal allows it.",
    "ActionEntry.do": "For people who want to be forgotten.",
    "DealEntry.pipeline": "The id of the deal's pipeline.",
    "DealEntry.stage": "The id of the deal's stage in that pipeline.",
    "DealEntry.name": f"The deal's name. {_TEXT}",
    "DerivedEntry.from": "The deal's property, as in `deal.dealstage`.",
    "DerivedEntry.map": "Each value of the contact's property, from the first to the furthest, with the deal's values "
                        "that stand for it.",
}  # fmt: skip
_ALSO = {f"TaskEntry.{key.partition('.')[2]}": said for key, said in SAID.items() if key.startswith("TaskBody.")}


def pack_schema(offers: Offers) -> Schema:
    """Give the schema of packs."""
    made = shapes(PackFile, said={**_ALSO, **SAID}, instead=_instead(offers))
    top = made.pop("PackFile")
    made["ActionEntry"]["oneOf"] = [
        {"required": ["create_deal"], "properties": {"create_deal": {"type": "object"}, "do": _nothing("array")}},
        {"required": ["do"], "properties": {"do": {"type": "array", "minItems": 1}, "create_deal": {"type": "null"}}},
    ]
    if offers.pipelines:
        made["DealEntry"]["allOf"] = [_stages_of(pipeline) for pipeline in offers.pipelines]
    return titled("A rule pack of Stagekeeper", top, {**made, "set": _set(offers), **condition_definitions(offers)})


def _nothing(type_: str) -> Schema:
    return {"anyOf": [{"type": "null"}, {"type": type_, "maxItems": 0}]}


def _instead(offers: Offers) -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    duration = text_like(whole(DURATION, SETTING), "a number and a unit, as in `3 days`, or `$setting`")
    due = text_like(whole(BUSINESS_DAYS, DURATION, SETTING), "`2 business days`, `1 day` or `4 hours`")
    owner: Schema = {"default": "contact_owner", "anyOf": [
        {"const": "contact_owner", "description": "The contact's owner."},
        {"const": "default", "description": "The portal's default owner."},
        address(offers), {"type": "array", "minItems": 1, "items": address(offers)},
    ]}  # fmt: skip
    queue: Schema = {"type": ["string", "number", "boolean", "null"]}
    body = {"due": {"default": "2 business days", **due}, "owner": owner, "queue": queue}
    bodies = {f"{of}.{key}": one for of in ("TaskBody", "TaskEntry") for key, one in body.items()}
    conditions = ("StageEntry.when", "StatusEntry.when", "ValueEntry.when", "TaskEntry.when", "ActionEntry.when",
                  "CadenceEntry.while")  # fmt: skip
    return {
        **bodies,
        **dict.fromkeys(conditions, ref("condition")),
        "PackFile.ladder": {"type": "array", "minItems": 1, "uniqueItems": True,
                            "items": {"type": "string", "pattern": f"^{NAME}$"}},
        "PackFile.settings": _settings(),
        "PackFile.derived": _derived(offers),
        "PackFile.min_stay": {"anyOf": [duration, {"type": "null"}]},
        "PackFile.facts": _facts(),
        "ValueEntry.set": ref("set"),
        "AfterwardsEntry.set": ref("set"),
        "CadenceEntry.every": duration,
        "CadenceEntry.at_most": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"},
                                           {"type": "string", "pattern": whole(SETTING)}]},
        "CadenceEntry.starts_anew_on": {"type": "array", "items": one_of(_names(offers.of("contact")), others={
            "type": "string", "pattern": f"^{NAME}$"})},
        "DealEntry.pipeline": _pipeline(offers.pipelines),
        "DealEntry.stage": _SCALAR,
        "DealEntry.name": text,
        "DerivedEntry.from": one_of([(f"deal.{one.name}", one.said) for one in offers.of("deal")],
                                    others={"type": "string", "pattern": r"^deal\.[A-Za-z0-9_]+$"}),
        "DerivedEntry.map": {"type": "object", "minProperties": 1, "propertyNames": {"pattern": f"^{NAME}$"},
                             "additionalProperties": {"type": "array", "items": _SCALAR}},
    }  # fmt: skip


def _names(properties: Sequence[Property]) -> list[tuple[str, str]]:
    return [(one.name, one.said) for one in properties]


def _facts() -> Schema:
    names: list[Schema] = [
        {"pattern": f"^{NAME}$"}, {"not": {"enum": sorted(RESERVED)}},
        {"not": {"pattern": r"^(?:contact|company|deal)\."}},
    ]  # fmt: skip
    return {"type": "object", "propertyNames": {"allOf": names}, "additionalProperties": ref("condition")}


def _settings() -> Schema:
    plain: list[Schema] = [
        {"type": ["number", "boolean"]}, {"type": "string", "not": {"pattern": whole(SETTING)}},
    ]  # fmt: skip
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": {
            "description": "A number, a text, a time such as `30 days`, or a list.",
            "anyOf": [*plain, {"type": "array", "items": {"anyOf": plain}}],
        },
    }


def _derived(offers: Offers) -> Schema:
    steps: Schema = {"properties": {"map": {"propertyNames": {"enum": list(SALES_STEPS)}}}}
    offered: dict[str, Schema] = {one.name: {"description": one.said, "allOf": [ref("DerivedEntry")]}
                                  for one in offers.of("contact")}  # fmt: skip
    for name in _STEPS:
        known = offered.get(name, {"allOf": [ref("DerivedEntry")]})
        offered[name] = {**known, "allOf": [ref("DerivedEntry"), steps]}
    return {"type": "object", "propertyNames": {"pattern": f"^{NAME}$"}, "properties": offered,
            "additionalProperties": ref("DerivedEntry")}  # fmt: skip


def _set(offers: Offers) -> Schema:
    """Offer the properties that a pack may write, with their options; those that Stagekeeper writes are not taken."""
    properties = {one.name: _written(one) for one in offers.of("contact") if one.name not in _OWN}
    properties |= {name: {"enum": [*SALES_STEPS, ""]} for name in _STEPS}
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"allOf": [{"pattern": f"^{NAME}$"}, {"not": {"enum": list(_OWN)}}]},
        "properties": properties,
        "additionalProperties": _SCALAR,
    }


def _written(of: Property) -> Schema:
    """HubSpot takes options as they are spelled; several are joined by semicolons, and "" clears."""
    value = one_of(of.options, others=_SCALAR)
    return {"description": of.said, **value}


def _pipeline(pipelines: Sequence[DealPipeline]) -> Schema:
    if not pipelines:
        return {"default": "default", **_SCALAR}
    return {"default": "default", "anyOf": consts([(one.id, one.label) for one in pipelines])}


def _stages_of(pipeline: DealPipeline) -> Schema:
    """Say which stages there are when the deal is opened in this pipeline; `default` need not be named."""
    this: Schema = {"properties": {"pipeline": {"anyOf": consts([(pipeline.id, pipeline.label)])}}}
    named = this if pipeline.id == "default" else {**this, "required": ["pipeline"]}
    return {"if": named, "then": {"properties": {"stage": {"anyOf": consts(pipeline.stages)}}}}
