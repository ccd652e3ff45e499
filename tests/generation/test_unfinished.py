"""What is kept of a call that did not end."""

from __future__ import annotations

import math

import pytest

from ragft.files import sealed_json
from ragft.generation.replies import Reply
from ragft.generation.unfinished import Unfinished


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path))
    return Unfinished({"identity": "m", "bodies": [{"prompt": "a"}, {"prompt": "b"}]})


def test_replies_are_read_as_they_were_kept_with_what_is_not_known(call):
    one = Reply(" Oslo", prompt_tokens=3, completion_tokens=2, finish="stop", first_ms=1.5)
    call.keep({1: one}, 2.5)
    replies, seconds = call.read()
    assert (set(replies), seconds) == ({1}, 2.5)
    assert (replies[1].text, replies[1].first_ms, replies[1].finish) == (" Oslo", 1.5, "stop")
    assert math.isnan(replies[1].logprob)
    other = Unfinished({"identity": "m", "bodies": [{"prompt": "a"}]})
    assert other.read() == ({}, 0.0)
    call.forget()
    assert call.read() == ({}, 0.0)
    call.forget()  # what is not there is forgotten, too


def test_nothing_is_kept_of_nothing_and_a_broken_file_holds_nothing(call):
    call.keep({}, 1.0)
    assert not call.path.exists()
    for broken in ("", "{", "[]", '{"replies": {"x": {}}}', '{"replies": {"1": {"what": 1}}}'):
        call.path.parent.mkdir(exist_ok=True)
        call.path.write_text(broken)
        assert call.read() == ({}, 0.0)
        call.path.write_text(sealed_json({"kept": broken}))
        assert call.read() == ({}, 0.0)


def test_a_reply_that_was_changed_on_the_disk_is_not_believed(call):
    call.keep({0: Reply(" Oslo")}, 1.0)
    call.path.write_text(call.path.read_text().replace("Oslo", "Bonn"))
    assert call.read() == ({}, 0.0)
