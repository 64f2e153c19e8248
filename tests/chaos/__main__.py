"""`python -m tests.chaos --minutes 10 --seeds 1 2 3`: trials of several seeds, which share the time."""

import argparse
import random
import sys
import tempfile
import warnings
from pathlib import Path

from tests.chaos import report
from tests.chaos.trial import Plan, hold


def main() -> int:
    """The exit status: 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of load, in all (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", help="one trial each (three at random)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--keep", type=Path, help="a folder for what the servers say and keep")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "Reconnecting without a Last-Event-ID")  # the SDK, cut off at once
    seeds = given.seeds or [random.randrange(10**6) for _ in range(3)]
    broken = False
    for seed in seeds:
        folder = _folder(given.keep, seed)
        plan = Plan(
            seed=seed,
            seconds=given.minutes * 60 / len(seeds),
            clients=given.clients,
            threads=given.threads,
            thorough=True,
        )
        verdict = hold(plan, folder)
        sys.stdout.write(report.table(verdict) + "\n\n")
        if verdict.broken:
            broken = True
            sys.stdout.write(report.story(verdict) + f"\n\nWhat the servers said and kept is in {folder}\n")
        sys.stdout.flush()
    return int(broken)


def _folder(keep: Path | None, seed: int) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    folder = keep / str(seed)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
