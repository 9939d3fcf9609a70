"""The pure sums of the sales forecast: hostile values, order, and totals that equal their parts."""

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.reports.forecast import (
    STEPS,
    DealStage,
    Forecast,
    Line,
    OpenDeal,
    Prospect,
    Sum,
    place,
    read_amount,
    read_deal,
    read_probability,
    read_stages,
    read_step,
    sum_up,
)

STAGES = {
    ("default", "appointmentscheduled"): DealStage(is_closed=False, probability=Decimal("0.2")),
    ("default", "closedwon"): DealStage(is_closed=True, probability=Decimal("1.0")),
}
OPEN = {"pipeline": "default", "dealstage": "appointmentscheduled", "amount": "100"}


def a_deal(id_: str, amount: str | None = "100", probability: str | None = "0.5", currency: str = "EUR") -> OpenDeal:
    return OpenDeal(
        id=id_, currency=currency, amount=read_amount(amount), probability=read_probability(probability)
    )


def a_sum(**values: object) -> Sum:
    money = {name: Decimal(str(value)) for name, value in values.items() if name in ("amount", "weighted")}
    return Sum(**{"currency": "EUR", **values, **money})  # type: ignore[arg-type]


def line_of(forecast: Forecast, step: str | None) -> Line:
    return next(line for line in forecast.lines if line.step == step)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("100", "100.00"), ("99.5", "99.50"), (" 12 ", "12.00"), ("1.0E7", "10000000.00"), ("-5", "-5.00"),
        ("0.30000000000000004", "0.30"), (".5", "0.50"), ("0", "0.00"), ("-0", "0.00"), ("2.005", "2.00"),
        ("2.015", "2.02"), (12, "12.00"), ("999999999999999999", "999999999999999999.00"),
    ],
)  # fmt: skip
def test_an_amount_is_read_in_hundredths_whatever_its_spelling(text: object, amount: str) -> None:
    read = read_amount(text)
    assert str(read) == amount


@pytest.mark.parametrize(
    "text",
    [
        None, "", " ", "abc", "NaN", "sNaN", "Infinity", "-Infinity", "1_000", "1,000", "1.234,56", "€ 5", "١٢", "1e99",
        "1e999999999", "1" * 5_000, "9" * 19, "0x10", "--5", "1.2.3", True, [], {}, "12\n3",
    ],
)  # fmt: skip
def test_an_amount_that_nobody_can_read_is_none(text: object) -> None:
    assert read_amount(text) is None


@pytest.mark.parametrize("text", [None, "", "1.01", "-0.1", "20%", "NaN", "Infinity", "80", "often", False])
def test_a_probability_outside_of_0_to_1_is_none(text: object) -> None:
    assert read_probability(text) is None


@pytest.mark.parametrize("text", ["0", "1", "1.0", "0.2", "0.20000000298023224", "1e-99"])
def test_a_probability_is_read_exactly(text: str) -> None:
    assert read_probability(text) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "step"),
    [
        (None, None), ("", None), ("  ", None), ("close", "close"), (" Proposal ", "proposal"), ("Trial", "Trial"),
        (5, "5"),
    ],
)  # fmt: skip
def test_a_step_is_read_and_an_unknown_one_keeps_its_name(value: object, step: str | None) -> None:
    assert read_step(value) == step


def test_the_pipelines_say_which_stages_are_closed_and_how_probable_the_others_are() -> None:
    pipelines = [
        {"id": "default", "stages": [
            {"id": "a", "metadata": {"isClosed": "false", "probability": "0.2"}},
            {"id": "won", "metadata": {"isClosed": "true", "probability": "1.0"}},
            {"id": "lost", "metadata": {"isClosed": "TRUE", "probability": "0.0"}},
        ]},
        {"id": 77, "stages": [
            {"id": 1, "metadata": {"probability": "1.0"}}, {"id": 2, "metadata": {"probability": "broken"}},
            {"id": 3, "metadata": {"isClosed": False, "probability": "0.0"}}, {"id": 4}, {"id": 5, "metadata": "none"},
            "no stage", None,
        ]},
        {"id": "empty"}, {"id": "broken", "stages": {"id": 1}},
    ]  # fmt: skip
    zero, one = Decimal("0.0"), Decimal("1.0")
    assert read_stages(pipelines) == {
        ("default", "a"): DealStage(is_closed=False, probability=Decimal("0.2")),
        ("default", "won"): DealStage(is_closed=True, probability=one),
        ("default", "lost"): DealStage(is_closed=True, probability=zero),
        ("77", "1"): DealStage(is_closed=True, probability=one),
        ("77", "2"): DealStage(is_closed=False, probability=None),
        ("77", "3"): DealStage(is_closed=False, probability=zero),
        ("77", "4"): DealStage(is_closed=False, probability=None),
        ("77", "5"): DealStage(is_closed=False, probability=None),
    }


