"""A pack against the portal that it is for: properties, their types and options, pipelines, stages, owners.

What is read here is HubSpot's word, so what contradicts it is an error: a write that HubSpot will refuse, a condition
that can never be met.
https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.problems import Place, Problem, nearest
from connector.properties import CONTACT_PROPERTIES, Form
from connector.rulebook.conditions import tested_properties
from connector.rulebook.contradictions import Forms, Options, contradictions, option_problem
from connector.rulebook.operands import as_number, as_span, folded
from connector.rulebook.pack import Pack, TaskBody
from connector.rulebook.reading import Document, Path_

if TYPE_CHECKING:  # `check` without a portal speaks to nobody
    from connector.hubspot.batch import Record
    from connector.hubspot.client import HubSpotPortal

_OBJECTS = {"contact": "contacts", "company": "companies", "deal": "deals"}
_TYPES: Mapping[str, Form] = {
    "number": "number", "date": "date", "datetime": "moment", "string": "text", "phone_number": "text",
}  # fmt: skip
_CURE = "correct it, or add the option in HubSpot"
_MADE_BY_SETUP = frozenset(each.name for each in CONTACT_PROPERTIES)
STAGE = "lifecyclestage"


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalFacts:
    """What a portal holds, as read from HubSpot."""

    definitions: "Mapping[str, Mapping[str, Record]]"
    """By object (`contact`) and name."""
    pipelines: Mapping[str, Mapping[str, str]]
    """The stages of each deal pipeline: label by id."""
    owners: frozenset[str]
    """The addresses of its owners, in small letters."""

    @property
    def forms(self) -> Forms:
        """Say what each property holds, as `contradictions` asks for it."""
        found = {
            (of, name): _held(definition)
            for of, definitions in self.definitions.items() for name, definition in definitions.items()
        }  # fmt: skip
        stages = tuple(dict.fromkeys(stage for stages in self.pipelines.values() for stage in stages))
        if stages and ("deal", "dealstage") in found:  # HubSpot keeps the options of this one with the pipelines
            found["deal", "dealstage"] = "one of", stages
        return {key: held for key, held in found.items() if held is not None}


def read_portal(hubspot: "HubSpotPortal") -> PortalFacts:
    """Read what a portal holds; raises HubSpotError."""
    definitions = {of: hubspot.properties.definitions(plural) for of, plural in _OBJECTS.items()}
    pipelines = {str(each.get("id")): stages_of(each) for each in hubspot.deals.pipelines()}
    owners = frozenset(str(each.get("email") or "").strip().lower() for each in hubspot.owners.all())
    return PortalFacts(definitions=definitions, pipelines=pipelines, owners=owners - {""})


def stages_of(pipeline: "Record") -> dict[str, str]:
    """Give the stages of a deal pipeline: label by id."""
    stages = pipeline.get("stages")
    listed = [each for each in stages if isinstance(each, dict)] if isinstance(stages, list) else []
    return {str(each.get("id")): str(each.get("label") or "") for each in listed}


def _held(definition: "Record") -> tuple[Form, Options] | None:
    """Say what a property holds; None where nothing is known of it, as of options that live elsewhere."""
    kind, field = definition.get("type"), definition.get("fieldType")
    if kind in ("enumeration", "bool"):
        listed = definition.get("options")
        each = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        options = tuple(str(one.get("value")) for one in each)
        if not options or definition.get("externalOptions"):
            return None
        return ("several" if field == "checkbox" else "one of"), options
    form = _TYPES.get(str(kind))
    return None if form is None else (form, ())


def portal_problems(pack: Pack, document: Document, facts: PortalFacts) -> Iterator[Problem]:
    """Find what a pack asks of a portal, or writes to it, that it cannot give or take."""
    forms = facts.forms
    yield from _unknown_tested(pack, facts)
    for condition in pack.conditions():
        yield from contradictions(condition, forms, _CURE)
    for path, name, value in _sets(pack):
        yield from _set_problems(document, path, name, value, facts)
    yield from _named_properties(pack, document, facts)
    yield from _deals(pack, document, facts)
    yield from _owners(pack, document, facts)


# --- properties -------------------------------------------------------------------------------------------------------


def _unknown_tested(pack: Pack, facts: PortalFacts) -> Iterator[Problem]:
    for condition in pack.conditions():
        for test in tested_properties(condition):
            if test.property not in facts.definitions[test.object]:
                yield _no_property(test.place, test.object, test.property, facts)


def _no_property(place: Place, of: str, name: str, facts: PortalFacts) -> Problem:
    is_ours = of == "contact" and name in _MADE_BY_SETUP
    cure = "`stagekeeper setup` makes it" if is_ours else nearest(name, facts.definitions[of])
    found = f"the portal has no {of} property {name!r}"
    return Problem(place=place, code="unknown-property", found=found, cure=cure)


def _sets(pack: Pack) -> Iterator[tuple[Path_, str, str]]:
    for number, rule in enumerate(pack.values):
        yield from ((("values", number, "set", name), name, value) for name, value in rule.set.items())
    for number, cadence in enumerate(pack.cadences):
        path: Path_ = ("cadences", number, "afterwards", "set")
        yield from (((*path, name), name, value) for name, value in cadence.afterwards.items())


def _set_problems(document: Document, path: Path_, name: str, value: str, facts: PortalFacts) -> Iterator[Problem]:
    definition = facts.definitions["contact"].get(name)
    if definition is None:
        yield _no_property(document.place(path), "contact", name, facts)
        return
    place = document.value_place(path)
    metadata = definition.get("modificationMetadata")
    if definition.get("calculated") or (isinstance(metadata, dict) and metadata.get("readOnlyValue")):
        found = f"{name!r} is kept by HubSpot itself and cannot be set"
        yield Problem(place=place, code="read-only-property", found=found, cure="set a property of your own")
    form, _ = facts.forms.get(("contact", name), (None, ()))
    if meant := option_problem(name, value, facts.forms):
        found = f"{name!r} has no option {value!r} in the portal"
        yield Problem(place=place, code="unknown-option", found=found, expected=meant, cure=_CURE)
    is_readable = {"number": as_number, "date": as_span, "moment": as_span}.get(form or "")
    if value.strip() and is_readable and is_readable(value) is None:
        found = f"{name!r} holds a {form} in the portal, which {value!r} is not"
        yield Problem(place=place, code="property-type", found=found, cure=f"write a {form}")


def _named_properties(pack: Pack, document: Document, facts: PortalFacts) -> Iterator[Problem]:
    """Check the properties that start cadences anew, that are derived from deals, and that texts show."""
    contact, deal = facts.definitions["contact"], facts.definitions["deal"]
    for number, rule in enumerate(pack.cadences):
        for place, name in enumerate(rule.starts_anew_on):
            if name not in contact:
                where = document.value_place(("cadences", number, "starts_anew_on", place))
                yield _no_property(where, "contact", name, facts)
    stages = [folded(option) for option in facts.forms.get(("deal", "dealstage"), ("text", ()))[1]]
    for name, derived in pack.derived.items():
        if derived.deal_property not in deal:
            yield _no_property(document.place(("derived", name, "from")), "deal", derived.deal_property, facts)
        for value, names in derived.values if derived.deal_property == "dealstage" and stages else ():
            for unknown in sorted(names - set(stages)):
                where = document.place(("derived", name, "map", value))
                yield Problem(place=where, code="unknown-deal-stage", found=f"no deal stage has the id {unknown!r}",
                              cure=_meant(unknown, facts))  # fmt: skip
    for of, definitions in facts.definitions.items():
        for name in sorted(pack.properties_in_texts(of) - definitions.keys()):
            problem = _no_property(document.place(("tasks",)), of, name, facts)
            found = f"{problem.found}, which a text speaks of: nothing will stand there"
            yield Problem(place=problem.place, code="unknown-property", found=found, cure=problem.cure,
                          severity="warning")  # fmt: skip


# --- deals and owners -------------------------------------------------------------------------------------------------


def _deals(pack: Pack, document: Document, facts: PortalFacts) -> Iterator[Problem]:
    for number, rule in enumerate(pack.actions):
        if rule.create_deal is None:
            continue
        path: Path_ = ("actions", number, "create_deal")
        pipeline, stage = rule.create_deal.pipeline, rule.create_deal.stage
        stages = facts.pipelines.get(pipeline)
        if stages is None:
            place = document.value_place((*path, "pipeline"))
            found = f"the portal has no deal pipeline with the id {pipeline!r}"
            yield Problem(place=place, code="unknown-pipeline", found=found, cure=nearest(pipeline, facts.pipelines))
        elif stage not in stages:
            place = document.value_place((*path, "stage"))
            found = f"the pipeline {pipeline!r} has no stage with the id {stage!r}"
            yield Problem(place=place, code="unknown-deal-stage", found=found, cure=_meant(stage, facts))


def _meant(stage: str, facts: PortalFacts) -> str:
    """Give the id of a stage that is called so, or list the ids."""
    every = {id_: label for stages in facts.pipelines.values() for id_, label in stages.items()}
    called = [id_ for id_, label in every.items() if folded(label) == folded(stage)]
    return f"the stage that is called so has the id {called[0]!r}" if called else nearest(stage, every)


def _owners(pack: Pack, document: Document, facts: PortalFacts) -> Iterator[Problem]:
    bodies: list[tuple[Path_, TaskBody]] = []
    bodies += [(("tasks", number, "owner"), rule.body) for number, rule in enumerate(pack.tasks)]
    bodies += [(("cadences", number, "task", "owner"), rule.body) for number, rule in enumerate(pack.cadences)]
    for path, body in bodies:
        for address in body.owner if isinstance(body.owner, list) else [body.owner]:
            if "@" in address and address.strip().lower() not in facts.owners:
                found = f"nobody in the portal owns contacts under {address!r}"
                yield Problem(place=document.value_place(path), code="no-such-owner", found=found,
                              cure=nearest(address, facts.owners))  # fmt: skip


def configured_problems(
    stages: Mapping[str, str], owner: str | None, ladder: Sequence[str], place: Place, facts: PortalFacts
) -> Iterator[Problem]:
    """Check what the configuration says of the portal: the lifecycle stages of a pack's ladder, the default owner."""
    _, options = facts.forms.get(("contact", STAGE), (None, ()))
    for name in ladder:
        if options and name in stages and stages[name] not in options:
            found = f"the portal has no lifecycle stage with the id {stages[name]!r}, which {name!r} is mapped to"
            yield Problem(place=place, code="unknown-option", found=found, cure=nearest(stages[name], options))
    if owner and owner.strip().lower() not in facts.owners:
        found = f"nobody in the portal owns contacts under {owner!r}, the default owner"
        yield Problem(place=place, code="no-such-owner", found=found, cure=nearest(owner, facts.owners))
