"""Whether and when a failed call goes out again."""

import pytest

from connector.hubspot.meaning import Meaning
from connector.hubspot.retries import is_worth_another_try, wait_s


@pytest.mark.parametrize(
    ("meaning", "read", "create"),
    [
        (Meaning(kind="unreachable"), True, True),
        (Meaning(kind="locked", status=423), True, True),
        (Meaning(kind="limited", status=429, policy="ten_secondly"), True, True),
        (Meaning(kind="limited", status=429, policy="secondly"), True, True),
        (Meaning(kind="limited", status=429, policy="daily"), False, False),
        (Meaning(kind="unavailable", status=503), True, False),
        (Meaning(kind="unavailable", status=525), False, False),
        (Meaning(kind="unclear"), True, False),
        (Meaning(kind="migrating", status=477), False, False),
        (Meaning(kind="invalid", status=400), False, False),
        (Meaning(kind="gone", status=404), False, False),
        (Meaning(kind="conflict", status=409), False, False),
        (Meaning(kind="forbidden", status=403), False, False),
    ],
)
def test_a_create_goes_out_again_only_when_it_provably_did_not_happen(
    meaning: Meaning, read: bool, create: bool
) -> None:
    assert is_worth_another_try(meaning, repeatable=True) == read
    assert is_worth_another_try(meaning, repeatable=False) == create


@pytest.mark.parametrize(
    ("meaning", "waits"),
    [
        (Meaning(kind="limited", policy="secondly"), [1, 2, 3]),
        (Meaning(kind="limited", policy="ten_secondly"), [10, 20, 30]),
        (Meaning(kind="limited", policy="secondly", retry_after_ms=2_500), [2.5, 2.5, 3]),
        (Meaning(kind="locked", retry_after_ms=2_000), [2, 4, 6]),
        (Meaning(kind="unavailable"), [0.3, 0.6, 1.2]),
        (Meaning(kind="unreachable"), [0.5, 1, 2]),
    ],
)
def test_waits_grow_from_try_to_try_and_heed_hubspot(meaning: Meaning, waits: list[float]) -> None:
    assert [wait_s(meaning, attempt) for attempt in (1, 2, 3)] == waits
