"""Parts of a process tree: a part that outlived its tree would hold the port and work on unseen, so it ends with it."""

import ctypes
import os
import signal
import sys

PART_OF = "STAGEKEEPER_PART_OF"
"""Names the process that started this part, in the environment of the part."""
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


def is_part() -> bool:
    """Ask whether this process was started as a part of a tree."""
    return PART_OF in os.environ


def end_with_tree() -> None:
    """Have this process told to stop when the one that started it as a part dies, however that happens.

    Linux alone offers this; elsewhere a tree that is killed outright leaves its parts to whoever killed it.
    """
    parent = os.environ.get(PART_OF)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it died before we asked
        os.kill(os.getpid(), signal.SIGTERM)
