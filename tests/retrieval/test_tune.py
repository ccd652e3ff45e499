"""Tuning moves queries to their texts, the same way every time, into a folder that is whole."""

import json
import shutil

import numpy as np
import pytest

from ragft.retrieval.dense import Embedder
from ragft.retrieval.pairs import Pair
from ragft.retrieval.rerank import Reranker
from ragft.retrieval.tune import Tuning, train_reranker, tune_embedder
from ragft.types import RagftError
from tests.retrieval.tiny import WORDS, save_tiny_embedder


@pytest.fixture(scope="module")
def tiny_embedder(tmp_path_factory):
    """Folder of an embedding model of one layer with random weights."""
    return save_tiny_embedder(tmp_path_factory.mktemp("models"))


# A colour asks for a fruit that shares no word with it; wrong texts share the colour.
ANSWER = {"red": "apple", "blue": "plum", "green": "pear"}
PAIRS = [
    Pair(f"{colour} {number}", f"{fruit} {number}", (f"{colour} sky", f"{colour} sea"))
    for colour, fruit in ANSWER.items()
    for number in ("one", "two", "three", "four")
]
QUICK = Tuning(epochs=30, batch_size=6, learning_rate=5e-3, max_length=16)


def cosines(folder, queries, texts):
    embedder = Embedder(folder, device="cpu")
    return embedder.embed(queries) @ embedder.embed(texts).T


def test_a_tuned_embedder_finds_what_it_was_taught(tiny_embedder, tmp_path):
    out = tune_embedder(PAIRS, tmp_path / "tuned", base=tiny_embedder, tuning=QUICK)
    queries, texts = list(ANSWER), list(ANSWER.values())
    assert cosines(out, queries, texts).argmax(axis=1).tolist() == [0, 1, 2]
    right = np.diag(cosines(out, queries, texts))
    wrong = cosines(out, queries, ["sky", "sea"]).max(axis=1)
    assert (right > wrong + 0.2).all()
    measured = json.loads((out / "tuning.json").read_text())["measured"]
    assert measured["rows"] == 12 and measured["steps"] == len(measured["losses"]) == 60
    assert measured["losses"][-1] < measured["losses"][0] / 2 and measured["cut"] == 0


def test_the_same_seed_gives_the_same_weights_and_the_base_stays_as_it_was(tiny_embedder, tmp_path):
    before = cosines(tiny_embedder, list(ANSWER), WORDS)
    quick = Tuning(epochs=2, batch_size=4, learning_rate=1e-3, max_length=16)
    other = Tuning(epochs=2, batch_size=4, learning_rate=1e-3, max_length=16, seed=1)
    options = {"base": tiny_embedder}
    one, two = (
        tune_embedder(PAIRS, tmp_path / name, tuning=quick, **options) for name in ("a", "b")
    )
    three = tune_embedder(PAIRS, tmp_path / "c", tuning=other, **options)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (one, two, three)]
    assert weights[0] == weights[1] != weights[2]
    np.testing.assert_array_equal(cosines(tiny_embedder, list(ANSWER), WORDS), before)


def test_it_reads_as_much_as_its_base_did(tiny_embedder, tmp_path):
    quick = Tuning(batch_size=4, max_length=8)
    long = [Pair(p.query, " ".join(WORDS * 2)[:70] + p.positive) for p in PAIRS]
    out = tune_embedder(long, tmp_path / "tuned", base=tiny_embedder, tuning=quick)
    assert json.loads((out / "tuning.json").read_text())["measured"]["cut"] == len(long)
    with pytest.warns(UserWarning, match="longer than the 32 tokens"):
        Embedder(out, device="cpu").embed([" ".join(WORDS * 4)])


def test_a_trained_reranker_tells_right_from_wrong(tiny_embedder, tmp_path):
    out = train_reranker(PAIRS, tmp_path / "ranker", base=tiny_embedder, tuning=QUICK)
    reranker = Reranker(out, device="cpu")
    for pair in PAIRS:
        right, *wrong = reranker.scores([(pair.query, t) for t in (pair.positive, *pair.negatives)])
        assert right > max(wrong)
    settings = json.loads((out / "tuning.json").read_text())["settings"]
    assert settings["kind"] == "reranker"
    again = train_reranker(
        PAIRS, tmp_path / "on", base=out, tuning=Tuning(batch_size=6, max_length=16)
    )
    assert Reranker(again, device="cpu").scores([("red one", "apple one")]).shape == (1,)


