"""What is logged of answers that were broken off."""

import logging

import pytest
from litestar.exceptions import LitestarException

from web.stopping import BrokenOffError, GatewayStoppingError, is_news


def record_of(error):
    return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "", (), (type(error), error, None))


def wrapped(error):
    """As Litestar and anyio hand it on."""
    outer = LitestarException("Exception caught after response started")
    outer.__cause__ = ExceptionGroup("", [error])
    return record_of(outer)


@pytest.mark.parametrize("error", [GatewayStoppingError(), BrokenOffError()])
def test_an_answer_broken_off_on_purpose_is_no_news(error):
    assert not is_news(record_of(error))
    assert not is_news(wrapped(error))


def test_any_other_error_is():
    assert is_news(record_of(ValueError()))
    assert is_news(wrapped(ValueError()))


def test_a_record_without_an_error_is():
    assert is_news(logging.LogRecord("uvicorn.error", logging.INFO, "", 0, "Shutting down", (), None))
