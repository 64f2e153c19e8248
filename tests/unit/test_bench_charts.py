"""A chart shows each point where its axes say that it is."""

import re
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.charts import HEIGHT, SOURCES, WIDTH, Axis, Chart, Line, Scale, chart_of, draw, main, ticks
from benchmarks.figures import Figure, Unit
from benchmarks.report import Answers, Conditions, Report

SVG = "{http://www.w3.org/2000/svg}"
EVENTS, FIRST_EVENT, MEMORY = SOURCES

values = st.lists(st.floats(min_value=0.01, max_value=1e6), min_size=1, max_size=9)


def figure(name: str, value: float, p99: float | None = None) -> Figure:
    return Figure(name=name, unit=Unit.EVENTS, value=value, samples=9, p99=p99)


def growth() -> Answers:
    ours = [figure("clients: 1", 5000), figure("clients: 1, first event", 6, 9), figure("clients: 2", 8000)]
    few = [figure("clients: 1", 190), figure("clients: 1, first event", 900)]
    return Answers("growth", "How?", {"treadle": ours, "langgraph-dev": few})


def dots(svg: str) -> list[tuple[float, float]]:
    return [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in ET.fromstring(svg).iter(f"{SVG}circle")]


def chart(scale: Scale, points: list[tuple[float, float]]) -> Chart:
    return Chart("A title", Axis("x", scale), Axis("y", scale), (Line("a < b", tuple(points)),))


@pytest.mark.parametrize(
    ("scale", "given", "expected"),
    [
        (Scale.DIFFERENCES, [3, 100], [0, 20, 40, 60, 80, 100]),
        (Scale.DIFFERENCES, [0], [0, 1]),
        (Scale.FACTORS, [1, 256], [2**power for power in range(9)]),
        (Scale.FACTORS, [5, 9000], [1, 10, 100, 1000, 10_000]),
        (Scale.FACTORS, [4], [4, 8]),
    ],
)
def test_an_axis_has_round_numbers(scale, given, expected):
    assert ticks(scale, given) == expected


@given(values, st.sampled_from(Scale))
def test_all_values_lie_between_the_first_number_and_the_last(given, scale):
    marks = ticks(scale, given)
    assert marks[0] <= min(given) * 1.000001
    assert marks[-1] >= max(given) * 0.999999
    assert len(marks) <= 13


@given(st.lists(st.tuples(values.map(max), values.map(max)), min_size=1, max_size=9), st.sampled_from(Scale))
def test_every_point_is_on_the_drawing_and_more_is_further(points, scale):
    drawn = dots(draw(chart(scale, points)))
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in drawn)
    for (x, y), (drawn_x, drawn_y) in zip(points, drawn, strict=True):
        for (other_x, other_y), (there_x, there_y) in zip(points, drawn, strict=True):
            assert x <= other_x or drawn_x >= there_x
            assert y <= other_y or drawn_y <= there_y


def test_a_factor_is_as_far_anywhere():
    (first, _), (second, _), (third, _) = dots(draw(chart(Scale.FACTORS, [(1, 1), (16, 1), (256, 1)])))
    assert second - first == pytest.approx(third - second, abs=0.2)


def test_names_are_text_and_not_markup():
    texts = [text.text for text in ET.fromstring(draw(chart(Scale.DIFFERENCES, [(1, 1)]))).iter(f"{SVG}text")]
    assert "a < b" in texts
    assert "A title" in texts


def test_a_line_has_the_figures_that_its_chart_is_about():
    lines = chart_of(EVENTS, growth()).lines
    assert lines == (Line("treadle", ((1, 5000), (2, 8000))), Line("langgraph-dev", ((1, 190),)))


def test_a_p99_of_too_few_samples_is_left_out():
    assert chart_of(FIRST_EVENT, growth()).lines == (Line("treadle", ((1, 9),)),)


def test_charts_are_drawn_from_what_a_run_has_written(tmp_path):
    awake = Answers("awake", "How?", {"treadle": [figure("awake: 0", 400), figure("awake: 32", 3600)]})
    conditions = Conditions("command", "commit", "machine", "3.11", {}, [])
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(Report(conditions, [growth(), awake], [])))
    ended = CliRunner().invoke(main, [str(tmp_path / "run.json"), str(tmp_path / "charts")])
    assert ended.exception is None, ended.output
    drawn = {path.name: path.read_text() for path in (tmp_path / "charts").iterdir()}
    assert set(drawn) == {"events.svg", "first-event.svg", "memory.svg"}
    assert all(re.search("treadle", svg) for svg in drawn.values())


def test_a_run_that_did_not_ask_how_it_grows_is_refused(tmp_path):
    conditions = Conditions("command", "commit", "machine", "3.11", {}, [])
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(Report(conditions, [], [])))
    ended = CliRunner().invoke(main, [str(tmp_path / "run.json"), str(tmp_path)])
    assert ended.exit_code == 2
    assert "has no answer to growth or awake" in ended.output
