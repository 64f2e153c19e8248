"""Which Ray is joined, and what is refused because another command has settled it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.clustersettings import ClusterSettings, JoinError, address_here, refuse_others
from actors.project import DEMO, RunLimits
from storage.deployment import Deployment
from storage.pricelists import OwnPrices
from storage.records import TapeLimits

ONE, TWO = "127.0.0.2:6379", "127.0.0.2:6380"
PRESENT = ClusterSettings(
    project=DEMO,
    data=Path("/data"),
    warm=2,
    most=4,
    limits=RunLimits(grace=5, timeout=60, waiting=100),
    tape_limits=TapeLimits(24, 1000, 1000),
)


@pytest.mark.parametrize(
    ("wanted", "known", "found"), [(ONE, [ONE, TWO], ONE), (TWO, [ONE, TWO], TWO), ("auto", [TWO], TWO)], ids=str
)
def test_a_ray_of_this_machine_is_found(wanted, known, found):
    assert address_here(wanted, known) == found


@pytest.mark.parametrize(
    ("wanted", "known", "reason"),
    [
        (ONE, [TWO], f"There is no Ray at {ONE} on this machine, which has {TWO}. Gateways reach threads over Unix"),
        ("192.0.2.1:6379", [], "There is no Ray at 192.0.2.1:6379 on this machine, which has none."),
        ("auto", [], "`auto` needs one Ray on this machine, which has none."),
        ("auto", [TWO, ONE], f"`auto` needs one Ray on this machine, which has {ONE}, {TWO}."),
    ],
    ids=str,
)
def test_any_other_is_refused_in_a_line(wanted, known, reason):
    with pytest.raises(JoinError) as refused:
        address_here(wanted, known)
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)


CHANGES = {
    "project": (replace(DEMO, env={"KEY": "secret"}), "--config"),
    "data": (Path("/other"), "--data"),
    "warm": (3, "--warm"),
    "most": (5, "--max"),
    "limits": (RunLimits(grace=6, timeout=60, waiting=100), "TREADLE_CANCEL_GRACE"),
    "tape_limits": (TapeLimits(1, 1000, 1000), "TREADLE_TAPE_HOURS"),
    "own_prices": (OwnPrices(providers={"ours": None}), "TREADLE_PRICES"),
    "server": (Deployment(release="2"), "TREADLE_RELEASE"),
}


def test_every_setting_of_the_cluster_is_compared():
    assert CHANGES.keys() == set(ClusterSettings.__struct_fields__) - {"left_open"}


@pytest.mark.parametrize("name", CHANGES)
def test_another_value_than_that_of_the_actors_is_refused_by_name_unless_it_was_left_open(name):
    value, shown = CHANGES[name]
    wanted = replace(PRESENT, **{name: value})
    with pytest.raises(JoinError, match=shown) as refused:
        refuse_others(wanted, PRESENT)
    assert "secret" not in str(refused.value)
    refuse_others(replace(wanted, left_open=frozenset({name})), PRESENT)


def test_the_same_settings_are_fine():
    refuse_others(PRESENT, replace(PRESENT, left_open=frozenset({"warm"})))
