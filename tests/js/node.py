"""How the cases of the JavaScript files are found, and each of them run: `node:test` names them and judges them."""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NODE = str(Path(sys.executable).with_name("node"))
"""It comes with the Python packages."""

WITHIN = 90
"""Seconds for one case. Node gives up a little earlier, because it says what it waited for."""


def cases(file: str) -> list[str]:
    """The names of a file's cases, in order."""
    return re.findall(r'^test\("([^"]+)"', (HERE / file).read_text(), re.MULTILINE)


def run_case(file: str, case: str, **env: str) -> None:
    """Run one case in a process of its own; what it said is the failure."""
    only = f"--test-name-pattern=^{re.escape(case)}$"
    timeout = f"--test-timeout={(WITHIN - 10) * 1000}"
    said = node("--test", "--test-reporter=spec", only, timeout, file, **env)
    assert "\u2139 pass 1\n" in said, said


def node(*arguments: str, **env: str) -> str:
    """What Node says; it must end well."""
    ended = subprocess.run(
        [NODE, *arguments],
        cwd=HERE,
        env={**os.environ, "NODE_NO_WARNINGS": "1", "NO_COLOR": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
