"""Where a contact stands: a stage with its status, their order, and the colour that stands for them in every chart."""

from collections.abc import Iterable, Sequence

from connector.days import Stand

_STATUSES = ("", "unverified", "new", "cold", "warm", "hot", "closed")
_COLOURS = 6


def in_order(stands: Iterable[Stand], ladder: Sequence[str]) -> list[Stand]:
    """Order by the ladder, then from the coldest status to the hottest; what neither knows comes first, by name."""

    def order(stand: Stand) -> tuple[int, str, int, str]:
        known = _STATUSES.index(stand.status) if stand.status in _STATUSES else len(_STATUSES)
        return rank_of(stand.stage, ladder), stand.stage, known, stand.status

    return sorted(stands, key=order)


def rank_of(stage: str | None, ladder: Sequence[str]) -> int:
    """Give the place of a stage on the ladder; -1 for none and for what is not on it."""
    return ladder.index(stage) if stage in ladder else -1


def mark_of(stand: Stand, ladder: Sequence[str]) -> str:
    """Name the classes of a stand's colour: by its place on the ladder, spread over the colours that there are."""
    rank = rank_of(stand.stage, ladder)
    if rank < 0:
        return "k-none"
    colour = rank if len(ladder) <= _COLOURS else rank * (_COLOURS - 1) // (len(ladder) - 1)
    return f"k{colour} t-{stand.status}" if stand.status in _STATUSES[1:] else f"k{colour}"
