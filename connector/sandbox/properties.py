"""Property definitions: the standard ones of a fresh portal, and those that are made through the properties API.

`PATCH` with options replaces the list, as HubSpot does; who wants to keep the others must send them too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connector.moments import write_moment
from connector.sandbox import standard
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, Kind
from connector.sandbox.refusals import JsonObject, Refusal, error_body, invalid, not_found

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_TYPES = ("bool", "date", "datetime", "enumeration", "number", "string", "phone_number")
_FIELD_TYPES = (
    "booleancheckbox", "checkbox", "radio", "select", "date", "number", "text", "textarea", "html", "file",
    "phonenumber", "calculation_equation",
)  # fmt: skip
_OPEN_ENDED = ("hs_merged_object_ids", "hs_all_contact_vids", "hs_additional_emails", "hs_queue_membership_ids")
MOST_UNIQUE = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One value of an enumeration."""

    value: str
    label: str
    order: int
    hidden: bool = False
    description: str = ""

    def as_json(self) -> JsonObject:
        """Spell it as the properties API does."""
        return {
            "label": self.label, "value": self.value, "displayOrder": self.order, "hidden": self.hidden,
            "description": self.description,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """One definition. `option_values` is None where any value is taken (options that live elsewhere)."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    options: tuple[Option, ...] = ()
    option_values: frozenset[str] | None = None
    calculated: bool = False
    read_only: bool = False
    standard: bool = False
    unique: bool = False
    hidden: bool = False
    form_field: bool = False
    description: str = ""
    display_order: int = -1
    external_options: bool = False
    referenced: str = ""
    created: int = 0
    updated: int = 0

    def as_json(self) -> JsonObject:
        """Spell it as the properties API does; readOnlyValue stands in `modificationMetadata`."""
        shown: JsonObject = {
            "name": self.name, "label": self.label, "type": self.type, "fieldType": self.field_type,
            "description": self.description, "groupName": self.group,
            "options": [option.as_json() for option in self.options],
            "displayOrder": self.display_order, "calculated": self.calculated,
            "externalOptions": self.external_options, "hasUniqueValue": self.unique, "hidden": self.hidden,
            "hubspotDefined": self.standard, "archived": False, "formField": self.form_field,
            "dataSensitivity": "non_sensitive",
            "modificationMetadata": {
                "archivable": not self.standard, "readOnlyDefinition": self.standard,
                "readOnlyOptions": self.standard, "readOnlyValue": self.read_only,
            },
            "createdAt": write_moment(self.created), "updatedAt": write_moment(self.updated),
        }  # fmt: skip
        if self.referenced:
            shown["referencedObjectType"] = self.referenced
        return shown


@dataclass(slots=True)
class PropertyStore:
    """The definitions and groups of one kind of record."""

    kind: Kind
    unique_allowed: bool = True
    definitions: dict[str, Property] = field(default_factory=dict)
    groups: dict[str, JsonObject] = field(default_factory=dict)

    def get(self, name: str) -> Property:
        """Get a definition or refuse with 404."""
        found = self.definitions.get(name.lower())
        if found is None:
            raise not_found(f'Property "{name}" does not exist for object type {self.kind.id}')
        return found

    def create(self, body: Mapping[str, Any], now: int) -> Property:
        """Create a definition from what the properties API is sent; 409 when the name is taken."""
        name = str(body.get("name") or "")
        if name in self.definitions:
            raise Refusal(409, error_body("CONFLICT", f"A property named '{name}' already exists."))
        self._check(body, name)
        options = read_options(body.get("options") or ())
        made = Property(
            name=name, label=str(body["label"]), type=body["type"], field_type=body["fieldType"],
            group=body["groupName"], options=options, option_values=_values(body["type"], options),
            unique=bool(body.get("hasUniqueValue")), hidden=bool(body.get("hidden")),
            form_field=bool(body.get("formField")), description=str(body.get("description") or ""),
            display_order=int(body.get("displayOrder", -1)), created=now, updated=now,
        )  # fmt: skip
        self.definitions[name] = made
        return made

    def change(self, name: str, body: Mapping[str, Any], now: int) -> Property:
        """Change a definition; a list of options takes the place of the old one."""
        old = self.get(name)
        if "options" in body and old.standard and old.name not in ("hs_lead_status", "hs_buying_role"):
            raise invalid(f"The options of {name} are read-only.")
        if body.get("type", old.type) != old.type:
            raise invalid(f"The type of {name} cannot be changed from {old.type}.")
        options = read_options(body["options"]) if "options" in body else old.options
        new = replace(
            old, label=str(body.get("label", old.label)), options=options,
            option_values=_values(old.type, options) if "options" in body else old.option_values,
            group=str(body.get("groupName", old.group)), field_type=str(body.get("fieldType", old.field_type)),
            description=str(body.get("description", old.description)), hidden=bool(body.get("hidden", old.hidden)),
            form_field=bool(body.get("formField", old.form_field)), updated=now,
        )  # fmt: skip
        self._check_group(new.group)
        self.definitions[old.name] = new
        return new

    def create_group(self, body: Mapping[str, Any]) -> JsonObject:
        """Create a property group; 409 when the name is taken."""
        name = str(body.get("name") or "")
        if not _NAME.fullmatch(name) or not body.get("label"):
            raise invalid("A property group needs a name and a label.")
        if name in self.groups:
            raise Refusal(409, error_body("CONFLICT", f"A property group named '{name}' already exists."))
        self.groups[name] = group_json(name, str(body["label"]), int(body.get("displayOrder", -1)))
        return self.groups[name]

    def _check(self, body: Mapping[str, Any], name: str) -> None:
        if not _NAME.fullmatch(name) or name.startswith("hs_"):
            raise invalid(f"Property name {name!r} is invalid: lower-case, starts with a letter, not with hs_.")
        for key, allowed in (("type", _TYPES), ("fieldType", _FIELD_TYPES)):
            if body.get(key) not in allowed:
                raise invalid(f"{key} must be one of {', '.join(allowed)}; it was {body.get(key)!r}.")
        if not body.get("label"):
            raise invalid("A property needs a label.")
        self._check_group(str(body.get("groupName") or ""))
        if body["type"] == "bool" and len(body.get("options") or ()) != 2:
            raise invalid("A bool property needs two options, true and false.")
        if body.get("hasUniqueValue"):
            self._check_unique()

    def _check_unique(self) -> None:
        if not self.unique_allowed:
            raise invalid(f"hasUniqueValue is not supported for {self.kind.plural}.")
        if sum(one.unique and not one.standard for one in self.definitions.values()) >= MOST_UNIQUE:
            raise invalid(f"An object can have at most {MOST_UNIQUE} properties with hasUniqueValue.")

    def _check_group(self, group: str) -> None:
        if group not in self.groups:
            raise invalid(f'Property group "{group}" does not exist.')


def read_options(given: Iterable[Mapping[str, Any]]) -> tuple[Option, ...]:
    """Read the options of a request; doubled values and labels are refused."""
    options = tuple(
        Option(
            value=str(one.get("value", "")), label=str(one.get("label", "")),
            order=int(one.get("displayOrder", index)), hidden=bool(one.get("hidden")),
            description=str(one.get("description") or ""),
        )
        for index, one in enumerate(given)
    )  # fmt: skip
    if any(not one.value or not one.label for one in options):
        raise invalid("Every option needs a value and a label.")
    for part in ("value", "label"):
        if len({getattr(one, part) for one in options}) != len(options):
            raise invalid(f"Options must have unique {part}s.")
    return options


def group_json(name: str, label: str, order: int = -1) -> JsonObject:
    """Spell a property group as the properties API does."""
    return {"name": name, "label": label, "displayOrder": order, "archived": False}


def standard_properties(kind: Kind, now: int, unique_allowed: bool) -> PropertyStore:
    """Make the definitions of a fresh portal."""
    store = PropertyStore(kind=kind, unique_allowed=unique_allowed)
    for name, label in standard.GROUPS[kind.id]:
        store.groups[name] = group_json(name, label)
    group = next(iter(store.groups))
    for row in standard.ROWS[kind.id].strip().splitlines():
        name, of_type, field_type, mode, *words = row.split()
        options = tuple(Option(value=word, label=_label(word), order=n) for n, word in enumerate(words))
        store.definitions[name] = Property(
            name=name, label=_label(name), type=of_type, field_type=field_type, group=group, options=options,
            option_values=None if name in _OPEN_ENDED else _values(of_type, options), standard=True,
            calculated=mode == standard.CALCULATED, read_only=mode != standard.WRITABLE,
            unique=(kind.id, name) == (CONTACT, "email"),
            created=now, updated=now,
        )  # fmt: skip
    for special in _special_properties(kind, group, now):
        store.definitions[special.name] = special
    return store


def _special_properties(kind: Kind, group: str, now: int) -> list[Property]:
    """Make the ones whose options live elsewhere: owners, stages, pipelines."""
    made = [
        Property(
            name="hubspot_owner_id", label="Owner", type="enumeration", field_type="select", group=group,
            external_options=True, referenced="OWNER", standard=True, created=now, updated=now,
        )
    ]  # fmt: skip
    if kind.id in (CONTACT, COMPANY):
        made.append(_external("lifecyclestage", "radio", standard.LIFECYCLE_STAGES, group, now))
        made += [stage_date(value, label, group, now) for value, label in standard.LIFECYCLE_STAGES]
    if kind.id == DEAL:
        stages = [(value, label) for value, label, _ in standard.DEAL_STAGES]
        made.append(_external("dealstage", "radio", stages, group, now))
        made.append(_external("pipeline", "select", [("default", "Sales Pipeline")], group, now))
    return made


def _external(name: str, field_type: str, words: Iterable[tuple[str, str]], group: str, now: int) -> Property:
    options = tuple(Option(value=value, label=label, order=n) for n, (value, label) in enumerate(words))
    return Property(
        name=name, label=_label(name), type="enumeration", field_type=field_type, group=group, options=options,
        option_values=_values("enumeration", options), external_options=True, standard=True, created=now, updated=now,
    )  # fmt: skip


def stage_date(value: str, label: str, group: str, now: int) -> Property:
    """Make the read-only date property that tells when a stage was reached."""
    return Property(
        name=f"hs_lifecyclestage_{value}_date", label=f"Became a {label} Date", type="datetime", field_type="date",
        group=group, standard=True, read_only=True, created=now, updated=now,
    )  # fmt: skip


def _values(of_type: str, options: tuple[Option, ...]) -> frozenset[str] | None:
    return frozenset(option.value for option in options) if of_type == "enumeration" else None


def _label(name: str) -> str:
    return name.removeprefix("hs_").replace("_", " ").strip().capitalize()
