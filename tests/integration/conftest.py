"""What tests of the store begin with: an inbox whose clock stands still."""

import pytest
import sqlalchemy as sa

from connector.inbox import Inbox
from tests.inboxes import Hands


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def inbox(engine: sa.Engine, clock: Hands) -> Inbox:
    return Inbox(engine, clock)
