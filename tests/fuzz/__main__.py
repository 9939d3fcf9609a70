"""`python -m tests.fuzz [--cases 10000] [--seed 1] [--target NAME …]`: what was tried, how often, what came out."""

import argparse
import sys
import time

from connector.telemetry import configure_logging
from tests.fuzz.running import TARGETS, run


def main() -> int:
    """Run the targets and print a table; the first crash ends it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--target", action="append", choices=TARGETS)
    asked = parser.parse_args()
    configure_logging("json", "error")
    print(f"seed {asked.seed}; again: make fuzz CASES={asked.cases} SEED={asked.seed}\n")
    print("| what was thrown | cases | seconds | what came out |\n|---|---|---|---|")
    total = 0
    for name in asked.target or TARGETS:
        target = TARGETS[name]
        began = time.monotonic()
        outcome = run(target, cases=max(round(asked.cases * target.share), 1), seed=asked.seed)
        counts = ", ".join(f"{label} {count:,}" for label, count in outcome.counts.items())
        seconds = time.monotonic() - began
        print(f"| {target.what} | {outcome.cases:,} | {seconds:.0f} | {counts} |", flush=True)
        total += outcome.cases
    print(f"\n{total:,} cases, no crash")
    return 0


if __name__ == "__main__":
    sys.exit(main())
