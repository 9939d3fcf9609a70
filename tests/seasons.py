"""Months in the life of some contacts, drawn by a seed: values come, change and go, companies and deals among them."""

import random

from tests.practice import INBOUND, Practice
from tests.rulebooks import DATES, ENUMERATIONS, MOMENTS, SETS, some_value

_NAMES = (*ENUMERATIONS, *SETS, *DATES, *MOMENTS, "sk_erasure_requested")
_LEFT = frozenset({"lifecyclestage", "sk_drip"})
"""What Stagekeeper itself writes."""


def live(the: Practice, seed: int, *, steps: int = 40, people: int = 6) -> list[str]:
    """Let things happen, and the worker work whenever something is due; give the contacts."""
    rng = random.Random(seed)
    names = [name for name in _NAMES if name not in _LEFT]
    everybody = [
        the.sandbox.create_contact({"email": f"p{n}@example.com", **(INBOUND if n % 2 else {})}) for n in range(people)
    ]
    firm = the.sandbox.create_company({"name": "Acme", "type": "PROSPECT"})
    the.sandbox.associate("contact", everybody[0], "company", firm, type_id=1)
    the.sandbox.create_deal({"dealname": "One", "dealstage": "contractsent"}, contacts=[everybody[1]])
    for _ in range(steps):
        for _ in range(rng.randint(0, 5)):
            name = rng.choice(names)
            value = some_value(rng, name, the.time.now) if rng.random() < 0.8 else ""
            the.sandbox.update_contact(rng.choice(everybody), {name: value})
        the.deliver()
        the.move(days=rng.choice([0, 0, 1, 2, 5, 9]), hours=rng.randint(0, 20), seconds=5)
        the.work(200)
    return everybody
