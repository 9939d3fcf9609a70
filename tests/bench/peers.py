"""How many decisions a second beside other engines: the same table of twelve rules, every answer checked to be equal.

`python -m tests.bench.peers [--json]`. All in one run, turn and turn about; rates are medians, per second of processor
time. Stagekeeper gives stage, reason, facts, what is due, when to look again, and every condition with wanted and
actual; the others give rule and reason (zen-engine) or the first rule that matches. What they would need besides to
answer *unknown* is not counted against them. The contacts repeat, as those of a portal do.
"""

import argparse
import json
import operator
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.decision import NO_MEMORY, decide_row
from connector.rulebook.checking import load_pack_text
from connector.rulebook.inference import _inference
from connector.rulebook.judging import Rulebook
from connector.snapshot import Snapshot

SEED = 20_260_922
NOW = 1_790_000_000_000
CONTACTS = 2_000
ROUNDS = 5

Value = str | int
Test = tuple[str, str, Value]
"""A property, `is`, `at_least` or `less_than`, and what with."""


@dataclass(frozen=True, slots=True)
class Row:
    """A rule of the table: all its tests must hold; the first that applies wins."""

    id: str
    stage: str
    tests: tuple[Test, ...]


TABLE = (
    Row("customer", "contact", (("relationship", "is", "customer"),)),
    Row("supplier", "contact", (("relationship", "is", "supplier"),)),
    Row("committed", "opportunity", (("authority", "is", "yes"), ("need", "is", "definite"), ("score", "at_least", 80))
    ),
    Row("large", "opportunity", (("employees", "at_least", 500), ("need", "is", "definite"))),
    Row("qualified", "prospect", (("authority", "is", "yes"), ("need", "is", "definite"))),
    Row("keen", "prospect", (("source", "is", "inbound"), ("score", "at_least", 60), ("authority", "is", "yes"))),
    Row("grown", "prospect", (("employees", "at_least", 200), ("score", "at_least", 70))),
    Row("inbound", "lead", (("source", "is", "inbound"),)),
    Row("referred", "lead", (("source", "is", "referral"), ("score", "at_least", 20))),
    Row("possible", "lead", (("need", "is", "possible"), ("score", "at_least", 40))),
    Row("silent", "contact", (("score", "less_than", 10),)),
    Row("rest", "contact", ()),
)
Contact = Mapping[str, Value]
Engine = Callable[[Any], str]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    rates = measure()
    ours = rates["Stagekeeper"]
    if given.json:
        print(json.dumps({"seed": SEED, "rates": rates}, indent=2))
        return 0
    print(f"decisions a second on one core, twelve rules, {CONTACTS:,} contacts over and over (seed {SEED})\n")
    for name, rate in rates.items():
        print(f"  {name:<44} {rate:>9,.0f}   {ours / rate:6.1f}")
    return 0


def measure() -> dict[str, float]:
    """Check that all engines agree, then give the median rate of each."""
    people = crowd()
    engines = {
        "Stagekeeper": (stagekeeper(), [as_snapshot(one, number) for number, one in enumerate(people)]),
        "zen-engine, decision table": (zen_engine(), people),
        "json-logic (panzi)": (json_logic(), people),
        "rule-engine, one rule after another": (rule_engine(), people),
        "durable-rules alone, one fact a contact": (durable_rules(), people),
    }
    for name, (engine, forms) in engines.items():
        for one, form in zip(people, forms, strict=True):
            if engine(form) != first_of(one):
                raise SystemExit(f"{name} decides {engine(form)!r} instead of {first_of(one)!r} about {one}")
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, (engine, forms) in engines.items():
            started = time.process_time()
            for form in forms:
                engine(form)
            rates[name].append(len(forms) / (time.process_time() - started))
    return {name: round(statistics.median(found)) for name, found in rates.items()}


def crowd() -> list[Contact]:
    """Draw contacts."""
    dice = random.Random(SEED)
    return [
        {
            "relationship": dice.choice(["none", "none", "none", "customer", "supplier"]),
            "source": dice.choice(["inbound", "referral", "event"]),
            "need": dice.choice(["none", "possible", "definite"]),
            "authority": dice.choice(["yes", "no"]),
            "score": dice.randrange(0, 100, 5),
            "employees": dice.choice([5, 60, 250, 900]),
        }
        for _ in range(CONTACTS)
    ]


def holds(test: Test, one: Contact) -> bool:
    """Judge a test in plain Python."""
    name, how, wanted = test
    compare: Mapping[str, Callable[[Any, Any], bool]] = {
        "is": operator.eq, "at_least": operator.ge, "less_than": operator.lt,
    }  # fmt: skip
    return compare[how](one[name], wanted)


