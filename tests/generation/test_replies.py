"""Streams, whole replies and errors, as servers word them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.generation.replies import Failed, Lines, Reply, refusal, whole


def fed(*events) -> tuple[Reply, list]:
    reply = Reply()
    return reply, [reply.take(e if isinstance(e, str) else json.dumps(e)) for e in events]


def test_a_chat_is_put_together_with_usage_and_log_probabilities():
    def said(text, *logprobs, **more):
        content = [{"token": "t", "logprob": x} for x in logprobs]
        return {"choices": [{"delta": {"content": text}, "logprobs": {"content": content}, **more}]}

    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    reply, pieces = fed(
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        said(" Os", -0.5),
        said("lo", -0.25, -1.0),
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
        "[DONE]",
    )
    assert pieces == [None, " Os", "lo", None, None, None]
    assert (reply.text, reply.finish, reply.done) == (" Oslo", "stop", True)
    assert (reply.prompt_tokens, reply.completion_tokens) == (7, 3)
    assert reply.logprob == -1.75
    reply.check()


def test_a_completion_is_put_together_and_what_is_not_told_is_not_a_number():
    one = {"text": " Oslo", "logprobs": {"token_logprobs": [-0.5, -0.5]}}
    reply, pieces = fed({"choices": [one]}, {"choices": [{"text": "", "finish_reason": "length"}]})
    assert (reply.text, pieces, reply.logprob) == (" Oslo", [" Oslo", None], -1.0)
    assert math.isnan(reply.prompt_tokens) and math.isnan(reply.completion_tokens)
    assert math.isnan(fed({"choices": [{"text": " a"}]})[0].logprob)


def test_reasoning_is_a_token_that_is_not_shown():
    thought = {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": "length"}]}
    reply, pieces = fed(thought)
    assert (pieces, reply.text, reply.thought) == ([""], "", True)
    details = {"completion_tokens_details": {"reasoning_tokens": 5}}
    assert fed({"choices": [], "usage": details})[0].thought


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (["{nonsense"], "garbled"),
        (["[1, 2]"], "garbled"),
        ([{"choices": [17]}], "garbled"),
        ([{"what": 1}], "garbled"),
        ([{"error": "worker died"}], "error in the stream"),
        ([{"error": {"message": "busy", "code": 503}}], "503"),
    ],
)
def test_what_cannot_be_read_is_a_failure_that_may_pass(events, kind):
    with pytest.raises(Failed) as caught:
        fed(*events)
    assert (caught.value.kind, caught.value.again) == (kind, True)


def test_a_reply_without_an_end_is_cut_short_and_one_without_a_choice_garbled():
    with pytest.raises(Failed, match="broke off") as caught:
        fed({"choices": [{"text": " half"}]})[0].check()
    assert caught.value.kind == "cut short"
    with pytest.raises(Failed) as caught:
        fed("[DONE]")[0].check()
    assert caught.value.kind == "garbled"


def test_a_whole_reply_is_read_too():
    choice = {"message": {"role": "assistant", "content": " Oslo"}, "finish_reason": "stop"}
    reply = whole(json.dumps({"choices": [choice], "usage": {"prompt_tokens": 2}}))
    assert (reply.text, reply.prompt_tokens, reply.done) == (" Oslo", 2, True)
    empty = whole(json.dumps({"choices": [{"message": {"content": None}}]}))
    assert empty.text == "" and math.isnan(empty.first_ms)
    for body in ("<html>", "{}", '{"choices": []}'):
        with pytest.raises(Failed, match="no reply that can be read"):
            whole(body)


@pytest.mark.parametrize(
    ("status", "again"),
    [(400, False), (401, False), (404, False), (422, False), (307, False),
     (408, True), (409, True), (429, True), (500, True), (503, True)],
)  # fmt: skip
def test_only_what_may_pass_is_tried_again(status, again):
    assert refusal(status, "").again is again


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "no such model", "type": "x"}}', "400: no such model"),
        ('{"detail": "Unexpected fields"}', "400: Unexpected fields"),
        ('{"message": "vLLM\'s"}', "400: vLLM's"),
        ("Internal\n Server Error", "400: Internal Server Error"),
        ("x" * 500, f"400: {'x' * 300} ..."),
    ],
)
def test_what_a_server_says_is_told_in_short(body, said):
    assert refusal(400, body).said == said


def test_a_server_may_ask_to_wait():
    assert refusal(429, "", "1.5").wait == 1.5
    for unclear in ("", "soon", "-1", "inf", "nan", "Wed, 21 Oct 2026 07:28:00 GMT"):
        assert refusal(429, "", unclear).wait is None


@given(st.lists(st.text(min_size=1, max_size=9), max_size=4), st.integers(1, 7))
def test_lines_end_at_line_feeds_alone_however_the_bytes_come(texts, size):
    """JSON leaves U+2028 and the like as they are, and `str.splitlines` would cut there."""
    data = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    sent = "".join(f": comment\r\ndata: {one}\r\n\r\n" for one in data).encode()
    lines = Lines()
    parts = (sent[at : at + size] for at in range(0, len(sent), size))
    found = [json.loads(line) for part in parts for line in lines.cut(part)]
    assert found == [{"text": text} for text in texts]
