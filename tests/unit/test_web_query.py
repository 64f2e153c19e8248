"""How query strings are read."""

import pytest
from litestar.exceptions import ValidationException
from litestar.testing import RequestFactory

from web import query


@pytest.mark.parametrize("text", ["true", "True", "1", "YES", "on"])
def test_these_are_true(text):
    assert query.flag("wait", text) is True


@pytest.mark.parametrize("text", [None, "", "false", "False", "0", "no", "OFF"])
def test_these_are_false(text):
    assert query.flag("wait", text) is False


@pytest.mark.parametrize("text", ["maybe", "2", "truee"])
def test_these_are_neither(text):
    with pytest.raises(ValidationException):
        query.flag("wait", text)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, []),
        (["values", "updates"], ["values", "updates"]),
        (["values, updates,"], ["values", "updates"]),
        (['["values","updates"]'], ["values", "updates"]),
        (["[]"], []),
        (["values,debug", '["updates"]'], ["values", "debug", "updates"]),
    ],
)
def test_a_list_has_three_forms(given, found):
    assert query.names("stream_mode", given) == found


@pytest.mark.parametrize("given", ["[values]", "[1]", '["a"'])
def test_a_bad_array_is_refused(given):
    with pytest.raises(ValidationException):
        query.names("stream_mode", [given])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"", b""),
        (b"limit=", b""),
        (b"limit=&offset=3&wait", b"offset=3"),
        (b"before=YWI=&limit=", b"before=YWI="),
    ],
)
async def test_an_empty_value_is_not_given(sent, kept):
    request = RequestFactory().get("/")
    request.scope["query_string"] = sent
    await query.drop_empty(request)
    assert request.scope["query_string"] == kept
