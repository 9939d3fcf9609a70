"""A candidate pack that judges live traffic beside the live one, and touches nothing.

It sees what was read for the live decision, and reads companies and deals of its own only for those whose decision
depends on them. It has a memory of its own, so that what waits and what comes again are compared fairly. Whatever goes
wrong in it is its own trouble: told once, counted, and the live decision goes on. The price: calls for what only the
candidate reads are made before the live decision is written down, in one transaction with which its own stands.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from connector.decision import Decision, decide
from connector.errors import DatabaseUnavailable, Stopped
from connector.hubspot.client import HubSpotPortal
from connector.record import Judged
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.shadow.verdicts import Beside, Shadow, compared
from connector.snapshot import Snapshot, Wanted, with_companies, with_deals

_LONGEST_ERROR = 300
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Live decisions with the candidate's beside them, and about how many contacts the candidate could say nothing."""

    judged: Mapping[str, Judged]
    failed: int = 0


class Candidate:
    """Judges the contacts of one portal's claims under a candidate pack."""

    def __init__(self, pack: Pack, hubspot: HubSpotPortal, *, live: Pack) -> None:
        self.pack = pack
        self.wanted = Wanted.by(pack)
        self._live = Wanted.by(live)
        self._rulebook = Rulebook(pack)
        self._hubspot = hubspot
        self._alert = _Alert(portal=hubspot.portal, pack=pack)

    def put_beside(self, judged: Mapping[str, Judged], now: int) -> Compared:
        """Judge what the live pack has judged; raises nothing but what ends the process's work as a whole."""
        round_ = _Round()
        self._decide(round_, {contact: self._seen(one.snapshot) for contact, one in judged.items()}, judged, now)
        for read, is_open in ((with_companies, _lacks_company), (with_deals, _lacks_deals)):
            open_ones = [one.snapshot for one in round_.done.values() if is_open(one)]
            if open_ones:
                with round_.containing([one.contact for one in open_ones]):
                    more = read(self._hubspot, self.wanted, open_ones)
                    for contact, meaning in more.failed.items():
                        round_.give_up([contact], kind=meaning.kind, error=str(meaning))
                    self._decide(round_, more.found, judged, now)
        self._alert.hear(round_.errors)
        return Compared(
            judged={contact: self._with_shadow(one, round_.done.get(contact), now) for contact, one in judged.items()},
            failed=len(judged) - len(round_.done),
        )

    def next_look(self, one: Judged, written: Mapping[str, str], now: int) -> int | None:
        """Say when the candidate wants to look again: at once where what was written lets it decide otherwise."""
        beside = one.shadow.beside if one.shadow is not None else None
        if beside is None or self.wanted.rule_inputs.isdisjoint(written):
            return None if beside is None else beside.decision.next_look_at
        round_ = _Round()
        snapshot = replace(beside.snapshot, properties={**beside.snapshot.properties, **written})
        with round_.containing([snapshot.contact]):
            after = decide(self._rulebook, snapshot, beside.decision.memory, now)
            return after.next_look_at if _is_quiet(after, beside.decision) else now
        self._alert.hear(round_.errors)
        return beside.decision.next_look_at

    def _seen(self, snapshot: Snapshot) -> Snapshot:
        """Give what was read as the candidate sees it: what the live pack does not read at all is not read yet."""
        company, deals = snapshot.company, snapshot.deals
        if self.wanted.company and not self._live.company:
            company = None
        if self.wanted.reads_deals and not self._live.reads_deals:
            deals = None
        return replace(snapshot, company=company, deals=deals)

    def _decide(
        self, round_: "_Round", snapshots: Mapping[str, Snapshot], judged: Mapping[str, Judged], now: int
    ) -> None:
        for contact, snapshot in snapshots.items():
            held = judged[contact].held
            memory = held.memory if held.shadow is None else held.shadow.memory
            with round_.containing([contact]):
                decision = decide(self._rulebook, snapshot, memory, now)
                round_.done[contact] = Beside(decision=decision, snapshot=snapshot)

    def _with_shadow(self, one: Judged, beside: Beside | None, now: int) -> Judged:
        """Add the candidate's decision; where it failed it stays with its last one."""
        before = one.held.shadow
        if beside is None:
            return replace(one, shadow=before)
        shadow: Shadow = compared(one.decision, beside, before, pack_hash=self.pack.hash, now=now)
        return replace(one, shadow=shadow)


@dataclass(slots=True)
class _Round:
    """What the candidate has decided about a claim so far, and what went wrong, by kind."""

    done: dict[str, Beside] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def containing(self, contacts: Iterable[str]) -> "_Containing":
        """Keep what goes wrong in a block within the candidate, which then says nothing about these contacts."""
        return _Containing(self, contacts)

    def give_up(self, contacts: Iterable[str], *, kind: str, error: str) -> None:
        """Say nothing about contacts."""
        self.errors[kind] = error
        for contact in contacts:
            self.done.pop(contact, None)


@dataclass(frozen=True, slots=True)
class _Containing:
    """Ends an exception of the candidate's here; what ends the process's work as a whole goes on."""

    round: _Round
    contacts: Iterable[str]

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if not isinstance(error, Exception) or isinstance(error, Stopped | DatabaseUnavailable):
            return False
        name = type(error).__name__
        self.round.give_up(self.contacts, kind=name, error=f"{name}: {error}")
        return True


class _Alert:
    """Tells of each kind of failure once in a process; how often they come, the metric says."""

    def __init__(self, *, portal: int, pack: Pack) -> None:
        self._portal = portal
        self._pack = pack
        self._told = set[str]()
        self._lock = threading.Lock()

    def hear(self, errors: Mapping[str, str]) -> None:
        """Hear what went wrong in a round, by kind."""
        with self._lock:
            fresh = errors.keys() - self._told
            self._told |= fresh
        for kind in sorted(fresh):
            error = errors[kind][:_LONGEST_ERROR]
            _log.error("shadow.failed", portal=self._portal, pack=self._pack.name, file=self._pack.file, error=error)


def _lacks_company(one: Beside) -> bool:
    return one.snapshot.company is None and one.decision.undetermined


def _lacks_deals(one: Beside) -> bool:
    return one.snapshot.deals is None and one.decision.undetermined


def _is_quiet(after: Decision, before: Decision) -> bool:
    """Ask whether nothing else is decided, set or made once the live pack's values are in HubSpot."""
    same = (after.stage, after.status) == (before.stage, before.status)
    return same and not after.tasks and not after.actions and after.set.items() <= before.set.items()
