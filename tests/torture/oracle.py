"""The oracle: what `rules/default.yaml` makes of a contact, written down plainly a second time.

It knows nothing of Stagekeeper's rulebook, decision or plan; it was written from the pack's text and from what the
manual says of entering, tasks, cadences and values. It covers the whole pack but for the five sales steps, which no
life here fills in: they set values that the same rules read, and would double its size.

Stage, status, reason and rule follow from the final state alone. Tasks, deals and a stage that was reached and left
again also depend on when somebody looked, which no test can know: events of one contact are judged together. So the
oracle goes through every way in which a life can be looked at, the last state always, and gives all ends to which that
may lead. Most lives have one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tests.torture.lives import State

ORDER = (
    "", "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
    "other",
)  # fmt: skip
"""HubSpot's own lifecycle stages, low to high; a stage is never moved back."""
IN_HUBSPOT = {
    "contact": "subscriber", "lead": "lead", "prospect": "salesqualifiedlead", "opportunity": "opportunity",
}  # fmt: skip
YES, NO, UNKNOWN = "yes", "no", "unknown"

REASONS = {
    "erasure": "They asked to be forgotten.",
    "customer": "They buy from us already, or once did.",
    "business-relation": "They are a supplier, a partner or the like, and nobody says that they belong to our market.",
    "outside-market-enquiry": "They are outside our market, but came to us of their own accord.",
    "outside-market": "They are outside our market.",
    "committed": "They qualify, and have expressly agreed to commit.",
    "qualified": "They fit our market, can decide, are really interested, and nothing is known against it.",
    "worth-a-look": "There is a sign that they might buy.",
    "everyone-else": "Nothing yet says that they might buy.",
}
STAGES = {
    "erasure": "", "customer": "contact", "business-relation": "contact", "outside-market-enquiry": "lead",
    "outside-market": "contact", "committed": "opportunity", "qualified": "prospect", "worth-a-look": "lead",
    "everyone-else": "contact",
}  # fmt: skip
TITLES = {
    "seek-meeting": ("Seek a meeting with {name}", "TODO"),
    "find-decision-maker": ("Ask {name} who decides", "CALL"),
    "ask-missing-answer": ("Send {name} the profile form", "EMAIL"),
    "understand-intent": ("Learn what {name} wants, and when", "CALL"),
    "weekly-update": ("Send {name} this week's update", "EMAIL"),
    "lead-follow-up": ("Follow up with {name}", "EMAIL"),
    "prospect-follow-up": ("Follow up with {name}", "CALL"),
    "forget": ("Asked to be forgotten: unsubscribe and erase this contact", "TODO"),
}
DEAL = "open-deal"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What follows from one state alone."""

    stage: str
    status: str
    rule: str

    @property
    def reason(self) -> str:
        """Give the sentence that the salesperson reads."""
        return REASONS[self.rule]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class End:
    """One way in which a life may have ended: HubSpot's stage, the drip, and what was made, once each time it is named.

    `at_most`: some of what was made may be missing, for whoever asks to be forgotten gets nothing that is still due.
    """

    stage: str
    drip: str
    made: tuple[str, ...]
    at_most: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Path:
    """What Stagekeeper remembers of a contact, and what it has done, after some looks."""

    stage: str | None = None
    marks: frozenset[str] = frozenset()
    rounds: frozenset[str] = frozenset()
    hubspot: str = ""
    drip: str = ""
    made: tuple[str, ...] = ()
    at_most: bool = False


def judge(state: State, now: datetime) -> Verdict:
    """Judge one state."""
    rule = _rule(state)
    return Verdict(stage=STAGES[rule], status=_status(state, rule, now), rule=rule)


def ends_of(states: tuple[State, ...], now: datetime) -> tuple[End, ...]:
    """Give every end to which looking at these states may have led; at the last one somebody has surely looked."""
    paths = {_Path()}
    for place, state in enumerate(states):
        paths = {replace(path, hubspot=_higher(path.hubspot, state.pushed)) for path in paths}
        is_last = place == len(states) - 1
        looked = {after for path in paths for after in _looks(path, states[place:], now, is_last=is_last)}
        paths = looked if is_last else paths | looked
    return tuple(sorted({_end(path) for path in paths}))


def title_of(rule: str, state: State) -> tuple[str, str]:
    """Give title and type of a task."""
    title, kind = TITLES[rule]
    name = f"{state.properties['firstname']} {state.properties['lastname']}"
    return title.format(name=name), kind


def _end(path: _Path) -> End:
    stage = _higher(path.hubspot, "opportunity") if DEAL in path.made else path.hubspot
    return End(stage=stage, drip=path.drip, made=tuple(sorted(path.made)), at_most=path.at_most)


def _looks(path: _Path, states: tuple[State, ...], now: datetime, *, is_last: bool) -> Iterator[_Path]:
    """Look at the first of these states; deals are read a moment later, so they may be those of a later one.

    What was decided about the stage at an earlier look may not have been written when the next look decided anew.
    """
    state = states[0]
    for deal in {later.deal for later in states}:
        after = _look(path, replace(state, deal=deal), now)
        yield after
        if not is_last:
            yield replace(after, hubspot=path.hubspot)


def _look(path: _Path, state: State, now: datetime) -> _Path:
    seen = replace(state, properties={**state.properties, "lifecyclestage": path.hubspot})
    verdict = judge(seen, now)
    if verdict.status == "closed":
        made = () if "forget" in path.marks else ("forget",)
        return replace(path, stage="", marks=frozenset({"forget"}), made=path.made + made, at_most=True)
    entered = verdict.stage != path.stage
    due = [rule for rule in _due(seen, verdict, entered=entered) if rule not in path.marks]
    lasting = frozenset(_due(seen, verdict, entered=False))
    rounds = [rule for rule in _rounds(seen, verdict) if rule not in path.rounds]
    drip = path.drip
    if verdict.status == "cold":
        drip = "true"
    elif entered and verdict.stage == "prospect":
        drip = ""
    return _Path(
        stage=verdict.stage, marks=lasting, rounds=path.rounds | set(rounds), drip=drip,
        hubspot=_higher(path.hubspot, IN_HUBSPOT[verdict.stage]), made=(*path.made, *due, *rounds),
        at_most=path.at_most,
    )  # fmt: skip


def _higher(one: str, other: str) -> str:
    return max(one, other, key=ORDER.index)


# --- the pack, rule by rule -------------------------------------------------------------------------------------------


def _rule(state: State) -> str:
    get = _getter(state)
    market, relation = get("sk_target_market"), get("sk_relationship")
    enquired = get("sk_source") == "inbound" or "form" in _several(state, "sk_interest")
    of_company = not relation and state.company_type in ("VENDOR", "PARTNER", "RESELLER")
    if get("sk_erasure_requested") == "yes":
        return "erasure"
    if relation in ("customer", "past_customer") or get("lifecyclestage") in ("customer", "evangelist"):
        return "customer"
    if (relation in ("supplier", "partner", "referrer", "other") or of_company) and market != "yes":
        return "business-relation"
    if market == "no":
        return "outside-market-enquiry" if enquired else "outside-market"
    if _qualified(state) == YES:
        return "committed" if get("sk_committed") == "yes" else "qualified"
    return "worth-a-look" if _has_signal(state, enquired=enquired) else "everyone-else"


def _has_signal(state: State, *, enquired: bool) -> bool:
    get = _getter(state)
    return (
        get("sk_target_market") == "yes"
        or enquired
        or get("sk_intent") in ("interested", "wants_to_buy")
        or get("sk_positive_response") == "yes"
        or _meeting(state) == YES
        or get("sk_source") in ("referral", "marketing", "purchased_list", "research")
        or not {"form", "download", "newsletter", "seminar"}.isdisjoint(_several(state, "sk_interest"))
    )


def _status(state: State, rule: str, now: datetime) -> str:
    get = _getter(state)
    if rule == "erasure":
        return "closed"
    if rule != "qualified":
        return ""
    intent = get("sk_intent")
    interested = intent in ("interested", "wants_to_buy")
    ready, until = _date(get("sk_ready_by")), _date(get("sk_blocked_until"))
    if get("sk_blocked_by") and (until is None or until > now) and interested:
        return "warm"
    if (ready is not None and ready > now + timedelta(days=180)) or intent == "unwilling":
        return "cold"
    if intent == "wants_to_buy" and ready is not None and now <= ready <= now + timedelta(days=30):
        return "hot"
    return "warm" if interested and ready is not None and ready > now + timedelta(days=30) else "new"


def _due(state: State, verdict: Verdict, *, entered: bool) -> Iterator[str]:
    """Name the tasks and actions whose condition holds."""
    if verdict.stage == "lead":
        if entered and not _is_ruled_out(state) and _meeting(state) != YES:
            yield "seek-meeting"
        if _authority(state) == NO:
            yield "find-decision-maker"
        if _qualified(state) == UNKNOWN:
            yield "ask-missing-answer"
    if verdict.status == "new":
        yield "understand-intent"
    if verdict.stage == "opportunity" and entered and state.deal in ("", "closedwon", "closedlost"):
        yield DEAL


def _rounds(state: State, verdict: Verdict) -> Iterator[str]:
    """Name the cadences that run; within minutes each comes once, whatever happens."""
    if verdict.stage == "contact":
        yield "weekly-update"
    if verdict.stage == "lead" and _getter(state)("sk_contacted") == "yes":
        yield "lead-follow-up"
    if verdict.stage == "prospect" and verdict.status != "cold":
        yield "prospect-follow-up"


def _qualified(state: State) -> str:
    market = _getter(state)("sk_target_market")
    fits = market if market in (YES, NO) else UNKNOWN
    parts = (fits, _authority(state), _interest(state), NO if _is_ruled_out(state) else YES)
    if NO in parts:
        return NO
    return YES if set(parts) == {YES} else UNKNOWN


def _authority(state: State) -> str:
    given = _getter(state)("sk_authority")
    return given if given in (YES, NO) else UNKNOWN


def _interest(state: State) -> str:
    get = _getter(state)
    asked = {
        "sk_need": get("sk_need") == "definite",
        "sk_intent": get("sk_intent") in ("interested", "wants_to_buy"),
        "sk_positive_response": get("sk_positive_response") == "yes",
    }
    parts = {(YES if holds else NO) if get(name) else UNKNOWN for name, holds in asked.items()} | {_meeting(state)}
    if YES in parts:
        return YES
    return UNKNOWN if UNKNOWN in parts else NO


def _meeting(state: State) -> str:
    """No life here fills in sk_engagement, so that a meeting is agreed or nobody knows."""
    return YES if _getter(state)("sk_meeting_scheduled") == "yes" else UNKNOWN


def _is_ruled_out(state: State) -> bool:
    """Of all that may stand against a purchase, lives here know the lack of authority and of the will."""
    get = _getter(state)
    return get("sk_authority") == "no" or get("sk_intent") == "unwilling"


def _getter(state: State) -> Callable[[str], str]:
    """Give what reads a property, "" when it is not known."""
    return lambda name: state.properties.get(name, "")


def _several(state: State, name: str) -> set[str]:
    return set(filter(None, state.properties.get(name, "").split(";")))


def _date(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
