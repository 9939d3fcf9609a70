"""Invented people: who a practice portal starts with, and what happens to them while somebody watches.

The same seed invents the same people and the same story. Stagekeeper's own properties are filled in only where they
exist. Every address ends in example.com, so that nobody can be written to.
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from connector.moments import DAY, Clock, write_moment
from connector.sandbox.kinds import COMPANY, CONTACT
from connector.sandbox.persons import create
from connector.sandbox.portal import Portal

_FIRST = (
    "Amara", "Anton", "Beatriz", "Chidi", "Clara", "Dmitri", "Elif", "Emeka", "Farah", "Greta", "Hana", "Henrik",
    "Ingrid", "Ismail", "Jana", "Joaquin", "Kaja", "Kenji", "Leila", "Lucas", "Maren", "Mateo", "Mina", "Nils",
    "Noor", "Oskar", "Paola", "Priya", "Rafael", "Ruta", "Samir", "Selma", "Tariq", "Tessa", "Viktor", "Wanjiru",
    "Yara", "Yusuf", "Zofia", "Zoë",
)  # fmt: skip
_LAST = (
    "Abadi", "Almeida", "Baumann", "Castellano", "Demir", "Eriksen", "Fofanah", "García", "Haddad", "Ivanova",
    "Jansen", "Kowalska", "Laurent", "Mbeki", "Moreau", "Nakamura", "Novák", "O'Brien", "Okonkwo", "Petrov", "Quist",
    "Rahman", "Rossi", "Santos", "Schneider", "Singh", "Tanaka", "Ueda", "Virtanen", "Weiss", "Yilmaz", "Zhou",
)  # fmt: skip
_FIRMS = (
    ("Northwind Tools", "MACHINERY", 140), ("Bluefin Analytics", "COMPUTER_SOFTWARE", 60),
    ("Harbour Foods", "FOOD_BEVERAGES", 420), ("Lumen Retail", "RETAIL", 900), ("Kestrel Logistics",
    "LOGISTICS_AND_SUPPLY_CHAIN", 260), ("Oakfield Clinic", "HOSPITAL_HEALTH_CARE", 75),
    ("Pixelwerk", "INTERNET", 18), ("Granite Build", "CONSTRUCTION", 310),
)  # fmt: skip
_TITLES = (
    "Head of Sales", "Office Manager", "Managing Director", "Operations Lead", "Buyer", "IT Manager", "Marketing Lead",
    "Assistant", "Founder", "Head of Finance",
)  # fmt: skip
_MIX = (("stranger", 4), ("lead", 3), ("prospect", 2), ("customer", 1))

_QUALIFIED = {
    "sk_target_market": "yes", "sk_authority": "yes", "sk_need": "definite", "sk_budget": "yes",
    "sk_knowledge": "yes", "sk_requirements": "yes", "sk_winnable": "yes",
}  # fmt: skip


class Person(NamedTuple):
    """One invented person, and the firm they work for, by its place in the list of firms."""

    kind: str
    properties: dict[str, str]
    firm: int


class Step(NamedTuple):
    """One change in a story, and how to tell it."""

    contact: str
    properties: dict[str, str]
    says: str


def invent(number: int, *, seed: int, now: int, known: Collection[str]) -> Person:
    """Invent the n-th person of a seed with those of their properties that are known."""
    dice = random.Random(f"{seed}:{number}")  # noqa: S311 - invention
    first, last = dice.choice(_FIRST), dice.choice(_LAST)
    firm = dice.randrange(len(_FIRMS))
    kind = dice.choices([name for name, _ in _MIX], [share for _, share in _MIX])[0]
    plain = "".join(letter for letter in f"{first}.{last}".lower() if letter.isascii() and letter in _ADDRESS_LETTERS)
    properties = {
        "email": f"{plain}.{seed}{number:05d}@example.com",
        "firstname": first, "lastname": last, "jobtitle": dice.choice(_TITLES), "company": _FIRMS[firm][0],
        **_TRAITS[kind](dice, now),
    }  # fmt: skip
    return Person(kind, {name: value for name, value in properties.items() if name in known}, firm)


def settle_people(portal: Portal, count: int, seed: int) -> None:
    """Fill a portal with people who were there before anybody subscribed, so that no event tells of them."""
    if count:
        with portal.silence():
            move_in(portal, count, seed)


def move_in(portal: Portal, count: int, seed: int) -> tuple[str, ...]:
    """Let new people appear in a portal, each with a company, and give their ids; events tell of them."""
    known = portal.properties[CONTACT].definitions.keys()
    now = portal.now()
    firms = [
        create(portal, COMPANY, {"name": name, "industry": industry, "numberofemployees": str(size)}).id
        for name, industry, size in _FIRMS
    ]
    people = (invent(number, seed=seed, now=now, known=known) for number in range(count))
    return tuple(create(portal, CONTACT, person.properties, company=firms[person.firm]).id for person in people)


def story(
    contacts: Sequence[str], *, seed: int, clock: Clock, known: Collection[str] | None = None
) -> Iterator[Step]:
    """Tell what happens to these contacts, without an end; a few lives go on at the same time.

    `known` leaves out properties that the portal does not have.
    """
    dice = random.Random(seed)  # noqa: S311 - invention
    waiting = deque(contacts)
    lives: list[tuple[str, deque[_Chapter]]] = []
    round_number = 0
    while waiting or lives or contacts:
        if not waiting and not lives:
            waiting.extend(contacts)
            round_number += 1
        while waiting and len(lives) < 5:
            arc = dice.choice(_LATER_ARCS) if round_number else _ARCS[(len(contacts) - len(waiting)) % len(_ARCS)]
            lives.append((waiting.popleft(), deque(arc)))
        place = dice.randrange(len(lives))
        contact, chapters = lives[place]
        says, properties = chapters.popleft()
        if not chapters:
            del lives[place]
        given = properties(clock()) if callable(properties) else properties
        shown = {name: value for name, value in given.items() if known is None or name in known}
        if shown:
            yield Step(contact, shown, says)


def _day(moment: int) -> str:
    return write_moment(moment - moment % DAY)[:10]


def _stranger(_dice: random.Random, _now: int) -> dict[str, str]:
    return {}


def _lead(dice: random.Random, now: int) -> dict[str, str]:
    return {
        "sk_source": dice.choice(("inbound", "referral", "marketing", "purchased_list", "research")),
        "sk_target_market": dice.choice(("yes", "yes", "")),
        "sk_unanswered": str(dice.randrange(4)),
        "hs_email_sends_since_last_engagement": str(dice.randrange(6)),
        "num_conversion_events": str(dice.randrange(2)),
        "lifecyclestage": "lead",
        "hs_email_last_click_date": write_moment(now - dice.randrange(5, 90) * DAY) if dice.random() < 0.3 else "",
    }


def _prospect(dice: random.Random, now: int) -> dict[str, str]:
    return {
        **_QUALIFIED,
        "sk_intent": dice.choice(("interested", "wants_to_buy", "unclear")),
        "sk_ready_by": _day(now + dice.choice((10, 20, 60, 120, 400)) * DAY),
        "lifecyclestage": "salesqualifiedlead",
        "hs_buying_role": dice.choice(("DECISION_MAKER", "DECISION_MAKER;BUDGET_HOLDER", "INFLUENCER")),
        "hs_sales_email_last_replied": write_moment(now - dice.randrange(1, 40) * DAY),
        "notes_last_contacted": write_moment(now - dice.randrange(1, 80) * DAY),
        "num_contacted_notes": str(dice.randrange(1, 8)),
    }


def _customer(_dice: random.Random, _now: int) -> dict[str, str]:
    return {"sk_relationship": "customer", "lifecyclestage": "customer"}


_TRAITS: Mapping[str, Callable[[random.Random, int], dict[str, str]]] = {
    "stranger": _stranger, "lead": _lead, "prospect": _prospect, "customer": _customer,
}  # fmt: skip
_ADDRESS_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz.")

_Properties = dict[str, str] | Callable[[int], dict[str, str]]
_Chapter = tuple[str, _Properties]


def _ready_in(days: int, **more: str) -> Callable[[int], dict[str, str]]:
    return lambda now: {**more, "sk_ready_by": _day(now + days * DAY)}


def _blocked_for(days: int) -> Callable[[int], dict[str, str]]:
    blocked = {"sk_blocked_by": "budget", "sk_intent": "interested"}
    return lambda now: {**blocked, "sk_blocked_until": _day(now + days * DAY)}


_ARCS: tuple[tuple[_Chapter, ...], ...] = (
    (
        ("enquires through the web form", {"sk_source": "inbound", "sk_interest": "form"}),
        ("is qualified in a first call", {**_QUALIFIED, "sk_engagement": "phone_call", "sk_contacted": "yes"}),
        ("wants to buy within a fortnight", _ready_in(14, sk_intent="wants_to_buy")),
        ("commits", {"sk_committed": "yes"}),
    ),
    (
        ("downloads the price list", {"sk_interest": "download", "sk_target_market": "yes"}),
        ("agrees to a meeting", {"sk_meeting_scheduled": "yes", "sk_positive_response": "yes"}),
        ("says that an assistant does not decide", {"sk_authority": "no"}),
        ("brings the one who decides", {**_QUALIFIED, "sk_intent": "interested"}),
    ),
    (
        ("was named by a customer", {"sk_source": "referral", "sk_target_market": "yes"}),
        ("is qualified and keen", {**_QUALIFIED, "sk_intent": "interested", "sk_engagement": "meeting"}),
        ("has no money before the new year", _blocked_for(45)),
        ("has the money after all", _ready_in(20, sk_blocked_by="", sk_blocked_until="", sk_intent="wants_to_buy")),
    ),
    (
        ("stands on a list that was bought", {"sk_source": "purchased_list", "sk_target_market": "yes"}),
        ("is written to", {"sk_contacted": "yes", "sk_unanswered": "1"}),
        ("does not answer", {"sk_unanswered": "3"}),
        ("still does not answer", {"sk_unanswered": "6"}),
    ),
    (
        ("asks a question at the trade show", {"sk_engagement": "trade_show_chat", "sk_source": "event"}),
        ("fits, but not before two years", _ready_in(730, **_QUALIFIED, sk_intent="unclear")),
    ),
    (
        ("turns out to be a supplier", {"sk_relationship": "supplier"}),
    ),
    (
        ("is shown the proposal", {**_QUALIFIED, "sk_intent": "interested", "sk_sales_step": "proposal"}),
        ("is pushed to the close by the seller", {"sk_sales_step": "close", "sk_step_moved_by": "seller"}),
        ("asks for the close", {"sk_step_moved_by": "customer"}),
    ),
    (
        ("subscribes to the newsletter", {"sk_interest": "newsletter"}),
        ("asks to be forgotten", {"sk_erasure_requested": "yes"}),
    ),
    (
        ("buys", {"sk_relationship": "customer"}),
    ),
)  # fmt: skip
_LATER_ARCS: tuple[tuple[_Chapter, ...], ...] = (
    (("answers an e-mail", {"sk_engagement": ";email_reply", "sk_unanswered": "0"}),),
    (("clicks a link", {"sk_engagement": ";email_click"}),),
    (("changes jobs", {"jobtitle": "Managing Director", "sk_authority": "yes"}),),
    (("comes to the seminar", {"sk_interest": ";seminar"}),),
    (("puts it off", _ready_in(90, sk_intent="interested")),),
    (("has the date now", _ready_in(10, sk_intent="wants_to_buy")),),
)
