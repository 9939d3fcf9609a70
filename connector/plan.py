"""The difference between what should be and what is: which properties change, which effects are due, what is held.

Pure, and the same for the worker, `explain` and tests. Every effect is named here before it happens: its key is
(portal, contact, rule, occurrence), and it becomes the marker `sk_key` of what is created.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.decision import Decision
from connector.moments import write_moment
from connector.rulebook.pack import ActionRule, CadenceRule, Due, TaskRule
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
    body: Mapping[str, Any]


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
    """When what holds the stage is over."""

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
    """Compare a decision with a snapshot.

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
        properties[DECIDED_AT] = Change(snapshot.properties.get(DECIDED_AT) or "", write_moment(now))
    return Plan(
        contact=snapshot.contact,
        properties=properties,
        effects=tuple(_effects(decision, snapshot, terms, now)),
        held=move.held,
        is_backward=move.is_backward,
        held_until=move.held_until,
    )


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


def _effects(decision: Decision, snapshot: Snapshot, terms: Terms, now: int) -> Iterator[Effect]:
    texts = {
        "contact": snapshot.properties, "company": snapshot.company or {}, "deal": snapshot.deal,
        "facts": decision.facts,
        "stage": decision.stage, "status": decision.status,
    }  # fmt: skip
    for rule in decision.tasks:
        yield Effect(key=_key(terms, snapshot, rule.id, now), kind="task", rule=rule.id,
                     body=_task(rule, texts, terms, now))  # fmt: skip
    for action in decision.actions:
        yield from _action(action, snapshot, terms, texts, now)


def _key(terms: Terms, snapshot: Snapshot, rule: str, now: int) -> str:
    return f"{terms.portal}:{snapshot.contact}:{rule}:{now}"


def _task(rule: TaskRule | CadenceRule, texts: Mapping[str, Any], terms: Terms, now: int) -> dict[str, Any]:
    body = rule.body
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
    action: ActionRule, snapshot: Snapshot, terms: Terms, texts: Mapping[str, Any], now: int
) -> Iterator[Effect]:
    key = _key(terms, snapshot, action.id, now)
    deal = action.create_deal
    if deal and terms.create_deals:
        name = rendered(deal.name, texts, fallback=f"Deal of contact {snapshot.contact}")[:255]
        body = {
            "dealname": name, "pipeline": deal.pipeline, "dealstage": deal.stage, "company": snapshot.company_id,
            "hubspot_owner_id": snapshot.properties.get("hubspot_owner_id"),
        }  # fmt: skip
        yield Effect(key=key, kind="deal", rule=action.id, body=body)
    if action.do and terms.erase_contacts:
        email = (snapshot.properties.get("email") or "").strip()
        if "unsubscribe" in action.do and email:
            yield Effect(key=f"{key}:unsubscribe", kind="unsubscribe", rule=action.id, body={"email": email})
        if "erase" in action.do:
            yield Effect(key=f"{key}:erase", kind="erase", rule=action.id, body={})
    elif action.do:
        yield Effect(key=key, kind="task", rule=action.id, body=_by_hand(action, snapshot, terms, now))


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


