"""How often a process looks for garbage: seldom, for what it makes by the million is in no cycle.

A look goes through all that the rulebooks have remembered. With Python's own 700 new objects before each a third of a
plan's time is theirs, and one that goes through everything stops an answer for a tenth of a second. The price is that
cycles, which libraries do leave behind, stay until so many new objects have come: some megabytes.
"""

import gc

_EVERY = 20_000


def collect_seldom() -> None:
    """Let Python look for garbage once in so many new objects; each process of a tree inherits that."""
    _, *later = gc.get_threshold()
    gc.set_threshold(_EVERY, *later)


def keep_what_is_there() -> None:
    """Never look again at what has been imported: it stays until the end, which comes sooner without looking at it."""
    gc.freeze()
