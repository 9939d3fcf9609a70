"""What a portal holds against what the rules and the configuration speak of: stages, properties, deals, owners.

What contradicts the rules is found by the same functions as `stagekeeper check --portal`.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from connector.config import Portal
from connector.diagnosis.check import INVALID, Check, broken, failed, ok, some, warning
from connector.diagnosis.readings import Readings
from connector.hubspot.batch import Record
from connector.hubspot.failure import HubSpotError
from connector.needs import asks_for_owners, deal_rules
from connector.problems import Problem, nearest
from connector.properties import CONTACT_PROPERTIES, MARKERS, Definition
from connector.proving.portal import STAGE, PortalFacts, portal_problems, stages_of
from connector.rulebook.checking import check_pack
from connector.rulebook.operands import folded
from connector.rulebook.pack import Pack
from connector.rulebook.reading import Document, read_file
from connector.snapshot import WRITTEN

_OF_PIPELINES = frozenset({"unknown-pipeline", "unknown-deal-stage"})
_OF_OWNERS = frozenset({"no-such-owner"})
_OURS = frozenset(each.name for each in CONTACT_PROPERTIES)
_SETUP = "run `stagekeeper setup`"


# --- lifecycle stages -------------------------------------------------------------------------------------------------


def stages(portal: Portal, pack: Pack | None, readings: Readings) -> Iterator[Check]:
    """List the portal's lifecycle stages by label, with their ids, and compare the mapping with them."""
    there = _lifecycle(readings.definitions("contacts"))
    ladder = [name for name in (pack.ladder if pack else portal.stages) if name in portal.stages]
    listed = "; ".join(_shown(option, portal.stages, ladder) for option in there)
    yield ok("stages", f"in HubSpot's order: {listed}") if there else warning(
        "stages", "HubSpot names no lifecycle stages", "see Settings > Objects > Contacts > Lifecycle stage"
    )
    order = [str(option.get("value")) for option in there]
    for name in ladder if there else ():
        yield from _mapped(name, portal.stages[name], there)
    places = [order.index(portal.stages[name]) for name in ladder if portal.stages[name] in order]
    if places != sorted(places):
        found = f"the ladder {' < '.join(ladder)} does not go up in HubSpot's own order"
        yield warning("stages", found, "bring the stages into that order in HubSpot, or correct `stages:`")


def _lifecycle(definitions: Mapping[str, Record]) -> list[Record]:
    options = definitions.get(STAGE, {}).get("options")
    listed = [option for option in options if isinstance(option, dict)] if isinstance(options, list) else []
    return sorted(listed, key=lambda option: int(str(option.get("displayOrder") or 0)))


def _shown(option: Record, mapping: Mapping[str, str], ladder: Sequence[str]) -> str:
    label, value = str(option.get("label") or ""), str(option.get("value"))
    used = [name for name in ladder if mapping[name] == value]
    hidden = " (hidden)" if option.get("hidden") else ""
    return f"{label} = {value}{hidden}" + (f" ← {', '.join(used)}" if used else "")


def _mapped(name: str, value: str, there: Sequence[Record]) -> Iterator[Check]:
    """Judge where one stage of the ladder is mapped to."""
    options = {str(option.get("value")): option for option in there}
    if value in options:
        if options[value].get("hidden"):
            found = f"{name} is mapped to {value}, which is hidden in HubSpot"
            yield warning("stages", found, "show it in Settings > Objects > Contacts > Lifecycle stage, or map another")
        return
    called = [id_ for id_, option in options.items() if folded(str(option.get("label") or "")) == folded(value)]
    meant = f"write `{name}: \"{called[0]}\"`, its id" if called else nearest(value, options)
    found = f"{name} is mapped to {value!r}, which is no lifecycle stage's id in the portal"
    yield broken("stages", found, f"{meant}; correct `stages:` of the portal", exit_code=INVALID)


# --- properties -------------------------------------------------------------------------------------------------------


def properties(portal: Portal, pack: Pack, readings: Readings) -> Iterator[Check]:
    """Compare the properties that the rules read and write with the portal's."""
    unread: list[Check] = []
    facts, document = _facts(pack, readings, unread), _document(portal)
    there, written = facts.definitions["contact"], {*WRITTEN, *pack.written()}
    used = written | pack.properties("contact") | pack.properties_in_texts("contact")
    missing = [*sorted(used & _OURS - there.keys()), *_missing_markers(portal, pack, readings)]
    if missing:
        found = f"{len(missing)} of Stagekeeper's own properties are missing: {some(missing)}"
        yield broken("properties", found, _SETUP, exit_code=INVALID)
    elsewhere = _OF_PIPELINES | _OF_OWNERS
    problems = [one for one in portal_problems(pack, document, facts) if one.code not in elsewhere]
    others = [*unread, *(_told(one) for one in problems if not _is_ours(one)), *_differing(written, there)]
    yield from others
    if not (missing or others):
        number = sum(len(pack.properties(of)) for of in ("contact", "company", "deal"))
        yield ok("properties", f"all {number} that the rules read are there, and those that are written")


def _is_ours(problem: Problem) -> bool:
    """Ask whether a problem is a property of ours that is missing, which is told for all of them at once."""
    return problem.code == "unknown-property" and any(repr(name) in problem.found for name in _OURS)


def _missing_markers(portal: Portal, pack: Pack, readings: Readings) -> Iterator[str]:
    """Name the markers that are missing on tasks and deals, where the rules make any."""
    made = {"tasks": bool(pack.tasks or pack.cadences), "deals": bool(deal_rules(portal, pack))}
    for marker in MARKERS:
        if made[marker.object_type] and marker.name not in readings.definitions(marker.object_type):
            yield f"{marker.name} of {marker.object_type}"


