"""The lives of contacts: who they are at first and what people do to them, all of it from the seed.

A life is a list of steps, each one change by a person. What Stagekeeper is to make of it is the oracle's business;
here it is only remembered what was true after each step.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

Properties = Mapping[str, str]

QUALIFIED = {"sk_target_market": "yes", "sk_authority": "yes", "sk_need": "definite"}
AT_ONCE = 0.35
"""The share of contacts that come with one import, in the first second."""
_FIRST = ("Amara", "Anton", "Clara", "Dmitri", "Elif", "Farah", "Hana", "Ismail", "Jana", "Kenji", "Noor", "Zoë")
_WORDS = ("Abadi", "Baumann", "Demir", "Eriksen", "García", "Haddad", "Novák", "O'Brien", "Petrov", "Singh")
_COLLEAGUE = "64492917"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that a person does: change properties, open a deal, or move that deal."""

    properties: Properties = field(default_factory=dict)
    opens_deal: bool = False
    moves_deal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What is true of a contact after a step, as people left it."""

    properties: Properties
    company_type: str = ""
    deal: str = ""
    """The stage of the deal that a person opened; "" without one."""
    pushed: str = ""
    """The lifecycle stage to which this step itself moved the contact: by a person, or by HubSpot's automation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """One contact: its kind, its company's type ("" without a company), its steps and their times in seconds."""

    number: int
    kind: str
    company_type: str
    steps: tuple[Step, ...]
    times: tuple[float, ...]

    def states(self) -> tuple[State, ...]:
        """Give what was true after each step."""
        state = State(properties={}, company_type=self.company_type)
        states = []
        for step in self.steps:
            state = _after(state, step)
            states.append(state)
        return tuple(states)


def make_lives(count: int, *, seed: int, seconds: float, today: datetime) -> list[Life]:
    """Make the lives of a seed, spread over so many seconds."""
    dice = random.Random(f"lives:{seed}")
    names = [name for name, _, _ in _KINDS]
    weights = [weight for _, weight, _ in _KINDS]
    makers = {name: maker for name, _, maker in _KINDS}
    lives = []
    for number in range(count):
        kind = dice.choices(names, weights)[0]
        company_type, steps = makers[kind](dice, today)
        first = replace(steps[0], properties={**_person(number, seed, dice), **steps[0].properties})
        steps = _with_noise([first, *steps[1:]], dice)
        lives.append(
            Life(
                number=number, kind=kind, company_type=company_type, steps=tuple(steps),
                times=_times(len(steps), dice, seconds),
            )
        )  # fmt: skip
    return lives


def _after(state: State, step: Step) -> State:
    properties = {**state.properties, **step.properties}
    deal, pushed = state.deal, step.properties.get("lifecyclestage", "")
    if step.opens_deal:
        deal, pushed = "appointmentscheduled", "opportunity"
    if step.moves_deal:
        deal, pushed = step.moves_deal, "customer" if step.moves_deal == "closedwon" else ""
    return replace(state, properties=properties, deal=deal, pushed=pushed)


def _person(number: int, seed: int, dice: random.Random) -> Properties:
    owner = {"hubspot_owner_id": _COLLEAGUE} if dice.random() < 0.3 else {}
    return {
        "email": f"life.{seed}.{number}@example.com", "firstname": dice.choice(_FIRST),
        "lastname": f"{dice.choice(_WORDS)} {number}", **owner,
    }  # fmt: skip


def _with_noise(steps: Sequence[Step], dice: random.Random) -> list[Step]:
    """Put changes between the steps that no rule reads."""
    noisy = [steps[0]]
    for step in steps[1:]:
        if dice.random() < 0.3:
            noisy.append(Step(properties={"jobtitle": f"Buyer {dice.randrange(1_000)}"}))
        noisy.append(step)
    return noisy


def _times(steps: int, dice: random.Random, seconds: float) -> tuple[float, ...]:
    """Give the moments of the steps: some lives take the whole time, some go by within two seconds."""
    start = dice.random() if dice.random() < AT_ONCE else dice.uniform(0, seconds * 0.75)
    span = dice.uniform(0.1, 2.0) if dice.random() < 0.4 else seconds - start
    return (start, *sorted(start + dice.uniform(0, max(span, 0.1)) for _ in range(steps - 1)))


# --- kinds ------------------------------------------------------------------------------------------------------------

_Made = tuple[str, list[Step]]


def _set(**properties: str) -> Step:
    return Step(properties=properties)


def _day(today: datetime, days: int) -> str:
    return (today.astimezone(UTC) + timedelta(days=days)).date().isoformat()


def _intent(dice: random.Random, today: datetime) -> list[Step]:
    """Tell what a prospect wants and when: hot, warm, cold or still new."""
    wish = dice.choice(("wants_to_buy", "interested", "unclear"))
    steps = [_set(sk_intent=wish, sk_ready_by=_day(today, dice.choice((10, 90, 400))))]
    if dice.random() < 0.3:
        steps.append(_set(sk_blocked_by="budget", sk_blocked_until=_day(today, 45)))
    return steps


def _stranger(dice: random.Random, _today: datetime) -> _Made:
    return "", [Step(), *(_set(sk_interest="newsletter") for _ in range(dice.randrange(2)))]


def _lead(dice: random.Random, _today: datetime) -> _Made:
    later = [
        _set(sk_contacted="yes"), _set(sk_meeting_scheduled="yes"), _set(sk_authority="no"),
        _set(sk_positive_response="yes"),
    ]  # fmt: skip
    source = dice.choice(("inbound", "referral", "marketing", "purchased_list", "research"))
    first = [_set(sk_source=source)] if dice.random() < 0.5 else [Step(), _set(sk_source=source)]
    return dice.choice(("", "PROSPECT")), [*first, *dice.sample(later, dice.randrange(len(later)))]


def _prospect(dice: random.Random, today: datetime) -> _Made:
    first = [_set(sk_source="inbound")] if dice.random() < 0.6 else [Step()]
    return dice.choice(("", "PROSPECT")), [*first, Step(properties=QUALIFIED), *_intent(dice, today)]


def _opportunity(dice: random.Random, today: datetime) -> _Made:
    company, steps = _prospect(dice, today)
    deals = dice.choice(([], [], [Step(opens_deal=True)], [Step(opens_deal=True), Step(moves_deal="closedlost")]))
    return company, [steps[0], *deals, *steps[1:], _set(sk_committed="yes")]


def _buyer(dice: random.Random, today: datetime) -> _Made:
    company, steps = _prospect(dice, today)
    won = [Step(opens_deal=True), Step(moves_deal="closedwon")]
    return company, [*steps, *dice.choice((won, [_set(lifecyclestage="customer")], [_set(sk_relationship="customer")]))]


def _forgotten(dice: random.Random, today: datetime) -> _Made:
    company, steps = dice.choice((_stranger, _lead, _prospect))(dice, today)
    return company, [*steps, _set(sk_erasure_requested="yes")]


def _supplier(dice: random.Random, _today: datetime) -> _Made:
    return dice.choice(("VENDOR", "PARTNER", "RESELLER")), [_set(sk_source=dice.choice(("inbound", "event")))]


def _outsider(dice: random.Random, _today: datetime) -> _Made:
    steps = [_set(sk_source=dice.choice(("inbound", "event"))), _set(sk_target_market="no")]
    return "", steps if dice.random() < 0.5 else [steps[1], steps[0]]


def _imported(dice: random.Random, today: datetime) -> _Made:
    """Come with a stage that a person gave them before Stagekeeper knew of them."""
    stage = dice.choice(("lead", "marketingqualifiedlead", "subscriber"))
    return "", [_set(lifecyclestage=stage, **QUALIFIED), *_intent(dice, today)]


def _waverer(dice: random.Random, today: datetime) -> _Made:
    """Go up and down; their stage only ever goes up."""
    company, steps = _prospect(dice, today)
    back = [_set(sk_authority="no"), _set(sk_authority="yes")]
    turns = [_set(sk_intent="unclear", sk_ready_by=""), *_intent(dice, today)]
    return company, [*steps, *(back if dice.random() < 0.5 else turns)]


_KINDS: tuple[tuple[str, int, Callable[[random.Random, datetime], _Made]], ...] = (
    ("stranger", 12, _stranger), ("lead", 22, _lead), ("prospect", 18, _prospect), ("opportunity", 18, _opportunity),
    ("buyer", 6, _buyer), ("forgotten", 5, _forgotten), ("supplier", 4, _supplier), ("outsider", 5, _outsider),
    ("imported", 5, _imported), ("waverer", 5, _waverer),
)  # fmt: skip
