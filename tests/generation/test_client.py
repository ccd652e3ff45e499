"""Tries, pauses, order, interruptions: with a clock that does not tick."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time

import httpx2
import pytest

from ragft.generation.client import Client, Patience, Unanswered
from ragft.generation.connection import Connection, api_key
from ragft.types import RagftError
from tests.fake_server import FakeServer

OK = {"choices": [{"text": " ok", "finish_reason": "stop"}]}


def client(respond, **settings) -> tuple[Client, list[float]]:
    """Return a client whose requests `respond` answers, and the pauses it makes."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    transport = httpx2.MockTransport(respond)
    made = Client(Connection("http://server/v1", 5.0, transport=transport), sleep=sleep, **settings)
    return made, slept


def answers(made: Client, count: int, at_once: int = 4) -> dict[int, str]:
    said: dict[int, str] = {}
    made.ask(
        "completions",
        {n: {"prompt": str(n)} for n in range(count)},
        at_once,
        lambda number, reply: said.update({number: reply.text}),
    )
    return said


def test_pauses_double_up_to_a_limit_each_request_has_its_own_and_a_rerun_the_same():
    patience = Patience(first=0.5, longest=3.0)
    assert [patience.wait(failed, 0) for failed in (1, 2, 3, 4, 5)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    shares = [patience.wait(1, number) for number in range(100)]
    assert len({round(share, 6) for share in shares}) == 100
    assert all(0.25 <= share <= 0.5 for share in shares)
    assert shares == [patience.wait(1, number) for number in range(100)]
    assert patience.wait(1, 0, asked=7.0) == 7.0
    assert patience.wait(5, 0, asked=0.1) == 1.5


def test_a_request_is_tried_again_until_it_succeeds():
    status = iter([500, 429, 200])

    def respond(request):
        code = next(status)
        return httpx2.Response(code, json=OK, headers={"Retry-After": "9"} if code == 429 else {})

    made, slept = client(respond)
    assert answers(made, 1) == {0: " ok"}
    assert slept == [0.25, 9.0]  # what the server asked for is the least
    assert made.counts.to_dict() == {
        "tries": 3, "answered": 1, "empty": 0, "waited_seconds": 9.25,
        "failures": {"429": 1, "500": 1},
    }  # fmt: skip


def test_after_the_last_try_nothing_new_begins_and_what_was_answered_stays():
    asked: list[int] = []

    def respond(request):
        number = int(json.loads(request.content)["prompt"])
        asked.append(number)
        return httpx2.Response(503 if number == 2 else 200, json=OK)

    made, slept = client(respond, patience=Patience(tries=3))
    said: dict[int, str] = {}
    with pytest.raises(Unanswered) as caught:
        made.ask(
            "completions",
            {n: {"prompt": str(n)} for n in range(50)},
            1,
            lambda number, reply: said.update({number: reply.text}),
        )
    assert (caught.value.number, caught.value.tries, caught.value.failure.kind) == (2, 3, "503")
    assert asked.count(2) == 3 and len(slept) == 2
    assert set(said) == set(asked) - {2} and {0, 1} <= set(said)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_tried_again(status):
    made, slept = client(lambda request: httpx2.Response(status, text="no"))
    with pytest.raises(Unanswered):
        answers(made, 1)
    assert (made.counts.tries, slept) == (1, [])


def test_a_server_that_asks_for_hours_is_given_up():
    respond = lambda request: httpx2.Response(429, headers={"Retry-After": "7200"})  # noqa: E731
    made, slept = client(respond)
    with pytest.raises(Unanswered):
        answers(made, 1)
    assert slept == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.ConnectError("refused"), "no connection"),
        (httpx2.ConnectTimeout("slow"), "timed out"),
        (httpx2.ReadTimeout("slow"), "timed out"),
        (httpx2.RemoteProtocolError("hung up"), "dropped"),
        (httpx2.ReadError(""), "dropped"),
    ],
)
def test_what_can_happen_on_the_way_is_told_apart(error, kind):
    def respond(request):
        raise error

    made, _ = client(respond, patience=Patience(tries=2))
    with pytest.raises(Unanswered) as caught:
        answers(made, 1)
    assert caught.value.failure.kind == kind
    assert made.counts.failures == {kind: 2}


def test_no_more_than_asked_for_are_under_way_at_once():
    now, most = 0, 0

    async def respond(request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return httpx2.Response(200, json=OK)

    made, _ = client(respond)
    assert len(answers(made, 40, at_once=5)) == 40
    assert most == 5


def test_it_works_where_a_loop_runs_already_as_in_jupyter():
    made, _ = client(lambda request: httpx2.Response(200, json=OK))

    async def cell():
        return answers(made, 3)

    assert asyncio.run(cell()) == dict.fromkeys(range(3), " ok")


@pytest.fixture
def interruptible():
    """A job in the background has SIGINT ignored, and its children as well."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interruption_stops_at_once_and_keeps_what_was_answered(interruptible):
    with FakeServer(fault=lambda number: "hang" if number >= 20 else "") as server:
        made = Client(Connection(server.url, 25.0))
        said: dict[int, str] = {}
        bodies = {
            n: {"model": "fake", "prompt": f"a {n}", "max_tokens": 9, "stream": True}
            for n in range(40)
        }

        def interrupt():
            while len(said) < 20 or server.under_way < 4:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            made.ask("completions", bodies, 4, lambda n, reply: said.update({n: reply.text}))
        assert len(said) == 20
        assert server.under_way == 4  # they hang on: it was not they who ended the call
        assert server.number == 24


def test_the_key_comes_from_the_environment_and_openais_only_goes_where_it_may(monkeypatch):
    monkeypatch.delenv("RAGFT_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert api_key("https://api.example/v1") == api_key("http://localhost:1/v1") == "sk-openai"
    assert api_key("http://10.0.0.7:8000/v1") == ""
    monkeypatch.setenv("RAGFT_API_KEY", " sk-own\n")
    assert api_key("http://10.0.0.7:8000/v1") == api_key("https://api.example/v1") == "sk-own"
    monkeypatch.setenv("RAGFT_API_KEY", "two words")
    with pytest.raises(RagftError, match="RAGFT_API_KEY: holds characters") as caught:
        api_key("http://10.0.0.7:8000/v1")
    assert "two words" not in str(caught.value)


def test_a_stream_is_tried_again_before_its_first_piece_and_not_after_it():
    with FakeServer(fault=lambda number: ("500", "half", "")[min(number, 2)]) as server:
        made = Client(Connection(server.url), Patience(first=0.001))
        body = {"model": "fake", "prompt": "a b c", "max_tokens": 9, "stream": True}
        heard = []
        with pytest.raises(Unanswered, match="broke off"):
            for piece in made.stream("completions", body):
                heard.append(piece)  # noqa: PERF402 - what came before the error counts
        assert heard == [" [1]", " a"]
        assert made.counts.failures == {"500": 1, "cut short": 1}
        assert "".join(made.stream("completions", body)) == " [1] a b c"
