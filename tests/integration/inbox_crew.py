"""The processes of the concurrency tests: one posts, the others work off and write down what they held, and when.

`python -m tests.integration.inbox_crew work|post URL LOG SEED`.
"""

import random
import sys
import threading
import time
from pathlib import Path

from connector.errors import ClaimLost
from connector.inbox import Inbox
from connector.moments import system_clock
from connector.store.engine import open_database
from tests.inboxes import delivery, event

CONTACTS = 60
POSTS = 60
EVENTS = 20
LEASE = 1_000


def post(inbox: Inbox, seed: int, log: Path) -> None:
    """Post events, some of them twice; write each down once it is durable."""
    chance, pause = random.Random(seed), threading.Event()
    with log.open("a", buffering=1) as lines:
        for number in range(POSTS):
            contacts = [chance.randrange(1, CONTACTS + 1) for _ in range(EVENTS)]
            told = [event(str(contact), f"{seed}-{number}-{contact}") for contact in contacts]
            for _ in range(1 + (number % 5 == 0)):
                inbox.accept(delivery(*told), settle_ms=0)
            lines.writelines(f"posted {contact} {time.monotonic_ns()}\n" for contact in contacts)
            pause.wait(0.005)


def work(inbox: Inbox, seed: int, log: Path) -> None:
    """Claim, look, finish, until killed; what was looked at before the kill but not finished is looked at again."""
    chance, pause = random.Random(seed), threading.Event()
    with log.open("a", buffering=1) as lines:
        while True:
            claim = inbox.claim(lease_ms=LEASE, limit=chance.randrange(1, 30))
            if claim is None:
                pause.wait(0.005)
                continue
            contacts = [held.contact for held in claim.contacts]
            began = time.monotonic_ns()
            try:
                inbox.renew(claim, lease_ms=LEASE)
                pause.wait(chance.random() * 0.01)
                lines.writelines(f"held {contact} {began} {time.monotonic_ns()}\n" for contact in contacts)
                inbox.finish(claim, settled=dict.fromkeys(contacts))
            except ClaimLost:
                continue
            lines.writelines(f"settled {contact} {began}\n" for contact in contacts)


def main(role: str, url: str, log: str, seed: str) -> None:
    """Play one role."""
    inbox = Inbox(open_database(url), system_clock, last_attempt=1_000)
    {"work": work, "post": post}[role](inbox, int(seed), Path(log))


if __name__ == "__main__":
    main(*sys.argv[1:5])
