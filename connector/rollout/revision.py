"""A pack as it stood at a revision of the git repository that its file lies in; the working tree stays as it is.

Git itself is asked, by list of arguments and without a shell; what is read is a blob, so no filter or hook of the
repository runs. https://git-scm.com/docs/gitrevisions says how a revision may be named.
"""

import subprocess
from pathlib import Path

from connector.errors import FilesInvalid, UsageError
from connector.problems import is_broken
from connector.rulebook.checking import check_pack
from connector.rulebook.pack import Pack
from connector.rulebook.reading import read_bytes

_PATIENCE_S = 60


class NoSuchRevision(UsageError):
    """There is no such revision of the pack."""

    code = "no-such-revision"


def pack_at(path: Path, revision: str) -> Pack:
    """Load a pack as it was; raises NoSuchRevision, or FilesInvalid with everything that is wrong with it there."""
    shown = f"{path}@{revision}"
    document, problems = read_bytes(_blob(path, revision), file=shown)
    pack, problems = (None, problems) if document is None else check_pack(document, problems)
    if pack is None or is_broken(problems):
        raise FilesInvalid([problem for problem in problems if problem.severity == "error"])
    return pack


def _blob(path: Path, revision: str) -> bytes:
    """Read the bytes of a file at a revision."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise NoSuchRevision(f"--rev {revision}: there is no folder {folder}; expected the one that the pack lies in")
    if not revision or revision.startswith("-"):
        raise NoSuchRevision(f"--rev {revision!r}: no revision; expected a name such as HEAD~3, a tag or a hash")
    _git(folder, "rev-parse", "--show-toplevel", why=f"--rev: {folder} is in no git repository", cure=_ELSEWHERE)
    found = _git(
        folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}",
        why=f"--rev {revision}: the repository of {folder} has no such revision",
        cure="`git log --oneline` lists what there is; a shallow clone lacks what is older",
    )  # fmt: skip
    commit = found.decode().strip()
    return _git(
        folder, "cat-file", "blob", f"{commit}:./{path.name}",
        why=f"--rev {revision}: {path.name} was not in {folder} then ({commit[:12]})",
        cure=f"`git log --follow -- {path.name}` tells how it was called; name that with --rules",
    )  # fmt: skip


_ELSEWHERE = "name a pack of a repository with --rules, or leave --rev out"


def _git(folder: Path, *arguments: str, why: str, cure: str) -> bytes:
    """Ask git and give its answer; raises NoSuchRevision when it says no, or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S,
        )  # fmt: skip
    except FileNotFoundError as error:
        cure = "install git, or give the file with --rules"
        raise NoSuchRevision(f"--rev: there is no command `git` here; {cure}") from error
    except subprocess.TimeoutExpired as error:
        raise NoSuchRevision(f"{why}: git did not answer within {_PATIENCE_S} s; {cure}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = f" (git: {lines[0]})" if lines else ""
        raise NoSuchRevision(f"{why}{said}; {cure}")
    return done.stdout
