"""Why a contact is not in another stage, as sentences that a salesperson can act on: what would have to change.

What is not known yet comes first: to find it out is less than to change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.properties import CONTACT_PROPERTIES, Definition
from connector.proving.reaching import Reach, Route, Step
from connector.rulebook.columns import Subject
from connector.rulebook.judging import Known, Rulebook

_DEFINITIONS: Mapping[str, Definition] = {one.name: one for one in CONTACT_PROPERTIES}


@dataclass(frozen=True, kw_only=True, slots=True)
class WhyNot:
    """What would bring a contact into a stage; no routes: nothing that could be read of it would."""

    stage: str
    is_there: bool
    routes: tuple[Route, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "stage": self.stage,
            "is_there": self.is_there,
            "routes": [
                {"rule": route.rule, "changes": [_as_data(step) for step in route.steps]} for route in self.routes
            ],
            "say": self.say(),
        }

    def say(self) -> list[str]:
        """Say it, a sentence for each way."""
        if self.is_there:
            return [f"The rules decide {self.stage} already."]
        if not self.routes:
            found = f"No change of what is read leads to {self.stage} from here"
            return [f"{found}: its rules ask for another stage or status before, or a rule above them always wins."]
        return [f"By the rule {route.rule}: {'; and '.join(map(sentence, route.steps))}." for route in self.routes]


def why_not(rulebook: Rulebook, subject: Subject, known: Known, now: int, *, stage: str) -> WhyNot:
    """Find the smallest sets of changes that lead into a stage."""
    judgement, _ = rulebook.judge(subject, known, now)
    if judgement.stage == stage:
        return WhyNot(stage=stage, is_there=True)
    routes = Reach(rulebook).routes(subject, known, now, stage=stage)
    return WhyNot(stage=stage, is_there=False, routes=tuple(routes))


def sentence(step: Step) -> str:
    """Say one change."""
    definition = _DEFINITIONS.get(step.property) if step.object == "contact" else None
    labels = dict(definition.options) if definition else {}
    of = "" if step.object == "contact" else f"{step.object}'s "
    name = f"{of}{definition.label} ({step.property})" if definition else f"{of}{step.property}"
    if labels or not step.meets:
        wanted = " and ".join(repr(labels.get(part, part)) for part in step.then.split(";"))
    else:
        wanted = f"such that it is “{'” and “'.join(step.meets)}”, as {step.then} is"
    if step.now is None:
        return f"find out {name}, which is not known: it would have to be {wanted}"
    now = " and ".join(repr(labels.get(part, part)) for part in step.now.split(";"))
    return f"{name} would have to be {wanted} instead of {now}"


def _as_data(step: Step) -> dict[str, Any]:
    return {
        "object": step.object, "property": step.property, "now": step.now, "then": step.then,
        "meets": list(step.meets), "say": sentence(step),
    }  # fmt: skip
