"""The pure counts of who buys and of which rules decide."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.reports.tally import Past, Rate, Rates, RuleCount, RuleEntry, count_rates, count_rules, share_of


def a_past(contact: str, *stages: str, buys: bool = False) -> Past:
    return Past(contact=contact, stages=frozenset(stages), buys=buys)


def rates(lead: tuple[int, int], prospect: tuple[int, int]) -> Rates:
    return Rates(
        lead=Rate(stage="lead", ever=lead[0], buy_now=lead[1]),
        prospect=Rate(stage="prospect", ever=prospect[0], buy_now=prospect[1]),
    )


def test_whoever_ever_was_a_lead_or_a_prospect_is_counted_with_those_who_buy() -> None:
    pasts = [
        a_past("1", "lead"), a_past("2", "lead", "prospect", buys=True), a_past("3", "prospect"),
        a_past("4", buys=True), a_past("5", "opportunity", buys=True), a_past("6", "lead", buys=True),
    ]  # fmt: skip
    counted = count_rates(pasts, {})
    assert counted == rates((3, 2), (2, 1))
    assert (counted.lead.share, counted.closing_rate) == (0.6667, 0.5)


def test_a_rate_of_nobody_is_none() -> None:
    counted = count_rates([], {})
    assert counted == rates((0, 0), (0, 0))
    assert counted.closing_rate is None


@pytest.mark.parametrize(
    ("pasts", "merged", "expected"),
    [
        pytest.param(
            [a_past("1", "prospect"), a_past("2", "prospect"), a_past("3", "prospect", buys=True)],
            {"1": "3", "2": "3"}, rates((0, 0), (1, 1)), id="three are one",
        ),
        pytest.param(
            [a_past("1", "prospect"), a_past("3", buys=True)],
            {"1": "3"}, rates((0, 0), (1, 1)), id="the past is handed to the survivor",
        ),
        pytest.param(
            [a_past("1", "lead", buys=True), a_past("3", "lead")],
            {"1": "3"}, rates((1, 0), (0, 0)), id="the present is the survivor's",
        ),
        pytest.param(
            [a_past("1", "lead", buys=True)],
            {"1": "3"}, rates((1, 1), (0, 0)), id="nothing is recorded of the survivor yet",
        ),
        pytest.param(
            [a_past("1", "lead"), a_past("2", "prospect"), a_past("3", buys=True)],
            {"1": "2", "2": "3"}, rates((1, 1), (1, 1)), id="a chain",
        ),
        pytest.param(
            [a_past("1", "lead"), a_past("2", "lead")],
            {"1": "2", "2": "1"}, rates((1, 0), (0, 0)), id="a ring",
        ),
    ],
)  # fmt: skip
def test_contacts_that_were_merged_count_as_one_person(
    pasts: list[Past], merged: dict[str, str], expected: Rates
) -> None:
    assert count_rates(pasts, merged) == expected
    assert count_rates(reversed(pasts), merged) == expected


IDS = st.integers(1, 9).map(str)
PASTS = st.lists(
    st.builds(lambda contact, stages, buys: a_past(contact, *stages, buys=buys),
              IDS, st.sets(st.sampled_from(["lead", "prospect", "contact"])), st.booleans()),
    unique_by=lambda past: past.contact,
)  # fmt: skip


@given(PASTS, st.dictionaries(IDS, IDS), st.randoms(use_true_random=False))
def test_the_order_of_pasts_does_not_matter_and_nobody_is_counted_twice(
    pasts: list[Past], merged: dict[str, str], random: Random
) -> None:
    counted = count_rates(pasts, merged)
    random.shuffle(pasts)
    assert count_rates(pasts, merged) == counted
    for rate in (counted.lead, counted.prospect):
        assert 0 <= rate.buy_now <= rate.ever <= sum(rate.stage in past.stages for past in pasts)


def test_rules_stand_in_the_order_of_the_pack_with_those_that_never_won() -> None:
    rules = [
        RuleEntry(id="not-now", stage="lead", because="Not now."),
        RuleEntry(id="engaged", stage="prospect", because="."),
        RuleEntry(id="stranger", stage=None, because="?"),
    ]  # fmt: skip
    assert count_rules(rules, {"engaged": 1, "not-now": 2, "old-rule": 4, "": 1, "never": 0}) == (
        RuleCount(rule="not-now", stage="lead", contacts=2, share=0.25, because="Not now."),
        RuleCount(rule="engaged", stage="prospect", contacts=1, share=0.125, because="."),
        RuleCount(rule="stranger", stage=None, contacts=0, share=0.0, because="?"),
        RuleCount(rule="", contacts=1, share=0.125, in_pack=False),
        RuleCount(rule="old-rule", contacts=4, share=0.5, in_pack=False),
    )


def test_rules_of_a_portal_without_contacts_have_no_share() -> None:
    rules = [RuleEntry(id="a", stage="lead", because="")]
    assert count_rules(rules, {}) == (RuleCount(rule="a", stage="lead", contacts=0, share=None),)


@given(st.lists(IDS, unique=True), st.dictionaries(IDS, st.integers(0, 1_000)))
def test_the_counts_of_rules_add_up_to_all_contacts(ids: list[str], counts: dict[str, int]) -> None:
    rules = [RuleEntry(id=each, stage=None, because="") for each in ids]
    counted = count_rules(rules, counts)
    assert sum(each.contacts for each in counted) == sum(counts.values())
    assert [each.rule for each in counted][: len(ids)] == ids


@pytest.mark.parametrize(("part", "whole", "share"), [(1, 3, 0.3333), (0, 5, 0.0), (5, 5, 1.0), (0, 0, None)])
def test_a_share_has_four_places(part: int, whole: int, share: float | None) -> None:
    assert share_of(part, whole) == share
