"""Answering with a model in memory, held against Hugging Face's own `generate`."""

from __future__ import annotations

import inspect
import math
import shutil

import pytest
import torch

from ragft import models
from ragft.generation.local import LocalModel
from ragft.generation.prefixes import PrefixCache
from ragft.types import RagftError

PROMPTS = [
    "Question: Who leads Tarmo?\nAnswer:",
    "Answer:",
    "Question: In which town does Velka Works lie? Question: Who leads Tarmo?\nAnswer:",
    "What is the default of alpha in veld.fit?",
    "0 1 2 3 4 5",
    "unknown Oslo Ravik",
    "Velka",
]


@pytest.fixture(scope="module")
def model(tiny_model) -> LocalModel:
    return LocalModel.load(tiny_model, device="cpu")


def reference(model: LocalModel, prompt: str, new: int):
    """What transformers' own greedy `generate` gives for one prompt: tokens and raw logits."""
    ids = torch.tensor([models.prompt_tokens(model.tokenizer, [prompt])[0]])
    out = model.network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return out.sequences[0, ids.shape[1] :].tolist(), torch.cat(out.logits)


def test_greedy_equals_hugging_face_and_does_not_depend_on_the_batch(model):
    together = model.generate(PROMPTS, max_new_tokens=12, batch_size=4)
    apart = [model.generate([prompt], max_new_tokens=12)[0] for prompt in PROMPTS]
    assert len({c.text for c in together}) > 3  # the comparison is not one of constants
    for prompt, one, single in zip(PROMPTS, together, apart, strict=True):
        tokens, _ = reference(model, prompt, 12)
        assert one.text == single.text == model._text(tokens)
        assert one.completion_tokens == single.completion_tokens == len(tokens)
        assert one.prompt_tokens == model.count_tokens(prompt)


def test_rows_that_end_early_leave_the_others_as_they_were(tiny_model):
    model = LocalModel.load(tiny_model, device="cpu")
    free = model.generate(PROMPTS, max_new_tokens=12)
    tokens = [reference(model, prompt, 12)[0] for prompt in PROMPTS]
    # declare the third token of the longest answer an end token: that row now stops early
    end = max(tokens, key=len)[2]
    model.network.generation_config.eos_token_id = [end, 2]
    said = model.generate(PROMPTS, max_new_tokens=12)
    lengths = {completion.completion_tokens for completion in said}
    assert min(lengths) <= 3 < max(lengths)
    for full, one, row in zip(free, said, tokens, strict=True):
        cut = row.index(end) + 1 if end in row else len(row)
        assert one.completion_tokens == min(cut, full.completion_tokens)
        assert one.text == model._text(row[: one.completion_tokens])


def test_entropy_and_log_probability_are_those_of_the_logits(model):
    said = model.generate(PROMPTS, max_new_tokens=6)
    for prompt, one in zip(PROMPTS, said, strict=True):
        tokens, logits = reference(model, prompt, 6)
        logp = torch.log_softmax(logits.double(), -1)
        entropy = -(logp.exp() * logp).sum(-1).mean().item()
        likely = logp[range(len(tokens)), tokens].sum().item()
        assert one.entropy == pytest.approx(entropy, abs=1e-4)
        assert one.logprob == pytest.approx(likely, abs=1e-4)
        assert 0 < one.entropy < math.log(320)


def test_uniform_logits_have_the_entropy_of_the_vocabulary(tiny_model, tmp_path):
    model = LocalModel.load(tiny_model, device="cpu")
    with torch.no_grad():
        model.network.lm_head.weight.zero_()
    (said,) = model.generate(["Velka"], max_new_tokens=3)
    size = model.network.config.vocab_size
    assert said.entropy == pytest.approx(math.log(size), abs=1e-5)
    assert said.logprob == pytest.approx(-3 * math.log(size), abs=1e-4)


