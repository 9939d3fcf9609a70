"""Packs, contacts and memories for the proofs of the pure core, and the Hypothesis settings that they share."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from connector.decision import Mark, Memory
from connector.moments import DAY, HOUR, read_moment
from connector.problems import is_broken
from connector.rulebook.checking import load_pack, load_pack_text
from connector.rulebook.columns import Properties
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.rulebook.shipped import shipped_packs


def proof(examples: int) -> settings:
    """Give settings under which every run draws the same examples, whatever the machine and its speed."""
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )  # fmt: skip


def moment(text: str) -> int:
    """Give the first instant of a date or a moment."""
    found = read_moment(text)
    assert found is not None
    return found[0]


NOW = moment("2026-03-02T09:00:00Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A contact as it would be read from HubSpot."""

    properties: Properties = field(default_factory=dict)
    company: Properties | None = field(default_factory=dict)
    deals: tuple[Properties, ...] | None = ()


def person(company: Properties | None = None, deals: Sequence[Properties] = (), **properties: str | None) -> Person:
    """Make a contact of which everything has been read."""
    return Person(properties=properties, company=company or {}, deals=tuple(deals))


def pack_of(text: str) -> Pack:
    """Read a pack that must be without faults."""
    pack, problems = load_pack_text(text)
    assert pack is not None, problems
    assert not is_broken(problems), problems
    return pack


def rulebook_of(text: str) -> Rulebook:
    """Compile a pack that must be without faults."""
    return Rulebook(pack_of(text))


@cache
def shipped() -> Mapping[str, Rulebook]:
    """Compile the shipped packs, once per process."""
    packs = {name: load_pack(path)[0] for name, path in shipped_packs().items()}
    return {name: Rulebook(pack) for name, pack in packs.items() if pack is not None}


# --- random contacts --------------------------------------------------------------------------------------------------

YES_NO = ("yes", "no")
YES_NO_PROPERTIES = (
    "sk_target_market", "sk_meeting_scheduled", "sk_positive_response", "sk_contacted", "sk_winnable", "sk_authority",
    "sk_budget", "sk_timeline", "sk_knowledge", "sk_requirements", "sk_committed",
)  # fmt: skip
STEPS = ("discovery_meeting", "proposal", "presentation", "final_review", "close")
ENUMERATIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(YES_NO_PROPERTIES, YES_NO),
    "sk_relationship": ("supplier", "partner", "customer", "past_customer", "referrer", "other"),
    "sk_source": (
        "inbound", "referral", "marketing", "purchased_list", "event", "linkedin", "social", "research",
        "met_in_person",
    ),
    "sk_unanswered": ("0", "1", "4", "5", "12"),
    "sk_need": ("none", "possible", "definite"),
    "sk_intent": ("unwilling", "unclear", "interested", "wants_to_buy"),
    "sk_blocked_by": ("budget", "contract", "other"),
    "sk_sales_step": STEPS,
    "sk_accepted_step": STEPS,
    "sk_step_moved_by": ("seller", "customer"),
    "sk_drip": ("true", "false"),
    "lifecyclestage": ("subscriber", "lead", "salesqualifiedlead", "opportunity", "customer", "evangelist"),
    "hs_buying_role": ("DECISION_MAKER", "BUDGET_HOLDER", "INFLUENCER", "BUDGET_HOLDER;DECISION_MAKER"),
    "num_contacted_notes": ("0", "1", "7"),
    "num_conversion_events": ("0", "1", "3"),
    "hs_email_sends_since_last_engagement": ("0", "4", "5", "9"),
}  # fmt: skip
SETS: Mapping[str, tuple[str, ...]] = {
    "sk_interest": ("form", "download", "newsletter", "seminar", "social_like", "blog_comment", "heard_of"),
    "sk_engagement": (
        "phone_call", "email_reply", "email_click", "trade_show_chat", "social_question", "meeting",
    ),
}  # fmt: skip
DATES = ("sk_ready_by", "sk_blocked_until")
MOMENTS = (
    "notes_last_contacted", "hs_sales_email_last_replied", "hs_email_last_click_date",
    "engagements_last_meeting_booked",
)  # fmt: skip


_DAYS = (-400, -30, -1, 0, 1, 2, 29, 30, 31, 32, 100, 179, 180, 181, 182, 700)
_GOOD = {
    "sk_target_market": "yes", "sk_authority": "yes", "sk_budget": "yes", "sk_knowledge": "yes",
    "sk_requirements": "yes", "sk_need": "definite", "sk_winnable": "yes", "sk_engagement": "phone_call",
    "sk_positive_response": "yes",
}  # fmt: skip
_EAGER = {"sk_intent": "wants_to_buy", "sk_ready_by": "2026-03-20", "sk_engagement": "meeting"}
_NAMES = (*ENUMERATIONS, *SETS, *DATES, *MOMENTS, "sk_erasure_requested")


def some_value(rng: random.Random, name: str, now: int) -> str:
    """Draw a value of a property, in HubSpot's spellings."""
    if name in ENUMERATIONS:
        return rng.choice(ENUMERATIONS[name])
    if name in SETS:
        return ";".join(rng.sample(SETS[name], rng.randint(1, 3)))
    if name in DATES:  # epoch milliseconds at midnight: HubSpot's spelling of a date
        return str(now // DAY * DAY + rng.choice(_DAYS) * DAY)
    if name in MOMENTS:
        return str(now - rng.randrange(1, 24 * 100) * HOUR + 1)
    return rng.choice(["no", "no", "yes"])


def some_contact(seed: int) -> Person:
    """Draw a contact; half of them start out well qualified, as few of those would come by chance."""
    rng = random.Random(seed)
    start = rng.choice([_GOOD, _GOOD | _EAGER, {}, {}])
    drawn = {name: some_value(rng, name, NOW) for name in rng.sample(_NAMES, rng.randint(0, 14))}
    company = rng.choice([{}, {}, {"type": "VENDOR"}, {"type": "PROSPECT"}])
    stages = rng.choices(["closedwon", "closedlost", "contractsent", ""], k=rng.randint(0, 2))
    return Person(properties={**start, **drawn}, company=company, deals=tuple({"dealstage": stage} for stage in stages))


def some_memory(seed: int, pack: Pack, *, lived: bool = False) -> Memory:
    """Draw what might have been known before; what was `lived` knows when each thing was done, a case does not."""
    rng = random.Random(f"{seed} {pack.name}")
    ids = [rule.id for rule in (*pack.tasks, *pack.cadences, *pack.actions)]
    moments = [NOW - days * DAY for days in (0, 2, 5, 40)]
    marks = {
        name: Mark(rng.randint(1, 9), rng.choice(moments if lived else [None, *moments]))
        for name in rng.sample(ids, rng.randint(0, min(4, len(ids))))
    }
    statuses = sorted({rule.status for rule in pack.statuses})
    return Memory(
        stage=rng.choice([None, *pack.ladder]), status=rng.choice([None, *statuses]), marks=marks,
        since=rng.choice([None, *(NOW - days * DAY for days in (0, 1, 6, 20, 90))]),
    )  # fmt: skip


SEEDS = st.integers(0, 2**32 - 1)
"""Contacts and memories are drawn by seed: many times as fast as value by value, and a failure prints the seed."""


def plain(text: str) -> Mapping[str, str]:
    """Read `name value, name value` as properties."""
    return dict(part.strip().split(" ", 1) for part in text.split(",") if part.strip())  # type: ignore[misc]
