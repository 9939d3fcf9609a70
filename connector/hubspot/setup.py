"""Set-up: gives a portal the properties that Stagekeeper reads and writes.

It can be run again at any time, and by two people at once: what is there is left as its owners made it, labels,
order and added options included. A property of another type is reported and not touched, for its values would be lost.
https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from connector.hubspot.batch import Record
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError
from connector.hubspot.properties import Properties
from connector.properties import CONTACT_PROPERTIES, GROUP, GROUP_LABEL, MARKERS, Definition

Outcome = Literal["found", "made", "changed", "differs"]

# Groups that HubSpot gives every portal; taken where it does not let us make our own.
_STANDARD_GROUPS: Mapping[str, str] = {"tasks": "task_information", "deals": "dealinformation"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SetupStep:
    """One thing that set-up looked at, and what it did."""

    what: Literal["group", "property"]
    object_type: str
    name: str
    outcome: Outcome
    text: str


def set_up(portal: HubSpotPortal, *, with_deals: bool = True) -> Iterator[SetupStep]:
    """Make what is missing, one step at a time, and tell of each; on deals only where some are to be opened."""
    markers = [marker for marker in MARKERS if with_deals or marker.object_type != "deals"]
    for definitions in (CONTACT_PROPERTIES, *((marker,) for marker in markers)):
        object_type = definitions[0].object_type
        step = _group(portal.properties, object_type)
        yield step
        there = portal.properties.definitions(object_type)
        for definition in definitions:
            yield _property(portal.properties, definition, there.get(definition.name), step.name)


def _group(properties: Properties, object_type: str) -> SetupStep:
    groups = properties.groups(object_type)
    if GROUP in groups:
        return _step("group", object_type, GROUP, "found")
    try:
        made = properties.make_group(object_type, {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1})
    except HubSpotError as failure:
        standard = _STANDARD_GROUPS.get(object_type, "")
        if failure.meaning.kind not in ("invalid", "gone") or standard not in groups:
            raise
        return _step("group", object_type, standard, "found")
    return _step("group", object_type, GROUP, "made" if made else "found")


def _property(properties: Properties, wanted: Definition, there: Record | None, group: str) -> SetupStep:
    if there is None and properties.make(wanted.object_type, _as_made(wanted, group)):
        return _step("property", wanted.object_type, wanted.name, "made")
    if there is None or _missing(wanted, there):
        # Afresh: somebody made it a moment ago, or its options are about to be merged.
        there = properties.definition(wanted.object_type, wanted.name)
    if there is None:
        return _differs(wanted, "is in HubSpot's recycle bin", "restore it in Settings > Properties")
    if there.get("type") != wanted.type:
        return _differs(
            wanted,
            f"is of type {there.get('type')!r} and should be {wanted.type!r}",
            "rename or delete it in Settings > Properties, or point the pack's facts at another property",
        )
    if (there.get("fieldType") == "checkbox") != (wanted.field_type == "checkbox") and wanted.options:
        several = "several values" if wanted.field_type == "checkbox" else "one value"
        return _differs(wanted, f"should take {several}", "change its field type in Settings > Properties")
    return _options(properties, wanted, there)


def _options(properties: Properties, wanted: Definition, there: Record) -> SetupStep:
    """Add the options that are missing; HubSpot replaces the whole list, so those that are there are sent along."""
    missing = _missing(wanted, there)
    if not missing:
        return _step("property", wanted.object_type, wanted.name, "found")
    options = _held(there)
    orders = [order for each in options if isinstance(order := each.get("displayOrder"), int)]
    merged = [*options, *_as_options(missing, first=max([-1, *orders]) + 1)]
    properties.set_options(wanted.object_type, wanted.name, merged)
    added = ", ".join(value for value, _ in missing)
    return SetupStep(
        what="property",
        object_type=wanted.object_type,
        name=wanted.name,
        outcome="changed",
        text=f"{wanted.object_type}: property {wanted.name}: options added: {added}",
    )


def _missing(wanted: Definition, there: Record) -> list[tuple[str, str]]:
    values = {str(each.get("value")) for each in _held(there)}
    return [(value, label) for value, label in wanted.options if value not in values]


def _held(there: Record) -> list[Mapping[str, object]]:
    options = there.get("options")
    return [each for each in options if isinstance(each, dict)] if isinstance(options, list) else []


def _as_made(wanted: Definition, group: str) -> Mapping[str, object]:
    made: dict[str, object] = {
        "groupName": group,
        "name": wanted.name,
        "label": wanted.label,
        "description": wanted.description,
        "type": wanted.type,
        "fieldType": wanted.field_type,
        "formField": wanted.filled_in,
        "hidden": False,
    }
    return {**made, "options": _as_options(wanted.options, first=0)} if wanted.options else made


def _as_options(options: Sequence[tuple[str, str]], *, first: int) -> list[Mapping[str, object]]:
    return [
        {"value": value, "label": label, "displayOrder": order, "hidden": False}
        for order, (value, label) in enumerate(options, start=first)
    ]


def _step(what: Literal["group", "property"], object_type: str, name: str, outcome: Outcome) -> SetupStep:
    return SetupStep(
        what=what, object_type=object_type, name=name, outcome=outcome, text=f"{object_type}: {what} {name}: {outcome}"
    )


def _differs(wanted: Definition, found: str, cure: str) -> SetupStep:
    text = f"{wanted.object_type}: property {wanted.name} {found}; nothing was changed; {cure}"
    return SetupStep(
        what="property", object_type=wanted.object_type, name=wanted.name, outcome="differs", text=text
    )
