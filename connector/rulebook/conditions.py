"""Conditions as values: tests of properties, facts and stages, joined by all, any and not.

Reading a condition reports every fault in it with its place and gives a condition that is never yes in place of the
faulty part, so that one run finds all faults of a file.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.problems import Place, Problem, nearest
from connector.rulebook.courses import ALWAYS, NO, UNKNOWN, YES, Course, all_of, any_of, inverted, joined
from connector.rulebook.operands import OperandError, Settings, as_duration, resolved, shown
from connector.rulebook.operators import OPERATORS, Test, make_test
from connector.rulebook.reading import Document, Path_

OBJECTS = ("contact", "company", "deal")
STATUSES = ("new", "hot", "warm", "cold", "closed", "unverified")
_PROPERTY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class PropertyTest:
    """A test of one property of the contact, its primary company, or (inside `any_deal`) a deal."""

    object: str
    property: str
    test: Test
    place: Place = field(compare=False)
    text: str = field(compare=False)

    def course(self, value: str | None) -> Course:
        """Judge a value over time."""
        return self.test.judge(value)


@dataclass(frozen=True, slots=True)
class DealsTest:
    """A condition that any associated deal must meet; `no_deal` is its negation."""

    condition: "Condition"
    place: Place = field(compare=False)
    text: str = field(compare=False)

    def course(self, deals: tuple[Mapping[str, str | None], ...]) -> Course:
        """Judge the deals over time; no deals at all: no."""
        return joined(any_of, [_deal_course(self.condition, deal) for deal in deals]) if deals else ALWAYS[NO]


@dataclass(frozen=True, slots=True)
class FactTest:
    """A fact, or a test of its answer; `answers` gives this condition's answer for the fact's no, unknown and yes."""

    fact: str
    answers: tuple[int, int, int]
    place: Place = field(compare=False)
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class StateTest:
    """A test of what is decided (in `stages`: of what was known before): stage, status or entered."""

    kind: str
    names: tuple[str | None, ...]
    place: Place = field(compare=False)
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class StageFor:
    """Whether the contact has been in its stage for at least so long (milliseconds)."""

    duration: int
    place: Place = field(compare=False)
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class All:
    """Yes when every part is."""

    parts: tuple["Condition", ...]

    @property
    def text(self) -> str:
        """Say the condition in words."""
        return "(" + " and ".join(part.text for part in self.parts) + ")"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Yes when one part is."""

    parts: tuple["Condition", ...]

    @property
    def text(self) -> str:
        """Say the condition in words."""
        return "(" + " or ".join(part.text for part in self.parts) + ")"


@dataclass(frozen=True, slots=True)
class Not:
    """Yes when the part is no; unknown stays unknown."""

    part: "Condition"

    @property
    def text(self) -> str:
        """Say the condition in words."""
        return f"not {self.part.text}"


Leaf = PropertyTest | DealsTest | FactTest | StateTest | StageFor
Condition = Leaf | All | AnyOf | Not

NEVER = AnyOf(())
ALWAYS_YES = All(())


