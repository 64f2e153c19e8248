"""A slot is ended for good, whatever state its process is in."""

import signal
import subprocess
import sys

import pytest

from actors.addresses import Addresses, process_id
from actors.remote import RemoteSlot


def a_slot(process):
    """What the directory has of a slot in this process, of which Ray can end nothing."""
    return RemoteSlot(f"/links/slot-1-{process.pid}", None, lambda: None)


@pytest.fixture
def stopped():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        yield process
        process.kill()


async def test_a_slot_that_is_stopped_is_ended_and_ending_it_again_does_nothing(stopped):
    slot = a_slot(stopped)
    await slot.kill()
    assert stopped.wait(10) == -signal.SIGKILL
    await slot.kill()
    await a_slot(stopped).kill()


def test_an_address_says_whose_it_is(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", f"from actors.addresses import Addresses; print(Addresses({str(tmp_path)!r}).slot(7))"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process_id(process.communicate()[0].strip()) == process.pid
    assert Addresses(str(tmp_path)).slot(7).startswith(f"{tmp_path}/slot-7-")
