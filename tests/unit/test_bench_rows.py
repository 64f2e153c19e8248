"""The benchmark of the ledger measures what it says, here with few rows."""

from click.testing import CliRunner

from benchmarks.rows import QUERIES, main


def test_all_of_it_is_measured_and_removed(tmp_path):
    ended = CliRunner().invoke(main, ["--rows", "10000", "--commits", "11", "--folder", str(tmp_path)])
    assert ended.exception is None, ended.output
    for name in (
        *QUERIES,
        "file with the primary key",
        "roll-up of a run",
        "commits of 20 rows, alone",
        "scans beside",
    ):
        assert name in ended.output
    assert list(tmp_path.iterdir()) == []
