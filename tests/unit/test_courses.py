"""Answers over time: Kleene's logic with *unread*, and step functions that are exact to the millisecond."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.rulebook.courses import (
    NO,
    UNKNOWN,
    UNREAD,
    YES,
    Course,
    all_of,
    any_of,
    inverted,
    joined,
    negated,
    stepping,
)
from tests.rulebooks import proof

ANSWERS = (NO, UNREAD, UNKNOWN, YES)


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [
        (YES, YES, YES, YES), (YES, NO, NO, YES), (YES, UNKNOWN, UNKNOWN, YES),
        (NO, NO, NO, NO), (NO, UNKNOWN, NO, UNKNOWN), (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
        (UNREAD, YES, UNREAD, YES), (UNREAD, NO, NO, UNREAD), (UNREAD, UNKNOWN, UNREAD, UNREAD),
        (UNREAD, UNREAD, UNREAD, UNREAD),
    ],
)  # fmt: skip
def test_and_and_or_follow_kleene(left: int, right: int, both: int, either: int) -> None:
    assert (all_of([left, right]), all_of([right, left])) == (both, both)
    assert (any_of([left, right]), any_of([right, left])) == (either, either)


def test_nothing_joined_by_and_is_yes_and_by_or_is_no() -> None:
    assert (all_of([]), any_of([])) == (YES, NO)


def test_not_turns_yes_and_no_round_and_leaves_the_rest() -> None:
    assert [negated(answer) for answer in ANSWERS] == [YES, UNREAD, UNKNOWN, NO]


@pytest.mark.parametrize("answers", list(product(ANSWERS, repeat=3)))
def test_de_morgan_holds_for_three_answers(answers: tuple[int, ...]) -> None:
    assert negated(all_of(answers)) == any_of([negated(answer) for answer in answers])


@pytest.mark.parametrize("answers", list(product(ANSWERS, repeat=3)))
def test_what_is_read_later_never_contradicts_what_was_concluded_before(answers: tuple[int, ...]) -> None:
    """Whatever an unread answer turns out to be, a joined answer that was not unread stays what it was."""
    for join in (all_of, any_of):
        told = join(answers)
        readings = product(*[(NO, UNKNOWN, YES) if answer == UNREAD else (answer,) for answer in answers])
        possible = {join(reading) for reading in readings}
        assert told in possible | {UNREAD}
        assert told == UNREAD or possible == {told}


_MOMENTS = st.integers(-50, 50)
_STEPS = st.lists(st.tuples(_MOMENTS, st.sampled_from(ANSWERS)), max_size=6).map(
    lambda steps: sorted(steps, key=lambda s: s[0])
)
_COURSES = st.builds(lambda first, steps: stepping(first, *steps), st.sampled_from(ANSWERS), _STEPS)


def _naive(first: int, steps: list[tuple[int, int]], now: int) -> int:
    answer = first
    for moment, following in steps:
        if now >= moment:
            answer = following
    return answer


@given(st.sampled_from(ANSWERS), _STEPS)
@proof(400)
def test_a_course_agrees_with_plain_evaluation_at_every_moment(first: int, steps: list[tuple[int, int]]) -> None:
    course = stepping(first, *steps)
    assert [course.at(now) for now in range(-52, 53)] == [_naive(first, steps, now) for now in range(-52, 53)]


@given(_COURSES)
@proof(400)
def test_a_course_changes_at_its_next_change_and_not_a_millisecond_earlier(course: Course) -> None:
    for now in range(-52, 53):
        change = course.next_change(now)
        until = 53 if change is None else change
        assert change is None or (change > now and course.at(change) != course.at(change - 1))
        assert {course.at(moment) for moment in range(now, until)} == {course.at(now)}


@given(st.lists(_COURSES, max_size=4))
@proof(400)
def test_joined_and_inverted_courses_agree_with_joining_the_answers_of_each_moment(courses: list[Course]) -> None:
    for join in (all_of, any_of):
        whole = joined(join, courses)
        for now in range(-52, 53):
            assert whole.at(now) == join([course.at(now) for course in courses])
            assert inverted(whole).at(now) == negated(whole.at(now))


def test_a_course_that_never_changes_has_no_next_change() -> None:
    assert stepping(YES).next_change(0) is None
    assert stepping(YES, (5, YES)).changes == ()
