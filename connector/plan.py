"""The difference between what should be and what is: which properties change, which effects are due, what is held.

Pure, and the same for the worker, `explain` and tests. Every effect is named here before it happens: its key is
(portal, contact, rule, occurrence), and it becomes the marker `sk_key` of what is created.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from connector.decision import Decision
from connector.moments import write_moment
from connector.rulebook.pack import ActionRule, CadenceRule, DealEntry, Due, TaskRule
from connector.rulebook.templates import rendered
from connector.snapshot import Snapshot
from connector.workdays import Workdays

HUBSPOT_ORDER = (
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
    "other",
)  # fmt: skip
"""HubSpot's own lifecycle stages, low to high. https://knowledge.hubspot.com/records/use-lifecycle-stages"""

STAGE = "lifecyclestage"
DECIDED_AT = "sk_decided_at"
_DECISIVE = frozenset({STAGE, "sk_prospect_status", "sk_lead_status", "sk_reason", "sk_rule"})
_DECIDED_ANEW = frozenset({STAGE, DECIDED_AT})
"""What each decision settles for itself, whatever an earlier one could not write."""
_LONGEST_REASON = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a portal lets the rules do, and how its stages are called."""

    portal: int
    ladder: tuple[str, ...]
    stages: Mapping[str, str]
    """The pack's stages and their values of `lifecyclestage`."""
    order: tuple[str, ...] = HUBSPOT_ORDER
    """The portal's values of `lifecyclestage`, low to high."""
    backward_moves: bool = False
    human_wins_for: int = 0
    """For how long (milliseconds) a stage that a person set is left as it is."""
    create_deals: bool = True
    erase_contacts: bool = False
    workdays: Workdays = field(default_factory=Workdays)


@dataclass(frozen=True, slots=True)
class Change:
    """A property's value before and after; "" for none."""

    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """Something to be done in HubSpot once: a task, a deal, an unsubscription, an erasure."""

    key: str
    kind: str
    rule: str
    body: Mapping[str, Any] = field(default_factory=dict)
    """What it is made of; nothing until the texts have been written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done for one contact; an empty plan is a plan."""

    contact: str
    properties: Mapping[str, Change]
    effects: tuple[Effect, ...]
    held: str | None
    """Why the lifecycle stage is left as it is although the rules say otherwise."""
    is_backward: bool = False
    """The stage moves back, which HubSpot takes only after it has been cleared."""
    held_until: int | None = None
    """When what holds the stage or another property is over."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Properties that are left as they are because another automation sets them back each time, with the reason."""

    @property
    def writes(self) -> dict[str, str]:
        """Give the property values to be written."""
        return {name: change.after for name, change in self.properties.items()}

    def as_data(self) -> dict[str, Any]:
        """Give the plan as plain data for the record, without the texts of effects."""
        return {
            "properties": {name: [change.before, change.after] for name, change in self.properties.items()},
            "effects": [{"key": effect.key, "kind": effect.kind, "rule": effect.rule} for effect in self.effects],
            "held": self.held,
            **({"withheld": dict(self.withheld)} if self.withheld else {}),
        }


@dataclass(frozen=True, slots=True)
class _Move:
    """What becomes of the lifecycle stage: the value to write, or why none is."""

    target: str | None = None
    held: str | None = None
    is_backward: bool = False
    held_until: int | None = None


def make_plan(
    decision: Decision, snapshot: Snapshot, terms: Terms, now: int, unwritten: Mapping[str, str] | None = None,
    *, theirs_until: int | None = None,
) -> Plan:  # fmt: skip
    """Compare a decision with a snapshot, and write the texts of what is to be made."""
    plan = outline(decision, snapshot, terms, now, unwritten, theirs_until=theirs_until)
    return with_texts(plan, decision, snapshot, terms, now)


def with_texts(plan: Plan, decision: Decision, snapshot: Snapshot, terms: Terms, now: int) -> Plan:
    """Write the texts of what a plan still holds; dearer than all the rest of it, and so done last."""
    composed = {due.key: due for due in _effects(decision, snapshot, terms, now)}
    return replace(plan, effects=tuple(replace(effect, body=composed[effect.key].compose()) for effect in plan.effects))


