"""Three-valued answers, and how an answer runs over time.

A condition on a value is a step function of the present: "no reply for 14 days" is *no* until the reply's date plus
14 days and *yes* from then on. So time is an input, and the next instant at which an answer changes is known.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

NO, UNREAD, UNKNOWN, YES = range(4)
"""Kleene's three values, and *unread*: HubSpot was not asked for this (yet), so nothing may be concluded from it."""

WORDS = ("no", "unknown", "unknown", "yes")

_NEGATED = (YES, UNREAD, UNKNOWN, NO)


def all_of(answers: Iterable[int]) -> int:
    """Join by *and*: no beats all; unread beats unknown, as reading could still make it a no."""
    return min(answers, default=YES)


def any_of(answers: Iterable[int]) -> int:
    """Join by *or*: yes beats all; unread beats unknown, as reading could still make it a yes."""
    found = set(answers)
    if YES in found:
        return YES
    return UNREAD if UNREAD in found else max(found, default=NO)


def negated(answer: int) -> int:
    """Turn yes into no and no into yes; what is not known stays so."""
    return _NEGATED[answer]


@dataclass(frozen=True, slots=True)
class Course:
    """An answer over time: `answers[0]` before `changes[0]`, `answers[i]` from `changes[i - 1]` on."""

    answers: tuple[int, ...]
    changes: tuple[int, ...] = ()

    def at(self, now: int) -> int:
        """Give the answer at this moment."""
        return self.answers[bisect_right(self.changes, now)] if self.changes else self.answers[0]

    def next_change(self, now: int) -> int | None:
        """Give the next moment after now at which the answer becomes another by itself."""
        place = bisect_right(self.changes, now)
        return self.changes[place] if place < len(self.changes) else None


ALWAYS = tuple(Course((answer,)) for answer in (NO, UNREAD, UNKNOWN, YES))
"""The courses that never change, by their answer."""


def stepping(first: int, *steps: tuple[int, int]) -> Course:
    """Make a course from its first answer and (moment, answer) steps; steps that change nothing are left out."""
    answers, changes = [first], []
    for (moment, answer), following in pairwise((*steps, None)):  # type: ignore[misc]
        if following is not None and following[0] <= moment:
            continue  # a step that the next one overtakes at once
        if answer != answers[-1]:
            answers.append(answer)
            changes.append(moment)
    return Course(tuple(answers), tuple(changes))


def joined(join: Callable[[Iterable[int]], int], courses: Sequence[Course]) -> Course:
    """Join several courses into one by `all_of` or `any_of`."""
    first = join([course.answers[0] for course in courses])
    moments = sorted({change for course in courses for change in course.changes})
    return stepping(first, *((moment, join([course.at(moment) for course in courses])) for moment in moments))


def inverted(course: Course) -> Course:
    """Negate a course at every moment."""
    return Course(tuple(_NEGATED[answer] for answer in course.answers), course.changes)
