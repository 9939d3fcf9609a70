"""Plans carried out in HubSpot, a hundred contacts a call, each effect once.

What an earlier attempt intended is first looked for in HubSpot by its marker, and only created when it is not there.
An answer that leaves open whether something was created leaves the effect intended; the next attempt looks again.
What goes wrong for one contact stays with it; what goes wrong for the portal costs no contact anything.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connector.creating import deal_input, is_owner_refused, task_input, without_owner
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.deals import DealInput
from connector.hubspot.failure import HubSpotError, PortalTrouble, concerns_portal, failure_of
from connector.hubspot.meaning import Meaning, unclear
from connector.hubspot.records import CreateAnswer
from connector.hubspot.tasks import TaskInput
from connector.outage import is_outage, outage_at
from connector.plan import STAGE, Effect
from connector.properties import MARKER
from connector.record import Judged, Outcome
from connector.rewound import adopted, is_sought
from connector.snapshot import WRITTEN

_OWNER = "hubspot_owner_id"
_OURS = frozenset({*WRITTEN, MARKER}) - {STAGE}
_UPDATE = "contacts/batch/update"
_OF_SCOPES_OF_THEIR_OWN = frozenset({"deal", "unsubscribe", "erase"})
_REFUSED = frozenset({"invalid", "gone", "conflict"})
"""What HubSpot answers to something new for a contact that is gone; it also says so of other faults."""
_NO_PROPERTY, _NO_OPTION = "PROPERTY_DOESNT_EXIST", "INVALID_OPTION"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """How the writes of a claim went; `trouble`: the portal refused everything from some call on."""

    outcomes: Mapping[str, Outcome]
    trouble: PortalTrouble | None = None
    untried: frozenset[str] = frozenset()
    """Contacts that only the portal's trouble kept from being done."""
    hindered: Mapping[str, str] = field(default_factory=dict)
    """Kinds of effects for which the app lacks a scope, and what HubSpot said."""
    postponed: frozenset[str] = frozenset()
    """Contacts of whom nothing is left to do but such effects."""


@dataclass(kw_only=True, slots=True)
class _Progress:
    """What is settled so far, by contact and by effect."""

    written: dict[str, Mapping[str, str]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Meaning] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    hindered: dict[str, PortalTrouble] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    """Contacts of which it is not known what an earlier attempt created: nothing is created for them now."""


def carry_out(
    hubspot: HubSpotPortal, judged: Sequence[Judged], *, default_owner: str | None, still_held: Callable[[], None],
    now: int,
) -> Written:  # fmt: skip
    """Carry out the plans of several contacts; `still_held` raises when their claim has been lost meanwhile."""
    writer = _Writer(hubspot, judged, default_owner, still_held)
    trouble: PortalTrouble | None = None
    steps = (
        (writer.look_up, "tasks/batch/read"), (writer.clear_stages, _UPDATE), (writer.properties, _UPDATE),
        (writer.tasks, "tasks/batch/create"), (writer.deals, "deals/batch/create"), (writer.unsubscribe, None),
        (writer.erase, None),
    )  # fmt: skip
    for step, place in steps:
        still_held()
        before = writer.count()
        broken = False
        try:
            step()
        except PortalTrouble as error:
            trouble = error
        except HubSpotError as error:
            writer.fail_open(error.meaning)
            broken = True
        trouble = trouble or writer.trouble(now) or writer.outage(before, place)
        if broken or trouble is not None:
            break
    return writer.result(trouble)