def first_of(one: Contact) -> str:
    """Give the first rule that applies, in plain Python: what all engines must agree with."""
    return next(row.id for row in TABLE if all(holds(test, one) for test in row.tests))


# --- the engines ------------------------------------------------------------------------------------------------------


def as_snapshot(one: Contact, number: int) -> Snapshot:
    """Spell a contact as HubSpot does."""
    return Snapshot(contact=str(number), properties={name: str(value) for name, value in one.items()})


def stagekeeper() -> Engine:
    """Decide with reasons, as `explain` does."""

    def condition(row: Row) -> str:
        tests = ", ".join(f"{{{name}: {{{how}: {value}}}}}" for name, how, value in row.tests)
        return f", when: {{all: [{tests}]}}" if row.tests else ""

    rules = "\n".join(
        f"  - {{id: {row.id}, stage: {row.stage}, because: It is {row.id}.{condition(row)}}}" for row in TABLE
    )
    ladder = "[contact, lead, prospect, opportunity]"
    pack, problems = load_pack_text(f"version: 1\npack: twelve\nladder: {ladder}\nstages:\n{rules}\n")
    assert pack is not None, problems
    rulebook = Rulebook(pack)

    def decided(one: Snapshot) -> str:
        row = rulebook.read(one)
        decision = decide_row(rulebook, row, NO_MEMORY, NOW)
        row.findings(NOW)
        return str(decision.rule)

    return decided


def zen_engine() -> Engine:
    """Evaluate a decision table with hit policy *first*."""
    import zen  # noqa: PLC0415 - only for this comparison

    names = list(dict.fromkeys(name for row in TABLE for name, _, _ in row.tests))
    spelled = {"is": '"{}"', "at_least": ">= {}", "less_than": "< {}"}

    def line(row: Row) -> dict[str, str]:
        cells = {name: spelled[how].format(value) for name, how, value in row.tests}
        return {
            "_id": row.id, **{name: cells.get(name, "") for name in names}, "rule": f'"{row.id}"',
            "because": f'"It is {row.id}."',
        }  # fmt: skip

    content = {
        "hitPolicy": "first",
        "inputs": [{"id": name, "name": name, "field": name} for name in names],
        "outputs": [{"id": name, "name": name, "field": name} for name in ("rule", "because")],
        "rules": [line(row) for row in TABLE],
    }
    place = {"position": {"x": 0, "y": 0}}
    graph = {
        "nodes": [
            {"id": "in", "type": "inputNode", "name": "in", **place},
            {"id": "table", "type": "decisionTableNode", "name": "table", "content": content, **place},
            {"id": "out", "type": "outputNode", "name": "out", **place},
        ],
        "edges": [
            {"id": "1", "sourceId": "in", "targetId": "table", "type": "edge"},
            {"id": "2", "sourceId": "table", "targetId": "out", "type": "edge"},
        ],
    }
    decision = zen.ZenEngine().create_decision(json.dumps(graph))
    return lambda one: str(decision.evaluate(one)["result"]["rule"])


def json_logic() -> Engine:
    """Evaluate one nested `if`."""
    from json_logic import jsonLogic  # noqa: PLC0415 - only for this comparison

    signs = {"is": "==", "at_least": ">=", "less_than": "<"}
    branches: list[Any] = []
    for row in TABLE:
        tests = [{signs[how]: [{"var": name}, value]} for name, how, value in row.tests]
        branches += [{"and": tests}, row.id] if tests else [row.id]
    logic = {"if": branches}
    return lambda one: str(jsonLogic(logic, dict(one)))


def rule_engine() -> Engine:
    """Ask each rule in turn."""
    import rule_engine as engine  # noqa: PLC0415 - only for this comparison

    signs = {"is": "==", "at_least": ">=", "less_than": "<"}
    texts = {row.id: " and ".join(f"{name} {signs[how]} {value!r}" for name, how, value in row.tests) for row in TABLE}
    rules = [(name, engine.Rule(text or "true")) for name, text in texts.items()]
    return lambda one: next(name for name, rule in rules if rule.matches(one))


def durable_rules() -> Engine:
    """Ask the C engine for every contact anew, handed the names of the tests that hold."""
    tests = list(dict.fromkeys(test for row in TABLE for test in row.tests))
    names = {test: f"t{number}" for number, test in enumerate(tests)}
    infer = _inference({row.id: tuple((names[test], 1) for test in row.tests) for row in TABLE if row.tests})

    def decided(one: Contact) -> str:
        applying = infer(frozenset((name, 1) for test, name in names.items() if holds(test, one)))
        return next(row.id for row in TABLE if row.id in applying or not row.tests)

    return decided


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
