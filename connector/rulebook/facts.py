"""From answers to facts, and from a rule's `when` to the plain conjunction of facts that the engine understands.

The logic is Kleene's. A part of a `when` that is not simply a fact's answer is given a fact of its own, so that
inference is handed names of facts and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
from connector.rulebook.courses import NO, UNKNOWN, UNREAD, YES, all_of, any_of, negated

Literal = tuple[str, int]
"""A fact and the answer that it must have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What conditions are asked about: the answers to all tests, and the state that is known or decided."""

    answers: bytes
    """One answer per test, in the order of the rulebook's tests."""
    stage_for: bytes
    """One answer per `stage_for_at_least`, likewise."""
    stage: str | None
    status: str | None
    entered: bool
    """Whether the stage has just become this one."""


_LONGEST = 16
"""A longer conjunction becomes one fact, so that no rule set nears the engine's limits."""

Answers = dict[str, int]
_Ask = Callable[[View, Answers], int]


class FactBook:
    """The facts of a pack, compiled once; those that rules need of their own are added as rules are."""

    def __init__(
        self, facts: Mapping[str, Condition], *, tests: Mapping[PropertyTest | DealsTest, int],
        stage_for: Mapping[StageFor, int],
    ) -> None:  # fmt: skip
        self._tests = tests
        self._stage_for = stage_for
        self._asks: dict[str, _Ask] = {}
        self._made: dict[Condition, str] = {}
        for name, condition in facts.items():
            self._asks[name] = self._compiled(condition)

    def literals(self, when: Condition) -> tuple[Literal, ...]:
        """Give the facts and answers that a condition comes down to; all of them together mean yes."""
        parts = when.parts if isinstance(when, All) and len(when.parts) <= _LONGEST else (when,)
        return tuple(dict.fromkeys(self._literal(part) for part in parts))

    def answers(self, view: View) -> Answers:
        """Give every fact's answer, the pack's own and those made for rules."""
        found: Answers = {}
        for name, ask in self._asks.items():
            found[name] = ask(view, found)
        return found

    def _literal(self, part: Condition) -> Literal:
        negative = isinstance(part, Not)
        inner = part.part if isinstance(part, Not) else part
        if isinstance(inner, FactTest):
            wanted = NO if negative else YES
            giving = [
                answer
                for answer, given in zip((NO, UNKNOWN, YES), inner.answers, strict=True)
                if given == wanted
            ]
            if len(giving) == 1:
                return inner.fact, giving[0]
        name = self._made.get(part)
        if name is None:  # no fact of an admin can have a name in brackets; two parts may read alike, hence the number
            name = self._made[part] = f"({len(self._made) + 1}: {part.text})"
            self._asks[name] = self._compiled(part)
        return name, YES

    def _compiled(self, condition: Condition) -> _Ask:
        match condition:
            case All():
                return self._joined(all_of, condition.parts)
            case AnyOf():
                return self._joined(any_of, condition.parts)
            case Not():
                part = self._compiled(condition.part)
                return lambda view, facts: negated(part(view, facts))
            case FactTest():
                return _fact_ask(condition)
            case StateTest():
                return _state_ask(condition)
            case StageFor():
                place = self._stage_for[condition]
                return lambda view, _: view.stage_for[place]
        position = self._tests[condition]
        return lambda view, _: view.answers[position]

    def _joined(self, join: Callable[[list[int]], int], parts: tuple[Condition, ...]) -> _Ask:
        asks = [self._compiled(part) for part in parts]
        return lambda view, facts: join([ask(view, facts) for ask in asks])


def _fact_ask(condition: FactTest) -> _Ask:
    no, unknown, yes = condition.answers
    table = (no, UNREAD, unknown, yes)
    name = condition.fact
    return lambda _, facts: table[facts[name]]


def _state_ask(condition: StateTest) -> _Ask:
    names = frozenset(condition.names)
    match condition.kind:
        case "stage":
            return lambda view, _: YES if view.stage in names else NO
        case "status":
            return lambda view, _: YES if view.status in names else NO
    return lambda view, _: YES if view.entered and view.stage in names else NO
