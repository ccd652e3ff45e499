"""What several test folders share: a tiny model of our own, so that no test needs a network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import settings

# No test is about time: a busy machine must not fail one.
settings.register_profile("ragft", deadline=None)
settings.load_profile("ragft")

WORDS = (
    "Answer the question. Question: Who leads Tarmo? In which town does Velka Works lie? "
    "What is the default of alpha in veld.fit? Answer: unknown Oslo Ravik 0 1 2 3 4 5 6 7 8 9"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the notebooks: a file of one long test that comes last leaves workers idle."""
    items.sort(key=lambda item: item.path.parent.name != "notebooks")


def save_tiny_model(
    folder: Path, *, seed: int = 0, own_end: bool = False, family: str = "Llama", **sizes: int
) -> Path:
    """Save a model with random weights and a BPE tokenizer; `own_end` makes it add its own end."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([WORDS], trainer)
    form = "<s> $A </s>" if own_end else "<s> $A"
    bpe.post_processor = processors.TemplateProcessing(
        single=form, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.save_pretrained(folder)
    config = getattr(transformers, f"{family}Config")(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
        }
        | sizes,
        tie_word_embeddings=True,
        initializer_range=0.3,  # far from ties between logits
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        getattr(transformers, f"{family}ForCausalLM")(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Llama of two layers × 32 with random weights and its own tokenizer."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model of the same shape as `tiny_model`, with other weights."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "other", seed=1)


@pytest.fixture(scope="session")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny model 64 wide, the least that 4-bit weights can be on a CPU."""
    folder = tmp_path_factory.mktemp("models") / "wide"
    return save_tiny_model(folder, hidden_size=64, intermediate_size=128)


@pytest.fixture(scope="session")
def roomy_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a tiny model that can read ten passages in one prompt."""
    folder = tmp_path_factory.mktemp("models") / "roomy"
    return str(save_tiny_model(folder, max_position_embeddings=4096))


@pytest.fixture(scope="session")
def ending_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny model whose tokenizer puts an end token behind every text."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "ending", own_end=True)


@pytest.fixture
def no_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bitsandbytes is not installed."""
    find = importlib.util.find_spec
    gone = "bitsandbytes"
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == gone else find(name, *a)
    )
