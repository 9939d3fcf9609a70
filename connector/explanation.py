"""Why a contact is where it is, as data: the decision with every condition, wanted and actual.

Text and JSON, terminal and web page are renderings of this one value.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connector.decision import Decision
from connector.moments import write_moment
from connector.plan import Plan
from connector.rivals.history import Version
from connector.rulebook.blame import Blame
from connector.rulebook.columns import Finding, Row, Subject
from connector.rulebook.conditions import DealsTest, FactTest, Leaf, PropertyTest
from connector.rulebook.courses import WORDS
from connector.rulebook.judging import NOTHING_KNOWN, Known, Rulebook
from connector.snapshot import Snapshot
from connector.whynot import WhyNot


@dataclass(frozen=True, kw_only=True, slots=True)
class Loser:
    """A rule that stands above the one that decided, with the conditions that kept it from applying."""

    rule: str
    stage: str | None
    failed: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A decision and everything that it rests on; `missing`: properties that the portal does not have."""

    decision: Decision
    findings: tuple[Finding, ...]
    losers: tuple[Loser, ...] = ()
    origins: Mapping[str, Version] = field(default_factory=dict)
    """Since when the contact's properties hold what they hold, and who set it, where HubSpot was asked."""
    plan: Plan | None = None
    missing: tuple[str, ...] = ()
    why_not: WhyNot | None = None

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
            "conditions": [self._condition(finding) for finding in self.findings],
            "rules_above": [
                {
                    "rule": loser.rule,
                    "stage": loser.stage,
                    "failed": [self._condition(finding) for finding in loser.failed],
                }
                for loser in self.losers
            ],
            "effects": list(_effects(decision, self.plan)),
            "set": dict(decision.set),
            "held": self.plan.held if self.plan else None,
            "withheld": dict(self.plan.withheld) if self.plan else {},
            "missing_properties": list(self.missing),
            "next_look_at": None if decision.next_look_at is None else write_moment(decision.next_look_at),
            **({} if self.why_not is None else {"why_not": self.why_not.as_data()}),
        }

    def _condition(self, finding: Finding) -> dict[str, Any]:
        of, _, name = finding.source.partition(".")
        origin = self.origins.get(name) if of == "contact" else None
        told = {} if origin is None else {"set_at": write_moment(origin.moment), "set_by": origin.teller}
        return {**_condition(finding), **told}


def explain(
    rulebook: Rulebook, subject: Subject, decision: Decision, now: int, *, known: Known = NOTHING_KNOWN
) -> Explanation:
    """Collect what a decision rests on; `known` is what was known of the contact before it."""
    row = rulebook.read(subject)
    findings = tuple(row.findings(now))
    return Explanation(
        decision=decision, findings=findings, losers=tuple(_losers(rulebook, row, decision, known, now))
    )


def as_in_portal(
    explanation: Explanation, *, plan: Plan, missing: Iterable[str], origins: Mapping[str, Version]
) -> Explanation:
    """Add what only the portal can tell: what would be done, what it lacks, who set what."""
    absent = sorted(missing)
    findings = tuple(_named(finding, absent) for finding in explanation.findings)
    return replace(explanation, findings=findings, plan=plan, missing=tuple(absent), origins=origins)


def _losers(rulebook: Rulebook, row: Row, decision: Decision, known: Known, now: int) -> Iterator[Loser]:
    """Say of every stage rule above the one that decided why it does not apply."""
    answers = rulebook.answered(row, now)
    by_test = dict(zip(answers, row.findings(now), strict=True))
    blame = Blame(rulebook.pack, answers, known, now)
    for rule in rulebook.pack.stages:
        if rule.id == decision.rule:
            return
        failed = tuple(
            by_test[leaf] if isinstance(leaf, PropertyTest | DealsTest) else _of_state(leaf, blame)
            for leaf in blame.of(rule.when)
        )
        yield Loser(rule=rule.id, stage=rule.stage, failed=failed)


def _of_state(leaf: Leaf, blame: Blame) -> Finding:
    """Tell a condition on a fact's answer or on the state before as a finding."""
    answer = WORDS[blame.of_state(leaf)] if not isinstance(leaf, FactTest) else "no"
    return Finding(
        text=leaf.text, wanted=leaf.text, actual=None, result=answer, source="the decision before", changes_at=None
    )


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
