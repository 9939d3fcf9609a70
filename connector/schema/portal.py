"""What one portal offers, read from HubSpot; nothing is written there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connector.hubspot.client import HubSpotPortal
from connector.schema.offers import DealPipeline, Named, Offers, Property

_OBJECTS = {"contact": "contacts", "company": "companies", "deal": "deals"}
_STAGE = "lifecyclestage"
_MOST_OPTIONS = 500
"""Longer lists (currencies, schools) help nobody who types, and make editors slow."""


def portal_offers(hubspot: HubSpotPortal) -> Offers:
    """Read a portal's properties, deal pipelines and owners; raises HubSpotError."""
    pipelines = tuple(map(_pipeline, hubspot.deals.pipelines()))
    read = {object_: hubspot.properties.definitions(type_) for object_, type_ in _OBJECTS.items()}
    properties = {object_: _properties(definitions.values()) for object_, definitions in read.items()}
    properties["deal"] = tuple(_of_pipelines(one, pipelines) for one in properties["deal"])
    stages = next((one.options for one in properties["contact"] if one.name == _STAGE), ())
    return Offers(
        properties=properties, pipelines=pipelines, owners=_owners(hubspot.owners.all()), stages=stages,
    )  # fmt: skip


def _properties(definitions: Iterable[Mapping[str, Any]]) -> tuple[Property, ...]:
    there = (one for one in definitions if not one.get("archived"))
    return tuple(sorted(map(_property, there), key=lambda one: one.name))


def _property(definition: Mapping[str, Any]) -> Property:
    """Take a definition as it is; options that live elsewhere (`externalOptions`) may be more than are listed."""
    label, description = str(definition.get("label") or ""), str(definition.get("description") or "")
    kind = str(definition.get("type") or "")
    options = [one for one in definition.get("options") or () if isinstance(one, Mapping) and one.get("value")]
    named = tuple((str(one["value"]), str(one.get("label") or one["value"])) for one in options)
    named = named if len(named) <= _MOST_OPTIONS else ()
    said = ": ".join(part for part in (label, description.strip()) if part)
    return Property(
        name=str(definition["name"]), said=f"{said} ({kind})" if kind else said, options=named,
        closed=kind == "enumeration" and bool(named) and not definition.get("externalOptions"),
    )  # fmt: skip


def _pipeline(record: Mapping[str, Any]) -> DealPipeline:
    stages = [one for one in record.get("stages") or () if isinstance(one, Mapping) and one.get("id")]
    return DealPipeline(
        id=str(record.get("id")), label=str(record.get("label") or ""),
        stages=tuple((str(one["id"]), str(one.get("label") or "")) for one in stages),
    )  # fmt: skip


def _of_pipelines(of: Property, pipelines: Sequence[DealPipeline]) -> Property:
    """Give `dealstage` and `pipeline` of deals the options that the pipelines have."""
    options: dict[str, tuple[Named, ...]] = {
        "pipeline": tuple((one.id, one.label) for one in pipelines),
        "dealstage": tuple((id_, f"{label} ({one.label})") for one in pipelines for id_, label in one.stages),
    }
    found = options.get(of.name, ())
    return Property(name=of.name, said=of.said, options=found, closed=True) if found else of


def _owners(records: Iterable[Mapping[str, Any]]) -> tuple[Named, ...]:
    people = [one for one in records if one.get("email") and not one.get("archived")]
    named = [(str(one["email"]), f"{one.get('firstName') or ''} {one.get('lastName') or ''}".strip()) for one in people]
    return tuple(sorted(named))
