"""What the README says is so."""

from pathlib import Path

from web.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_every_setting_is_documented():
    assert all(f"`TREADLE_{name.upper()}`" in README for name in Settings.__struct_fields__)


def test_it_is_short():
    assert len(README.splitlines()) <= 135
