"""What goes wrong while running: one tree, each with a stable code; the docstring is the default message."""

from collections.abc import Sequence
from typing import ClassVar

from connector.problems import Problem


class StagekeeperError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class UsageError(StagekeeperError):
    """The command was called in a way that it does not have."""

    code = "usage"
    exit_code = 2


class FilesInvalid(StagekeeperError):
    """The configuration or the rules are invalid."""

    code = "files-invalid"
    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class DatabaseUnavailable(StagekeeperError):
    """The database cannot be reached or cannot take what it is given."""

    code = "database-unavailable"
    exit_code = 5


class Collided(DatabaseUnavailable):
    """The database gave up this transaction for the sake of another one; nothing of it has happened."""

    code = "database-collision"


class DatabaseNewer(StagekeeperError):
    """The database was made by a newer release; install that release or restore a backup."""

    code = "database-newer"
    exit_code = 5


class ClaimLost(StagekeeperError):
    """The lease of this claim ran out and another worker may hold its contacts; nothing more is written for them."""

    code = "claim-lost"


class Stopped(StagekeeperError):
    """This process is ending; no further call goes out, and what is in hand goes back."""

    code = "stopped"


class Refused(StagekeeperError):
    """Refused: a safety limit or drift."""

    code = "refused"
    exit_code = 7
