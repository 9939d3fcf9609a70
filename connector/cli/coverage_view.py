"""What cases reach of their packs, as a table for people and as data for machines."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from connector.cli.render import print_table
from connector.rulebook.coverage import AnswerReach, Coverage

_ANSWERS = ("yes", "no", "unknown")


def percent(covered: Iterable[Coverage]) -> float:
    """Give the share of rules and answers that are reached, over all packs."""
    ones = list(covered)
    wanted = sum(one.wanted for one in ones)
    return 100 * sum(one.reached for one in ones) / wanted if wanted else 100.0


def as_data(covered: Mapping[Path, Coverage]) -> dict[str, Any]:
    """Give coverage as data."""
    packs = [_pack(str(path), one) for path, one in covered.items()]
    return {"percent": round(percent(covered.values()), 1), "packs": packs}


def _pack(file: str, one: Coverage) -> dict[str, Any]:
    rules = [{"section": rule.section, "id": rule.id, "place": str(rule.place), "cases": rule.cases}
             for rule in one.rules]  # fmt: skip
    return {
        "pack": one.pack, "file": file, "percent": round(percent([one]), 1), "reached": one.reached,
        "wanted": one.wanted, "rules": rules, "conditions": [_answers(each) for each in one.conditions],
        "facts": [_answers(each) for each in one.facts],
    }  # fmt: skip


def _answers(reach: AnswerReach) -> dict[str, Any]:
    wanted, seen = ([word for word in _ANSWERS if word in words] for words in (reach.wanted, reach.seen))
    return {"of": reach.of, "text": reach.text, "place": str(reach.place), "wanted": wanted, "seen": seen,
            "missing": list(reach.missing)}  # fmt: skip


def print_coverage(covered: Mapping[Path, Coverage]) -> None:
    """Print for each pack how many cases reach each rule, and which answers each condition and fact has given."""
    for path, one in covered.items():
        click.echo()
        share = f"{one.reached} of {one.wanted} rules and answers reached ({percent([one]):.1f} %)"
        click.secho(f"{path}: {share}", bold=True)
        rows = [(rule.section, rule.id, rule.cases or "none", "" if rule.cases else rule.place) for rule in one.rules]
        print_table(("section", "rule", "cases", ""), rows)
        click.echo()
        print_table(("asked of", "condition", *_ANSWERS, ""), [_row(each) for each in (*one.conditions, *one.facts)])


def _row(reach: AnswerReach) -> tuple[str, ...]:
    marks = ["seen" if word in reach.seen else "missing" if word in reach.wanted else "" for word in _ANSWERS]
    return reach.of, reach.text, *marks, str(reach.place) if reach.missing else ""