def outline(
    decision: Decision, snapshot: Snapshot, terms: Terms, now: int, unwritten: Mapping[str, str] | None = None,
    *, theirs_until: int | None = None,
) -> Plan:  # fmt: skip
    """Compare a decision with a snapshot; the texts of effects are left out.

    `unwritten` are values of an earlier decision that HubSpot did not get; until `theirs_until` a person's stage stays.
    """
    current = snapshot.properties.get(STAGE) or ""
    move = _stage_move(decision, current, terms)
    if not current and move.target is None and unwritten:
        move = _Move(unwritten.get(STAGE))  # cleared on its way to a stage that nobody decides any longer
    if theirs_until is not None and now < theirs_until and move.target not in (None, current):
        until = write_moment(theirs_until)
        move = _Move(held=f"a person set HubSpot's stage {current!r}; it stays until {until}", held_until=theirs_until)
    wanted = {name: value for name, value in (unwritten or {}).items() if name not in _DECIDED_ANEW}
    wanted |= {**decision.set, "sk_reason": decision.because[:_LONGEST_REASON], "sk_rule": decision.rule or ""}
    if move.target is not None:
        wanted[STAGE] = move.target
    properties = dict(_changes(wanted, snapshot))
    if not _DECISIVE.isdisjoint(properties):
        properties[DECIDED_AT] = Change(snapshot.properties.get(DECIDED_AT) or "", _written(now))
    return Plan(
        contact=snapshot.contact,
        properties=properties,
        effects=tuple(_named(decision, snapshot, terms, now)),
        held=move.held,
        is_backward=move.is_backward,
        held_until=move.held_until,
    )


def withhold(plan: Plan, why: Mapping[str, str], *, until: int) -> Plan:
    """Take properties out of a plan, each with the reason; until then they are left as they are."""
    properties = {name: change for name, change in plan.properties.items() if name not in why}
    if _DECISIVE.isdisjoint(properties):
        properties.pop(DECIDED_AT, None)
    return replace(
        plan,
        properties=properties,
        held=why.get(STAGE, plan.held),
        held_until=until if plan.held_until is None else min(until, plan.held_until),
        is_backward=plan.is_backward and STAGE not in why,
        withheld={**plan.withheld, **why},
    )


_written = lru_cache(maxsize=8)(write_moment)
"""The present moment is written for every contact of a claim, or of a whole portal."""


def _changes(wanted: Mapping[str, str], snapshot: Snapshot) -> Iterator[tuple[str, Change]]:
    for name, after in wanted.items():
        before = snapshot.properties.get(name) or ""
        if before.strip() != after.strip():
            yield name, Change(before, after)


def _stage_move(decision: Decision, current: str, terms: Terms) -> _Move:
    """Say which stage to write, or why none is: HubSpot takes forward moves only, and a person's move wins."""
    if decision.stage is None:
        return _Move()
    target = terms.stages[decision.stage]
    if current in ("", target):
        return _Move(target)
    on_ladder = _is_ahead(_rungs(terms), current, target)
    in_hubspot = _is_ahead(terms.order, current, target)
    if on_ladder is None and in_hubspot is None:
        return _Move(held=f"HubSpot's stage {current!r} is not known to the rules; {target!r} is not written over it")
    if not (on_ladder if on_ladder is not None else in_hubspot):
        if in_hubspot:
            return _Move(held=f"the portal's own order has {current!r} after {target!r}, so HubSpot would not take it")
        return _Move(target)
    if on_ladder and decision.backward and terms.backward_moves:
        return _Move(target, is_backward=True)
    return _Move(held=f"HubSpot's stage {current!r} is ahead of {target!r}, which the rules decided; it stays")


def _rungs(terms: Terms) -> tuple[str, ...]:
    """Give the values of `lifecyclestage` from the pack's lowest rung to its highest."""
    return tuple(terms.stages[name] for name in terms.ladder if name in terms.stages)


def _is_ahead(order: tuple[str, ...], current: str, target: str) -> bool | None:
    """Ask whether the current stage comes after the target; None where the order does not know both."""
    if current not in order or target not in order:
        return None
    last = {stage: place for place, stage in enumerate(order)}
    return last[current] > last[target]