def test_the_seed_of_a_reranker_decides_its_head_too(tiny_embedder, tmp_path):
    import torch

    quick = Tuning(batch_size=6, max_length=16)
    files = []
    for number, name in enumerate(("a", "b")):
        torch.manual_seed(number)  # what others drew before must not matter
        before = torch.get_rng_state()
        out = train_reranker(PAIRS, tmp_path / name, base=tiny_embedder, tuning=quick)
        files.append((out / "model.safetensors").read_bytes())
        assert torch.equal(torch.get_rng_state(), before)
    assert files[0] == files[1]


def test_a_finished_folder_is_returned_and_another_one_is_refused(tiny_embedder, tmp_path):
    quick = Tuning(batch_size=6, max_length=16)
    out = tune_embedder(PAIRS, tmp_path / "tuned", base=tiny_embedder, tuning=quick)
    stamp = (out / "model.safetensors").stat().st_mtime_ns
    assert tune_embedder(PAIRS, out, base=tiny_embedder, tuning=quick) == out
    assert (out / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(RagftError, match="holds a model of other pairs or settings"):
        tune_embedder(PAIRS[:-1], out, base=tiny_embedder, tuning=quick)
    data = bytearray((out / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (out / "model.safetensors").write_bytes(data)
    with pytest.raises(RagftError, match="model.safetensors: is not the file that was written"):
        tune_embedder(PAIRS, out, base=tiny_embedder, tuning=quick)


def test_an_interrupted_training_leaves_nothing_and_starts_again(
    tiny_embedder, tmp_path, monkeypatch
):
    quick = Tuning(batch_size=6, max_length=16)

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ragft.retrieval.tune.note", stopped)
        with pytest.raises(KeyboardInterrupt):
            tune_embedder(PAIRS, tmp_path / "tuned", base=tiny_embedder, tuning=quick)
    assert not (tmp_path / "tuned").exists()
    assert [p.name for p in tmp_path.iterdir()] == [".tuned.lock"]
    whole = tune_embedder(PAIRS, tmp_path / "tuned", base=tiny_embedder, tuning=quick)
    other = tune_embedder(PAIRS, tmp_path / "other", base=tiny_embedder, tuning=quick)
    one, two = ((f / "model.safetensors").read_bytes() for f in (whole, other))
    assert one == two


def test_a_loss_that_is_not_a_number_is_an_error(tiny_embedder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_embedder, folder)
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    quick = Tuning(batch_size=6, max_length=16)
    with pytest.raises(RagftError, match="the loss is no longer a number; lower learning_rate"):
        tune_embedder(PAIRS, tmp_path / "tuned", base=folder, tuning=quick)
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize(
    ("train", "pairs", "message"),
    [
        (tune_embedder, PAIRS[:1], "1 pairs; a contrast needs at least two"),
        (tune_embedder, [*PAIRS, Pair("a", " ")], "pair 12 has an empty text"),
        (train_reranker, [Pair("a", "b"), Pair("c", "d")], "no pair has a hard negative"),
    ],
)
def test_pairs_that_teach_nothing_are_refused(tiny_embedder, tmp_path, train, pairs, message):
    with pytest.raises(RagftError, match=message):
        train(pairs, tmp_path / "tuned", base=tiny_embedder)
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be a whole number from 1 on"),
        ({"batch_size": 1}, "batch_size=1 must be a whole number from 2 on"),
        ({"max_length": 4}, "max_length=4 must be a whole number from 8 on"),
        ({"seed": -1}, "seed=-1 must be a whole number from 0 on"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be above 0"),
    ],
)
def test_settings_out_of_range_are_named(options, message):
    with pytest.raises(RagftError, match=message):
        Tuning(**options)
