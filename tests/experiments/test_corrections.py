import numpy as np
import pytest

from ragft.experiments.corrections import corrections
from ragft.experiments.tasks import load_task
from ragft.profiles import profile
from ragft.types import RagftError

SIZES = profile("smoke", epochs=1, batch_size=64, world_subjects=60, facts=24)


@pytest.fixture
def task(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    return load_task("world", SIZES)


def test_a_corrected_document_moves_no_answer_that_does_not_read_it(task, tmp_path):
    found = corrections(task, trials=2, base=SIZES, out=tmp_path, progress=False)
    rows = found.trials.set_index(["arm", "question_id"])
    subject = {q.id: q.subject for q in task.asked}
    for (_, corrected), row in rows.iterrows():  # others: about any other subject
        assert row["others"] == sum(s != subject[corrected] for s in subject.values())
    # At most the questions whose passages held the document can move: four shown of sixty.
    assert (rows.loc["rag", "moved"] <= 0.5).all()
    assert rows["corrected"].isin([0.0, 1.0]).all() and (rows["seconds"] > 0).all()
    gap = rows.loc["finetuned", "broken"] - rows.loc["rag", "broken"]
    named = found.quantities["correction_collateral_adapter_minus_index"]
    if gap.notna().all():
        assert named["mean"] == pytest.approx(np.mean(gap))
    assert named["n"] == gap.notna().sum()


def test_trials_leave_the_index_as_it_was(task, tmp_path):
    one = corrections(task, trials=1, base=SIZES, out=tmp_path / "one", progress=False)
    two = corrections(task, trials=2, base=SIZES, out=tmp_path / "two", progress=False)
    columns = ["arm", "question_id", "corrected", "broken", "moved"]
    first = two.trials[two.trials["question_id"] == one.trials["question_id"].iloc[0]]
    assert first[columns].reset_index(drop=True).equals(one.trials[columns])


def test_more_trials_than_facts_are_refused(task, tmp_path):
    with pytest.raises(RagftError, match="1000 trials wanted"):
        corrections(task, trials=1000, base=SIZES, out=tmp_path)
