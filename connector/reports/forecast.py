"""The sales forecast: the open deals of prospects, summed by the step of the sale that was accepted last.

Pure: what was read goes in, sums come out, whatever the order. Money is decimal, in hundredths of its currency from the
moment it is read, so that the lines add up to the total to the cent; the price is half a cent for each deal.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

from connector.rulebook.sections import SALES_STEPS

STEPS = SALES_STEPS
"""The steps of the sales process, in their order."""

DEAL_PROPERTIES = (
    "amount", "deal_currency_code", "dealstage", "pipeline", "hs_deal_stage_probability", "hs_is_closed",
    "hs_is_closed_won", "hs_is_closed_lost",
)  # fmt: skip

_CLOSED = ("hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost")
_CLOSED_STAGES = frozenset({"closedwon", "closedlost"})
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_CENT = Decimal("0.01")
_LARGEST = Decimal(10) ** 18  # more than any deal; what is larger was never an amount
_EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """A prospect: the accepted step, None when there is none, and the ids of all deals."""

    step: str | None
    deals: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DealStage:
    """What a stage of a deal pipeline says about its deals."""

    is_closed: bool
    probability: Decimal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenDeal:
    """A deal that is neither won nor lost; `currency` "": the portal's own, whichever that is."""

    id: str
    currency: str
    amount: Decimal | None
    probability: Decimal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """Open deals of one currency, summed; those without an amount or a probability add nothing and are counted."""

    currency: str
    deals: int = 0
    amount: Decimal = Decimal("0.00")
    weighted: Decimal = Decimal("0.00")
    without_amount: int = 0
    without_probability: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The prospects at one step and their open deals, one sum for each currency."""

    step: str | None
    prospects: int
    sums: tuple[Sum, ...] = ()

    @property
    def deals(self) -> int:
        """Count the open deals, whatever their currency."""
        return sum(each.deals for each in self.sums)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """All steps in the order of the sales process, those without a step last, and the total."""

    lines: tuple[Line, ...]
    total: Line


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """How many prospects are at each step, and at which step each of their deals counts."""

    prospects: Mapping[str | None, int]
    deals: Mapping[str, str | None]


def place(prospects: Iterable[Prospect]) -> Places:
    """Give every deal its step; one of several prospects counts once, with the prospect who is furthest on."""
    numbers: Counter[str | None] = Counter()
    places: dict[str, str | None] = {}
    for prospect in prospects:
        numbers[prospect.step] += 1
        for deal in prospect.deals:
            places[deal] = max(prospect.step, places.get(deal, prospect.step), key=_progress)
    return Places(prospects=numbers, deals=places)


def sum_up(places: Places, deals: Iterable[OpenDeal]) -> Forecast:
    """Sum the open deals by step and currency; a deal that no prospect has is left out."""
    sums: dict[str | None, dict[str, Sum]] = {}
    for deal in deals:
        if deal.id in places.deals:
            by_currency = sums.setdefault(places.deals[deal.id], {})
            by_currency[deal.currency] = _add(by_currency.get(deal.currency), _sum_of(deal))
    shown = sorted({*STEPS, None, *places.prospects}, key=_order)
    lines = tuple(
        Line(step=step, prospects=places.prospects.get(step, 0), sums=_in_order(sums.get(step, {}))) for step in shown
    )
    return Forecast(lines=lines, total=_total(lines))


def read_step(value: object) -> str | None:
    """Read an accepted step; a step that the sales process does not have keeps its name."""
    text = "" if value is None else str(value).strip()
    return (text.lower() if text.lower() in STEPS else text) or None


def read_stages(pipelines: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], DealStage]:
    """Read what the pipelines say of their stages, by the ids of pipeline and stage.

    https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
    """
    return {
        (str(pipeline.get("id")), str(stage.get("id"))): _stage(_mapping(stage.get("metadata")))
        for pipeline in pipelines
        for stage in _mappings(pipeline.get("stages"))
    }


def read_deal(
    deal: str, properties: Mapping[str, Any], stages: Mapping[tuple[str, str], DealStage], home: str
) -> OpenDeal | None:
    """Read a deal as HubSpot holds it; None when it is won or lost. `home` is the currency of one that names none."""
    name = str(properties.get("dealstage"))
    stage = stages.get((str(properties.get("pipeline")), name))
    is_closed = stage.is_closed if stage else name in _CLOSED_STAGES
    if is_closed or any(_is_true(properties.get(each)) for each in _CLOSED):
        return None
    own = read_probability(properties.get("hs_deal_stage_probability"))
    of_stage = stage.probability if stage else None
    return OpenDeal(
        id=deal,
        currency=str(properties.get("deal_currency_code") or "").strip().upper() or home,
        amount=read_amount(properties.get("amount")),
        probability=of_stage if own is None else own,
    )


def read_amount(value: object) -> Decimal | None:
    """Read an amount, in hundredths; None when there is none or nobody can read it."""
    number = _number(value)
    if number is None or abs(number) >= _LARGEST:
        return None
    return number.quantize(_CENT, context=_EXACT) + 0  # adding nothing turns -0.00 into 0.00


def read_probability(value: object) -> Decimal | None:
    """Read a probability, from 0 to 1; None when there is none or nobody can read it."""
    number = _number(value)
    return number if number is not None and 0 <= number <= 1 else None


def _number(value: object) -> Decimal | None:
    """Read a plain number; `Decimal` by itself would also take NaN, Infinity, 1_000 and digits of other scripts."""
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _stage(metadata: Mapping[str, Any]) -> DealStage:
    """Read a stage; where the metadata does not say whether it is closed, certainty says so: won is 1.0, lost 0.0."""
    probability = read_probability(metadata.get("probability"))
    said = metadata.get("isClosed")
    return DealStage(is_closed=probability in (0, 1) if said is None else _is_true(said), probability=probability)


def _sum_of(deal: OpenDeal) -> Sum:
    known = deal.amount is not None and deal.probability is not None
    weighted = _EXACT.multiply(deal.amount or 0, deal.probability or 0) if known else Decimal(0)
    return Sum(
        currency=deal.currency,
        deals=1,
        amount=deal.amount or Decimal("0.00"),
        weighted=weighted.quantize(_CENT, context=_EXACT) + 0,
        without_amount=int(deal.amount is None),
        without_probability=int(deal.probability is None),
    )


def _add(one: Sum | None, other: Sum) -> Sum:
    if one is None:
        return other
    with localcontext(_EXACT):
        return Sum(
            currency=other.currency,
            deals=one.deals + other.deals,
            amount=one.amount + other.amount,
            weighted=one.weighted + other.weighted,
            without_amount=one.without_amount + other.without_amount,
            without_probability=one.without_probability + other.without_probability,
        )


def _total(lines: Iterable[Line]) -> Line:
    lines = tuple(lines)
    sums: dict[str, Sum] = {}
    for each in (each for line in lines for each in line.sums):
        sums[each.currency] = _add(sums.get(each.currency), each)
    return Line(step=None, prospects=sum(line.prospects for line in lines), sums=_in_order(sums))


def _in_order(sums: Mapping[str, Sum]) -> tuple[Sum, ...]:
    return tuple(sums[currency] for currency in sorted(sums))


def _progress(step: str | None) -> tuple[int, int, str]:
    """Say how far on a step is: one of the process, then one of the portal's own, then none."""
    if step is None:
        return 0, 0, ""
    return (2, STEPS.index(step), "") if step in STEPS else (1, 0, step)


def _order(step: str | None) -> tuple[int, int, str]:
    """Order steps as they are shown: the process, then the portal's own, then none."""
    kind, number, name = _progress(step)
    return -kind, number, name


def _is_true(value: object) -> bool:
    return str(value).strip().lower() == "true"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
