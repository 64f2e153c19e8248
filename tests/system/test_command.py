"""The command line: its help, and one clear line for each thing that keeps it from serving."""

import json
import os
import subprocess

import pytest

from tests import server as servers
from tests.server import GRAPHS, command

SOON = 20
"""Seconds for what is found before Ray starts, on a machine that is busy with other tests."""


def treadle(*arguments, timeout=SOON, folder=None):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=timeout, check=False, cwd=folder, env=os.environ
    )


def refusal(*arguments, timeout=SOON, folder=None):
    """The lines that a server says which does not start."""
    ended = treadle("dev", *arguments, timeout=timeout, folder=folder)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.stderr.splitlines()


@pytest.fixture
def free_port():
    return servers.free_port()


@pytest.fixture
def project(tmp_path):
    """A way to write a project's files; returns its langgraph.json."""

    def write(graphs, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        config = tmp_path / "langgraph.json"
        config.write_text(graphs if isinstance(graphs, str) else json.dumps({"graphs": graphs}))
        return config

    return write


def test_the_help_says_what_it_is_for():
    helped = treadle("--help")
    assert helped.returncode == 0
    assert "Treadle runs LangGraph agents as a service." in helped.stdout
    assert "dev" in helped.stdout


@pytest.mark.parametrize(("verb", "more"), [("dev", ()), ("serve", ("--workers", "--address"))])
def test_the_help_of_a_command_names_every_option_and_gives_examples(verb, more):
    helped = treadle(verb, "--help")
    assert helped.returncode == 0
    for option in ("--config", "--host", "--port", "--data", "--warm", "--max", "--insecure", *more):
        assert option in helped.stdout
    assert f"treadle {verb} --" in helped.stdout


@pytest.mark.parametrize("verb", ["dev", "serve"])
@pytest.mark.parametrize("options", [("--port", "0"), ("--max", "0"), ("--warm", "few"), ("--colour", "red")], ids=str)
def test_an_option_that_makes_no_sense_is_refused(verb, options):
    ended = treadle(verb, *options)
    assert ended.returncode == 2
    assert options[0] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_gateways_are_refused():
    ended = treadle("serve", "--workers", "0")
    assert ended.returncode == 2
    assert "--workers" in ended.stderr


def test_a_port_in_use_is_said_at_once(server, tmp_path):
    port = server.url.rpartition(":")[2]
    [line] = refusal("--config", GRAPHS, "--port", port, "--data", tmp_path / "data")
    assert line == f"treadle: Cannot listen on 127.0.0.1:{port}: Address already in use. Choose another with --port"
    assert not (tmp_path / "data").exists()


def test_a_host_that_is_not_of_this_machine_is_no_matter_of_ports(free_port, tmp_path):
    options = ("--host", "192.0.2.1", "--insecure", "--port", free_port, "--data", tmp_path / "data")
    [line] = refusal("--config", GRAPHS, *options)
    assert line == f"treadle: Cannot listen on 192.0.2.1:{free_port}: Cannot assign requested address"


def test_a_data_folder_in_use_is_said_at_once(server, free_port):
    [line] = refusal("--config", GRAPHS, "--port", free_port, "--data", server.data)
    assert line == f"treadle: The data folder {server.data} is in use by another Treadle"


def test_a_data_folder_that_cannot_be_made_is_said_at_once(tmp_path, free_port):
    (tmp_path / "file").touch()
    [line] = refusal("--config", GRAPHS, "--port", free_port, "--data", tmp_path / "file" / "data")
    assert line == f"treadle: The data folder {tmp_path}/file/data cannot be used: Not a directory"


@pytest.mark.parametrize("name", ["treadle.duckdb", "treadle.duckdb.journal"])
def test_a_file_that_cannot_be_read_is_named_and_left_as_it_is(tmp_path, free_port, name):
    rubbish = bytes(range(256)) * 64
    (tmp_path / name).write_bytes(rubbish)
    [line] = refusal("--config", GRAPHS, "--port", free_port, "--data", tmp_path)
    assert line.startswith(f"treadle: Cannot use {tmp_path / name}: ")
    assert (tmp_path / name).read_bytes() == rubbish


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_a_host_that_others_can_reach_is_refused(tmp_path, free_port, host):
    [line] = refusal("--config", GRAPHS, "--host", host, "--port", free_port, "--data", tmp_path)
    assert line.startswith(f"treadle: Others could reach {host}, and there is no authentication")
    assert "--insecure" in line


def test_a_config_that_is_missing_is_said_by_name(tmp_path):
    [line] = refusal("--config", tmp_path / "nowhere.json", "--data", tmp_path)
    assert line == f"treadle: {tmp_path}/nowhere.json: there is no such file"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"graphs": ', "not JSON: Expecting value (line 1, column 12)"),
        ("{}", "missing required field `graphs`"),
        ('{"graphs": {}}', "it names no graphs"),
        ('{"graphs": {"a": "nothing"}}', "graph 'a': 'nothing' is not of the form './file.py:variable'"),
        ('{"graphs": {"a": "./a.py:graph"}, "dependencies": ["./nowhere"]}', "dependency './nowhere' does not exist"),
        ('{"graphs": {"a": "./a.py:graph"}, "env": "nowhere.env"}', "env: there is no file 'nowhere.env'"),
        ('{"graphs": {"a": "./a.py:graph"}, "auth": {"path": "./auth.py:auth"}}', "cannot honour `auth`"),
    ],
    ids=["half", "no graphs", "none", "form", "dependency", "env", "auth"],
)
def test_a_config_that_is_wrong_is_said_in_a_line(project, tmp_path, text, fault):
    config = project(text)
    [line] = refusal("--config", config, "--data", tmp_path / "data")
    assert line.startswith(f"treadle: {config}: ")
    assert fault in line


