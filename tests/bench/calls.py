"""How many calls to HubSpot a thousand changed contacts cost, through the worker, against the practice HubSpot.

`python -m tests.bench.calls [--json]`. Limits: 45 with the default pack, which looks at companies and deals; 30 with a
pack that names neither. Two cases each: contacts that were known and have changed, and the worst, a thousand new ones.
Beside it stands automation that makes one call per contact: the very same reads and writes, each in a call of its own.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from connector.rulebook.shipped import shipped_packs
from connector.sandbox.people import invent, move_in
from tests.bench.table import Line, as_data
from tests.practice import Practice, practice

CONTACTS = 1_000
SEED = 20_260_921
NEITHER = Path(__file__).with_name("neither.yaml")
LIMITS = {"default": 45, "neither": 30}
WRITES = (
    {"sk_intent": "interested"}, {"sk_intent": "wants_to_buy"}, {"sk_engagement": "email_click"},
    {"sk_target_market": "yes"}, {"sk_authority": "yes"}, {"sk_need": "definite"}, {"sk_unanswered": "2"},
    {"sk_contacted": "yes"}, {"sk_source": "inbound"}, {"sk_relationship": "supplier"}, {"jobtitle": "Buyer"},
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a thousand contacts cost."""

    pack: str
    case: str
    calls: int
    limit: int
    one_by_one: int
    """Calls that the same work takes when each record is read and written by a call of its own."""
    contacts_written: int
    tasks: int
    routes: dict[str, int]


def main(arguments: Sequence[str]) -> int:
    """Count and print; 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    wants_json = parser.parse_args(arguments).json
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    outcomes = [one for pack in ("default", "neither") for one in count(pack)]
    if wants_json:
        found = {"seed": SEED, "outcomes": [asdict(one) for one in outcomes]}
        print(json.dumps({**found, "table": as_data(lines(outcomes))}, indent=2))
    else:
        show(outcomes)
    return 0 if all(one.calls <= one.limit for one in outcomes) else 1


def count(pack: str) -> list[Outcome]:
    """Count both cases of a pack."""
    rules = NEITHER if pack == "neither" else shipped_packs()[pack]
    with tempfile.TemporaryDirectory() as folder, practice(Path(folder), rules=rules) as the:
        people = move_in(the.sandbox.portal, CONTACTS, SEED)
        new = measure(the, pack, "all new")
        settle(the)
        change(the, people)
        return [new, measure(the, pack, "known, changed")]


def change(the: Practice, people: Sequence[str]) -> None:
    """Let something happen to each, of the kind that happens to such people."""
    dice = random.Random(SEED)
    with the.sandbox.portal.lock:
        known = the.sandbox.portal.properties["0-1"].definitions.keys()
    for number, contact in enumerate(people):
        other = invent(number + CONTACTS, seed=SEED, now=the.time.now, known=known).properties
        news = {name: value for name, value in other.items() if name.startswith("sk_")} if dice.random() < 0.3 else {}
        the.sandbox.update_contact(contact, {**news, **dice.choice(WRITES)})


def measure(the: Practice, pack: str, case: str) -> Outcome:
    """Have the events delivered and worked off until nothing is due, and count."""
    the.sandbox.calls.reset()
    the.deliver()
    the.move(seconds=3)
    the.work()
    log = list(the.sandbox.calls.log)
    routes = Counter(f"{call.method} {call.route}" for call in log)
    inputs = Counter(dict.fromkeys(routes, 0))
    for call in log:
        inputs[f"{call.method} {call.route}"] += call.inputs
    return Outcome(
        pack=pack, case=case, calls=len(log), limit=LIMITS[pack], one_by_one=sum(max(call.inputs, 1) for call in log),
        contacts_written=inputs["POST /crm/objects/contacts/batch/update"],
        tasks=inputs["POST /crm/objects/tasks/batch/create"], routes=dict(routes.most_common()),
    )  # fmt: skip


def settle(the: Practice) -> None:
    """Take in what our own writes came back as, so that it is not counted with what follows."""
    the.deliver()
    the.move(seconds=3)
    the.work()


def lines(outcomes: Sequence[Outcome]) -> list[Line]:
    """Give the lines of the table."""
    packs = {"default": "companies and deals named", "neither": "neither named"}
    return [
        Line(
            what=f"calls to HubSpot per {CONTACTS:,} contacts, {one.case}, {packs[one.pack]}",
            figure=f"{one.calls}",
            beside=f"one call per contact: {one.one_by_one:,}, ratio {one.one_by_one / one.calls:.0f}",
            wanted=f"{one.limit}", is_well=one.calls <= one.limit,
        )
        for one in outcomes
    ]  # fmt: skip


def show(outcomes: Sequence[Outcome]) -> None:
    """Print a table."""
    print(f"calls to HubSpot per {CONTACTS:,} contacts (seed {SEED})\n")
    print(f"{'pack':<10}{'contacts':<18}{'calls':>6}{'limit':>7}{'one by one':>12}{'written':>9}{'tasks':>7}")
    for one in outcomes:
        mark = "" if one.calls <= one.limit else "   over the limit"
        print(f"{one.pack:<10}{one.case:<18}{one.calls:>6}{one.limit:>7}{one.one_by_one:>12,}", end="")
        print(f"{one.contacts_written:>9}{one.tasks:>7}{mark}")
    for one in outcomes:
        print(f"\n{one.pack}, {one.case}")
        for route, number in one.routes.items():
            print(f"  {number:>4}  {route}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
