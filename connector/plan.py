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
_DECISIVE = frozenset({STAGE, "sk_prospect_status", "sk_lead_status", "sk_reason", "sk_rule"})
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


def make_plan(
    decision: Decision, snapshot: Snapshot, terms: Terms, now: int, unwritten: Mapping[str, str] | None = None
) -> Plan:
    """Compare a decision with a snapshot; `unwritten` are values of an earlier decision that HubSpot did not get."""
    target, held = _stage_move(decision, snapshot.properties.get(STAGE) or "", terms)
    wanted = {**(unwritten or {}), **decision.set, "sk_reason": decision.because[:_LONGEST_REASON]}
    wanted["sk_rule"] = decision.rule or ""
    if target is not None:
        wanted[STAGE] = target
    properties = dict(_changes(wanted, snapshot))
    if not _DECISIVE.isdisjoint(properties):
        before = snapshot.properties.get("sk_decided_at") or ""
        properties["sk_decided_at"] = Change(before, write_moment(now))
    return Plan(
        contact=snapshot.contact,
        properties=properties,
        effects=tuple(_effects(decision, snapshot, terms, now)),
        held=held,
    )


def _changes(wanted: Mapping[str, str], snapshot: Snapshot) -> Iterator[tuple[str, Change]]:
    for name, after in wanted.items():
        before = snapshot.properties.get(name) or ""
        if before.strip() != after.strip():
            yield name, Change(before, after)


def _stage_move(decision: Decision, current: str, terms: Terms) -> tuple[str | None, str | None]:
    """Say which stage to write, or why none is: HubSpot takes forward moves only, and a person's move wins."""
    if decision.stage is None:
        return None, None
    target = terms.stages[decision.stage]
    if current in ("", target):
        return target, None
    ranks = _ranks(current, target, decision.stage, terms)
    if ranks is None:
        return None, f"HubSpot's stage {current!r} is not known to the rules, so {target!r} is not written over it"
    if ranks[1] < ranks[0]:
        return None, f"HubSpot's stage {current!r} is ahead of {target!r}, which the rules decided; it stays"
    return target, None


def _ranks(current: str, target: str, stage: str, terms: Terms) -> tuple[int, int] | None:
    """Rank both stages on the pack's ladder, or, where HubSpot's is not on it, in HubSpot's own order."""
    on_ladder = [rung for rung, name in enumerate(terms.ladder) if terms.stages.get(name) == current]
    if on_ladder:
        return max(on_ladder), terms.ladder.index(stage)
    if current in terms.order and target in terms.order:
        return terms.order.index(current), terms.order.index(target)
    return None


# --- effects ----------------------------------------------------------------------------------------------------------


def _effects(decision: Decision, snapshot: Snapshot, terms: Terms, now: int) -> Iterator[Effect]:
    texts = {
        "contact": snapshot.properties, "company": snapshot.company or {}, "facts": decision.facts,
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
        "contact_owner": texts["contact"].get("hubspot_owner_id"),
    }


def _due(due: Due, workdays: Workdays, now: int) -> int:
    return workdays.after(now, due.business_days) if due.business_days else now + due.duration


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