def test_sampling_is_seeded_and_does_not_depend_on_the_batch(model):
    options = {"max_new_tokens": 8, "temperature": 1.0, "num_samples": 3}
    said = model.generate(PROMPTS, batch_size=4, **options)
    assert [c.text for c in said] == [
        c.text for c in model.generate(PROMPTS, batch_size=1, **options)
    ]
    assert len(said) == 3 * len(PROMPTS)
    assert [c.prompt_tokens for c in said[:3]] == [said[0].prompt_tokens] * 3
    assert len({c.text for c in said}) > len(PROMPTS)
    other = model.generate(PROMPTS, seed=1, **options)
    assert [c.text for c in said] != [c.text for c in other]


def test_sampling_follows_the_distribution_of_the_model(model):
    ids = torch.tensor(models.prompt_tokens(model.tokenizer, ["Velka"]))
    with torch.inference_mode():
        expected = torch.softmax(model.network(ids).logits[0, -1] / 2.0, -1)
    options = {"max_new_tokens": 1, "temperature": 2.0, "num_samples": 500}
    drawn = model.generate(["Velka"] * 8, **options)
    likely = torch.log(torch.softmax(model.network(ids).logits[0, -1], -1))
    top = int(expected.argmax())
    share = sum(abs(c.logprob - likely[top].item()) < 1e-4 for c in drawn) / len(drawn)
    error = math.sqrt(expected[top] * (1 - expected[top]) / len(drawn))
    assert abs(share - expected[top].item()) < 5 * error


def test_a_stop_text_ends_the_answer_and_is_left_out(model):
    (free,) = model.generate(["Velka"], max_new_tokens=12)
    stop = free.text[2:4]
    (said,) = model.generate(["Velka"], max_new_tokens=12, stop=stop)
    assert said.text == free.text.split(stop)[0]
    assert said.completion_tokens < free.completion_tokens


def test_times_are_measured_apart(model):
    first, more = (model.generate(["Velka"], max_new_tokens=n)[0] for n in (1, 12))
    assert first.prefill_ms > 0
    assert first.decode_ms == 0.0  # one token is all prefill
    assert more.decode_ms > 0


def test_no_prompts_give_no_completions(model):
    assert model.generate([]) == []


def test_a_prompt_that_fills_the_context_is_refused_by_number(model):
    long = "Velka " * 200
    length = len(models.prompt_tokens(model.tokenizer, [long])[0])
    with pytest.raises(RagftError, match=rf"prompt 1 \(counted from 0\) has {length} tokens.* 96 "):
        model.generate(["Velka", long], max_new_tokens=32)
    fits = model.tokenizer.decode(models.prompt_tokens(model.tokenizer, [long])[0][1:96])
    assert model.generate([fits], max_new_tokens=32)[0].prompt_tokens == 96


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens=0: must be at least 1"),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
        ({"temperature": -1.0}, "temperature=-1.0: must be 0 or above"),
        ({"num_samples": 2}, "num_samples=2 needs a temperature above 0"),
    ],
)
def test_options_out_of_range(model, options, message):
    with pytest.raises(RagftError, match=message):
        model.generate(["Velka"], **options)


def test_options_of_load(tiny_model):
    with pytest.raises(RagftError, match="dtype='int4': choose auto, float32"):
        LocalModel.load(tiny_model, dtype="int4")
    with pytest.raises(RagftError, match="quantization='int3': choose None or 'nf4'"):
        LocalModel.load(tiny_model, device="cpu", quantization="int3")


