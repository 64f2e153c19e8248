"""Whatever is killed while clients are at it, every promise holds (`tests.chaos`). `make chaos` goes on for longer."""

import os
import random

import pytest

from tests.chaos import report
from tests.chaos.told import Hit
from tests.chaos.trial import Plan, hold


@pytest.mark.filterwarnings("ignore:Reconnecting without a Last-Event-ID:UserWarning")  # the SDK, cut off at once
def test_nothing_that_was_promised_is_broken_by_whatever_dies(tmp_path):
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))
    verdict = hold(Plan(seed=seed, seconds=25), tmp_path)
    assert not verdict.broken, f"{report.table(verdict)}\n{report.story(verdict)}"
    assert len(list(verdict.told.of(Hit))) > 3, "there was no time for blows"