# --- effects ----------------------------------------------------------------------------------------------------------


def _named(decision: Decision, snapshot: Snapshot, terms: Terms, now: int) -> Iterator[Effect]:
    """Name what is due, without its texts."""
    if decision.tasks or decision.actions:
        for due in _effects(decision, snapshot, terms, now):
            yield Effect(key=due.key, kind=due.kind, rule=due.rule)


@dataclass(frozen=True, slots=True)
class _Due:
    """An effect that is due, and what writes its texts."""

    key: str
    kind: str
    rule: str
    compose: Callable[[], dict[str, Any]]


def _effects(decision: Decision, snapshot: Snapshot, terms: Terms, now: int) -> Iterator[_Due]:
    texts = partial(_texts, decision, snapshot)
    for rule in decision.tasks:
        yield _Due(_key(terms, snapshot, rule.id, now), "task", rule.id, partial(_task, rule, texts, terms, now))
    for action in decision.actions:
        yield from _action(action, snapshot, terms, texts, now)


def _texts(decision: Decision, snapshot: Snapshot) -> dict[str, Any]:
    """Give what texts may speak of."""
    return {
        "contact": snapshot.properties, "company": snapshot.company or {}, "deal": snapshot.deal,
        "facts": decision.facts,
        "stage": decision.stage, "status": decision.status,
    }  # fmt: skip


def _key(terms: Terms, snapshot: Snapshot, rule: str, now: int) -> str:
    return f"{terms.portal}:{snapshot.contact}:{rule}:{now}"


def _task(
    rule: TaskRule | CadenceRule, of: Callable[[], Mapping[str, Any]], terms: Terms, now: int
) -> dict[str, Any]:
    body, texts = rule.body, of()
    return {
        "title": rendered(body.title, texts, fallback=rule.id)[:255],
        "notes": rendered(body.notes, texts, fallback="", html=True),
        "type": body.type,
        "priority": body.priority,
        "due": _due(rule.due, terms.workdays, now),
        "owner": body.owner,
        "queue": body.queue,
        "contact_owner": texts["contact"].get("hubspot_owner_id"),
    }


def _due(due: Due, workdays: Workdays, now: int) -> int:
    return workdays.after(now, due.business_days) if due.business_days else workdays.awake(now + due.duration)


def _action(
    action: ActionRule, snapshot: Snapshot, terms: Terms, texts: Callable[[], Mapping[str, Any]], now: int
) -> Iterator[_Due]:
    key = _key(terms, snapshot, action.id, now)
    if action.create_deal and terms.create_deals:
        yield _Due(key, "deal", action.id, partial(_deal, action.create_deal, snapshot, texts))
    if action.do and terms.erase_contacts:
        email = (snapshot.properties.get("email") or "").strip()
        if "unsubscribe" in action.do and email:
            yield _Due(f"{key}:unsubscribe", "unsubscribe", action.id, lambda: {"email": email})
        if "erase" in action.do:
            yield _Due(f"{key}:erase", "erase", action.id, dict)
    elif action.do:
        yield _Due(key, "task", action.id, partial(_by_hand, action, snapshot, terms, now))


def _deal(deal: DealEntry, snapshot: Snapshot, of: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "dealname": rendered(deal.name, of(), fallback=f"Deal of contact {snapshot.contact}")[:255],
        "pipeline": deal.pipeline, "dealstage": deal.stage, "company": snapshot.company_id,
        "hubspot_owner_id": snapshot.properties.get("hubspot_owner_id"),
    }  # fmt: skip


def _by_hand(action: ActionRule, snapshot: Snapshot, terms: Terms, now: int) -> dict[str, Any]:
    """Hand an erasure to a person, where the portal does not let the rules do it."""
    verbs = " and ".join(action.do)
    return {
        "title": f"Asked to be forgotten: {verbs} this contact",
        "notes": "This person asked to be forgotten. Stagekeeper may not erase contacts in this portal "
        "(<code>allow.erase_contacts</code>), so please do it by hand.",
        "type": "todo",
        "priority": "high",
        "due": terms.workdays.after(now, 1),
        "owner": "contact_owner",
        "contact_owner": snapshot.properties.get("hubspot_owner_id"),
    }