def test_a_folder_that_lacks_a_file(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(RagftError, match="no model.safetensors"):
        LocalModel.load(folder)


def test_attributes(model, tiny_model):
    assert model.context_length == 128
    assert model.folder == tiny_model
    assert model.name == str(tiny_model)
    assert not model.has_chat_template
    assert model.model_hash == models.weights_hash(tiny_model)


def test_bfloat16(tiny_model):
    half = LocalModel.load(tiny_model, device="cpu", dtype="bfloat16")
    assert half.network.dtype == torch.bfloat16
    assert half.generate(["Velka"], max_new_tokens=2)[0].completion_tokens == 2


def test_nf4_weights_are_close_to_the_real_ones(wide_model, tiny_model):
    pytest.importorskip("bitsandbytes")
    whole = LocalModel.load(wide_model, device="cpu")
    quarter = LocalModel.load(wide_model, device="cpu", quantization="nf4")
    assert quarter.network.is_loaded_in_4bit
    assert quarter.model_hash == whole.model_hash
    ids = torch.tensor(models.prompt_tokens(whole.tokenizer, PROMPTS[:1]))
    with torch.inference_mode():
        exact = whole.network(ids).logits.flatten()
        rounded = quarter.network(ids).logits.float().flatten()
    assert 0.8 < torch.corrcoef(torch.stack([exact, rounded]))[0, 1] < 0.99999
    with pytest.raises(RagftError, match="width of a multiple of 64.* has 32"):
        LocalModel.load(tiny_model, device="cpu", quantization="nf4")


def streamed(model: LocalModel, prompt: str, **options):
    """The pieces of a streamed completion, and the completion."""
    pieces, stream = [], model.stream(prompt, **options)
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return pieces, end.value


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 1.0, "seed": 3}, {"stop": "a"}, {"stop": ["ri", "zz"]}]
)
def test_a_stream_gives_the_same_text_in_pieces(model, options):
    for prompt in PROMPTS:
        (whole,) = model.generate([prompt], max_new_tokens=12, **options)
        pieces, said = streamed(model, prompt, max_new_tokens=12, **options)
        assert "".join(pieces) == said.text == whole.text
        assert (said.completion_tokens, said.logprob) == (whole.completion_tokens, whole.logprob)
        assert whole.completion_tokens <= len(pieces) <= whole.completion_tokens + 1


def test_a_stream_refuses_what_generate_refuses(model):
    with pytest.raises(RagftError, match="reads at most"):
        next(model.stream("a " * 10_000))
    with pytest.raises(RagftError, match="max_new_tokens=0"):
        next(model.stream("a", max_new_tokens=0))


def test_a_known_beginning_is_not_read_again_and_changes_no_answer(tiny_model):
    model = LocalModel.load(tiny_model, device="cpu")
    start = "Question: Who leads Tarmo? In which town does Velka Works lie? "
    asked = [start + rest for rest in ("Oslo", "Ravik", "0 1 2", "Oslo", "Oslo lies")]
    plain = [model.generate([prompt], max_new_tokens=8)[0] for prompt in asked]
    lengths: list[int] = []
    forward = type(model.network).forward

    def counting(network, input_ids, **options):
        lengths.append(input_ids.shape[1])
        return forward(network, input_ids=input_ids, **options)

    counting.__signature__ = inspect.signature(forward)
    model.prefixes = PrefixCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.network), "forward", counting)
        kept = [model.generate([prompt], max_new_tokens=8)[0] for prompt in asked]
    assert [c.text for c in kept] == [c.text for c in plain]
    for one, other in zip(kept, plain, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
        assert one.prompt_tokens == other.prompt_tokens
    read = [n for n in lengths if n > 1]
    assert read[0] == plain[0].prompt_tokens  # the first is read whole
    assert all(n < plain[0].prompt_tokens / 2 for n in read[1:])
    assert model.prefixes.tokens == sum(c.prompt_tokens for c in plain)
    assert model.prefixes.reused > 0.5 * model.prefixes.tokens


def test_batches_and_samples_leave_the_known_beginnings_alone(tiny_model):
    model = LocalModel.load(tiny_model, device="cpu")
    model.prefixes = PrefixCache()
    model.generate(PROMPTS[:2], max_new_tokens=2)
    model.generate(PROMPTS[:1], max_new_tokens=2, temperature=1.0, num_samples=3)
    assert len(model.prefixes) == 0
