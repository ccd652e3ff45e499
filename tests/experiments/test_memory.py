"""What is held, against what there is; the peak of known work."""

import pytest
import torch

from ragft.experiments import memory as module
from ragft.experiments.memory import PARTS, memory, peak_bytes
from ragft.experiments.tasks import world_task
from ragft.generation.local import LocalModel
from ragft.generation.shapes import shape_of
from ragft.profiles import profile
from ragft.types import RagftError

SMALL = {"facts": 4, "world_subjects": 16, "n_boot": 50, "max_new_tokens": 4, "rank": 4}
ARMS = ("prompt", "finetuned", "rag")


@pytest.fixture(scope="module")
def task(roomy_model):
    return world_task(profile("smoke", model=roomy_model, **SMALL), 4)


@pytest.fixture(scope="module")
def run(task, roomy_model, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("memory")
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        sizes = profile("smoke", model=roomy_model, **SMALL)
        options = {"base": sizes, "model": sizes.model, "out": folder, "progress": False}
        yield memory(task, arms=ARMS, batches=(1, 4), **options), options


def test_the_peak_of_known_work():
    def work():
        one = torch.ones(1000)
        return (one + 1).sum()

    assert 8000 <= peak_bytes(work, "cpu") <= 8200
    assert peak_bytes(lambda: None, "cpu") == 0


def test_every_arm_holds_the_same_weights_and_what_it_alone_needs(run, roomy_model):
    parts = run[0].parts.set_index(["arm", "together", "part"])["bytes"].unstack()
    assert set(parts.columns) == set(PARTS)
    network = LocalModel.load(roomy_model).network
    assert (parts["weights"] == sum(p.nbytes for p in network.parameters())).all()
    assert (parts.loc["finetuned", "adapter"] > 0).all()
    assert (parts.loc[["prompt", "rag"], "adapter"] == 0).all()
    assert (parts.loc["rag", ["index", "passages"]] > 0).all().all()
    assert (parts.loc[["prompt", "finetuned"], ["index", "passages"]] == 0).all().all()
    assert (parts["activations"] > 0).all()


def test_keys_and_values_grow_with_the_prompt_and_the_batch(run, roomy_model):
    parts = run[0].parts.set_index(["arm", "together", "part"])["bytes"].unstack()
    kept = parts["keys and values"]
    shape = shape_of(LocalModel.load(roomy_model).network.config)
    assert kept["rag", 1] > kept["prompt", 1] > shape.kv_bytes(SMALL["max_new_tokens"], 4)
    assert kept["prompt", 4] >= 4 * kept["prompt", 1]


def test_a_finished_run_is_read(run, task, monkeypatch):
    found, options = run
    monkeypatch.setattr(module, "_measured", lambda *_: pytest.fail("measured again"))
    again = memory(task, arms=ARMS, batches=(1, 4), **options)
    assert again.folder == found.folder
    assert len(again.record["results"]["parts"]) == len(again.parts) == 3 * 2 * len(PARTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": ("prior",)}, "choose of prompt"),
        ({"arms": ()}, "choose of prompt"),
        ({"batches": (0,)}, "from 1 to the"),
        ({"batches": (99,)}, "from 1 to the"),
    ],
)
def test_what_cannot_be_measured_is_said(task, options, message):
    with pytest.raises(RagftError, match=message):
        memory(task, **options)
