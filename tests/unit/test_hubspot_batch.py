"""Batches, settled one by one: what goes wrong for one harms no other."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.hubspot.batch import Job, Settled, run_batch
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.meaning import Code, Meaning, meaning_of
from connector.hubspot.transport import Answer

INVALID = Meaning(kind="invalid", status=400, category="VALIDATION_ERROR")
IDS = [str(number) for number in range(1, 101)]
Send = Callable[[Sequence[str]], Answer]


def answer(body: object, status: int = 200) -> Answer:
    return Answer(status=status, body=body, meaning=meaning_of(status, {}, body))


def results(ids: Sequence[str], errors: Sequence[Mapping[str, object]] = ()) -> Answer:
    body = {"results": [{"id": each} for each in reversed(ids)], **({"errors": list(errors)} if errors else {})}
    return answer(body, 207 if errors else 200)


def run(
    ids: Sequence[str], send: Send, facets: Callable[[str], Mapping[str, str]] | None = None, size: int = 100
) -> Settled:
    return run_batch(ids, Job(send=send, name_of=lambda record: str(record["id"]), facets=facets), size=size)


class Portal:
    """Refuses a whole batch for the sake of its bad inputs, as HubSpot does."""

    def __init__(self, refuse: Callable[[Sequence[str]], Meaning | None]) -> None:
        self.refuse = refuse
        self.calls: list[Sequence[str]] = []

    def __call__(self, ids: Sequence[str]) -> Answer:
        self.calls.append(tuple(ids))
        meaning = self.refuse(ids)
        if meaning:
            raise HubSpotError(meaning=meaning)
        return results(ids)


def test_results_are_settled_by_name_whatever_their_order() -> None:
    assert run(["1", "2"], results) == Settled(found={"1": {"id": "1"}, "2": {"id": "2"}})


def test_ids_asked_for_twice_are_sent_once_and_a_hundred_and_one_are_two_calls() -> None:
    portal = Portal(lambda _ids: None)
    run([*IDS, "1", "101", "101"], portal)
    assert [len(call) for call in portal.calls] == [100, 1]


def test_a_partly_done_batch_settles_each_as_its_error_says() -> None:
    errors = [
        {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}},
        {"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["3"]}},
    ]
    settled = run(["1", "2", "3"], lambda _ids: results(["1"], errors))
    assert settled == Settled(
        found={"1": {"id": "1"}},
        gone={"2": Meaning(kind="gone", status=404, category="OBJECT_NOT_FOUND", ids=("2",))},
        failed={"3": Meaning(kind="invalid", status=400, category="VALIDATION_ERROR", traces=("3",))},
    )


def test_an_error_that_names_nobody_is_given_to_the_only_one_left() -> None:
    settled = run(["1", "2"], lambda _ids: results(["1"], [{"category": "INTERNAL_ERROR"}]))
    assert settled.failed == {"2": Meaning(kind="unavailable", status=500, category="INTERNAL_ERROR")}


def test_a_write_of_which_the_answer_says_nothing_stays_silent() -> None:
    errors = [{"category": "INTERNAL_ERROR"}]
    settled = run(["1", "2", "3"], lambda _ids: results(["1"], errors), facets=lambda _id: {})
    assert (settled.silent, settled.failed) == ({"2", "3"}, {})


def test_a_read_of_which_the_answer_says_nothing_failed_when_there_was_an_error() -> None:
    settled = run(["1", "2", "3"], lambda _ids: results(["1"], [{"category": "INTERNAL_ERROR"}]))
    assert (set(settled.failed), settled.silent) == ({"2", "3"}, set())


def test_named_culprits_are_left_out_and_the_others_sent_again() -> None:
    meaning = Meaning(kind="invalid", status=400, ids=("7", "9"))
    portal = Portal(lambda ids: meaning if "7" in ids else None)
    settled = run(IDS, portal)
    assert (len(portal.calls), set(settled.failed), len(settled.found)) == (2, {"7", "9"}, 98)


@given(st.sets(st.sampled_from(IDS), max_size=4), st.integers(1, 100))
def test_unnamed_culprits_are_found_by_halving_and_nobody_else_suffers(bad: set[str], count: int) -> None:
    ids = IDS[:count]
    portal = Portal(lambda asked: INVALID if bad.intersection(asked) else None)
    settled = run(ids, portal, facets=lambda _id: {})
    assert settled.failed == dict.fromkeys((each for each in ids if each in bad), INVALID)
    assert set(settled.found) == set(ids) - bad
    assert len(portal.calls) <= 1 + 2 * 8 * len(bad)


def test_one_culprit_in_a_hundred_costs_fifteen_calls_at_most() -> None:
    portal = Portal(lambda ids: INVALID if "63" in ids else None)
    run(IDS, portal, facets=lambda _id: {})
    assert len(portal.calls) <= 15


def test_a_property_that_does_not_exist_fails_its_bearers_at_once() -> None:
    meaning = Meaning(kind="invalid", status=400, codes=(Code(name="PROPERTY_DOESNT_EXIST", properties=("new",)),))
    changes = {each: {"new": each} if int(each) % 2 else {"old": each} for each in IDS}
    portal = Portal(lambda ids: meaning if any("new" in changes[each] for each in ids) else None)
    settled = run(IDS, portal, facets=changes.__getitem__)
    assert (len(portal.calls), len(settled.failed), len(settled.found)) == (2, 50, 50)


def test_a_property_that_does_not_exist_and_that_all_set_costs_one_call() -> None:
    meaning = Meaning(kind="invalid", status=400, codes=(Code(name="PROPERTY_DOESNT_EXIST", properties=("new",)),))
    portal = Portal(lambda _ids: meaning)
    settled = run(IDS, portal, facets=lambda each: {"new": each})
    assert (len(portal.calls), settled.failed) == (1, dict.fromkeys(IDS, meaning))


def test_a_value_that_was_refused_once_is_not_sent_again() -> None:
    meaning = Meaning(kind="invalid", status=400, codes=(Code(name="INVALID_OPTION", properties=("stage",)),))
    changes = {each: {"stage": "typo" if int(each) > 30 else "lead"} for each in IDS}
    portal = Portal(lambda ids: meaning if any(changes[each]["stage"] == "typo" for each in ids) else None)
    settled = run(IDS, portal, facets=changes.__getitem__)
    assert (set(settled.failed), len(settled.found)) == ({each for each in IDS if int(each) > 30}, 30)
    assert len(portal.calls) <= 15


def test_a_read_that_is_refused_whatever_it_asks_for_is_given_up_early() -> None:
    portal = Portal(lambda _ids: INVALID)
    settled = run(IDS, portal)
    assert settled.failed == dict.fromkeys(IDS, INVALID)
    assert len(portal.calls) < 40


def test_when_hubspot_fails_midway_what_was_settled_is_kept_and_the_rest_is_not_sent() -> None:
    trouble = Meaning(kind="unavailable", status=503, message="down")
    portal = Portal(lambda ids: trouble if "3" in ids else None)
    settled = run(["1", "2", "3", "4", "5", "6"], portal, size=2)
    unsent = Meaning(kind="unreachable", status=503, message="not sent: an earlier call failed: down")
    assert settled == Settled(
        found={"1": {"id": "1"}, "2": {"id": "2"}},
        failed={"3": trouble, "4": trouble, "5": unsent, "6": unsent},
    )
    assert portal.calls == [("1", "2"), ("3", "4")]


def test_trouble_of_the_whole_portal_is_raised_while_nothing_is_lost_by_it() -> None:
    meaning = Meaning(kind="unauthorised", status=401)
    trouble = PortalTrouble("no", meaning=meaning, cure="set a token")

    def send(ids: Sequence[str]) -> Answer:
        if "2" in ids:
            raise trouble
        return results(ids)

    with pytest.raises(PortalTrouble):
        run(["2", "1"], send, size=1)
    settled = run(["1", "2"], send, size=1)
    assert (set(settled.found), settled.failed) == ({"1"}, {"2": meaning})


def test_an_answer_for_a_wrong_path_never_means_that_records_are_gone() -> None:
    portal = Portal(lambda _ids: Meaning(kind="gone", status=404))
    settled = run(["1"], portal)
    assert (settled.gone, settled.failed["1"].kind) == ({}, "invalid")


@pytest.mark.parametrize("body", [None, [], "text", {}, {"results": None}, {"results": {"id": "1"}}])
def test_an_answer_without_results_says_nothing_of_any_record(body: object) -> None:
    settled = run(["1"], lambda _ids: answer(body))
    assert (settled.gone, settled.silent, settled.failed["1"].kind) == ({}, set(), "unclear")
