"""How many decisions a second one core makes, each with its reason and facts, and whether memory stays where it is.

`python -m tests.bench.decisions [--json] [--pack NAME]`. The floor is the least that could decide at all: the same
conditions as plain Python generated from the pack (a dictionary look-up for each test, `min` and `max` for Kleene's
logic, a chain of ifs), without reasons, dates, memory or next looks. Rates are medians; the ratio is what counts.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from connector.collecting import collect_seldom
from connector.decision import NO_MEMORY, Decision, decide, decide_row
from connector.moments import DAY, write_moment
from connector.properties import CONTACT_PROPERTIES
from connector.rulebook.checking import load_pack
from connector.rulebook.columns import Finding
from connector.rulebook.conditions import (
    All,
    AnyOf,
    Condition,
    DealsTest,
    FactTest,
    Not,
    PropertyTest,
    StageFor,
    StateTest,
)
from connector.rulebook.courses import NO, UNKNOWN, UNREAD, YES
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.rulebook.shipped import shipped_packs
from connector.sandbox.people import invent
from connector.snapshot import Snapshot

SEED = 20_260_921
NOW = 1_790_000_000_000
CONTACTS = 2_000
ROUNDS = 5
STEADY = (0, 50_000, 100_000, 200_000, 400_000)
STANDARD = (
    "email", "firstname", "lastname", "jobtitle", "company", "lifecyclestage", "hs_buying_role",
    "hs_sales_email_last_replied", "notes_last_contacted", "num_contacted_notes", "num_conversion_events",
    "hs_email_last_click_date", "hs_email_sends_since_last_engagement",
)  # fmt: skip
LEVEL = {NO: 0, UNKNOWN: 1, UNREAD: 1, YES: 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Rates in decisions a second, one core; RSS in MiB after so many decisions."""

    pack: str
    decisions: float
    with_findings: float
    floor: float
    ratio: float
    rss_mib: dict[int, float]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pack", default="default", choices=shipped_packs())
    given = parser.parse_args(arguments)
    collect_seldom()  # as the command does
    outcome = measure(given.pack)
    if given.json:
        print(json.dumps({"seed": SEED, **asdict(outcome)}, indent=2))
        return 0
    print(f"decisions a second on one core, pack {outcome.pack}, {CONTACTS:,} contacts over and over (seed {SEED})\n")
    print(f"  with stage, status, reason, facts, what is due, next look   {outcome.decisions:>9,.0f}")
    print(f"  the same with every condition's wanted and actual           {outcome.with_findings:>9,.0f}")
    print(f"  floor: the pack as generated Python, stage and status only  {outcome.floor:>9,.0f}")
    print(f"  floor / decisions                                           {outcome.ratio:>9.1f}\n")
    print("memory (RSS) after so many decisions about contacts who are all different")
    for number, mib in outcome.rss_mib.items():
        print(f"  {number:>8,}  {mib:7.1f} MiB")
    return 0


def measure(name: str) -> Outcome:
    """Measure rates on contacts that come again, and memory on ones that never do."""
    pack, problems = load_pack(shipped_packs()[name])
    assert pack is not None, problems
    rulebook = Rulebook(pack)
    people = list(crowd(CONTACTS, SEED))
    floor = generated(pack, people)
    check(rulebook, floor, people)
    decided = rate(lambda one: decide(rulebook, one, NO_MEMORY, NOW), people)
    explained = rate(lambda one: with_reasons(rulebook, one), people)
    bare = rate(floor, people)
    return Outcome(
        pack=name, decisions=round(decided), with_findings=round(explained), floor=round(bare),
        ratio=round(bare / decided, 2), rss_mib=steadiness(rulebook),
    )  # fmt: skip


def with_reasons(rulebook: Rulebook, one: Snapshot) -> tuple[Decision, list[Finding]]:
    """Decide with every condition's wanted and actual."""
    row = rulebook.read(one)
    return decide_row(rulebook, row, NO_MEMORY, NOW), row.findings(NOW)


def crowd(number: int, seed: int) -> Iterator[Snapshot]:
    """Invent contacts at all stages, some with a company; no two have the same dates."""
    known = {*STANDARD, *(one.name for one in CONTACT_PROPERTIES)}
    dice = random.Random(seed)
    for place in range(number):
        person = invent(place, seed=seed, now=NOW, known=known)
        replied = {"hs_sales_email_last_replied": write_moment(NOW - dice.randrange(400 * DAY))}
        properties = {**person.properties, **(replied if dice.random() < 0.5 else {})}
        kind = dice.choice(("VENDOR", "PROSPECT", ""))
        yield Snapshot(contact=str(place), properties=properties, company={"type": kind} if kind else {}, deals=())