@pytest.mark.parametrize(
    "properties",
    [
        {**OPEN, "dealstage": "closedwon"},
        {**OPEN, "hs_is_closed": "true"},
        {**OPEN, "hs_is_closed_won": "true"},
        {**OPEN, "hs_is_closed_lost": " True "},
        {"pipeline": "gone", "dealstage": "closedlost"},
        {"dealstage": "closedwon"},
    ],
)
def test_a_deal_that_is_won_or_lost_never_counts(properties: dict[str, str]) -> None:
    assert read_deal("1", properties, STAGES, "EUR") is None


@pytest.mark.parametrize(
    ("properties", "deal"),
    [
        (OPEN, a_deal("1", "100", "0.2")),
        ({**OPEN, "hs_deal_stage_probability": "0.9"}, a_deal("1", "100", "0.9")),
        ({**OPEN, "hs_deal_stage_probability": "very"}, a_deal("1", "100", "0.2")),
        ({**OPEN, "hs_deal_stage_probability": "0"}, a_deal("1", "100", "0")),
        ({**OPEN, "hs_is_closed": "false", "amount": ""}, a_deal("1", None, "0.2")),
        ({**OPEN, "deal_currency_code": " usd "}, a_deal("1", "100", "0.2", "USD")),
        ({**OPEN, "pipeline": "another"}, a_deal("1", "100", None)),
        ({}, a_deal("1", None, None)),
        (dict.fromkeys(OPEN), a_deal("1", None, None)),
    ],
)
def test_an_open_deal_is_read_with_its_own_probability_or_else_its_stages(
    properties: dict[str, str], deal: OpenDeal
) -> None:
    assert read_deal("1", properties, STAGES, "EUR") == deal


def test_deals_are_summed_by_step_in_the_order_of_the_sales_process() -> None:
    prospects = [
        Prospect(step=None, deals=("5",)), Prospect(step="close"), Prospect(step="proposal", deals=("1", "2")),
        Prospect(step="Trial", deals=("4",)), Prospect(step="proposal", deals=("3",)),
    ]  # fmt: skip
    deals = [
        a_deal("1", "100", "0.5"), a_deal("2", None, "0.5"), a_deal("3", "10.01", None), a_deal("4", "7", "1"),
        a_deal("5", "1", "0.333"), a_deal("9", "1000000", "1"),
    ]  # fmt: skip

    forecast = sum_up(place(prospects), deals)

    proposal = a_sum(deals=3, amount="110.01", weighted="50.00", without_amount=1, without_probability=1)
    assert forecast == Forecast(
        lines=(
            Line(step="discovery_meeting", prospects=0),
            Line(step="proposal", prospects=2, sums=(proposal,)),
            Line(step="presentation", prospects=0),
            Line(step="final_review", prospects=0),
            Line(step="close", prospects=1),
            Line(step="Trial", prospects=1, sums=(a_sum(deals=1, amount="7.00", weighted="7.00"),)),
            Line(step=None, prospects=1, sums=(a_sum(deals=1, amount="1.00", weighted="0.33"),)),
        ),
        total=Line(
            step=None, prospects=5,
            sums=(a_sum(deals=5, amount="118.01", weighted="57.33", without_amount=1, without_probability=1),),
        ),
    )  # fmt: skip
    assert line_of(forecast, "proposal").deals == 3


