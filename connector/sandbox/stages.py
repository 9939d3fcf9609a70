"""The lifecycle stage, which HubSpot guards: forward only for integrations, dates stamped, automations of its own.

Sources disagree about what a backward write through the API does; `backward_writes` chooses.
https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

from collections.abc import Mapping
from dataclasses import replace

from connector.sandbox.properties import Option, PropertyStore, stage_date
from connector.sandbox.records import Author
from connector.sandbox.refusals import Flaw, invalid

STAGE = "lifecyclestage"


def stage_order(properties: PropertyStore) -> list[str]:
    """List the stages from first to last."""
    options = properties.definitions[STAGE].options
    return [option.value for option in sorted(options, key=lambda option: option.order)]


def is_backward(properties: PropertyStore, old: str, new: str) -> bool:
    """Ask whether a move would go back; from or to no stage is no going back."""
    order = stage_order(properties)
    return old in order and new in order and order.index(new) < order.index(old)


def guard(
    properties: PropertyStore, changes: dict[str, str], current: Mapping[str, str], author: Author, backward: str
) -> list[Flaw]:
    """Drop, keep or object to a backward move among the changes."""
    new = changes.get(STAGE)
    old = current.get(STAGE, "")
    if not new or not author.is_restricted or backward == "accept" or not is_backward(properties, old, new):
        return []
    if backward == "ignore":
        del changes[STAGE]
        return []
    return [Flaw(STAGE, "LIFECYCLE_STAGE_BACKWARD", f"{STAGE} cannot be moved back from {old} to {new}.")]


def date_property(stage: str) -> str:
    """Name the property that tells when a stage was reached."""
    return f"hs_lifecyclestage_{stage}_date"


def add_stage(contacts: PropertyStore, label: str, *, before: str | None, now: int) -> str:
    """Add a custom stage, whose value is a generated number as in HubSpot, and its date property."""
    definition = contacts.definitions[STAGE]
    order = stage_order(contacts)
    if before is not None and before not in order:
        raise invalid(f"There is no stage {before!r}; there is: {', '.join(order)}.")
    value = str(104_836_278 + 1009 * len(order))
    order.insert(order.index(before) if before else len(order), value)
    labels = {option.value: option.label for option in definition.options} | {value: label}
    options = tuple(Option(value=one, label=labels[one], order=place) for place, one in enumerate(order))
    contacts.definitions[STAGE] = replace(definition, options=options, option_values=frozenset(order), updated=now)
    made = stage_date(value, label, definition.group, now)
    contacts.definitions[made.name] = made
    return value