def _differing(written: Iterable[str], there: Mapping[str, Record]) -> Iterator[Check]:
    """Find properties of ours that hold another kind of value, or lack options that are written."""
    ours: dict[str, Definition] = {each.name: each for each in CONTACT_PROPERTIES if each.name in there}
    for name in sorted(ours.keys() & {*written}):
        found, wanted = there[name], ours[name]
        if found.get("type") != wanted.type:
            text = f"{name} is of type {found.get('type')!r} and should be {wanted.type!r}: writes to it are refused"
            cure = f"rename or delete it in Settings > Properties, then {_SETUP}"
            yield broken("properties", text, cure, exit_code=INVALID)
            continue
        options = found.get("options")
        values = {one.get("value") for one in options if isinstance(one, dict)} if isinstance(options, list) else set()
        if lacking := [value for value, _ in wanted.options if value not in values]:
            yield broken("properties", f"{name} lacks the options {', '.join(lacking)}", _SETUP, exit_code=INVALID)


def _told(problem: Problem) -> Check:
    found = f"{problem.place}: {problem.code}: {problem.found}" + (f"; {problem.expected}" if problem.expected else "")
    cure = problem.cure or "correct the rules"
    if problem.severity == "error":
        return broken("properties", found, cure, exit_code=INVALID)
    return warning("properties", found, cure)


def _facts(pack: Pack, readings: Readings, unread: list[Check]) -> PortalFacts:
    """Read as much of the portal as the pack speaks of: what it does not, the app need not be allowed to read.

    What cannot be read is told in `unread`, and counts as being there.
    """
    definitions: dict[str, Mapping[str, Record]] = {"contact": readings.definitions("contacts")}
    for of, plural in (("company", "companies"), ("deal", "deals")):
        names = pack.properties(of) | pack.properties_in_texts(of)
        try:
            definitions[of] = readings.definitions(plural) if names else {}
        except HubSpotError as failure:
            unread.append(failed("properties", failure))
            definitions[of] = {name: {} for name in names}
    pipelines = {}
    with contextlib.suppress(HubSpotError):  # which is told where deals are judged
        pipelines = _pipelines(readings) if pack.reads_deals else {}
    return PortalFacts(definitions=definitions, pipelines=pipelines, owners=frozenset())


def _document(portal: Portal) -> Document:
    document, problems = read_file(portal.rules)
    assert document is not None, problems  # noqa: S101 - the pack was loaded from it
    check_pack(document, problems)
    return document


# --- deals and owners -------------------------------------------------------------------------------------------------


def deals(portal: Portal, pack: Pack, readings: Readings) -> Iterator[Check]:
    """Say whether the pipelines and stages exist in which the rules open deals, or by which they judge them."""
    opened = [rule.create_deal for rule in pack.actions if rule.create_deal and portal.allow.create_deals]
    if not opened and not pack.derived:
        yield ok("deals", "the rules open none")
        return
    pipelines = _pipelines(readings)
    wrong = _only(_OF_PIPELINES, portal, pack, pipelines=pipelines)
    for one in wrong:
        cure = one.cure or f"there is: {some(pipelines)}"
        yield broken("deals", f"{one.place}: {one.code}: {one.found}", cure, exit_code=INVALID)
    if not wrong:
        places = ", ".join(dict.fromkeys(f"{deal.pipeline}/{deal.stage}" for deal in opened))
        yield ok("deals", f"they are opened in {places}, which is there" if places else "the stages named are there")


def _pipelines(readings: Readings) -> dict[str, Mapping[str, str]]:
    return {str(each.get("id")): stages_of(each) for each in readings.pipelines()}


def owners(portal: Portal, pack: Pack, readings: Readings) -> Iterator[Check]:
    """Say whether the people exist to whom tasks go; no address is shown, for such a list is sent around."""
    if not asks_for_owners(portal, pack):
        if pack.tasks or pack.cadences:
            found = "no default owner: tasks for contacts without an owner belong to nobody"
            yield warning("owners", found, "write `owners: {default: address}` of the portal")
        else:
            yield ok("owners", "the rules make no tasks")
        return
    known = {str(each.get("email") or "").strip().lower() for each in readings.owners() if not each.get("archived")}
    known -= {""}
    cure = f"write the address of one of the portal's {len(known)} owners, or add that user in HubSpot"
    wrong = [one.place for one in _only(_OF_OWNERS, portal, pack, people=frozenset(known))]
    for place in wrong:
        found = f"{place}: nobody active in the portal has the address that stands here"
        yield broken("owners", found, cure, exit_code=INVALID)
    default = portal.owners.default
    if default is not None and default.strip().lower() not in known:
        found = "nobody active in the portal has the address of the default owner (`owners:` of the portal)"
        yield broken("owners", found, cure, exit_code=INVALID)
    elif not wrong:
        yield ok("owners", f"everybody to whom tasks go is among the portal's {len(known)} owners")


def _only(
    codes: frozenset[str], portal: Portal, pack: Pack, *, pipelines: Mapping[str, Mapping[str, str]] | None = None,
    people: frozenset[str] = frozenset(),
) -> list[Problem]:
    """Find problems of some kinds, whatever of the rest of the portal can be read."""
    deal: Mapping[str, Record] = {"dealstage": {"type": "string"}}
    definitions: dict[str, Mapping[str, Record]] = {"contact": {}, "company": {}, "deal": deal}
    facts = PortalFacts(definitions=definitions, pipelines=pipelines or {}, owners=people)
    return [one for one in portal_problems(pack, _document(portal), facts) if one.code in codes]
