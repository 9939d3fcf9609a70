"""What an editor offers by name: properties with their options, pipelines, owners. Either those that every portal with
Stagekeeper has, or those that one portal really has; then a name or an option that is not there is underlined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.properties import CONTACT_PROPERTIES, HUBSPOT_FORMS
from connector.schema.patterns import SETTING, any_case, listed, whole

Schema = dict[str, Any]
Named = tuple[str, str]
"""A value and what people see instead of it."""

_FORMS = {
    "one of": "one option", "several": "several options", "text": "text", "long text": "text", "number": "number",
    "date": "date", "moment": "moment",
}  # fmt: skip
_OFTEN_READ = {
    "contact": "email firstname lastname jobtitle phone company country city lifecyclestage hs_lead_status "
               "hs_analytics_source hs_buying_role hubspot_owner_id",
    "company": "name domain industry type country city lifecyclestage",
    "deal": "dealname dealstage pipeline hs_is_closed hs_is_closed_won",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """A property that is offered by its name; `closed`: it takes no other options than these."""

    name: str
    said: str
    options: tuple[Named, ...] = ()
    closed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DealPipeline:
    """A pipeline of deals with its stages."""

    id: str
    label: str
    stages: tuple[Named, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offers:
    """All that is offered; without pipelines and owners, any are taken."""

    properties: Mapping[str, tuple[Property, ...]]
    """By object: contact, company, deal."""
    pipelines: tuple[DealPipeline, ...] = ()
    owners: tuple[Named, ...] = ()
    stages: tuple[Named, ...] = field(default=())
    """The portal's lifecycle stages."""

    def of(self, object_: str) -> tuple[Property, ...]:
        """Give the properties of the contact, company or deal."""
        return self.properties.get(object_, ())


def known_offers() -> Offers:
    """Give what is known without asking a portal."""
    contact = [
        Property(name=one.name, said=f"{one.label}: {one.description} ({_FORMS[one.form]})", options=tuple(one.options))
        for one in CONTACT_PROPERTIES
    ]
    hubspots = {
        object_: [Property(name=name, said=f"HubSpot's own ({_FORMS[form]})") for name, form in forms.items()]
        for object_, forms in HUBSPOT_FORMS.items()
    }
    others = {object_: [*hubspots.get(object_, ()), *_often_read(object_)] for object_ in _OFTEN_READ}
    return Offers(properties={**{name: tuple(ones) for name, ones in others.items()},
                              "contact": (*contact, *others["contact"])})  # fmt: skip


def _often_read(object_: str) -> Sequence[Property]:
    return [Property(name=name, said="HubSpot's own") for name in _OFTEN_READ[object_].split()]


# --- offers as schemas ------------------------------------------------------------------------------------------------


def consts(named: Sequence[Named]) -> list[Schema]:
    """Give each value by itself with what people see, as editors offer them; a number may stand without quotes."""
    found: list[Schema] = []
    for value, said in named:
        found.append({"const": value, "description": said or value})
        if value.isascii() and value.isdecimal() and value == str(int(value)):
            found.append({"const": int(value), "description": said or value})
    return found


def one_of(named: Sequence[Named], *, others: Schema) -> Schema:
    """Offer these values, and take the others too."""
    return {"anyOf": [*consts(named), others]} if named else others


def option(of: Property, *, others: Schema) -> Schema:
    """Say what an operator that compares with one option takes: those of the property, or a setting."""
    if not of.options:
        return others
    if not of.closed:
        return one_of(of.options, others=others)
    plain = [value for value, _ in of.options]
    taken: list[Schema] = [*consts(of.options), {"type": "string", "pattern": whole(SETTING, listed(plain))}]
    if {"true", "false"} & {value.casefold() for value in plain}:
        taken.append({"type": "boolean"})
    return {"anyOf": taken}


def address(offers: Offers) -> Schema:
    """Say which addresses may be an owner's."""
    if not offers.owners:
        return {"type": "string", "pattern": "@", "description": "The address of a HubSpot user."}
    known = "|".join(any_case(owner) for owner, _ in offers.owners)
    return {"anyOf": [*consts(offers.owners), {"type": "string", "pattern": whole(known)}]}
