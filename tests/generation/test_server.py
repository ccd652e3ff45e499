"""A model on a server in a local model's place: what is asked, what comes back, what is said."""

from __future__ import annotations

import math
import socket

import pytest

from ragft import models, prompts
from ragft.generation import catalog
from ragft.generation.catalog import load_model, model_hash
from ragft.generation.client import Patience
from ragft.generation.constrained import Constrained
from ragft.generation.server import ServerModel
from ragft.types import RagftError
from tests.fake_server import FakeServer, Handler

QUICK = Patience(tries=6, first=0.001, longest=0.01)
ASKED = [f"one two {n}" for n in range(30)]
SAID = [f" [1] one two {n}" for n in range(30)]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    catalog._server.cache_clear()  # a port may come again
    for name in ("RAGFT_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


def opened(server: FakeServer, fragment: str = "", patience: Patience = QUICK) -> ServerModel:
    return ServerModel.open(f"{server.url}{fragment}", patience=patience)


def said(model, prompts_=ASKED, **options) -> list[str]:
    return [one.text for one in model.generate(prompts_, max_new_tokens=9, **options)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def streamed(pieces) -> tuple[list[str], object]:
    heard = []
    while True:
        try:
            heard.append(next(pieces))
        except StopIteration as end:
            return heard, end.value


# What is asked, and what comes back


def test_answers_come_in_the_order_of_the_prompts_with_usage_and_times(server):
    model = opened(server)
    found = model.generate(ASKED, max_new_tokens=9, batch_size=8)
    assert [one.text for one in found] == SAID
    assert {(one.prompt_tokens, one.completion_tokens) for one in found} == {(3, 5)}
    assert {one.logprob for one in found} == {4 * -0.5}
    assert all(one.ttft_ms > 0 for one in found)
    assert all(set(one.stage_ms) == {"server"} for one in found)
    assert all(math.isnan(one.entropy) for one in found)  # never a number
    assert 1 < server.most <= 8
    assert model.counts.to_dict()["answered"] == 30
    assert model.generate([]) == []


def test_greedy_asks_for_no_seed_and_a_draw_for_one_of_its_own_each(server):
    model = opened(server)
    model.generate(ASKED[:2], max_new_tokens=7)
    body = server.seen[-1][1]
    assert (body["temperature"], body["max_tokens"], body["stream"]) == (0.0, 7, True)
    assert "seed" not in body and "stop" not in body

    def seeds(**options):
        before = len(server.seen)
        options = {"max_new_tokens": 7, "temperature": 0.7, "num_samples": 2} | options
        found = model.generate(ASKED[:2], **options)
        bodies = [body for _, body, _ in server.seen[before:]]
        assert [one.text for one in found] == [SAID[0], SAID[0], SAID[1], SAID[1]]
        return sorted(body["seed"] for body in bodies)

    first = seeds()
    assert len(set(first)) == 4
    assert seeds(batch_size=1) == first != seeds(seed=1)


def test_a_chat_template_is_the_servers_and_without_one_text_is_sent(server):
    model = opened(server)
    assert model.has_chat_template
    prompt = prompts.for_model(model, "Who leads Tarmo?", instruction="Say it.")
    model.generate([prompt, "plain"], batch_size=1)
    (one, _), (two, _) = [(body["messages"], path) for path, body, _ in server.seen[-2:]]
    assert one == [
        {"role": "system", "content": "Say it."},
        {"role": "user", "content": "Question: Who leads Tarmo?"},
    ]
    assert two == [{"role": "user", "content": "plain"}]
    server.chat = False
    model = opened(server)
    assert not model.has_chat_template
    prompt = prompts.for_model(model, "Who leads Tarmo?", instruction="Say it.")
    model.generate([prompt])
    assert server.seen[-1][0] == "/v1/completions"
    assert server.seen[-1][1]["prompt"] == prompt == "Say it.\nQuestion: Who leads Tarmo?\nAnswer:"


def test_which_way_can_be_named(server):
    assert not opened(server, "#fake&api=completions").has_chat_template
    server.chat = False
    with pytest.raises(RagftError, match="400: no chat template"):
        opened(server, "#fake&api=chat")


def test_fields_that_a_server_does_not_take_are_left_out(server):
    server.refused = ("logprobs",)
    (one,) = opened(server).generate(ASKED[:1], max_new_tokens=9)
    assert math.isnan(one.logprob) and one.completion_tokens == 5
    server.refused = ("logprobs", "stream_options")
    (one,) = opened(server).generate(ASKED[:1], max_new_tokens=9)
    assert one.text == SAID[0] and math.isnan(one.completion_tokens)


def test_a_server_that_gives_no_probabilities_or_does_not_stream(server):
    server.logprob = None
    assert math.isnan(opened(server).generate(ASKED[:1])[0].logprob)
    server.streams = False
    (one,) = opened(server).generate(ASKED[:1])
    assert (one.text, one.prompt_tokens) == (SAID[0], 3) and math.isnan(one.ttft_ms)


def test_stops_are_sent_and_cut_here_as_well(server):
    model = opened(server)
    (one,) = model.generate(ASKED[:1], stop="two")
    assert one.text == " [1] one " and server.seen[-1][1]["stop"] == ["two"]


def test_a_stream_gives_pieces_and_ends_with_the_same_completion(server):
    model = opened(server)
    heard, one = streamed(model.stream("a b c", max_new_tokens=9))
    assert heard == [" [1]", " a", " b", " c"]
    assert (one.text, one.prompt_tokens, one.completion_tokens) == (" [1] a b c", 3, 5)
    assert 0 < one.ttft_ms <= one.served_ms
    heard, one = streamed(model.stream("a b c", max_new_tokens=9, stop="b c"))
    assert "".join(heard) == one.text == " [1] a "
    pieces = model.stream("a b c")
    assert next(pieces) == " [1]"
    pieces.close()
    server.streams = False
    heard, one = streamed(opened(server).stream("a b c"))
    assert heard == [" [1] a b c"] and math.isnan(one.ttft_ms)


def test_tokens_are_counted_by_the_server_or_not_at_all(server):
    assert opened(server).count_tokens("a b c") is None
    server.counts_tokens = True
    assert opened(server).count_tokens("a b c") == 3
    assert opened(server).context_length == 4096


# Which model it is


def test_the_only_model_needs_no_name_and_adapters_do_not_count(server):
    server.models = [{"id": "base"}, {"id": "lora", "parent": "base"}]
    assert opened(server).model_id == "base"


def test_of_several_models_one_must_be_named(server):
    server.models = [{"id": "b"}, {"id": "a"}]
    with pytest.raises(RagftError, match=r"name one of its models, .*#model-id; it lists a, b$"):
        opened(server)
    assert opened(server, "#b").model_id == "b"
    server.models = []
    with pytest.raises(RagftError, match="it lists none"):
        opened(server)


def test_a_model_that_is_not_there_is_told_with_those_that_are(server):
    with pytest.raises(RagftError, match=r"404: The model none does not exist.*it lists fake$"):
        opened(server, "#none")
    server.models = [{"id": "fake"}, {"id": "broken"}]
    server.answer = lambda text, name: (500, "Internal Server Error")
    with pytest.raises(RagftError, match=r"500: Internal Server Error .*; see the server's log$"):
        opened(server, "#broken")
    server.unlisted = 500
    with pytest.raises(RagftError, match=r"500: .* \(tried 3 times\); .*it lists broken, fake$"):
        opened(server, "#none")


def test_a_server_without_a_list_serves_what_is_named(server):
    server.models = None
    with pytest.raises(RagftError, match="lists no models .* mostly ends in /v1"):
        opened(server)
    assert opened(server, "#any/model").model_id == "any/model"


def test_the_identity_is_what_can_be_known_and_stays_from_list_to_list(server):
    card = {"id": "fake", "root": "org/fake", "max_model_len": 4096}
    server.models = [{**card, "created": 1, "permission": [{"id": "x"}]}]
    one = opened(server)
    assert one.identity == {
        "url": server.url, "model": "fake", "api": "chat/completions",
        "cards": {"fake": card}, "adapters": {},
    }  # fmt: skip
    server.models = [{**card, "created": 2, "permission": [{"id": "y"}]}]
    assert opened(server, "#fake&timeout=7&tries=2").model_hash == one.model_hash
    server.models = [{**card, "root": "org/other"}]
    assert opened(server).model_hash != one.model_hash
    server.models = [card]
    assert opened(server, "#fake&api=completions").model_hash != one.model_hash


def test_an_adapter_is_a_model_by_name(server):
    server.models = [{"id": "base"}, {"id": "lora", "parent": "base"}]
    model = opened(server, "#base&facts=lora")
    tuned = model.with_adapter("lora")
    tuned.generate(["x"])
    assert server.seen[-1][1]["model"] == "lora"
    tuned.with_adapter(None).generate(["x"])
    assert server.seen[-1][1]["model"] == "base"
    assert tuned.counts is model.counts and model.counts.answered == 2
    assert model.ready_adapter("facts") == "lora"
    assert model.identity["adapters"] == {"facts": "lora"}
    with pytest.raises(RagftError, match=r"'folder' is no adapter of this server.*base, lora"):
        model.with_adapter("folder")
    with pytest.raises(RagftError, match=r"cannot be trained.*#base&reading=NAME .*base, lora"):
        model.ready_adapter("reading")
    with pytest.raises(RagftError, match="404: The model gone does not exist"):
        opened(server, "#base&facts=gone")


def test_the_catalogue_opens_a_server_once(server):
    model = load_model(server.url, device="cpu", dtype="float32")
    assert load_model(server.url) is model
    assert model_hash(server.url) == model.model_hash


def test_what_needs_weights_or_tokens_says_what_to_name_instead(server):
    model = opened(server)
    for take in (lambda: model.network, lambda: model.folder, lambda: models.locate(server.url)):
        with pytest.raises(RagftError, match="no weights here.*name a folder or a Hugging Face"):
            take()
    for take in (lambda: model.tokenizer(["x"]), lambda: model.tokenizer.eos_token_id):
        with pytest.raises(RagftError, match="tokens of a model on a server are not known"):
            take()
    with pytest.raises(RagftError, match="tokens of a model on a server"):
        Constrained(model, {"type": "object"})
    with pytest.raises(RagftError, match="constrains needs a model that runs here"):
        model.generate(["x"], allowed=lambda tokens: [0])
    with pytest.raises(RagftError, match="no weights"):
        model.prefixes = object()


# Failures


def test_one_in_ten_fails_in_every_way_and_all_are_answered_and_counted(server):
    model = opened(server)
    ways = [way for way in Handler.FAULTS if way not in ("hang", "slow")]
    server.fault = lambda number: ways[number // 10 % len(ways)] if number % 10 == 5 else ""
    server.number = 0
    asked = [f"one two {n}" for n in range(200)]
    assert said(model, asked) == [f" [1] one two {n}" for n in range(200)]
    counts = model.counts.to_dict()
    assert counts["answered"] == 200
    assert sum(counts["failures"].values()) == counts["tries"] - 200 >= 20
    assert set(counts["failures"]) == {"500", "429", "dropped", "cut short", "garbled"}


def test_a_slow_server_is_waited_for(server):
    model = opened(server)
    server.fault = lambda number: "slow"
    assert said(model) == SAID and model.counts.failures == {}


def test_after_the_last_try_the_rest_is_kept_and_the_same_call_asks_for_nothing_else(server):
    model = opened(server, patience=Patience(tries=2, first=0.001))
    server.answer = lambda text, name: (
        (500, "out of memory") if text.endswith(" 20") else f" {text}"
    )
    told = (
        r"http://127.*/v1: prompt 20 \(counted from 0\): 500: out of memory \(tried 2 times\); "
        r"see the server's log\. (\d+) of 30 are answered and kept"
    )
    with pytest.raises(RagftError, match=told) as caught:
        said(model, batch_size=4)
    kept = int(str(caught.value).split(" of 30")[0].rsplit(" ", 1)[1])
    assert 17 <= kept < 30
    server.answer, before = (lambda text, name: f" {text}"), len(server.seen)
    assert said(model, batch_size=2) == [f" {text}" for text in ASKED]
    assert len(server.seen) - before == 30 - kept
    assert said(model) == [f" {text}" for text in ASKED]  # a call that ended is asked anew
    assert len(server.seen) - before == 60 - kept


def test_another_call_takes_nothing_of_an_unfinished_one(server):
    model = opened(server, patience=Patience(tries=1))
    server.answer = lambda text, name: (500, "no") if text.endswith(" 29") else f" {text}"
    with pytest.raises(RagftError):
        said(model, batch_size=1)
    server.answer, before = (lambda text, name: " new"), len(server.seen)
    assert said(model, ASKED[:5]) == [" new"] * 5
    assert [one.text for one in model.generate(ASKED, max_new_tokens=8)] == [" new"] * 30
    assert len(server.seen) - before == 35


def test_where_no_server_is_that_is_said_at_once():
    address = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(RagftError, match=r"no connection .*; start the server, or correct"):
        ServerModel.open(address, sleep=lambda seconds: pytest.fail("waited"))


def test_something_else_at_the_address_is_told():
    import httpx2

    page = httpx2.MockTransport(lambda request: httpx2.Response(200, text="<html>hello</html>"))
    with pytest.raises(RagftError, match=r"lists no models as .* does \(<html>hello</html>\)"):
        ServerModel.open("http://somewhere/v1", transport=page)


def test_a_key_is_asked_for_sent_and_never_told(server, monkeypatch):
    server.key = "sk-right"
    with pytest.raises(RagftError, match="401: .*set the environment variable RAGFT_API_KEY"):
        opened(server)
    monkeypatch.setenv("RAGFT_API_KEY", "sk-wrong")
    with pytest.raises(RagftError, match=r"401: Incorrect API key provided: Bearer \*\*\*") as got:
        opened(server)
    assert "sk-wrong" not in str(got.value)
    monkeypatch.setenv("RAGFT_API_KEY", "sk-right")
    model = opened(server)
    assert said(model) == SAID
    assert "sk-right" not in str(model.identity) + model.name + str(model.counts)
    server.key = "sk-new"
    with pytest.raises(RagftError, match="401"):
        said(model)
    monkeypatch.setenv("RAGFT_API_KEY", "sk-new")
    assert said(model) == SAID  # the same object: the key is read when it is sent


def test_a_server_that_hangs_is_given_up_after_the_time_out(server):
    model = opened(server, "#fake&timeout=0.2", patience=Patience(tries=2, first=0.001))
    server.fault = lambda number: "hang"
    told = r"no byte came for 0.2 s \(tried 2 times\); it hangs .*timeout=2\)"
    with pytest.raises(RagftError, match=told):
        said(model, ASKED[:2])
    assert model.counts.failures["timed out"] >= 2


def test_a_prompt_that_is_too_long_for_the_server_says_what_to_do(server):
    model = opened(server)
    server.answer = lambda text, name: (400, "This model's maximum context length is 4096 tokens")
    with pytest.raises(RagftError, match=r"prompt 0 .*400: .*; show fewer passages or ask for"):
        said(model, ASKED[:1])
    assert model.counts.tries == 1


def test_an_empty_answer_counts_as_said_and_one_lost_in_thought_does_not(server):
    model = opened(server)
    server.answer = lambda text, name: ""
    assert said(model, ASKED[:3]) == ["", "", ""]
    assert model.counts.empty == 3
    with pytest.raises(RagftError, match=r"prompt 1 \(counted from 0\) is empty"):
        model.generate(["a", ""])
    for option in ({"max_new_tokens": 0}, {"temperature": -1}, {"num_samples": 2}):
        with pytest.raises(RagftError, match=f"{next(iter(option))}="):
            model.generate(["a"], **option)


def test_tokens_that_all_go_into_reasoning_are_an_error():
    import httpx2

    thought = {
        "choices": [{"message": {"content": "", "reasoning": "hm"}, "finish_reason": "length"}]
    }

    def respond(request):
        card = {"data": [{"id": "thinker"}]}
        return httpx2.Response(200, json=card if request.method == "GET" else thought)

    model = ServerModel.open("http://x/v1", transport=httpx2.MockTransport(respond))
    with pytest.raises(RagftError, match="all 9 tokens went into reasoning.*max_new_tokens"):
        said(model, ASKED[:1])
    with pytest.raises(RagftError, match="went into reasoning"):
        streamed(model.stream("x", max_new_tokens=4))
