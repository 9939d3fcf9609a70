"""What of HubSpot's markers is taken for an effect that may have been done before."""

import pytest

from connector.plan import Effect
from connector.rewound import adopted

KEY = "4242:7:greet:2000"


@pytest.mark.parametrize(
    ("marker", "is_taken"),
    [
        ("4242:7:greet:1001", True),
        ("4242:5:greet:1001", True),  # merged into it
        ("4242:7:greet:1000", False),  # remembered
        ("4242:6:greet:1001", False),
        ("4242:7:call:1001", False),
        ("99:7:greet:1001", False),
        ("4242:7:greet:1001:unsubscribe", False),
        ("4242:7:greet:soon", False),
        ("4242:7:greet:\u0663", False),
        ("7:greet", False),
        ("", False),
    ],
)
def test_what_was_done_since_by_the_same_rule_for_the_same_person_is_taken(marker: str, is_taken: bool) -> None:
    greet = Effect(key=KEY, kind="task", rule="greet", body={"sought_since": 1000})
    assert adopted([greet], {marker: "81"}, ids={"7", "5"}) == ({KEY: "81"} if is_taken else {})


def test_each_is_taken_once_and_only_for_what_is_sought() -> None:
    new = Effect(key="4242:7:greet:2000", kind="task", rule="greet")
    first, second = (
        Effect(key=f"4242:7:greet:{moment}", kind="task", rule="greet", body={"sought_since": 0})
        for moment in (2001, 2002)
    )
    assert adopted([new, first, second], {"4242:7:greet:900": "81"}, ids={"7"}) == {first.key: "81"}
