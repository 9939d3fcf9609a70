"""The operators as an editor knows them: what each means, an example, and what may stand to its right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.schema.offers import Property, Schema, option
from connector.schema.patterns import DURATION, MOMENT, NOW, NUMBER, SETTING, whole
from connector.schema.shapes import ref, text_like


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """What is said of an operator, and the name of what it takes."""

    said: str
    example: str
    takes: str

    def schema(self) -> Schema:
        """Give the schema of what stands to its right."""
        description = f"{self.said}\n\nExample: `{self.example}`"
        return {"description": description, "allOf": [ref(self.takes)]}


def _operator(said: str, example: str, takes: str) -> Operator:
    return Operator(said=said, example=example, takes=takes)


OPERATORS: Mapping[str, Operator] = {
    "is": _operator("The value is this one; capitals and spaces around it do not matter.", "sk_need: {is: definite}",
                    "value"),
    "is_not": _operator("The value is another one; unknown when there is none.", "sk_need: {is_not: none}", "value"),
    "in": _operator("The value is one of these.", "sk_intent: {in: [interested, wants_to_buy]}", "values"),
    "not_in": _operator("The value is none of these; unknown when there is none.",
                        "sk_relationship: {not_in: [supplier, partner]}", "values"),
    "contains": _operator("This box is ticked; or the text holds this one.", "sk_interest: {contains: form}", "value"),
    "contains_any": _operator("One of these boxes is ticked; or the text holds one of these.",
                              "sk_interest: {contains_any: [form, seminar]}", "values"),
    "starts_with": _operator("The text begins so.", "jobtitle: {starts_with: head of}", "value"),
    "ends_with": _operator("The text ends so.", "email: {ends_with: .edu}", "value"),
    "matches": _operator("The text holds what this regular expression (RE2) describes; capitals do not matter.",
                         "email: {matches: '^(info|office)@'}", "value"),
    "at_least": _operator("This number or more; this date or a later one.", "sk_unanswered: {at_least: 5}",
                          "reference"),
    "at_most": _operator("This number or less; this date or an earlier one.", "sk_unanswered: {at_most: 1}",
                         "reference"),
    "more_than": _operator("More than this number; later than this date.", "num_conversion_events: {more_than: 1}",
                           "reference"),
    "less_than": _operator("Less than this number; earlier than this date.", "num_contacted_notes: {less_than: 3}",
                           "reference"),
    "between": _operator("From the first to the second, both included.",
                         "company.numberofemployees: {between: [50, 250]}", "two_references"),
    "known": _operator("Whether there is any value; never unknown itself.", "sk_authority: {known: false}",
                       "yes_or_no"),
    "before": _operator("Earlier than a date or moment; a whole day has to be over first.",
                        "sk_blocked_until: {before: now}", "moment"),
    "after": _operator("Later than a date or moment.", "sk_ready_by: {after: now + $later}", "moment"),
    "within_last": _operator("Between so long ago and now.", "hs_sales_email_last_replied: {within_last: 30 days}",
                             "duration"),
    "not_within_last": _operator("Longer ago than that, or still to come; unknown when there is no value.",
                                 "notes_last_contacted: {not_within_last: 60 days}", "duration"),
    "within_next": _operator("Between now and so far ahead.", "sk_ready_by: {within_next: $immediate}", "duration"),
}  # fmt: skip

_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_SETTING: Schema = {"type": "string", "pattern": whole(SETTING), "description": "A setting of this pack."}
_NUMBER: Schema = {"type": "number"}
_NUMERIC: Schema = {"anyOf": [_NUMBER, {"type": "string", "pattern": whole(NUMBER, SETTING)}]}
_TIMELY: Schema = {"type": "string", "pattern": whole(NOW, MOMENT, SETTING)}


def operand_definitions() -> dict[str, Schema]:
    """Give what may stand to the right of operators, by the name that operators use."""
    millis: list[Schema] = [{"type": "number", "minimum": 1e8}, {"type": "number", "maximum": -1e8}]
    return {
        "value": {"description": "A text, a number, true or false, or `$setting`.", **_SCALAR},
        "values": {"description": "A list, or `$setting`.", "anyOf": [_some_of(_SCALAR), _SETTING]},
        "yes_or_no": {"description": "true or false.", "type": "boolean"},
        "duration": {
            "description": "A number and a unit, as in `30 days`, `2 weeks`, `12 hours` or `90 minutes`, or "
                           "`$setting`. Months and years have no fixed length and are not taken.",
            **text_like(whole(DURATION, SETTING), "a number and a unit, as in `30 days`; months have no length"),
        },
        "moment": {
            "description": "A date (`2026-03-31`), a moment (`2026-03-31T09:00:00Z`), `now`, `now + 30 days`, "
                           "`now - $later`, or `$setting`.",
            "anyOf": [_TIMELY, *millis],
        },
        "reference": {
            "description": "A number, a date (`2026-03-31`), a moment, `now`, `now + 30 days`, or `$setting`.",
            "anyOf": [_NUMBER, {"type": "string", "pattern": whole(NUMBER, NOW, MOMENT, SETTING)}],
        },
        "two_references": {
            "description": "The lowest and the highest: two numbers, or two dates or moments; or `$setting`.",
            "anyOf": [_pair(_NUMERIC), _pair(_TIMELY), _SETTING],
        },
    }  # fmt: skip


def _some_of(schema: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": schema}


def _pair(schema: Schema) -> Schema:
    return {"type": "array", "minItems": 2, "maxItems": 2, "items": schema}


def tests() -> Schema:
    """Give the schema of what stands to the right of a property: operators, each with what it takes."""
    return {
        "description": "What is asked of a property: one or more operators, all of which must be yes.",
        "type": "object",
        "minProperties": 1,
        "properties": {name: operator.schema() for name, operator in OPERATORS.items()},
        "additionalProperties": False,
    }


def option_definitions(object_: str, properties: Sequence[Property]) -> dict[str, Schema]:
    """Give what may be compared with each property that has options, by `object.name`."""
    return {f"{object_}.{of.name}": option(of, others=_SCALAR) for of in properties if of.options}


def tests_of(of: Property, object_: str) -> Schema:
    """Give the schema of the tests of one property by its name, with its options where it has any."""
    made: Schema = {"description": of.said, "allOf": [ref("tests")]}
    if of.options:
        single = ref(f"{object_}.{of.name}")
        several: Schema = {"anyOf": [_some_of(single), _SETTING]}
        made["properties"] = {"is": single, "is_not": single, "in": several, "not_in": several}
        if not of.closed:  # of closed ones, any part of an option may be looked for
            made["properties"] |= {"contains": single, "contains_any": several}
    return made
