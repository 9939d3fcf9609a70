"""A witness: an invented contact that shows what was found, written so that it can be pasted into a case file.

No witness is given that has not been judged by the rulebook itself and came out as it must.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from connector.decision import Decision, Memory, decide
from connector.moments import write_moment
from connector.proving.encoding import Cell, World
from connector.rulebook.cases import CaseSubject
from connector.rulebook.judging import Judgement, Known, Rulebook
from connector.rulebook.pack import Pack, StageRule, StatusRule

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*")
_NOT_TEXT = frozenset({"true", "false", "null"})

Expectation = Mapping[str, str | list[str] | Mapping[str, str] | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """A contact with what was known of it, and the present moment."""

    subject: CaseSubject
    known: Known
    now: int

    def judged(self, rulebook: Rulebook) -> Judgement:
        """Judge it as the product does."""
        return rulebook.judge(self.subject, self.known, self.now)[0]

    def decided(self, rulebook: Rulebook) -> Decision:
        """Decide about it as the product does."""
        stage, status, since = self.known
        return decide(rulebook, self.subject, Memory(stage=stage, status=status, since=since), self.now)

    def fits_alone(self, pack: Pack, rule: StageRule | StatusRule) -> bool:
        """Ask whether a rule wins where no other rule of its section stands in its way."""
        if isinstance(rule, StageRule):
            return self.judged(Rulebook(replace(pack, stages=(rule,)))).stage_rule is rule
        return self.judged(Rulebook(replace(pack, statuses=(rule,)))).status_rule is rule

    def case(self, name: str, expect: Expectation) -> str:
        """Write it as an entry of a case file's `cases`."""
        stage, status, since = self.known
        before = {
            key: value for key, value in (
                ("stage", stage), ("status", status), ("since", None if since is None else write_moment(since)),
            ) if value is not None
        }  # fmt: skip
        parts: list[tuple[str, Any]] = [
            ("now", write_moment(self.now)), ("contact", self.subject.properties), ("company", self.subject.company),
            ("deals", list(self.subject.deals)), ("before", before), ("expect", expect),
        ]  # fmt: skip
        lines = [f"- name: {_text(name)}"]
        lines += [f"  {key}: {_flow(value)}" for key, value in parts if value or key in ("contact", "expect")]
        return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return "null" if value is None else _text(str(value))


def _text(text: str) -> str:
    """Write a text plainly where YAML reads it as the same text, else in quotes."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def written(world: World, values: Mapping[str, bool]) -> Witness:
    """Write down the contact that a model of the solver stands for."""
    present = world.present.number(values)
    now = world.known.presents[present]
    contact: dict[str, str | None] = {}
    company: dict[str, str | None] = {}
    for (of, name), cell in world.cells.items():
        value = _value(cell, values, present)
        if value is not None:
            (contact if of == "contact" else company)[name] = value
    deals = []
    for slot in world.slots:
        if values.get(slot.there.name, False):
            found = {name: _value(cell, values, present) for name, cell in slot.cells.items()}
            deals.append({name: value for name, value in found.items() if value is not None})
    stay = world.known.stays[world.stay.number(values)]
    known = Known(
        world.stages[world.stage.number(values)], world.statuses[world.status.number(values)],
        None if stay is None else now - stay,
    )  # fmt: skip
    return Witness(
        subject=CaseSubject(properties=contact, company=company, deals=tuple(deals)), known=known, now=now
    )


def _value(cell: Cell, values: Mapping[str, bool], present: int) -> str | None:
    return cell.column.classes[cell.choice.number(values)].values[present]


def outcome(judgement: Judgement) -> dict[str, str | None]:
    """Give what a case would expect of a judgement."""
    rule = judgement.stage_rule.id if judgement.stage_rule else None
    found = {"stage": judgement.stage, "rule": rule}
    return {**found, "status": judgement.status} if judgement.status else found
