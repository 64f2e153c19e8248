"""What `langgraph.json` may say, and what is said to somebody whose file is wrong."""

import json
import pickle

import msgspec
import pytest

from actors.project import DEMO, NOT_OBEYED, OURS, GraphSpec, Project, ProjectError, read, refuse_clashes


@pytest.fixture
def write(tmp_path):
    """Write a `langgraph.json` and return its path."""

    def write(content):
        path = tmp_path / "langgraph.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_a_graph_is_named_by_a_string_or_with_a_description(write):
    project = read(write({"graphs": {"a": "./src/a.py:graph", "b": {"path": "pack.b:make", "description": "B."}}}))
    assert project.graphs == {"a": GraphSpec("./src/a.py:graph"), "b": GraphSpec("pack.b:make", "B.")}
    a, b = project.graphs.values()
    assert (a.source, a.variable, a.is_file) == ("./src/a.py", "graph", True)
    assert (b.source, b.variable, b.is_file) == ("pack.b", "make", False)


def test_a_file_needs_no_leading_dot():
    assert GraphSpec("agent.py:graph").is_file


def test_local_dependencies_are_folders_and_packages_are_not(write, tmp_path):
    (tmp_path / "src").mkdir()
    project = read(write({"graphs": {"a": "a:g"}, "dependencies": [".", "./src", "langchain-openai>=1"]}))
    assert project.folders == [str(tmp_path), str(tmp_path / "src")]


def test_the_environment_is_a_map_or_a_file(write, tmp_path):
    (tmp_path / ".env").write_text("# keys\nKEY='a b'\nBARE\n")
    assert read(write({"graphs": {"a": "a:g"}, "env": ".env"})).env == {"KEY": "a b"}
    assert read(write({"graphs": {"a": "a:g"}, "env": {"KEY": "c"}})).env == {"KEY": "c"}


def test_keys_about_images_are_ignored(write):
    about_images = {"python_version": "3.12", "dockerfile_lines": ["RUN x"], "pip_config_file": "pip.conf"}
    assert read(write({"graphs": {"a": "a:g"}} | about_images)) == read(write({"graphs": {"a": "a:g"}}))


@pytest.mark.parametrize("key", NOT_OBEYED)
def test_what_cannot_be_obeyed_is_refused_by_name(write, key):
    with pytest.raises(ProjectError, match=f"cannot honour `{key}`"):
        read(write({"graphs": {"a": "a:g"}, key: {"path": "./x.py:y"}}))
    assert read(write({"graphs": {"a": "a:g"}, key: {}})).graphs, "an empty one asks for nothing"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param('{"graphs": {\n"a" 1}}', r"not JSON: .* \(line 2, column 5\)", id="bad JSON"),
        pytest.param("[]", "Expected `object`, got `array`", id="no object"),
        pytest.param({}, "missing required field `graphs`", id="graphs not there"),
        pytest.param({"graphs": {}}, "it names no graphs", id="graphs empty"),
        pytest.param({"graphs": {"a": 1}}, "got `int`", id="graph is a number"),
        pytest.param({"graphs": {"a": {"description": "x"}}}, "field `path`", id="no path"),
        pytest.param({"graphs": {"a": "./a.py"}}, "graph 'a': './a.py' is not of the form", id="no variable"),
        pytest.param({"graphs": {"a": "./a.ts:graph"}}, "'./a.ts' is not a Python file", id="JavaScript"),
        pytest.param({"graphs": {"a": "a:g"}, "env": ".env"}, "there is no file '.env'", id="env file missing"),
        pytest.param({"graphs": {"a": "a:g"}, "env": {"A": 1}}, "Expected `str`, got `int`", id="env of numbers"),
        pytest.param({"graphs": {"a": "a:g"}, "dependencies": ["./src"]}, "'./src' does not exist", id="no folder"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault_in_one_line(write, content, fault):
    path = write(content)
    with pytest.raises(ProjectError, match=fault) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ProjectError, match=r"nowhere\.json: there is no such file"):
        read(tmp_path / "nowhere.json")


@pytest.mark.parametrize("name", ["actors", "storage", "web"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py", "{}/inside.py", "src/{}.py"])
def test_a_module_with_the_name_of_one_of_ours_is_refused(write, tmp_path, name, form):
    module = tmp_path / form.format(name)
    module.parent.mkdir(exist_ok=True)
    (tmp_path / "src").mkdir(exist_ok=True)
    module.touch()
    with pytest.raises(ProjectError, match=rf"{name} has the name of .* Rename it, or put it inside a package"):
        read(write({"graphs": {"a": "a:g"}, "dependencies": ["./src"]}))


def test_a_folder_without_python_and_a_module_inside_a_package_are_no_clash(write, tmp_path):
    for file in ("web/index.html", "package/__init__.py", "package/storage.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert read(write({"graphs": {"a": "package.a:g"}})).graphs


def test_our_own_folder_is_no_clash():
    refuse_clashes(Project(root=str(OURS), graphs=DEMO.graphs))


def test_a_project_can_be_sent_to_another_process(write):
    project = read(write({"graphs": {"a": {"path": "a:g", "description": "A."}}, "env": {"K": "v"}}))
    assert pickle.loads(pickle.dumps(project)) == project
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(project), type=Project) == project
