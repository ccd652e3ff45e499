"""What the benchmark of answering compares; how long it takes is no test's matter."""

import json

import pytest

from ragft.bench import answering as bench
from ragft.bench.answering import _agreeing, _Plain, answering
from ragft.cli import main
from ragft.generation.local import LocalModel
from ragft.profiles import profile
from ragft.types import RagftError


@pytest.fixture
def heard(monkeypatch):
    """The texts that each side was asked, in order."""
    calls, generate, answer = [], LocalModel.generate, _Plain.answer

    def ours(self, texts, **options):
        calls.append(("ours", list(texts), options))
        return generate(self, texts, **options)

    def theirs(self, texts):
        calls.append(("theirs", list(texts), {"max_new_tokens": self.max_new_tokens}))
        return answer(self, texts)

    monkeypatch.setattr(LocalModel, "generate", ours)
    monkeypatch.setattr(_Plain, "answer", theirs)
    return calls


def test_both_sides_answer_the_same_prompts_in_turn_and_agree(roomy_model, heard):
    found = answering(5, repeats=2, model=roomy_model, max_new_tokens=6)
    stages = ["with passages", "closed book", "with passages, as each comes"]
    assert [row["stage"] for row in found] == [f"answering {stage}" for stage in stages]
    for row in found:
        assert row["size"] == 5 and 0 < row["low"] <= row["ratio"] <= row["high"]
    assert all("both agree on 5 of 5 answers" in row["note"] for row in found[:2])
    assert all("in float32 / float32" in row["note"] for row in found[:2])
    assert f"in float32 / {profile('cpu').dtype}" in found[2]["note"]  # as its file, as the profile
    assert [side for side, _, _ in heard] == ["theirs", "ours"] * 9
    theirs, ours = ([texts for _, texts, _ in heard[side::2]] for side in (0, 1))
    assert theirs == ours
    assert {options["max_new_tokens"] for _, _, options in heard} == {6}
    (read, again), (closed, last), (*_, once_more) = theirs[1:3], theirs[4:6], theirs[7:]
    assert once_more == read
    assert read == again and closed == last and len({*read, *closed}) == 10
    assert all(text.startswith("Answer from the passages") for text in read)
    assert all("[4]:" in text and "[5]" not in text for text in read)
    assert all("[1]" not in text for text in closed)


def test_the_ratio_is_theirs_over_ours(roomy_model, monkeypatch):
    """A clock that counts 30 seconds for theirs and 10 for ours."""
    from contextlib import contextmanager
    from types import SimpleNamespace

    laps = iter([30.0, 10.0, 20.0, 10.0, 80.0, 20.0] * 3)

    @contextmanager
    def stopwatch():
        yield SimpleNamespace(ms=next(laps))

    monkeypatch.setattr(bench, "stopwatch", stopwatch)
    for found in answering(2, repeats=3, model=roomy_model, max_new_tokens=2):
        assert (found["ratio"], found["low"], found["high"]) == (3, 2, 4)


def test_a_model_that_ends_early_is_stopped_on_both_sides(roomy_model, monkeypatch):
    """The end token forced: both must stop and agree, and not go on to the last token."""
    import torch

    plain = _Plain(roomy_model, 12, "float32")
    ours = LocalModel.load(roomy_model, device="cpu")
    for network in (plain.network, ours.network):
        end = network.config.eos_token_id
        head = network.lm_head
        bias = torch.zeros(head.out_features)
        bias[end] = 1e9
        monkeypatch.setattr(head, "forward", lambda x, f=head.forward, b=bias: f(x) + b)
    (said,) = ours.generate(["Who leads Tarmo?"], max_new_tokens=12)
    assert plain.answer(["Who leads Tarmo?"]) == [said.text] == [""]
    assert said.completion_tokens == 1


def test_answers_that_differ_make_the_times_worthless():
    same = ["a"] * 100
    assert _agreeing(same, ["b", "b", "b", *same[3:]]) == 97
    with pytest.raises(RagftError, match="4 of 100 answers differ .* at most 3%"):
        _agreeing(same, ["b", "b", "b", "b", *same[4:]])
    assert _agreeing(same, ["b"] * 100, may_differ=1.0) == 0


def test_a_side_that_answers_something_else_is_noticed(roomy_model, monkeypatch):
    monkeypatch.setattr(_Plain, "answer", lambda self, texts: ["nothing"] * len(texts))
    with pytest.raises(RagftError, match="2 of 2 answers differ"):
        answering(2, repeats=1, model=roomy_model, max_new_tokens=2)


@pytest.mark.parametrize("size", [{"facts": 0}, {"repeats": 0}])
def test_sizes_out_of_range_are_named(size):
    with pytest.raises(RagftError, match="bench answering: . facts, . repeats; at least 1 of each"):
        answering(**{"facts": 2, "repeats": 2, **size})


def test_the_command_prints_json_alone_and_keeps_a_record(tmp_path, capsys):
    kept = tmp_path / "bench.json"
    options = ["--facts", "2", "--repeats", "1", "--record", str(kept)]
    assert main(["bench", "answering", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["bench"]
    assert all(row["size"] == 2 for row in found)
    assert all("both agree on 2 of 2" in row["note"] for row in found[:2])
    record = json.loads(kept.read_text())
    assert record["hardware"] and record["bench"] == found
