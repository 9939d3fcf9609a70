"""The comparison: what HubSpot holds in the end, beside what the oracle says and what the receiver acknowledged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.torture.books import Books
from tests.torture.control import HubSpotHand
from tests.torture.lives import Life, State
from tests.torture.oracle import DEAL, End, ends_of, judge, title_of
from tests.torture.postman import digest

Made = Counter[tuple[str, str]]
_OURS = ("sk_prospect_status", "sk_reason", "sk_rule")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What is wrong with one contact."""

    contact: str
    life: Life
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lost or self.twice or self.wrong)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The verdict on a run."""

    lost: int
    twice: int
    wrong: int
    contacts: tuple[Found, ...] = ()
    remarks: tuple[str, ...] = ()
    tally: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Ask whether nothing at all is to be said against the run."""
        return not (self.lost or self.twice or self.wrong)

    def __str__(self) -> str:
        return f"lost {self.lost}, twice {self.twice}, wrong {self.wrong}"


def compare(hand: HubSpotHand, books: Books, ids: Mapping[int, str], lives: Sequence[Life]) -> Finding:
    """Compare everything."""
    now = datetime.now(UTC)
    found = []
    keys: Counter[str] = Counter()
    tally: Counter[str] = Counter()
    unfinished = books.open_effects()
    for life in lives:
        contact = ids[life.number]
        there = hand.contact(contact)
        keys.update(_keys(there))
        tally["tasks in HubSpot"] += len(there["tasks"])
        tally["deals in HubSpot"] += len(there["deals"])
        one = compare_contact(life, there, now, is_unfinished=contact in unfinished)
        if one:
            found.append(one)
    events, remarks = _compare_events(hand, books)
    twice_keys = [key for key, number in keys.items() if number > 1]
    remarks += [f"marker {key} stands {keys[key]} times in HubSpot" for key in twice_keys[:10]]
    dead = books.dead_letters()
    remarks += [f"dead letter {row['contact']} after {row['attempts']}: {row['last_error']}" for row in dead[:10]]
    left = books.open_work()
    if left:
        remarks.append(f"left in the inbox: {left}")
    return Finding(
        lost=sum(len(one.lost) for one in found) + events + len(dead) + left.unplaced + left.claimed + left.due,
        twice=sum(len(one.twice) for one in found) + len(twice_keys),
        wrong=sum(len(one.wrong) for one in found),
        contacts=tuple(found),
        remarks=tuple(remarks),
        tally=tally,
    )


def compare_contact(life: Life, there: Mapping[str, Any], now: datetime, *, is_unfinished: bool = False) -> Found:
    """Compare one contact with what the oracle says of its life."""
    states = life.states()
    ends = ends_of(states, now)
    properties = there["properties"]
    made = made_by_us(there)
    stage, drip = properties.get("lifecyclestage", ""), properties.get("sk_drip", "")
    end = min(ends, key=lambda each: (_distance(each, made, states[-1]), each.stage != stage, each.drip != drip))
    lost, twice = _beside(end, made, states[-1])
    wrong = []
    if stage != end.stage:
        wrong.append(f"stage is {stage!r}, should be {' or '.join(sorted({repr(each.stage) for each in ends}))}")
    if drip != end.drip:
        wrong.append(f"sk_drip is {drip!r}, should be {end.drip!r}")
    verdict = judge(_final(states[-1], stage), now)
    wanted = {"sk_prospect_status": verdict.status, "sk_reason": verdict.reason, "sk_rule": verdict.rule}
    wrong += [
        f"{name} is {properties.get(name, '')!r}, should be {wanted[name]!r}"
        for name in _OURS if properties.get(name, "") != wanted[name]
    ]  # fmt: skip
    if is_unfinished:
        lost.append("an effect that is intended and was never done")
    return Found(
        contact=str(there["id"]), life=life, lost=tuple(lost), twice=tuple(twice), wrong=tuple(wrong),
    )  # fmt: skip


def made_by_us(there: Mapping[str, Any]) -> Made:
    """Count what Stagekeeper made for a contact, by title and type: markers are looked at apart from this."""
    tasks = (task["properties"] for task in there["tasks"])
    made = Made((task["hs_task_subject"], task["hs_task_type"]) for task in tasks)
    made.update((DEAL, "") for deal in there["deals"] if deal["properties"].get("sk_key"))
    return made


def _final(state: State, stage: str) -> State:
    properties = {**state.properties, "lifecyclestage": stage}
    return State(properties=properties, company_type=state.company_type, deal=state.deal)


def _wanted(end: End, state: State) -> Made:
    return Made((DEAL, "") if rule == DEAL else title_of(rule, state) for rule in end.made)


def _beside(end: End, made: Made, state: State) -> tuple[list[str], list[str]]:
    """Give what is missing and what is too much."""
    wanted = _wanted(end, state)
    needed = Made([title_of("forget", state)]) if end.at_most else wanted
    lost, twice = ((one - other).elements() for one, other in ((needed, made), (made, wanted)))
    return [f"{title} ({kind})" for title, kind in lost], [f"{title} ({kind})" for title, kind in twice]


def _distance(end: End, made: Made, state: State) -> int:
    lost, twice = _beside(end, made, state)
    return len(lost) + len(twice)


def _keys(there: Mapping[str, Any]) -> Iterable[str]:
    for kind in ("tasks", "deals"):
        for one in there[kind]:
            if key := one["properties"].get("sk_key"):
                yield key


def _compare_events(hand: HubSpotHand, books: Books) -> tuple[int, list[str]]:
    """Count the events that were acknowledged, or fired and not given up, and are not stored."""
    stored = books.stored_events()
    acknowledged = set(hand.postmans_book()["acknowledged"])
    fired = {digest(event): event for event in hand.events() if _names_contact(event)}
    lost = (acknowledged & fired.keys()) - stored
    undelivered = fired.keys() - stored - lost
    remarks = [f"acknowledged and not stored: {fired.get(each, each)}" for each in sorted(lost)[:5]]
    remarks += [f"fired and not stored: {fired[each]}" for each in sorted(undelivered)[:5]]
    return len(lost) + len(undelivered), remarks


def _names_contact(event: Mapping[str, Any]) -> bool:
    """Ask whether an event can say anything about a contact; others are acknowledged, counted and left."""
    return event["subscriptionType"].startswith("contact.") or "CONTACT" in str(event.get("associationType"))
