"""What was written of late is counted by value, and what is left to a rival is taken out of plans."""

from connector.moments import DAY, HOUR, write_moment
from connector.plan import Change, Plan
from connector.rivals.bouts import (
    PAUSE,
    Bout,
    Bouts,
    after_writing,
    bouts_as_data,
    bouts_from_data,
    digest_of,
    hold_back,
    repeated,
    with_hold,
)

NOW = 1_790_000_000_000
RIVAL = "workflow 7 (AUTOMATION_PLATFORM)"


def plan_of(held_until: int | None = None, *, is_backward: bool = False, **values: str) -> Plan:
    properties = {name: Change("", value) for name, value in values.items()}
    return Plan(
        contact="1", properties=properties, effects=(), held=None, is_backward=is_backward, held_until=held_until
    )


def wrote(*moments: int, name: str = "sk_drip", value: str = "true") -> Bouts:
    bouts: Bouts = ()
    for moment in moments:
        bouts = after_writing(bouts, {name: value}, held=None, now=moment)
    return bouts


def test_writes_of_one_value_within_a_day_are_counted() -> None:
    bouts = wrote(NOW - DAY, NOW - 2 * HOUR, NOW - HOUR)
    assert repeated(plan_of(sk_drip="true"), bouts, NOW) == {"sk_drip": 2}
    assert repeated(plan_of(sk_drip="false", sk_next_step="true"), bouts, NOW) == {}


def test_space_around_a_value_makes_no_other_value() -> None:
    assert repeated(plan_of(sk_drip=" true "), wrote(NOW), NOW) == {"sk_drip": 1}


def test_the_moment_of_a_decision_is_not_counted() -> None:
    assert after_writing((), {"sk_decided_at": "2026-01-01"}, held=None, now=NOW) == ()


def test_a_stage_that_hubspot_did_not_take_was_not_written() -> None:
    after = after_writing((), {"lifecyclestage": "lead", "sk_drip": "true"}, held="HubSpot kept it", now=NOW)
    assert after == (Bout(property="sk_drip", value=digest_of("true"), written=(NOW,)),)


def test_no_more_writes_are_remembered_than_are_asked_for() -> None:
    (bout,) = wrote(*range(NOW, NOW + 100))
    assert bout.written == tuple(range(NOW + 80, NOW + 100))


def test_a_value_is_left_alone_with_the_reason_until_its_time_is_over() -> None:
    bouts = with_hold(wrote(NOW), "sk_drip", "true", rival=RIVAL, now=NOW)
    plan = plan_of(sk_drip="true", sk_next_step="Call")
    until = NOW + PAUSE
    why = f"{RIVAL} sets sk_drip back each time it is written; it is left alone until {write_moment(until)}"
    held = hold_back(plan, bouts, NOW + 1)
    assert (held.writes, held.withheld, held.held, held.held_until) == (
        {"sk_next_step": "Call"}, {"sk_drip": why}, None, until,
    )  # fmt: skip
    assert hold_back(plan, bouts, until) == plan


def test_another_value_of_the_property_is_not_left_alone() -> None:
    plan = plan_of(sk_drip="false")
    assert hold_back(plan, with_hold((), "sk_drip", "true", rival=RIVAL, now=NOW), NOW) == plan


def test_a_stage_that_is_left_alone_is_held_and_not_cleared() -> None:
    bouts = with_hold((), "lifecyclestage", "lead", rival=RIVAL, now=NOW)
    plan = plan_of(NOW + HOUR, is_backward=True, lifecyclestage="lead", sk_decided_at="2026-01-01")
    held = hold_back(plan, bouts, NOW)
    assert (held.writes, held.is_backward, held.held, held.held_until) == (
        {}, False, held.withheld["lifecyclestage"], NOW + HOUR,
    )  # fmt: skip


def test_bouts_are_the_same_after_they_were_stored_but_for_what_is_over() -> None:
    kept = with_hold(wrote(NOW - HOUR), "lifecyclestage", "lead", rival=RIVAL, now=NOW - HOUR)
    over = wrote(NOW - 2 * DAY, name="sk_next_step", value="Call")
    assert bouts_from_data(bouts_as_data((*kept, *over), NOW)) == kept
    assert bouts_as_data(over, NOW) is None
    assert bouts_from_data(None) == ()
