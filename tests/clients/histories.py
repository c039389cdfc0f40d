"""Random histories of Apollo, graphcache and Relay, each of which has to show what the sandbox has.

`python -m tests.clients.histories 2000` runs 2,000 of each.

A history changes receipts, adds, changes and removes messages, loads pages, runs queries again, and drops connections, while a
screen is shown; in some, answers are late. 2 seconds after the last event, its lists have to be those of a gateway that keeps
nothing, and still after the next history. `--seed` is the number of the first one. What fails is printed with its number, and
what the screen asked, was answered and was told. Timing differs from run to run: some fail only now and then.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from .project import install, run
from .world import served


@click.command()
@click.argument("count", type=int, default=2000)
@click.option("--seed", type=int, default=1, help="Number of the first history.")
@click.option("--together", type=int, default=8, help="Histories at the same time.")
def main(count: int, seed: int, together: int) -> None:
    """Run COUNT histories of each client."""
    with TemporaryDirectory() as place, served() as world:
        project = install(Path(place))
        run("node", "build.mjs", "caches", cwd=project)
        options = {"WORLD": world, "HISTORIES": str(count), "SEED": str(seed), "TOGETHER": str(together)}
        command = ["node", "--enable-source-maps", "--test", "--test-reporter=spec"]
        command += ["--test-name-pattern=random histories", "build/caches/check.cjs"]
        sys.exit(subprocess.run(command, cwd=project, env=os.environ | options).returncode)


if __name__ == "__main__":
    main()
