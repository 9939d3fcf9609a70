"""What the decisions add up to: how many leads and prospects buy, and how often each rule is the reason.

Pure: rows of Stagekeeper's own tables go in, counts come out, whatever their order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LEAD, PROSPECT = "lead", "prospect"
BUYER_STAGES = frozenset({"customer", "evangelist"})
"""The values of HubSpot's `lifecyclestage` that say that somebody buys."""

BUYER_FACTS = ("customer", "client")
"""The facts of the shipped packs that say so; which properties they are read from is the pack's affair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """What the records tell of one contact: stages it ever had (of those that are counted), and whether it buys now."""

    contact: str
    stages: frozenset[str] = frozenset()
    buys: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How many contacts ever had a stage, and how many of them buy now."""

    stage: str
    ever: int = 0
    buy_now: int = 0

    @property
    def share(self) -> float | None:
        """Give the share of those who buy; None of nobody."""
        return share_of(self.buy_now, self.ever)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """The rates of leads and of prospects."""

    lead: Rate
    prospect: Rate

    @property
    def closing_rate(self) -> float | None:
        """Give the share of prospects who buy."""
        return self.prospect.share


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleEntry:
    """A stage rule of the live pack."""

    id: str
    stage: str | None
    because: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleCount:
    """How many contacts a rule is the present reason of; `rule` "": no rule applied to them."""

    rule: str
    stage: str | None = None
    contacts: int = 0
    share: float | None = None
    in_pack: bool = True
    """False: an earlier version of the pack decided so, and the contact has not been looked at since."""
    because: str = ""


@dataclass(slots=True)
class _Group:
    """Contacts that were merged into one."""

    pasts: list[Past] = field(default_factory=list)


def count_rates(pasts: Iterable[Past], merged: Mapping[str, str]) -> Rates:
    """Count who was a lead or a prospect and who of them buys now.

    `merged` says into which contact each of the merged ones went: they count as one person, with the past of all of
    them and the present of the survivor.
    """
    survivors = {contact: _survivor(contact, merged) for contact in merged}
    groups = {survivor: _Group() for survivor in survivors.values()}
    ever = {LEAD: 0, PROSPECT: 0}
    buying = {LEAD: 0, PROSPECT: 0}

    def count(past: Past) -> None:
        for stage in past.stages & ever.keys():
            ever[stage] += 1
            buying[stage] += past.buys

    for past in pasts:
        survivor = survivors.get(past.contact, past.contact)
        if survivor in groups:
            groups[survivor].pasts.append(past)
        else:
            count(past)
    for survivor, group in groups.items():
        count(_as_one(survivor, group.pasts))
    lead, prospect = (Rate(stage=stage, ever=ever[stage], buy_now=buying[stage]) for stage in (LEAD, PROSPECT))
    return Rates(lead=lead, prospect=prospect)


def count_rules(rules: Sequence[RuleEntry], contacts: Mapping[str, int]) -> tuple[RuleCount, ...]:
    """Give every rule of the pack in its order, those that never won with 0, then rules that are no longer in it."""
    total = sum(contacts.values())
    known = {rule.id for rule in rules}
    present = [
        RuleCount(
            rule=rule.id, stage=rule.stage, contacts=contacts.get(rule.id, 0), because=rule.because,
            share=share_of(contacts.get(rule.id, 0), total),
        )
        for rule in rules
    ]  # fmt: skip
    former = [
        RuleCount(rule=name, contacts=number, share=share_of(number, total), in_pack=False)
        for name, number in sorted(contacts.items())
        if name not in known and number
    ]
    return (*present, *former)


def share_of(part: int, whole: int) -> float | None:
    """Give a share to four places; None of nothing."""
    return round(part / whole, 4) if whole else None


def _survivor(contact: str, merged: Mapping[str, str]) -> str:
    """Follow merges to their end; a ring, which HubSpot never makes, ends at its first member."""
    seen = [contact]
    while (following := merged.get(seen[-1])) is not None:
        if following in seen:
            return min(seen[seen.index(following) :])
        seen.append(following)
    return seen[-1]


def _as_one(survivor: str, pasts: Sequence[Past]) -> Past:
    """Put merged contacts together; while nothing is recorded of the survivor, the others speak for it."""
    present = [past for past in pasts if past.contact == survivor] or pasts
    stages = frozenset[str]().union(*(past.stages for past in pasts))
    return Past(contact=survivor, stages=stages, buys=any(past.buys for past in present))
