"""`treadle sql` and `treadle usage export`: with the server up, killed a moment ago, and down."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import httpx
import psutil
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.server import command, serving

README = (Path(__file__).parents[2] / "README.md").read_text()
THREADS = "select thread_id, metadata->>'n' as n, 1.5::decimal(3, 1) as d from threads order by n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server that has five threads; how it can be reached, and how it is killed."""
    with serving(tmp_path_factory.mktemp("sql"), "--warm", "1", "--max", "2") as server:
        ids = [httpx.post(f"{server.url}/threads", json={"metadata": {"n": n}}).json()["thread_id"] for n in range(5)]
        yield Place(server, ids)


class Place:
    def __init__(self, server, ids):
        self.server, self.ids = server, ids
        self.reached = ["--url", server.url, "--data", server.data]

    def kill(self):
        family = self.server.family()
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=10)
        self.server.process.wait(10)


def treadle(*arguments, given=None):
    return subprocess.run(
        command(*arguments), capture_output=True, timeout=60, check=False, env=os.environ, input=given, text=True
    )


def answered(*arguments, given=None):
    ended = treadle("sql", *arguments, given=given)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def refusal(*arguments, status):
    ended = treadle(*arguments)
    assert (ended.returncode, ended.stdout) == (status, ""), ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def answers_in_all_forms(place, tmp_path):
    """Every form, by whatever way."""
    lines = answered(*place.reached, THREADS).splitlines()
    assert lines == ["thread_id,n,d", *(f"{one},{n},1.5" for n, one in enumerate(place.ids))]
    objects = json.loads(answered(*place.reached, "--format", "json", THREADS))
    assert objects == [{"thread_id": one, "n": str(n), "d": "1.5"} for n, one in enumerate(place.ids)]
    table = answered(*place.reached, "--format", "table", THREADS)
    assert all(one in table for one in place.ids)
    path = tmp_path / "answer.parquet"
    assert answered(*place.reached, "--format", "parquet", "-o", path, THREADS) == ""
    assert parquet.read_table(path).column("thread_id").to_pylist() == place.ids
    assert answered(*place.reached, "-", given="select 1 as x") == "x\n1\n"


def test_with_the_server_up_it_is_asked(place, tmp_path):
    answers_in_all_forms(place, tmp_path)


def test_the_answer_is_written_to_a_file(place, tmp_path):
    for form, start in [("csv", "x\n"), ("json", '[{"x"'), ("table", "┏")]:
        assert answered(*place.reached, "--format", form, "-o", tmp_path / form, "select 1 as x") == ""
        assert (tmp_path / form).read_text().startswith(start)


def test_what_is_wrong_with_the_sql_is_said_with_status_1(place):
    assert refusal("sql", *place.reached, "drop table runs", status=1) == (
        "treadle: Only SELECT may be asked, not DROP\n"
    )
    assert "does not exist" in refusal("sql", *place.reached, "from nowhere", status=1)
    assert "longer than 0.1 s" in refusal(
        "sql", *place.reached, "--timeout", "0.1", "select count(*) from range(10000000) a, range(10000000) b", status=1
    )


def test_a_cut_answer_says_so(place):
    ended = treadle("sql", *place.reached, "--max-rows", "2", "from range(5)")
    assert ended.stdout == "range\n0\n1\n"
    assert ended.stderr == "treadle: Only the first 2 rows; --max-rows says how many.\n"


def test_the_live_file_is_refused_with_the_two_ways_that_there_are(place):
    said = refusal("sql", "--data", place.server.data, "select 1", status=2)
    assert "POST /analytics/query" in said
    assert "treadle usage export" in said


def test_the_server_up_is_asked_for_an_export(place, tmp_path):
    ended = treadle("usage", "export", "--to", tmp_path, *place.reached)
    assert ended.returncode == 0, ended.stderr


def test_the_examples_of_the_readme_run(place, tmp_path):
    lines = re.findall(r"^treadle (.*?) *(?:#.*)?$", README, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        ended = treadle(*shlex.split(line.replace("--to export", f"--to {tmp_path}")), *place.reached)
        assert ended.returncode == 0, ended.stderr
    [notebook] = [code for code in re.findall(r"```py\n(.*?)```", README, re.DOTALL) if "/analytics/query" in code]
    names = {"httpx": httpx, "pyarrow": pa, "url": place.server.url}
    exec(notebook, names)
    assert "total_tokens" in names["table"].column_names


def test_what_is_no_treadle_is_said(tmp_path):
    assert "No server answers" in refusal("sql", "--url", "http://127.0.0.1:1", "select 1", status=2)
    assert "no database in" in refusal("sql", "--data", tmp_path, "select 1", status=2)


@pytest.mark.parametrize(
    "options",
    [(), ("--format", "xml", "select 1"), ("--max-rows", "0", "select 1"), ("--timeout", "61", "select 1")],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options):
    assert "Usage: treadle sql" in refusal("sql", *options, status=2)


def test_parquet_needs_a_file():
    assert "-o FILE" in refusal("sql", "--format", "parquet", "select 1", status=2)


def test_what_there_is_to_ask_about_is_printed_with_its_comments():
    printed = answered("--views")
    assert "table model_calls\nOne row per model call" in printed
    assert printed.index("table runs") < printed.index("table prices")


def test_with_the_server_killed_a_moment_ago_nothing_is_missing(place, tmp_path):
    """The last to use the server; what it answered last is in its journal only."""
    created = httpx.post(f"{place.server.url}/threads", json={"metadata": {"n": 5}}).json()["thread_id"]
    place.kill()
    place.ids.append(created)
    journal = place.server.data / "treadle.duckdb.journal"
    assert journal.exists()
    answers_in_all_forms(place, tmp_path)
    assert not journal.exists()
    assert "No server answers" in refusal("sql", "--url", place.server.url, "select 1", status=2)


def test_with_the_server_down_the_file_is_only_read(place, tmp_path):
    before = (place.server.data / "treadle.duckdb").read_bytes()
    answers_in_all_forms(place, tmp_path)
    assert (place.server.data / "treadle.duckdb").read_bytes() == before
    assert "not DROP" in refusal("sql", *place.reached, "drop table runs", status=1)
    assert "read_blob" in refusal("sql", *place.reached, "from read_blob('x')", status=1)


def test_a_journal_that_cannot_be_applied_is_said_and_the_rest_is_read(place):
    journal = place.server.data / "treadle.duckdb.journal"
    journal.write_bytes(b"not a journal" * 1000)
    ended = treadle("sql", *place.reached, "select count(*) as n from threads")
    journal.unlink()
    assert (ended.returncode, ended.stdout) == (0, "n\n6\n")
    assert "The last moment is missing" in ended.stderr
