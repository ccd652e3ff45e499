"""Constrained decoding: only what fits comes out, and where nothing constrains, nothing changes."""

import json
import random
import sys

import pytest

from ragft.corpora.behaviours import SCHEMAS
from ragft.evaluation.behaviours import fits, strict_json
from ragft.generation.constrained import Allowed, Constrained
from ragft.generation.local import LocalModel
from ragft.types import RagftError
from tests.conftest import save_tiny_model

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["red", "blue"]},
        "word": {"type": "string", "minLength": 1, "maxLength": 4},
        "sure": {"type": "boolean"},
    },
    "required": ["kind", "word", "sure"],
    "additionalProperties": False,
}
PROMPTS = ["Question: Who leads Tarmo?\nAnswer:", "Answer the question.", "0"]


@pytest.fixture(scope="module")
def model(tiny_model):
    return LocalModel.load(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def bound(model):
    return Constrained(model, SCHEMA)


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_a_model_of_random_weights_says_what_fits(bound, temperature):
    said = bound.generate(PROMPTS, max_new_tokens=80, temperature=temperature, batch_size=2)
    assert len(said) == len(PROMPTS)
    for completion in said:
        assert completion.text.startswith(" {")
        assert fits(strict_json(completion.text), SCHEMA), completion.text
        assert completion.entropy >= 0 and completion.logprob <= 0


def test_an_answer_cut_by_its_room_is_the_beginning_of_one_that_fits(bound):
    (cut,), (whole,) = (bound.generate(PROMPTS[:1], max_new_tokens=n) for n in (6, 80))
    assert whole.text.startswith(cut.text) and cut.completion_tokens == 6


def test_batches_do_not_matter(bound):
    together = bound.generate(PROMPTS, max_new_tokens=60, batch_size=3)
    alone = [bound.generate([p], max_new_tokens=60)[0] for p in PROMPTS]
    assert [c.text for c in together] == [c.text for c in alone]


def test_where_every_token_is_allowed_nothing_changes(model):
    every = list(range(len(model.tokenizer)))
    plain = model.generate(PROMPTS, max_new_tokens=12)
    free = model.generate(PROMPTS, max_new_tokens=12, allowed=lambda tokens: every)
    assert [(c.text, c.completion_tokens) for c in free] == [
        (c.text, c.completion_tokens) for c in plain
    ]
    assert free[0].logprob == pytest.approx(plain[0].logprob)


def test_everything_else_is_the_models_own(model, bound):
    assert bound.tokenizer is model.tokenizer and bound.model_hash == model.model_hash
    other = bound.with_adapter(None)
    assert isinstance(other, Constrained) and other.allowed is bound.allowed
    assert other.network is model.network


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_any_walk_through_the_automaton_ends_in_json_that_fits(tiny_model, name):
    tokenizer = LocalModel.load(tiny_model, device="cpu").tokenizer
    allowed, end = Allowed(tokenizer, SCHEMAS[name]), tokenizer.eos_token_id
    for seed in range(5):
        order, tokens = random.Random(seed), []
        while end not in tokens:
            may = allowed(tokens)
            tokens.append(end if end in may else order.choice(may))
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        assert fits(json.loads(text), SCHEMAS[name]), text


def test_sentence_pieces_are_read_as_text(tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    singles = ["▁", "{", "}", '"', "a", ":", "-", *"0123456789"]
    words = ["<pad>", "<s>", "</s>", *singles, '▁{"a":', "▁1", "<0x7D>", "no"]
    at = {word: number for number, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(at, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    allowed = Allowed(tokenizer, schema)
    assert set(allowed([])) == {at["▁"], at['▁{"a":']}
    begun = [at['▁{"a":'], at["▁1"]]
    assert at["▁1"] in allowed(begun[:1]) and at["no"] not in allowed(begun[:1])
    assert {at["}"], at["<0x7D>"], at["7"]} <= set(allowed(begun))
    assert allowed([*begun, at["<0x7D>"]]) == [at["</s>"]]


def test_a_missing_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "outlines_core", None)
    with pytest.raises(RagftError, match=r"extra 'constrained': pip install 'ragft\["):
        Constrained(model, SCHEMA)


def test_a_schema_that_cannot_be_compiled_is_an_error(model):
    with pytest.raises(RagftError, match="the schema cannot be used"):
        Constrained(model, {"type": "nothing"})


def test_a_tokenizer_without_an_end_is_an_error(tmp_path):
    model = LocalModel.load(save_tiny_model(tmp_path / "m"), device="cpu")
    model.tokenizer.eos_token = None
    with pytest.raises(RagftError, match="the tokenizer has no end token"):
        Constrained(model, SCHEMA)
