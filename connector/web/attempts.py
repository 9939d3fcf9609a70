"""Who has given wrong tokens of late: after ten in a minute an address is not listened to until the minute is over.

Kept in this process and in bounded memory: several processes allow as many times more. Nothing is written to the
database for it, so that guessing costs the guesser and not the events.
"""

import threading
from collections import OrderedDict, deque

from connector.moments import MINUTE, Clock

MOST_FAILED = 10
_MOST_CLIENTS = 10_000


class Attempts:
    """Counts failed logins per client; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[int]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_ms(self, client: str, *, right: bool) -> int:
        """Say how long a client must wait before its token counts, 0 when it does; a wrong one is remembered.

        A right token counts no more than a wrong one while the client waits: else guessing could go on.
        """
        now = self._clock()
        with self._lock:
            failed = self._failed.get(client, deque[int]())
            while failed and failed[0] <= now - MINUTE:
                failed.popleft()
            if len(failed) >= MOST_FAILED:
                return failed[0] + MINUTE - now
            if not right:  # a right one forgives nothing: who may look could guess at who may act between two logins
                failed.append(now)
                self._remember(client, failed)
            return 0

    def _remember(self, client: str, failed: deque[int]) -> None:
        self._failed[client] = failed
        self._failed.move_to_end(client)
        while len(self._failed) > _MOST_CLIENTS:
            self._failed.popitem(last=False)