def test_the_config_of_the_current_folder_is_taken(project, tmp_path):
    project("{}")
    [line] = refusal("--data", tmp_path / "data", folder=tmp_path)
    assert line.startswith("treadle: langgraph.json: ")


@pytest.mark.parametrize("name", ["actors", "storage", "web"])
def test_a_module_of_the_project_with_the_name_of_one_of_ours_is_named_with_the_cure(project, tmp_path, name):
    config = project({"a": f"./{name}.py:graph"}, **{name: "graph = None"})
    [line] = refusal("--config", config, "--data", tmp_path / "data")
    assert f"{tmp_path}/{name} has the name of one of this server's own packages. Rename it" in line


def test_every_graph_that_cannot_be_loaded_is_listed(project, tmp_path, free_port):
    config = project(
        {
            "raises": "./raises.py:graph",
            "lacks": "./lacks.py:graph",
            "number": "./lacks.py:number",
            "missing": "./missing.py:graph",
            "broken": "./broken.py:graph",
            "fine": "./fine.py:graph",
        },
        raises="raise ValueError('no key:\\nset OPENAI_API_KEY')",
        lacks="number = 5",
        broken="def graph(",
        fine="def graph():\n    ...",
    )
    *graphs, last = refusal("--config", config, "--port", free_port, "--data", tmp_path / "data", timeout=90)
    assert [line.partition(": ")[0] for line in graphs] == [
        "raises (./raises.py:graph)",
        "lacks (./lacks.py:graph)",
        "number (./lacks.py:number)",
        "missing (./missing.py:graph)",
        "broken (./broken.py:graph)",
    ]
    assert graphs[0].endswith("ValueError: no key: set OPENAI_API_KEY")
    assert "AttributeError" in graphs[1]
    assert "neither a graph nor a function" in graphs[2]
    assert "FileNotFoundError" in graphs[3]
    assert "SyntaxError" in graphs[4]
    assert last == "treadle: 5 of 6 graphs cannot be loaded"


def test_a_setting_of_the_wrong_type_is_said_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TREADLE_BODY_LIMIT", "large")
    [line] = refusal("--config", GRAPHS, "--data", tmp_path)
    assert "body_limit" in line
