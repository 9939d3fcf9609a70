"""All benches in one run, and one table: `python -m tests.bench [--only NAME …] [--without NAME …] [--folder FOLDER]`.

Each runs in a process of its own and prints its figures as JSON; they are kept beside the table, which is Markdown. A
bench that cannot run here says why in its line, and the run goes on. Exit code 1 when one of them missed what it wants
or broke. Every bench runs alone as well: `python -m tests.bench.NAME`. `size` first fills 30 GB of a disk, so it
runs only when it is named.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.table import Line, as_data, as_lines, as_markdown


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A bench, and how its figures are told where it gives no lines of its own."""

    name: str
    arguments: tuple[str, ...] = ()
    tell: Callable[[Any], Sequence[Line]] | None = None
    runs_unasked: bool = True

    @property
    def module(self) -> str:
        """Give the module that is run."""
        return f"tests.bench.{self.name}"

    @property
    def command(self) -> str:
        """Give the command line that does it alone."""
        return " ".join(("python -m", self.module, *self.arguments))


def tell_decisions(found: Mapping[str, Any]) -> Sequence[Line]:
    """Tell the rates and the memory of deciding."""
    first, last = min(found["rss_mib"], key=int), max(found["rss_mib"], key=int)
    memory = {number: f"{mib:.0f} MiB" for number, mib in found["rss_mib"].items()}
    return [
        Line(
            what="decisions a second on one core, default pack, with stage, status, reason, facts, next look",
            figure=f"{found['decisions']:,.0f}; with every condition's wanted and actual {found['with_findings']:,.0f}",
            beside=f"the pack as generated Python, without reasons: {found['floor']:,.0f}, ratio {found['ratio']:.1f}",
            wanted="20,000", is_well=found["decisions"] >= 20_000,
        ),
        Line(
            what=f"memory after {int(last):,} decisions about contacts who are all different",
            figure=memory[last], beside=f"at the start {memory[first]}", wanted="200 MiB",
            is_well=found["rss_mib"][last] < 200,
        ),
    ]  # fmt: skip


def tell_plans(found: Mapping[str, Any]) -> Sequence[Line]:
    """Tell what a plan over a file costs."""
    return [
        Line(
            what=f"a plan over {found['contacts']:,} contacts of a file, default pack, in processor time",
            figure=f"{found['seconds']:.1f} s, {max(found['rss_mib'].values()):.0f} MiB",
            beside=f"reading the file alone {found['floor_seconds']:.1f} s",
        ),
        Line(
            what="why not another stage, default pack",
            figure=f"median {found['whynot_ms']['median']:.0f} ms, slowest {found['whynot_ms']['slowest']:.0f} ms",
        ),
    ]


BENCHES = (
    Bench(name="decisions", tell=tell_decisions),
    Bench(name="peers"),
    Bench(name="plans", tell=tell_plans),
    Bench(name="calls"),
    Bench(name="acks"),
    Bench(name="servers"),
    Bench(name="limits"),
    Bench(name="drivers"),
    Bench(name="size", runs_unasked=False),
)


def main(arguments: Sequence[str]) -> int:
    """Run them and write the table."""
    names = [bench.name for bench in BENCHES]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0])
    usual = [bench.name for bench in BENCHES if bench.runs_unasked]
    parser.add_argument("--only", nargs="+", choices=names, default=usual, metavar="NAME")
    parser.add_argument("--without", nargs="+", choices=names, default=[], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    wanted = [bench for bench in BENCHES if bench.name in given.only and bench.name not in given.without]
    lines: list[Line] = []
    for bench in wanted:
        lines += run(bench, given.folder)
        write(given.folder, lines)
    print("\n" + as_markdown(lines))
    print(f"\n{given.folder / 'table.md'}, {given.folder / 'table.json'}, and the figures of each bench beside them")
    return 0 if all(line.is_well is not False for line in lines) else 1


def run(bench: Bench, folder: Path) -> Sequence[Line]:
    """Run one in a process of its own, keep its figures, and give its lines."""
    if importlib.util.find_spec(bench.module) is None:
        return [Line(what=bench.name, figure="left out: it is not part of this release")]
    print(f"{bench.name} …", end=" ", file=sys.stderr, flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", bench.module, *bench.arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        figure = f"gave no figures, exit code {done.returncode}"
        return [Line(what=bench.name, figure=figure, is_well=False, command=bench.command)]
    (folder / f"{bench.name}.json").write_text(done.stdout, "utf-8")
    return lines_of(bench, found, done.returncode)


def lines_of(bench: Bench, found: Any, code: int) -> Sequence[Line]:
    """Take the lines that a bench gives, or tell its figures; one without either names its file."""
    if isinstance(found, Mapping) and "table" in found:
        return as_lines(found["table"], bench.command)
    if bench.tell is not None:
        return [Line(**{**one, "command": bench.command}) for one in as_data(bench.tell(found))]
    figure = f"see {bench.name}.json"
    return [Line(what=bench.name, figure=figure, is_well=None if code == 0 else False, command=bench.command)]


def write(folder: Path, lines: Sequence[Line]) -> None:
    """Write the table in both forms."""
    (folder / "table.md").write_text(as_markdown(lines) + "\n", "utf-8")
    (folder / "table.json").write_text(json.dumps(as_data(lines), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
