"""How many decisions a second beside other engines: the same table of twelve rules, every answer checked to be equal.

`python -m tests.bench.peers [--json]`. All in one run, turn and turn about; rates are medians, per second of processor
time. Stagekeeper gives stage, reason, facts, what is due, when to look again, and every condition with wanted and
actual; the others give rule and reason (zen-engine) or the first rule that matches. What they would need besides to
answer *unknown* is not counted against them. The contacts repeat, as those of a portal do. Engines that are not
installed (`pip install '.[bench]'`) are left out; durable-rules runs in a process of its own, because it can end it.
"""

import argparse
import importlib.util
import json
import operator
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connector.collecting import collect_seldom
from connector.decision import NO_MEMORY, decide_row
from connector.rulebook.checking import load_pack_text
from connector.rulebook.judging import Rulebook
from connector.snapshot import Snapshot
from tests.bench.table import Line, as_data

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
    collect_seldom()  # as the command does
    rates, missing = measure()
    ours = rates[OURS]
    if given.json:
        print(json.dumps({"seed": SEED, "rates": rates, "table": as_data(lines(rates, missing))}, indent=2))
        return 0
    print(f"decisions a second on one core, twelve rules, {CONTACTS:,} contacts over and over (seed {SEED})\n")
    for name, rate in rates.items():
        print(f"  {name:<44} {rate:>9,.0f}   {ours / rate:6.1f}")
    for name in missing:
        print(f"  {name:<44} left out: it is not installed; pip install '.[bench]'")
    return 0


def lines(rates: Mapping[str, int], missing: Sequence[str]) -> list[Line]:
    """Give the line of the table."""
    others = [f"{name} {rate:,} (ratio {rates[OURS] / rate:.1f})" for name, rate in rates.items() if name != OURS]
    return [
        Line(
            what="decisions a second of processor time on a table of twelve rules, every answer checked to be equal",
            figure=f"{rates[OURS]:,}, with every condition's wanted and actual",
            beside="; ".join([*others, *(f"{name} not installed" for name in missing)]),
        )
    ]


def measure() -> tuple[dict[str, int], Sequence[str]]:
    """Check that all engines agree, then give the median rate of each; and which are not installed."""
    people = crowd()
    snapshots = [as_snapshot(one, number) for number, one in enumerate(people)]
    makers = {name: make for name, (module, make) in PEERS.items() if importlib.util.find_spec(module)}
    clocks = {OURS: in_process(OURS, stagekeeper(), snapshots, people)}
    clocks |= {name: in_process(name, make(), people, people) for name, make in makers.items()}
    with durable_rules(people) as rate:
        clocks["durable-rules alone, one fact a contact"] = rate
        rates: dict[str, list[float]] = {name: [] for name in clocks}
        for _ in range(ROUNDS):
            for name, clock in clocks.items():
                rates[name].append(clock())
    medians = {name: round(statistics.median(found)) for name, found in rates.items()}
    return medians, [name for name in PEERS if name not in makers]


def in_process(name: str, engine: Engine, forms: Sequence[Any], people: Sequence[Contact]) -> Callable[[], float]:
    """Check an engine's answers, and give what measures its rate."""
    check(name, [engine(form) for form in forms], people)

    def rate() -> float:
        started = time.process_time()
        for form in forms:
            engine(form)
        return len(forms) / (time.process_time() - started)

    return rate


def check(name: str, answers: Sequence[str], people: Sequence[Contact]) -> None:
    """End with a message when an answer is another than plain Python's."""
    for one, answer in zip(people, answers, strict=True):
        if answer != first_of(one):
            raise SystemExit(f"{name} decides {answer!r} instead of {first_of(one)!r} about {one}")


@contextmanager
def durable_rules(people: Sequence[Contact]) -> Iterator[Callable[[], float]]:
    """Have durable-rules decide in a process of its own; give what measures its rate."""
    command = [sys.executable, "-m", "tests.bench.durable_alone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout
        answers = told.readline()
        if not answers:
            raise SystemExit(f"durable-rules ended with {process.wait()} before it answered")
        check("durable-rules", json.loads(answers), people)

        def rate() -> float:
            asked.write("\n")
            asked.flush()
            return float(told.readline())

        yield rate
        asked.close()


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


OURS = "Stagekeeper"
PEERS: Mapping[str, tuple[str, Callable[[], Engine]]] = {
    "zen-engine, decision table": ("zen", zen_engine),
    "json-logic (panzi)": ("json_logic", json_logic),
    "rule-engine, one rule after another": ("rule_engine", rule_engine),
}
"""The module by which it is known to be installed, and what makes its engine."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
