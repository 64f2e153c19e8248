"""Prices from the outside: own ones, from a file that a setting names, also for calls from before there was one."""

import json
import subprocess

import anyio
import duckdb
import httpx

from actors.ledger import Ledger
from storage.accounting import Recording
from storage.records import Admission
from tests import server as servers
from tests.factories import a_call, a_run, a_thread
from tests.server import command

RUN = a_run()
OPTIONS = ("--warm", "1", "--max", "2")


async def remember(path, call):
    """A call from before there was a price, in the file of a server that has stopped."""
    ledger = Ledger(str(path))
    await ledger.open()
    await ledger.bind("t1", must_exist=False)
    await ledger.admit(Admission(run=RUN, epoch=1, new_thread=a_thread()))
    await ledger.record(Recording(thread_id="t1", epoch=1, calls=(call,)))
    await ledger.close()
    with duckdb.connect(str(path)) as db:
        db.execute("UPDATE model_calls SET unpriced_reason = 'unknown_model'")


def price_missing(url):
    return subprocess.run(
        command("usage", "price", "--missing", "--url", url), capture_output=True, text=True, timeout=60, check=False
    )


def kept(server, sql):
    """What the database of a server says that has stopped."""
    with duckdb.connect(str(server.data / "treadle.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def test_calls_without_a_price_get_one_when_there_is_one(tmp_path):
    anyio.run(remember, tmp_path / "data" / "treadle.duckdb", a_call(RUN, provider="ours", model="m1"))
    price = {"provider": "ours", "model": "m1", "input_mtok": 3, "output_mtok": 3}
    (tmp_path / "prices.json").write_text(json.dumps({"prices": [price]}))
    with servers.serving(tmp_path, *OPTIONS, TREADLE_PRICES=str(tmp_path / "prices.json")) as server:
        for count in (1, 0):
            priced = price_missing(server.url)
            while "being loaded" in priced.stderr:  # the price list, a moment after the start
                priced = price_missing(server.url)
            assert (priced.returncode, priced.stdout) == (0, f"{count} calls have a cost now.\n"), priced.stderr
        wrong = httpx.post(f"{server.url}/analytics/prices", json={"after": "no id"})
        assert wrong.status_code == 422
    priced = "cost_usd = total_tokens * 3 / 1e6 and starts_with(price_version, 'config ')"
    assert kept(server, f"select {priced} from model_calls") == [(True,)]
    assert kept(server, "select unpriced_calls, cost_usd > 0 from runs") == [(0, True)]
    assert kept(server, "select count(*) > 2000 from prices_now") == [(True,)]
    assert price_missing(server.url).returncode == 2


def test_a_file_of_prices_that_cannot_be_used_is_one_line_at_the_start(tmp_path):
    (tmp_path / "prices.json").write_text('{"prices": [{"model": "m"}]}')
    for name, fault in (("prices.json", "missing required field"), ("none.json", "No such file")):
        ended = subprocess.run(
            command("dev", "--port", str(servers.free_port()), "--data", tmp_path / "data"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"TREADLE_PRICES": str(tmp_path / name), "PATH": ""},
        )
        assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
        assert str(tmp_path / name) in ended.stderr
        assert fault in ended.stderr
