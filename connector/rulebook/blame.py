"""Which conditions keep a rule from applying: those that would have to be otherwise, down through the facts."""

from collections.abc import Iterator, Mapping

from connector.rulebook.conditions import All, AnyOf, Condition, DealsTest, FactTest, Leaf, Not, PropertyTest, StateTest
from connector.rulebook.courses import NO, UNKNOWN, YES, all_of, any_of, negated
from connector.rulebook.judging import Known
from connector.rulebook.pack import Pack

Test = PropertyTest | DealsTest
_AS_IT_IS = (NO, UNKNOWN, YES)


class Blame:
    """The answers of one subject, and what they are to blame for."""

    def __init__(self, pack: Pack, answers: Mapping[Test, int], known: Known, now: int) -> None:
        self._pack = pack
        self._answers = answers
        self._known = known
        self._now = now

    def of(self, condition: Condition) -> list[Leaf]:
        """Give the tests that keep a condition from being yes, each once; none when it is."""
        return [] if self._answer(condition) == YES else list(dict.fromkeys(self._blamed(condition, YES)))

    def _blamed(self, condition: Condition, wanted: int) -> Iterator[Leaf]:
        """Give the tests that keep a condition from being yes, or from being no."""
        match condition:
            case All() | AnyOf():
                for part in condition.parts:
                    if self._answer(part) != wanted:
                        yield from self._blamed(part, wanted)
            case Not():
                yield from self._blamed(condition.part, negated(wanted))
            case FactTest() if condition.answers == _AS_IT_IS:
                yield from self._blamed(self._pack.facts[condition.fact], wanted)
            case FactTest() if condition.answers == _AS_IT_IS[::-1]:
                yield from self._blamed(self._pack.facts[condition.fact], negated(wanted))
            case _:
                yield condition

    def _answer(self, condition: Condition) -> int:
        match condition:
            case All():
                return all_of(self._answer(part) for part in condition.parts)
            case AnyOf():
                return any_of(self._answer(part) for part in condition.parts)
            case Not():
                return negated(self._answer(condition.part))
            case FactTest():
                fact = self._answer(self._pack.facts[condition.fact])
                return dict(zip(_AS_IT_IS, condition.answers, strict=True)).get(fact, UNKNOWN)
            case PropertyTest() | DealsTest():
                return self._answers[condition]
        return state_answer(condition, self._known, self._now)

    def of_state(self, condition: Leaf) -> int:
        """Answer what is asked of the state before the decision."""
        return state_answer(condition, self._known, self._now)


def state_answer(condition: Leaf, known: Known, now: int) -> int:
    """Answer what is asked of the state before a decision."""
    if isinstance(condition, StateTest):
        if condition.kind == "entered":
            return NO
        return YES if (known.status if condition.kind == "status" else known.stage) in condition.names else NO
    duration = getattr(condition, "duration", 0)
    if known.since is None:
        return UNKNOWN
    return YES if now >= known.since + duration else NO