def _deal_course(condition: Condition, deal: Mapping[str, str | None]) -> Course:
    match condition:
        case PropertyTest():
            return condition.course(deal.get(condition.property))
        case All():
            return joined(all_of, [_deal_course(part, deal) for part in condition.parts] or [ALWAYS[YES]])
        case AnyOf():
            return joined(any_of, [_deal_course(part, deal) for part in condition.parts] or [ALWAYS[NO]])
        case Not():
            return inverted(_deal_course(condition.part, deal))
    return ALWAYS[UNKNOWN]


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Give the tests in a condition, those inside a deals test not."""
    match condition:
        case All() | AnyOf():
            for part in condition.parts:
                yield from leaves(part)
        case Not():
            yield from leaves(condition.part)
        case _:
            yield condition


def tested_properties(condition: Condition) -> Iterator[PropertyTest]:
    """Give the tests of properties in a condition, those inside a deals test too."""
    for leaf in leaves(condition):
        if isinstance(leaf, PropertyTest):
            yield leaf
        elif isinstance(leaf, DealsTest):
            yield from tested_properties(leaf.condition)


class ConditionReader:
    """Reads the conditions of one document; problems are added to the list that is handed in."""

    def __init__(
        self, document: Document, *, settings: Settings, facts: Collection[str], ladder: Collection[str],
        problems: list[Problem],
    ) -> None:  # fmt: skip
        self.document = document
        self.settings = settings
        self.facts = facts
        self.ladder = ladder
        self.problems = problems

    def read(self, data: Any, path: Path_, *, of: str = "contact") -> Condition:
        """Read a condition; `of` is the object whose properties bare names mean."""
        match data:
            case str():
                return self._fact(data, path, of)
            case dict() if data:
                parts = [self._entry(key, operand, (*path, key), of) for key, operand in data.items()]
                return parts[0] if len(parts) == 1 else All(tuple(parts))
        cure = "write the name of a fact, or `property: {operator: value}`"
        return self._fault(path, "wrong-condition", f"found {shown(data)}", "a condition", cure)

    def _entry(self, key: str, operand: Any, path: Path_, of: str) -> Condition:
        match key:
            case "all" | "any":
                parts = self._parts(operand, path, of)
                return All(parts) if key == "all" else AnyOf(parts)
            case "not":
                return Not(self.read(operand, path, of=of))
            case "any_deal" | "no_deal":
                return self._deals(key, operand, path, of)
            case "stage" | "status" | "entered" | "stage_for_at_least" if of == "contact":
                return self._state(key, operand, path)
        return self._tests(key, operand, path, of)

    def _parts(self, operand: Any, path: Path_, of: str) -> tuple[Condition, ...]:
        if not isinstance(operand, list) or not operand:
            expected = "a list of conditions with at least one member"
            return (self._fault(path, "wrong-condition", f"found {shown(operand)}", expected),)
        return tuple(self.read(item, (*path, number), of=of) for number, item in enumerate(operand))

    def _fact(self, name: str, path: Path_, of: str) -> Condition:
        name = name.strip()
        if of == "contact" and name in self.facts:
            return FactTest(name, (NO, UNKNOWN, YES), self.document.value_place(path), name)
        if of != "contact":
            cure = "write `property: {operator: value}`"
            return self._fault(path, "wrong-condition", f"{name!r} stands in a condition on deals", "a test", cure)
        return self._fault(path, "unknown-fact", f"no fact is called {name!r}", cure=nearest(name, self.facts))

    def _deals(self, key: str, operand: Any, path: Path_, of: str) -> Condition:
        if of != "contact":
            found = f"{key!r} stands inside a condition on deals"
            return self._fault(path, "wrong-condition", found, cure="write `property: {operator: value}` there")
        inner = self.read(operand, path, of="deal")
        any_deal = DealsTest(inner, self.document.place(path), f"any deal with {inner.text}")
        return any_deal if key == "any_deal" else Not(any_deal)

    def _state(self, key: str, operand: Any, path: Path_) -> Condition:
        place = self.document.place(path)
        if key == "stage_for_at_least":
            try:
                duration = as_duration(operand, self.settings)
            except OperandError as error:
                return self._operand_fault(path, error)
            return StageFor(duration, place, f"in the stage for at least {resolved(operand, self.settings)}")
        names = operand if isinstance(operand, list) else [operand]
        if not names or not all(name is None or isinstance(name, str) for name in names):
            return self._fault(path, "wrong-operand", f"found {shown(operand)}", f"the name of a {key}, or a list")
        for number, name in enumerate(names):
            here: Path_ = (*path, number) if isinstance(operand, list) else path
            if name is not None and name not in (STATUSES if key == "status" else self.ladder):
                return self._unknown(key, name, here)
        shown_names = " or ".join("none" if name is None else name for name in names)
        return StateTest(key, tuple(names), place, f"{key} {shown_names}")

    def _unknown(self, key: str, name: str, path: Path_) -> Condition:
        if key == "status":
            return self._fault(path, "unknown-status", f"no status is called {name!r}", cure=nearest(name, STATUSES))
        found = f"{name!r} is not on the ladder"
        return self._fault(path, "unknown-stage", found, cure=nearest(name, self.ladder))

    def _tests(self, key: str, operand: Any, path: Path_, of: str) -> Condition:
        if not isinstance(operand, dict) or not operand:
            cure = f"write `{key}: {{is: …}}`" if not isinstance(operand, dict | list | None) else ""
            return self._fault(path, "wrong-condition", f"found {shown(operand)}", "operators with their values", cure)
        parts = [self._test(key, name, value, (*path, name), of) for name, value in operand.items()]
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _test(self, key: str, operator: str, operand: Any, path: Path_, of: str) -> Condition:
        if operator not in OPERATORS:
            found = f"no operator is called {operator!r}"
            return self._fault(path, "unknown-operator", found, cure=nearest(operator, OPERATORS), at_key=True)
        try:
            test = make_test(operator, operand, self.settings)
        except OperandError as error:
            return self._operand_fault(path, error)
        if of == "contact" and key in self.facts:
            return self._fact_test(key, test, path)
        return self._property(key, test, path, of)

    def _fact_test(self, key: str, test: Test, path: Path_) -> Condition:
        no, unknown, yes = (test.judge(word).at(0) for word in ("no", None, "yes"))
        if YES not in (no, unknown, yes):
            found = f"{key!r} is a fact, and this is never yes for one"
            cure = f"ask whether it is yes or no; whether it is unknown: `{key}: {{known: false}}`"
            return self._fault(path, "wrong-operand", found, cure=cure)
        return FactTest(key, (no, unknown, yes), self.document.place(path), f"{key} {test.wanted}")

    def _property(self, key: str, test: Test, path: Path_, of: str) -> Condition:
        object_, dot, name = key.rpartition(".")
        object_ = object_ or of
        if object_ not in OBJECTS or (object_ != of and "deal" in (object_, of)) or not name.strip():
            found = f"{key!r} is no property of the {of} or its company"
            cure = "deals stand inside `any_deal:` or `no_deal:`" if object_ == "deal" else "use `company.` as prefix"
            return self._fault(path[:-1], "unknown-object", found, cure=cure, at_key=True)
        if not _PROPERTY.fullmatch(name):
            cure = "write the internal name, which HubSpot shows beside the label: small letters, digits and `_`"
            return self._fault(path[:-1], "wrong-property", f"{name!r} is no property's name", cure=cure, at_key=True)
        shown_name = key if dot else name
        return PropertyTest(object_, name, test, self.document.place(path), f"{shown_name} {test.wanted}")

    def _operand_fault(self, path: Path_, error: OperandError) -> Condition:
        return self._fault(path, error.code, error.found, error.expected, error.cure)

    def _fault(
        self, path: Path_, code: str, found: str, expected: str = "", cure: str = "", *, at_key: bool = False
    ) -> Condition:
        place = self.document.place(path) if at_key else self.document.value_place(path)
        expected = f"expected {expected}" if expected else ""
        self.problems.append(Problem(place=place, code=code, found=found, expected=expected, cure=cure))
        return NEVER