class _Writer:
    """The writes of one claim, step by step; one use."""

    def __init__(
        self, hubspot: HubSpotPortal, judged: Sequence[Judged], default_owner: str | None,
        still_held: Callable[[], None],
    ) -> None:  # fmt: skip
        self._hubspot = hubspot
        self._still_held = still_held
        self._judged = {one.snapshot.contact: one for one in judged}
        self._default_owner = default_owner
        self._progress = _Progress(held={c: one.plan.held for c, one in self._judged.items() if one.plan.held})

    # --- steps --------------------------------------------------------------------------------------------------------

    def look_up(self) -> None:
        """Find what an earlier attempt may have created, by markers, through associations."""
        for kind, marked in (("task", self._hubspot.tasks.marked), ("deal", self._hubspot.deals.marked)):
            effects = {
                contact: [each for each in one.held.effects if each.kind == kind]
                + [each for each in one.plan.effects if each.kind == kind and is_sought(each)]
                for contact, one in self._judged.items()
            }
            contacts = [contact for contact in effects if effects[contact]]
            if not contacts:
                continue
            try:
                there = marked(contacts)
            except PortalTrouble as error:
                self._hinder(kind, error)
                continue
            except HubSpotError as error:
                self._progress.doubtful.update(contacts)
                self._progress.errors |= dict.fromkeys(contacts, error.meaning)
                continue
            missing = {c for c in contacts if self._find(c, effects[c], there.get(c, {})) < len(effects[c])}
            self._see_who_is_left(missing)

    def _find(self, contact: str, effects: Sequence[Effect], there: Mapping[str, str]) -> int:
        """Take what HubSpot holds for what was to be done; how many of the effects that settles."""
        made = {effect.key: there[effect.key] for effect in effects if effect.key in there}
        left = {marker: id_ for marker, id_ in there.items() if marker not in made}
        open_ones = [effect for effect in effects if effect.key not in made]
        ids = {contact, *self._judged[contact].snapshot.merged_ids}
        found = made | adopted(open_ones, left, ids=ids)
        self._progress.confirmed |= found
        return len(found)

    def _see_who_is_left(self, contacts: Collection[str]) -> None:
        """Leave out who is gone by now: nothing is found of one who was merged, for whom it may have been made."""
        if not contacts:
            return
        answer = self._hubspot.contacts.read(sorted(contacts), ["hs_object_id"])
        self._progress.gone |= answer.missing
        self._progress.doubtful |= answer.failed.keys()
        self._progress.errors |= answer.failed
        for contact in answer.missing:
            self._progress.errors.pop(contact, None)

    def clear_stages(self) -> None:
        """Clear the stage of contacts that move back, in a call of its own: HubSpot takes a lower one only then.

        What the next step does not get done is done at the next look, which finds no stage and writes one.
        https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
        """
        backward = {contact: {STAGE: ""} for contact, one in self._judged.items() if one.plan.is_backward}
        if backward:
            answer = self._hubspot.contacts.update(backward)
            self._progress.gone |= answer.missing
            self._progress.errors |= answer.failed

    def properties(self) -> None:
        """Write the properties that differ, and compare the stage with what came back."""
        changes = {
            contact: one.plan.writes
            for contact, one in self._judged.items()
            if one.plan.properties and contact not in self._progress.gone
        }
        refused = self._update(changes)
        if refused:
            self._update({contact: _without(changes[contact], STAGE) for contact in refused})

    def _update(self, changes: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Write properties, and name the contacts of which HubSpot refuses nothing but the move of the stage."""
        changes = {contact: values for contact, values in changes.items() if values}
        if not changes:
            return []
        answer = self._hubspot.contacts.update(changes)
        for contact, record in answer.found.items():
            self._progress.written[contact] = changes[contact]
            kept = _kept_stage(changes[contact], record)
            if kept is not None:
                self._progress.held[contact] = f"HubSpot kept the stage {kept!r} instead of {changes[contact][STAGE]!r}"
        refused = {c: why for c, why in answer.failed.items() if STAGE in changes[c] and _is_refused_move(why)}
        for contact, why in refused.items():
            self._progress.held[contact] = f"HubSpot refused the stage {changes[contact][STAGE]!r}: {why}"
        self._progress.gone |= answer.missing
        self._progress.errors |= {contact: why for contact, why in answer.failed.items() if contact not in refused}
        return list(refused)

    def tasks(self) -> None:
        """Create the tasks that are due, those of earlier attempts too; a task is never lost to its owner."""
        inputs = [task_input(contact, effect, self._owner(effect.body)) for contact, effect in self._open("task")]
        if not inputs:
            return
        answer = self._hubspot.tasks.create(inputs, before=self._still_held)
        ownerless = [without_owner(task) for task in inputs if is_owner_refused(task, answer)]
        self._settle(inputs, answer, without={task.key for task in ownerless})
        if ownerless:
            self._settle(ownerless, self._hubspot.tasks.create(ownerless, before=self._still_held))

    def deals(self) -> None:
        """Open the deals that are due."""
        inputs = [deal_input(contact, effect) for contact, effect in self._open("deal")]
        if not inputs or "deal" in self._progress.hindered:
            return
        try:
            self._settle(inputs, self._hubspot.deals.create(inputs, before=self._still_held))
        except PortalTrouble as error:
            self._hinder("deal", error)

    def unsubscribe(self) -> None:
        """Unsubscribe addresses; doing it twice is doing it once."""
        for contact, effect in self._open("unsubscribe"):
            self._alone(contact, effect, partial(self._hubspot.contacts.unsubscribe, str(effect.body["email"])))

    def erase(self) -> None:
        """Erase contacts for good, after everything else about them is done."""
        for contact, effect in self._open("erase"):
            if contact not in self._progress.errors:
                self._alone(contact, effect, partial(self._hubspot.contacts.gdpr_delete, contact))

    def _hinder(self, kind: str, error: PortalTrouble) -> None:
        """Let effects of a kind wait for which the app lacks a scope that nothing else needs; all else goes on."""
        if error.meaning.kind != "forbidden" or kind not in _OF_SCOPES_OF_THEIR_OWN:
            raise error
        self._progress.hindered[kind] = error

    def _alone(self, contact: str, effect: Effect, act: Callable[[], None]) -> None:
        """Do one thing for one contact; what goes wrong with it is no other's concern."""
        if effect.kind in self._progress.hindered:
            return
        try:
            act()
        except PortalTrouble as error:
            self._hinder(effect.kind, error)
        except HubSpotError as error:
            self._progress.errors.setdefault(contact, error.meaning)
        else:
            self._progress.confirmed[effect.key] = ""

    # --- results ------------------------------------------------------------------------------------------------------

    def trouble(self, now: int) -> PortalTrouble | None:
        """Tell the trouble of the whole portal from among the errors of contacts."""
        for meaning in self._progress.errors.values():
            if concerns_portal(meaning):
                failure = failure_of(meaning, portal=self._hubspot.portal, endpoint="batch", now=now)
                return failure if isinstance(failure, PortalTrouble) else None
            if _not_set_up(meaning):
                return _not_set_up_trouble(meaning, self._hubspot.portal)
        return None

    def count(self) -> tuple[int, frozenset[str]]:
        """Give how much is done so far, and who failed."""
        return len(self._progress.written) + len(self._progress.confirmed), frozenset(self._progress.errors)

    def outage(self, before: tuple[int, frozenset[str]], place: str | None) -> PortalTrouble | None:
        """Tell whether it is HubSpot that failed, when a step did nothing for anybody."""
        done, failed = before
        new = [meaning for contact, meaning in self._progress.errors.items() if contact not in failed]
        if place is None or not new or self.count()[0] > done or not all(map(is_outage, new)):
            return None
        return outage_at(self._hubspot, place)

    def fail_open(self, meaning: Meaning) -> None:
        """Let every contact fail that still has something to be done."""
        for contact in self._unfinished():
            self._progress.errors.setdefault(contact, meaning)

    def result(self, trouble: PortalTrouble | None) -> Written:
        """Give each contact's outcome, and those that the portal's trouble alone kept from being done."""
        untried: set[str] = set()
        if trouble is not None:
            errors = self._progress.errors
            untried = {c for c in self._unfinished() if c not in errors or _excuses(trouble, errors[c])}
            self.fail_open(trouble.meaning)
        outcomes = {contact: self._outcome(contact) for contact in self._judged}
        hindered = {kind: str(error) for kind, error in self._progress.hindered.items()}
        postponed = frozenset(
            c for c in self._judged if any(e.kind in hindered for e in self._open_of(c)) and outcomes[c].error is None
        )
        return Written(
            outcomes=outcomes, trouble=trouble, untried=frozenset(untried), hindered=hindered, postponed=postponed
        )

    def _unfinished(self) -> list[str]:
        progress = self._progress
        return [
            contact
            for contact, one in self._judged.items()
            if contact not in progress.gone
            and ((one.plan.properties and contact not in progress.written) or self._open_of(contact))
        ]

    def _outcome(self, contact: str) -> Outcome:
        progress, one = self._progress, self._judged[contact]
        meaning = progress.errors.get(contact)
        keys = {effect.key for effect in (*one.held.effects, *one.plan.effects)}
        return Outcome(
            written=progress.written.get(contact, {}),
            confirmed={key: id_ for key, id_ in progress.confirmed.items() if key in keys},
            held=progress.held.get(contact),
            error=None if meaning is None else meaning.traced(),
            retryable=True if meaning is None else meaning.retryable,
            retry_after_ms=None if meaning is None else meaning.retry_after_ms,
            gone=contact in progress.gone,
        )

    # --- effects ------------------------------------------------------------------------------------------------------

    def _open(self, kind: str) -> list[tuple[str, Effect]]:
        return [
            (contact, effect)
            for contact in self._judged
            if contact not in self._progress.doubtful
            for effect in self._open_of(contact)
            if effect.kind == kind
        ]

    def _open_of(self, contact: str) -> list[Effect]:
        one = self._judged[contact]
        if contact in self._progress.gone:
            return []
        effects = {effect.key: effect for effect in (*one.held.effects, *one.plan.effects)}
        return [effect for key, effect in effects.items() if key not in self._progress.confirmed]

    def _settle(
        self, inputs: Sequence[TaskInput | DealInput], answer: CreateAnswer, without: Collection[str] = ()
    ) -> None:
        self._progress.confirmed |= answer.created
        refused = {key for key, why in answer.failed.items() if why.kind in _REFUSED and key not in without}
        for each in inputs:
            if each.key in answer.failed and each.key not in without:
                self._progress.errors.setdefault(each.contact, answer.failed[each.key])
            if each.key in answer.unclear:
                meaning = unclear("HubSpot may have created it; the next attempt looks it up by its marker")
                self._progress.errors.setdefault(each.contact, meaning)
        self._see_who_is_left({each.contact for each in inputs if each.key in refused})

    def _owner(self, body: Mapping[str, Any]) -> str | None:
        """Give the owner's id: the contact's own, else the default's; nobody when HubSpot knows neither."""
        wanted = str(body["owner"])
        if wanted == "contact_owner" and body.get("contact_owner"):
            return str(body["contact_owner"])
        for address in (wanted, self._default_owner):
            if address and "@" in address and (owner := self._hubspot.owners.by_email(address)):
                return owner
        return None


def _kept_stage(changes: Mapping[str, str], record: Mapping[str, Any]) -> str | None:
    """Give the stage that HubSpot kept where it did not take ours; it answers 200 to moves that it ignores."""
    properties = record.get("properties")
    if STAGE not in changes or not isinstance(properties, Mapping) or STAGE not in properties:
        return None
    kept = str(properties[STAGE] or "")
    return None if kept == changes[STAGE] else kept


def _without(properties: Mapping[str, str], name: str) -> dict[str, str]:
    return {other: value for other, value in properties.items() if other != name}


def _is_refused_move(meaning: Meaning) -> bool:
    """Ask whether nothing but the move of the stage was refused, as opposed to a stage that the portal lacks."""
    names = {code.name for code in meaning.codes if STAGE in code.properties}
    return meaning.properties == (STAGE,) and names.isdisjoint({_NO_PROPERTY, _NO_OPTION})


def _not_set_up(meaning: Meaning) -> bool:
    """Ask whether the portal lacks a property that Stagekeeper itself needs, so that no contact can be written."""
    lacking = {name for code in meaning.codes if code.name == _NO_PROPERTY for name in code.properties}
    return not lacking.isdisjoint(_OURS)


def _not_set_up_trouble(meaning: Meaning, portal: int) -> PortalTrouble:
    cure = "run `stagekeeper setup`, which makes it; work then goes on by itself"
    names = ", ".join(meaning.properties[:5])
    text = f"HubSpot portal {portal} has no property {names}, which Stagekeeper writes; {cure}"
    return PortalTrouble(text, meaning=meaning, cure=cure)


def _excuses(trouble: PortalTrouble, meaning: Meaning) -> bool:
    """Ask whether a contact's error is but a part of the portal's trouble."""
    return concerns_portal(meaning) or _not_set_up(meaning) or (is_outage(trouble.meaning) and is_outage(meaning))