def rate(act: Callable[[Snapshot], Any], people: Sequence[Snapshot]) -> float:
    """Give the median rate of doing something for each, after a warm-up."""
    rates = []
    for number in range(ROUNDS + 1):
        started = time.perf_counter()
        for one in people:
            act(one)
        if number:
            rates.append(len(people) / (time.perf_counter() - started))
    return statistics.median(rates)


def steadiness(rulebook: Rulebook) -> dict[int, float]:
    """Decide about ever new contacts, each with its own memory, and note the memory of this process."""
    found = {0: rss_mib()}
    people = crowd(max(STEADY), SEED + 1)
    decision: Decision | None = None
    for number in range(1, max(STEADY) + 1):
        one = next(people)
        decision = decide(rulebook, one, NO_MEMORY if decision is None else decision.memory, NOW + number)
        if number in STEADY:
            found[number] = rss_mib()
    return found


def rss_mib() -> float:
    """Give the memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


# The floor


def generated(pack: Pack, people: Sequence[Snapshot]) -> Callable[[Snapshot], tuple[str | None, str | None]]:
    """Write the pack as a Python function; dates count as of one moment."""
    writer = _Writer(people)
    lines = ["def judge(one):", " contact = one.properties", " company = one.company or {}", " stage = status = None"]
    lines += [f" f_{place} = {writer.spell(condition)}" for place, condition in writer.numbered(pack)]
    for word, rule in zip(["if", *["elif"] * len(pack.stages)], pack.stages, strict=False):
        lines += [f" {word} {writer.spell(rule.when)} == 2:", f"  stage = {rule.stage!r}"]
    for word, status in zip(["if", *["elif"] * len(pack.statuses)], pack.statuses, strict=False):
        of = "True" if status.of is None else f"stage in {set(status.of)!r}"
        lines += [f" {word} {of} and {writer.spell(status.when)} == 2:", f"  status = {status.status!r}"]
    lines.append(" return stage, status")
    scope: dict[str, Any] = dict(writer.tables)
    exec("\n".join(lines), scope)  # noqa: S102 - our own text, the fastest that Python offers
    judge: Callable[[Snapshot], tuple[str | None, str | None]] = scope["judge"]
    return judge


class _Writer:
    """Writes conditions as Python expressions: 2 is yes, 1 unknown, 0 no."""

    def __init__(self, people: Sequence[Snapshot]) -> None:
        self.tables: dict[str, dict[str | None, int]] = {}
        self._people = people
        self._facts: dict[str, int] = {}

    def numbered(self, pack: Pack) -> Iterator[tuple[int, Condition]]:
        """Give the facts in their order, each with the number that it is called by."""
        for place, (name, condition) in enumerate(pack.facts.items()):
            yield place, condition
            self._facts[name] = place

    def spell(self, condition: Condition) -> str:
        """Write one condition."""
        if isinstance(condition, All | AnyOf):
            parts = [self.spell(part) for part in condition.parts]
            if not parts:
                return "2" if isinstance(condition, All) else "0"
            join = "min" if isinstance(condition, All) else "max"
            return parts[0] if len(parts) == 1 else f"{join}({', '.join(parts)})"
        if isinstance(condition, Not):
            return f"2 - {self.spell(condition.part)}"
        if isinstance(condition, FactTest):
            return f"{tuple(LEVEL[answer] for answer in condition.answers)!r}[f_{self._facts[condition.fact]}]"
        if isinstance(condition, PropertyTest):
            return self._look_up(condition)
        if isinstance(condition, StateTest | StageFor | DealsTest):
            return "0"
        raise TypeError(condition)

    def _look_up(self, test: PropertyTest) -> str:
        name = f"t_{len(self.tables)}"
        of_contact = test.object == "contact"
        seen = (one.properties if of_contact else one.company or {} for one in self._people)
        values = {None, *(properties.get(test.property) for properties in seen)}
        self.tables[name] = {value: LEVEL[test.course(value).at(NOW)] for value in values}
        return f"{name}[{test.object}.get({test.property!r})]"


def check(
    rulebook: Rulebook, floor: Callable[[Snapshot], tuple[str | None, str | None]], people: Sequence[Snapshot]
) -> None:
    """Make sure that the floor decides the same, or the comparison would mean nothing."""
    for one in people:
        decision = decide(rulebook, one, NO_MEMORY, NOW)
        if (decision.stage, decision.status) != floor(one):
            raise SystemExit(f"the floor decides otherwise about {dict(one.properties)}: {floor(one)}, {decision}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
