"""An embedding model so small that it is trained in a second, made here so that none is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

WORDS = "red blue green apple pear plum sky sea wood one two three four".split()


def save_word_tokenizer(folder: Path, words: Sequence[str], longest: int) -> None:
    """Save BERT's kind of tokenizer that knows some words; the first four are its marks."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=longest,
    ).save_pretrained(folder)


def save_tiny_embedder(root: Path, extra: Iterable[str] = ()) -> Path:
    """Save an embedding model of one layer with random weights that knows `WORDS` and `extra`."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *extra]
    save_word_tokenizer(root / "bert", words, 32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(
            BertConfig(
                vocab_size=len(words),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=32,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        ).save_pretrained(root / "bert")
    transformer = Transformer(str(root / "bert"))
    pooling = Pooling(32, "mean")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    model.save_pretrained(str(root / "embedder"), create_model_card=False)
    return root / "embedder"
