"""Why a contact is where it is, as data: the decision with every condition, wanted and actual.

Text and JSON, terminal and web page are renderings of this one value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.decision import Decision
from connector.moments import write_moment
from connector.plan import Plan
from connector.rulebook.judging import Finding, Rulebook, Subject
from connector.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A decision and everything that it rests on; `missing`: properties that the portal does not have."""

    decision: Decision
    findings: tuple[Finding, ...]
    plan: Plan | None = None
    missing: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Give the explanation as plain data, in the contract's words."""
        decision = self.decision
        return {
            "version": 1,
            "stage": decision.stage,
            "status": decision.status,
            "because": decision.because,
            "rule": decision.rule,
            "facts": dict(decision.facts),
            "conditions": [_condition(finding) for finding in self.findings],
            "effects": list(_effects(decision, self.plan)),
            "set": dict(decision.set),
            "held": self.plan.held if self.plan else None,
            "missing_properties": list(self.missing),
            "next_look_at": None if decision.next_look_at is None else write_moment(decision.next_look_at),
        }


def explain(
    rulebook: Rulebook, subject: Subject, decision: Decision, now: int, *, plan: Plan | None = None,
    missing: Iterable[str] = (),
) -> Explanation:  # fmt: skip
    """Collect what a decision rests on."""
    absent = sorted(missing)
    findings = tuple(_named(finding, absent) for finding in rulebook.findings(subject, now))
    return Explanation(decision=decision, findings=findings, plan=plan, missing=tuple(absent))


def unanswered(snapshot: Snapshot, wanted: Iterable[str]) -> list[str]:
    """Name the properties that were asked for and about which HubSpot said nothing, not even that they are empty."""
    return sorted(set(wanted) - set(snapshot.properties))


def _named(finding: Finding, missing: list[str]) -> Finding:
    """Say on a finding that the portal does not have its property."""
    of, _, name = finding.source.partition(".")
    if of != "contact" or name not in missing:
        return finding
    return Finding(
        text=finding.text, wanted=finding.wanted, actual=None, result=finding.result, changes_at=None,
        source=f"{finding.source} (the portal has no such property)",
    )  # fmt: skip


def _condition(finding: Finding) -> dict[str, Any]:
    changes = {} if finding.changes_at is None else {"changes_at": write_moment(finding.changes_at)}
    return {
        "text": finding.text, "wanted": finding.wanted, "actual": finding.actual, "result": finding.result,
        "source": finding.source, **changes,
    }  # fmt: skip


def _effects(decision: Decision, plan: Plan | None) -> Iterable[Mapping[str, Any]]:
    if plan is None:
        yield from ({"kind": "task", "rule": rule.id} for rule in decision.tasks)
        yield from ({"kind": "action", "rule": rule.id} for rule in decision.actions)
        return
    for name, change in plan.properties.items():
        yield {"kind": "property", "name": name, "from": change.before, "to": change.after}
    for effect in plan.effects:
        title = effect.body.get("title") or effect.body.get("dealname")
        yield {"kind": effect.kind, "rule": effect.rule, "title": title}
