"""Files that several processes open at once, new ones too."""

import subprocess
import sys

import pytest

from storage import sqlite
from storage.errors import DamagedError, UnavailableError

OPENS = """
import sys
from pathlib import Path
from storage import sqlite
sys.stdin.readline()
for number in range(20):
    db = sqlite.connect(Path(sys.argv[1]) / f"{number}.sqlite")
    db.execute("CREATE TABLE IF NOT EXISTS notes (note TEXT)")
    with db:
        db.execute("INSERT INTO notes VALUES ('here')")
    db.close()
"""


def test_processes_that_open_a_new_file_at_once_all_can(tmp_path):
    command = [sys.executable, "-c", OPENS, str(tmp_path)]
    openers = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(4)]
    for opener in openers:
        opener.stdin.write("\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate()
    assert [opener.returncode for opener in openers] == [0] * 4


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "broken.sqlite"
    path.write_bytes(b"garbage" * 1_000)
    with pytest.raises(DamagedError, match=r"broken\.sqlite: file is not a database"):
        sqlite.connect(path)
    assert path.read_bytes() == b"garbage" * 1_000


def test_what_the_disk_refuses_is_refused_at_once_and_may_be_tried_again(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(UnavailableError, match="file: unable to open"):
        sqlite.connect(tmp_path / "file")
