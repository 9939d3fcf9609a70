"""Batches: a hundred records a call, settled one by one and by name, never by place.

HubSpot answers a batch in three ways: all well; partly (207), each error naming its record, or not; or not at all
(400), because of one bad input among a hundred. What is named is settled by its name; what is not named is found by
halving. Nothing that was settled is lost when a later call fails.
https://developers.hubspot.com/docs/api-reference/error-handling
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connector.hubspot.failure import HubSpotError, concerns_portal
from connector.hubspot.meaning import Meaning, meanings_within, unclear
from connector.hubspot.transport import Answer

MOST_INPUTS = 100
Record = Mapping[str, Any]

_FOR_ANY_VALUE = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})
_SAME_REFUSALS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchAnswer:
    """What became of each record, by its id."""

    found: Mapping[str, Record] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    """HubSpot holds no such record: deleted, or merged into another."""
    failed: Mapping[str, Meaning] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """How one kind of batch is sent and read."""

    send: Callable[[Sequence[str]], Answer]
    name_of: Callable[[Record], str]
    facets: Callable[[str], Mapping[str, str]] | None = None
    """The properties that an input sets; none when reading."""


@dataclass(kw_only=True, slots=True)
class Settled:
    """Where each key ended up; a key is in one of the four."""

    found: dict[str, Record] = field(default_factory=dict)
    gone: dict[str, Meaning] = field(default_factory=dict)
    failed: dict[str, Meaning] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    """The call went well and said nothing of them."""

    def __len__(self) -> int:
        return len(self.found) + len(self.gone) + len(self.failed) + len(self.silent)


def run_batch(keys: Iterable[str], job: Job, *, size: int = MOST_INPUTS) -> Settled:
    """Send every key once, in batches, and settle each.

    Raises HubSpotError only when the portal as a whole is in trouble and nothing is settled yet.
    """
    waiting = list(dict.fromkeys(keys))
    batch = _Batch(job)
    for start in range(0, len(waiting), size):
        try:
            batch.settle(waiting[start : start + size])
        except HubSpotError as failure:
            if concerns_portal(failure.meaning) and not len(batch.settled):
                raise
            batch.give_up(waiting[start : start + size], waiting[start + size :], failure.meaning)
            break
    return batch.settled


class _Batch:
    """One run: what is settled, and what was learnt about bad values on the way."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.settled = Settled()
        self._bad: dict[tuple[str, str | None], Meaning] = {}
        self._refusals: Counter[Meaning] = Counter()

    def settle(self, chunk: Sequence[str]) -> None:
        """Settle each key of a chunk that fits into one call."""
        chunk = [key for key in chunk if not self._is_known_bad(key)]
        if not chunk:
            return
        try:
            answer = self._job.send(chunk)
        except HubSpotError as failure:
            if failure.meaning.status != 400 or failure.meaning.kind != "invalid":
                raise
            self._sort_out(chunk, failure.meaning)
        else:
            self._read(chunk, answer)

    def give_up(self, tried: Sequence[str], rest: Sequence[str], meaning: Meaning) -> None:
        """Settle what a failed call leaves behind: those it carried as it says, the others as never sent."""
        settled = self.settled
        done = settled.found.keys() | settled.gone.keys() | settled.failed.keys() | settled.silent
        # A 404 for a whole batch speaks of the path, never of a record.
        told = replace(meaning, kind="invalid") if meaning.kind == "gone" else meaning
        unsent = replace(told, kind="unreachable", message=f"not sent: an earlier call failed: {told.message}"[:200])
        settled.failed |= {key: told for key in tried if key not in done}
        settled.failed |= {key: unsent for key in rest if key not in done}

    def _read(self, chunk: Sequence[str], answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, dict) else {}
        results = body.get("results")
        if not isinstance(results, list):
            raise HubSpotError(meaning=unclear("the answer holds no results", status=answer.status))
        for record in results:
            if isinstance(record, dict) and (name := self._job.name_of(record)):
                self.settled.found[name] = record
        nameless = self._settle_errors(chunk, meanings_within(body))
        left = [key for key in chunk if not self._is_settled(key)]
        if nameless and len(left) == 1:
            self._fail(left[0], nameless[0])
        else:
            self._leave(left, nameless)

    def _settle_errors(self, chunk: Sequence[str], meanings: Iterable[Meaning]) -> list[Meaning]:
        """Settle what the errors name, and give those that name nothing in the chunk."""
        nameless = []
        for meaning in meanings:
            named = _named(chunk, meaning)
            for key in named:
                if key not in self.settled.found:
                    self._fail(key, meaning)
            if not named:
                nameless.append(meaning)
        return nameless

    def _leave(self, left: Sequence[str], nameless: Sequence[Meaning]) -> None:
        if nameless and self._job.facets is None:
            self.settled.failed |= dict.fromkeys(left, nameless[0])
        else:
            self.settled.silent.update(left)

    def _sort_out(self, chunk: Sequence[str], meaning: Meaning) -> None:
        """Find who spoilt a refused batch, and send the others again."""
        if len(chunk) == 1:
            self._learn(chunk[0], meaning)
            self._fail(chunk[0], meaning)
            return
        culprits = _named(chunk, meaning) or self._bearers(chunk, meaning)
        if culprits and len(culprits) < len(chunk):
            for key in culprits:
                self._fail(key, meaning)
            self.settle([key for key in chunk if key not in culprits])
        elif self._bearers(chunk, meaning) == list(chunk) or self._is_hopeless(meaning):
            self.settled.failed |= dict.fromkeys(chunk, meaning)
        else:
            half = len(chunk) // 2
            self.settle(chunk[:half])
            self.settle(chunk[half:])

    def _bearers(self, chunk: Sequence[str], meaning: Meaning) -> list[str]:
        """Name the inputs that set a property which no value would save."""
        names = {name for code in meaning.codes if code.name in _FOR_ANY_VALUE for name in code.properties}
        return [key for key in chunk if self._job.facets and not names.isdisjoint(self._job.facets(key))]

    def _learn(self, key: str, meaning: Meaning) -> None:
        """Remember which value of which property was refused: the same in another input is refused as well."""
        self._refusals[_same(meaning)] += 1
        if self._job.facets is None:
            return
        facets = self._job.facets(key)
        for code in meaning.codes:
            for name in code.properties:
                if name in facets:
                    self._bad[(name, None if code.name in _FOR_ANY_VALUE else facets[name])] = meaning

    def _is_known_bad(self, key: str) -> bool:
        if not self._bad or self._job.facets is None:
            return False
        for name, value in self._job.facets(key).items():
            meaning = self._bad.get((name, value)) or self._bad.get((name, None))
            if meaning:
                self._fail(key, meaning)
                return True
        return False

    def _is_hopeless(self, meaning: Meaning) -> bool:
        """Ask whether a read is refused whatever it asks for; halving on would only use up calls."""
        same = self._refusals[_same(meaning)]
        return self._job.facets is None and same >= _SAME_REFUSALS and not self.settled.found

    def _fail(self, key: str, meaning: Meaning) -> None:
        if meaning.kind == "gone" or meaning.category == "OBJECT_NOT_FOUND":
            self.settled.gone[key] = meaning
        else:
            self.settled.failed[key] = meaning

    def _is_settled(self, key: str) -> bool:
        settled = self.settled
        return key in settled.found or key in settled.gone or key in settled.failed


def _same(meaning: Meaning) -> Meaning:
    return replace(meaning, correlation_id="")


def _named(chunk: Sequence[str], meaning: Meaning) -> list[str]:
    names = {*meaning.ids, *meaning.traces}
    return [key for key in chunk if key in names]
