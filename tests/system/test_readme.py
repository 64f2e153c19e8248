"""The README's example runs as it stands, against the demo."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_example_prints_an_answer_and_the_threads_status(server):
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = example.replace("http://127.0.0.1:2024", server.url)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.splitlines()[-1].endswith("idle")
    assert "84" in said
