"""The grammar of conditions: facts by name, tests of properties, `all`, `any`, `not`, deals, stage and status."""

from collections.abc import Sequence

from connector.rulebook.conditions import OBJECTS, STATUSES
from connector.schema.offers import Offers, Schema
from connector.schema.operators import operand_definitions, option_definitions, tests, tests_of
from connector.schema.patterns import NAME, PROPERTY, whole
from connector.schema.shapes import described, ref

GRAMMAR = ("all", "any", "not", "any_deal", "no_deal", "stage", "status", "entered", "stage_for_at_least")
_OBJECT = "(?:contact|company)"
_KEYS = rf"^(?:{_OBJECT}\.{PROPERTY}|(?!(?:contact|company|deal)\.){NAME}|{PROPERTY})$"
_KEYS_OF_DEALS = rf"^(?!(?:any_deal|no_deal)$)(?:deal\.)?{PROPERTY}$"


def condition_definitions(offers: Offers) -> dict[str, Schema]:
    """Give the definitions of conditions, and all that they are made of."""
    return {
        **operand_definitions(),
        **{name: one for object_ in OBJECTS for name, one in option_definitions(object_, offers.of(object_)).items()},
        "tests": tests(),
        "stage_names": _names("A stage of the ladder", {"type": ["string", "null"]}),
        "status_names": _names("A status", {"enum": [*STATUSES, None]}),
        "condition": _condition(offers),
        "deal_condition": _deal_condition(offers),
    }


def _condition(offers: Offers) -> Schema:
    return {
        "description": "The name of a fact; `property: {operator: value}`; or `all`, `any`, `not` with conditions in "
                       "it. Several in one place must all be yes.",
        "type": ["string", "object"],
        "pattern": whole(NAME),
        "patternErrorMessage": "Expected the name of a fact, or `property: {operator: value}`.",
        "minProperties": 1,
        "propertyNames": {
            "pattern": _KEYS,
            "patternErrorMessage": "Expected a property by its internal name, with `company.` before it when it is the "
                                   "company's; deals stand inside `any_deal` or `no_deal`.",
        },
        "properties": {**_joins("condition"), **_deals(), **_state(), **_offered(offers)},
        "additionalProperties": ref("tests"),
    }  # fmt: skip


def _deal_condition(offers: Offers) -> Schema:
    return {
        "description": "A condition on one deal: `property: {operator: value}`, or `all`, `any`, `not` of such.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _KEYS_OF_DEALS},
        "properties": {**_joins("deal_condition"), **_tests_by_name(offers, "deal", reserved=("all", "any", "not"))},
        "additionalProperties": ref("tests"),
    }


def _joins(of: str) -> dict[str, Schema]:
    several: Schema = {"type": "array", "minItems": 1, "items": ref(of)}
    return {
        "all": described(several, "Yes when every one is yes; no as soon as one is no.\n\n"
                                  "Example: `all: [fits, {sk_need: {is: definite}}]`"),
        "any": described(several, "Yes as soon as one is yes; no when every one is no.\n\n"
                                  "Example: `any: [asked, {sk_interest: {contains: form}}]`"),
        "not": described(ref(of), "No instead of yes, yes instead of no; unknown stays unknown.\n\n"
                                  "Example: `not: fits`"),
    }  # fmt: skip


def _deals() -> dict[str, Schema]:
    return {
        "any_deal": described(ref("deal_condition"), "One of the contact's deals meets the condition.\n\n"
                              "Example: `any_deal: {dealstage: {is: contractsent}}`"),
        "no_deal": described(ref("deal_condition"), "None of the contact's deals does; also when there are none.\n\n"
                             "Example: `no_deal: {dealstage: {not_in: [closedwon, closedlost]}}`"),
    }  # fmt: skip


def _state() -> dict[str, Schema]:
    return {
        "stage": described(ref("stage_names"), "The stage is this one, or one of these; null: none. In `stages`, the "
                           "stage known before.\n\nExample: `stage: [lead, prospect]`"),
        "status": described(ref("status_names"), "The status is this one, or one of these; null: none.\n\n"
                            "Example: `status: hot`"),
        "entered": described(ref("stage_names"), "The stage is this one, and the one before was another or none. Not "
                             "in `stages`.\n\nExample: `entered: prospect`"),
        "stage_for_at_least": described(ref("duration"), "The contact has had its stage for so long.\n\n"
                                        "Example: `stage_for_at_least: 90 days`"),
    }  # fmt: skip


def _names(said: str, one: Schema) -> Schema:
    return {"description": f"{said}, a list of them, or null.",
            "anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}  # fmt: skip


def _offered(offers: Offers) -> dict[str, Schema]:
    """Offer the contact's properties by their names, and the company's by theirs with `company.` before."""
    company = {f"company.{of.name}": tests_of(of, "company") for of in offers.of("company")}
    return {**_tests_by_name(offers, "contact", reserved=GRAMMAR), **company}


def _tests_by_name(offers: Offers, object_: str, *, reserved: Sequence[str]) -> dict[str, Schema]:
    """Offer properties; one that is called like a word of the grammar is written with its object before."""
    named = {f"{object_}.{of.name}" if of.name in reserved else of.name: of for of in offers.of(object_)}
    return {name: tests_of(of, object_) for name, of in named.items()}