def test_currencies_are_summed_apart_and_never_together() -> None:
    prospects = [Prospect(step="close", deals=("1", "2", "3")), Prospect(step=None, deals=("4",))]
    deals = [a_deal("1", "5"), a_deal("2", "7", currency="USD"), a_deal("3", "1", currency=""), a_deal("4", "1")]

    forecast = sum_up(place(prospects), deals)

    assert [(each.currency, each.amount) for each in line_of(forecast, "close").sums] == [
        ("", Decimal("1.00")), ("EUR", Decimal("5.00")), ("USD", Decimal("7.00")),
    ]  # fmt: skip
    assert [(each.currency, each.amount) for each in forecast.total.sums] == [
        ("", Decimal("1.00")), ("EUR", Decimal("6.00")), ("USD", Decimal("7.00")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "counts_at"),
    [
        ("proposal", "final_review", "final_review"), (None, "discovery_meeting", "discovery_meeting"),
        ("Trial", None, "Trial"), ("Trial", "discovery_meeting", "discovery_meeting"), ("close", "close", "close"),
        ("A", "B", "B"), (None, None, None),
    ],
)  # fmt: skip
def test_a_deal_of_two_prospects_counts_once_with_the_one_who_is_further_on(
    one: str | None, other: str | None, counts_at: str | None
) -> None:
    for pair in ((one, other), (other, one)):
        forecast = sum_up(place(Prospect(step=step, deals=("1",)) for step in pair), [a_deal("1")])
        assert line_of(forecast, counts_at).deals == 1
        assert (forecast.total.prospects, forecast.total.deals) == (2, 1)


def test_a_forecast_of_nobody_has_every_step_and_no_sums() -> None:
    forecast = sum_up(place([]), [])
    assert [line.step for line in forecast.lines] == [*STEPS, None]
    assert forecast.total == Line(step=None, prospects=0)


STEP = st.sampled_from([*STEPS, None, "Trial", "Another"])
TEXTS = st.one_of(
    st.none(), st.text(max_size=8), st.decimals(allow_nan=True).map(str), st.integers(-(10**18), 10**18).map(str),
    st.floats(0, 1).map(str), st.sampled_from(["NaN", "1e17", "-0.005", "0.005", "99999999999999999.99"]),
)  # fmt: skip
DEALS = st.lists(
    st.builds(a_deal, st.integers(1, 12).map(str), TEXTS, TEXTS, st.sampled_from(["", "EUR", "USD"])),
    unique_by=lambda deal: deal.id,
)
PROSPECTS = st.lists(
    st.builds(lambda step, deals: Prospect(step=step, deals=tuple(map(str, deals))),
              STEP, st.lists(st.integers(1, 12), max_size=5)),
)  # fmt: skip


@given(PROSPECTS, DEALS)
def test_totals_equal_the_sum_of_their_parts(prospects: list[Prospect], deals: list[OpenDeal]) -> None:
    forecast = sum_up(place(prospects), deals)

    having = {deal for prospect in prospects for deal in prospect.deals}
    counted = [deal for deal in deals if deal.id in having]
    for currency in {deal.currency for deal in counted}:
        whole = next(each for each in forecast.total.sums if each.currency == currency)
        parts = [each for line in forecast.lines for each in line.sums if each.currency == currency]
        mine = [deal for deal in counted if deal.currency == currency]
        for name in ("amount", "weighted"):
            assert Fraction(getattr(whole, name)) == sum(Fraction(getattr(part, name)) for part in parts)
        for name in ("deals", "without_amount", "without_probability"):
            assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
        assert Fraction(whole.amount) == sum(Fraction(deal.amount or 0) for deal in mine)
        exact = sum(Fraction(deal.amount or 0) * Fraction(deal.probability or 0) for deal in mine)
        assert abs(Fraction(whole.weighted) - exact) <= Fraction(1, 200) * len(mine)
    assert sum(each.deals for each in forecast.total.sums) == len(counted)
    assert forecast.total.prospects == sum(line.prospects for line in forecast.lines) == len(prospects)


@given(PROSPECTS, DEALS, st.randoms(use_true_random=False))
def test_the_order_of_what_is_read_does_not_matter(
    prospects: list[Prospect], deals: list[OpenDeal], random: Random
) -> None:
    before = sum_up(place(prospects), deals)
    random.shuffle(prospects)
    random.shuffle(deals)
    turned = [Prospect(step=each.step, deals=each.deals[::-1]) for each in prospects]
    assert sum_up(place(turned), deals) == before


@given(st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.lists(st.text())))
def test_whatever_hubspot_says_is_read_without_an_error(value: object) -> None:
    names = ("amount", "deal_currency_code", "dealstage", "pipeline", "hs_deal_stage_probability", "hs_is_closed")
    read_deal("1", dict.fromkeys(names, value), STAGES, "EUR")
    read_step(value)
    read_stages([{"id": value, "stages": value}, {"id": 1, "stages": [{"id": value, "metadata": value}, value]}])  # type: ignore[list-item]
