import pytest

from ragft.experiments.swaps import CONDITIONS, EMBEDDING, swap, swap_embedder
from ragft.experiments.tasks import load_task
from ragft.profiles import profile
from ragft.training.adapters import carry_over
from ragft.types import RagftError
from tests.conftest import save_tiny_model

SIZES = profile("smoke", epochs=1, max_new_tokens=4, rank=4, facts=6, n_boot=100)


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    made = [
        save_tiny_model(tmp_path / f"model{seed}", seed=seed, max_position_embeddings=2048)
        for seed in (0, 1)
    ]
    return [str(folder) for folder in made]


def test_an_adapter_is_asked_on_its_base_on_another_and_trained_again(models, tmp_path):
    task = load_task("world", SIZES)
    options = {"seeds": (0, 1), "base": SIZES, "out": tmp_path / "out", "progress": False}
    found = swap(task, *models, **options)
    counts = found.answers.groupby(["arm", "condition"])["seed"].nunique().to_dict()
    assert counts == {
        **{("finetuned", name): 2 for name in CONDITIONS},
        ("rag", "old base"): 1,
        ("rag", "moved"): 1,
    }
    asked = found.answers.groupby(["arm", "condition", "seed"])["question_id"].nunique()
    assert (asked == len(task.asked)).all()
    seconds = found.answers.groupby(["arm", "condition"])["training_seconds"].max()
    assert seconds["finetuned"].gt(0).all() and seconds["rag"].isna().all()
    effects = found.quantities
    total = (
        effects["swap_loss_without_retraining"]["mean"]
        + (effects["swap_regained_by_retraining"]["mean"])
    )
    right = found.answers.assign(right=found.answers["outcome"] == "correct")
    mean = right.groupby(["arm", "condition"])["right"].mean()["finetuned"]
    assert total == pytest.approx(mean["retrained"] - mean["old base"])


def test_the_same_weights_twice_are_refused(models, tmp_path):
    with pytest.raises(RagftError, match="are the same weights"):
        swap(load_task("world", SIZES), models[0], models[0], base=SIZES, out=tmp_path)


def test_a_carried_over_adapter_never_overwrites(models, tmp_path):
    (tmp_path / "there").mkdir()
    task = load_task("world", SIZES)
    swap(task, *models, seeds=(0,), base=SIZES, out=tmp_path / "out", progress=False)
    adapter = next((tmp_path / "cache" / "adapters").glob("[!.]*"))
    with pytest.raises(RagftError, match="is there already"):
        carry_over(adapter, models[1], out=tmp_path / "there")


HYBRID = profile(SIZES, retriever="hybrid")


def test_another_embedder_shows_other_passages_and_a_reload_the_same(models, tmp_path):
    task = load_task("world", HYBRID)
    options = {"model": models[0], "base": HYBRID, "out": tmp_path / "out", "progress": False}
    found = swap_embedder(task, **options)
    asked = found.answers.groupby("condition")["question_id"].nunique()
    assert asked.to_dict() == dict.fromkeys(EMBEDDING, len(task.asked))
    for name in ("flips", "passages", "accuracy"):
        ending = "_minus_before" if name == "accuracy" else ""
        assert found.quantities[f"{name}_reloaded{ending}"]["mean"] == 0
    shown = {c: part.set_index("question_id") for c, part in found.answers.groupby("condition")}
    pairs = zip(shown["before"]["shown"], shown["new embedder"]["shown"], strict=True)
    moved = [1 - len(set(a) & set(b)) / len(b) for a, b in pairs]
    assert sum(moved) > 0
    measured = found.quantities["passages_new_embedder"]
    assert measured["mean"] == pytest.approx(sum(moved) / len(moved))
    texts = zip(shown["before"]["text"], shown["new embedder"]["text"], strict=True)
    flips = [a != b for a, b in texts]
    assert found.quantities["flips_new_embedder"]["mean"] == pytest.approx(sum(flips) / len(flips))


def test_swapping_nothing_is_refused(models, tmp_path):
    task, options = load_task("world", SIZES), {"model": models[0], "out": tmp_path}
    with pytest.raises(RagftError, match="auto is the present embedder; name another one"):
        swap_embedder(task, "auto", base=HYBRID, **options)
    with pytest.raises(RagftError, match="retriever='bm25': it embeds nothing"):
        swap_embedder(task, base=SIZES, **options)
