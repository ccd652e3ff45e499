import pytest

from ragft.experiments.swaps import CONDITIONS, swap
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
