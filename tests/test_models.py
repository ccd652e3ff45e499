"""Model folders: what is found, hashed, tokenised and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from ragft import models, runtime
from ragft.types import RagftError


@pytest.fixture
def folder(tiny_model, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_folder_is_found(tiny_model):
    assert models.locate(tiny_model) == tiny_model
    assert models.locate(str(tiny_model)) == tiny_model


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(RagftError, match=f"no {name}"):
        models.locate(folder)


def test_a_missing_tokenizer_is_named(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(RagftError, match=r"no tokenizer\.json"):
        models.locate(folder)


def test_a_missing_shard_is_named(folder):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(RagftError, match=r"no model-00001-of-00002\.safetensors"):
        models.locate(folder)


def test_weights_that_are_not_safetensors_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(RagftError, match="weights are read from safetensors only"):
        models.locate(folder)


def test_a_name_that_cannot_be_had(tmp_path, monkeypatch):
    import huggingface_hub

    def offline(*_, **__):
        raise ConnectionError("no network\nsecond line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    said = (
        r"'someone/model' is neither a folder .*\(no network\); without it there are 'embedded', "
    )
    with pytest.raises(RagftError, match=said):
        models.locate("someone/model")
    with pytest.raises(RagftError, match="no such model folder"):
        models.locate(tmp_path / "absent")


def test_a_hub_download_takes_no_code(tiny_model, monkeypatch):
    import huggingface_hub

    asked = {}

    def download(name, allow_patterns):
        asked[name] = allow_patterns
        return str(tiny_model)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert models.locate("someone/model") == tiny_model
    assert "*.safetensors" in asked["someone/model"]
    assert not [form for form in asked["someone/model"] if form.endswith((".py", ".bin", "*"))]


def test_the_hash_follows_the_weights_and_not_the_place(tiny_model, other_model, folder):
    assert models.weights_hash(folder) == models.weights_hash(tiny_model)
    assert models.weights_hash(other_model) != models.weights_hash(tiny_model)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert models.weights_hash(folder) != models.weights_hash(tiny_model)


def test_hashes_of_large_files_are_kept_until_the_file_changes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_HASH_CACHE_FROM", 1)
    monkeypatch.setattr(runtime, "cache_dir", lambda: tmp_path / "cache")
    first = models.weights_hash(folder)
    read = []
    real = models.files.sha256_file
    monkeypatch.setattr(models.files, "sha256_file", lambda path: read.append(path) or real(path))
    assert models.weights_hash(folder) == first
    assert read == []
    state = load_file(folder / "model.safetensors")
    save_file({**state, "more": state["model.norm.weight"].clone()}, folder / "model.safetensors")
    assert models.weights_hash(folder) != first
    assert len(read) == 1


def test_damaged_files_are_refused_when_opened(folder):
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(RagftError, match="the model cannot be loaded"):
        models.open_network(folder, device="cpu", dtype=None)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(RagftError, match="the tokenizer cannot be read"):
        models.open_tokenizer(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(RagftError, match=r"config\.json: cannot be read"):
        models.open_config(folder)


def test_a_model_that_needs_its_own_code_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('was run')")
    with pytest.raises(RagftError, match=r"config\.json: cannot be read"):
        models.open_config(folder)


def test_the_context_is_the_least_that_is_named(tiny_model):
    config, tokenizer = models.open_config(tiny_model), models.open_tokenizer(tiny_model)
    assert models.context_length(config, tokenizer) == 128
    tokenizer.model_max_length = 100
    assert models.context_length(config, tokenizer) == 100


def test_prompts_start_once_and_do_not_end(tiny_model, ending_model):
    plain, ending = (models.open_tokenizer(f) for f in (tiny_model, ending_model))
    assert ending("Velka")["input_ids"][-1] == ending.eos_token_id  # its habit
    (row,) = models.prompt_tokens(plain, ["Velka"])
    assert row[0] == plain.bos_token_id
    assert models.prompt_tokens(ending, ["Velka"]) == [row]
    assert models.prompt_tokens(plain, ["<s>Velka"]) == [row]
    assert models.prompt_tokens(plain, ["Velka</s>"]) == [[*row, plain.eos_token_id]]
    assert models.prompt_tokens(plain, []) == []


def test_completions_end_once_and_do_not_start(tiny_model, ending_model):
    for tokenizer in (models.open_tokenizer(tiny_model), models.open_tokenizer(ending_model)):
        start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
        for text in (" Oslo", " Oslo</s>"):
            (row,) = models.completion_tokens(tokenizer, [text])
            assert start not in row
            assert row.count(end) == 1
            assert row[-1] == end
            assert tokenizer.decode(row, skip_special_tokens=True) == " Oslo"
    assert models.completion_tokens(tokenizer, []) == []


def test_a_tokenizer_without_an_end_is_refused(tiny_model):
    tokenizer = models.open_tokenizer(tiny_model)
    tokenizer.eos_token = None
    with pytest.raises(RagftError, match="names no eos_token"):
        models.completion_tokens(tokenizer, [" Oslo"])


def test_texts_longer_than_a_limit_are_counted_in_tokens_and_not_in_characters(tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    lengths = [len(row) for row in tokenizer(["a", "é" * 6, "x" * 20])["input_ids"]]
    assert lengths[1] > 12 > 6  # two bytes a character, two tokens
    texts = ["a", "é" * 6, "x" * 20, ""]
    assert models.count_longer(tokenizer, texts, 12) == sum(n > 12 for n in lengths)
    assert models.count_longer(tokenizer, texts, 1000) == models.count_longer(tokenizer, [], 1) == 0
