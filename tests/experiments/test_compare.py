import json
import math

import pytest

from ragft.corpora.corpus import Corpus
from ragft.experiments.compare import ARMS, compare
from ragft.experiments.tasks import file_task, load_task, world_task, write_task
from ragft.profiles import profile
from ragft.report import comparison_text
from ragft.types import DatedAnswer, Document, Question, RagftError

SMALL = {"facts": 6, "world_subjects": 24, "n_boot": 100, "max_new_tokens": 4, "rank": 4}


@pytest.fixture(scope="module")
def sizes(roomy_model):
    return profile("smoke", model=roomy_model, **SMALL)


@pytest.fixture(scope="module")
def found(roomy_model, sizes, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        out = tmp_path_factory.mktemp("results")
        return compare(
            "world", model=roomy_model, seeds=(0, 1), base=sizes, out=out, progress=False
        ), out


def test_every_arm_answers_every_question(found, sizes):
    comparison, _ = found
    task = world_task(sizes, 6)
    assert [row["arm"] for row in comparison.results["arms"]] == [
        *[a for a in ARMS if a in comparison.table.index], "oracle_raft",
    ]  # fmt: skip
    assert (comparison.table["n"] == len(task.asked)).all()
    assert comparison.table.loc["finetuned", "seeds"] == 2
    assert comparison.table.loc["rag", "seeds"] == 1
    needed = (
        "arm condition day seed question_id subject kind text outcome supported prompt_tokens "
        "completion_tokens latency_ms"
    ).split()
    assert set(needed) <= set(comparison.answers.columns)


def test_the_json_has_its_stable_shape(found):
    comparison, _ = found
    result = json.loads(json.dumps(comparison.to_dict()))
    for row in result["arms"]:
        for share in ("accuracy", "stale", "confused", "fabricated", "abstained"):
            assert {"mean", "low", "high"} <= set(row[share])
            assert 0 <= row[share]["low"] <= row[share]["mean"] <= row[share]["high"] <= 1
        assert {"p50", "p95"} <= set(row["latency_ms"])
        total = sum(
            row[s]["mean"] for s in ("accuracy", "stale", "confused", "fabricated", "abstained")
        )
        assert total == pytest.approx(1)
    assert {"a", "b", "metric", "mean", "low", "high", "p"} <= set(result["differences"][0])
    assert len(result["differences"]) == 10 * 9 / 2


def test_differences_are_those_of_the_means(found):
    comparison, _ = found
    means = {row["arm"]: row["accuracy"]["mean"] for row in comparison.results["arms"]}
    for row in comparison.results["differences"]:
        assert row["mean"] == pytest.approx(means[row["a"]] - means[row["b"]])


def test_a_finished_comparison_is_read_from_its_record(found, roomy_model, sizes, monkeypatch):
    comparison, out = found
    monkeypatch.setattr("ragft.experiments.grid.Grid.compute", None)
    again = compare("world", model=roomy_model, seeds=(0, 1), base=sizes, out=out, progress=False)
    assert again.to_dict() == comparison.to_dict()


def test_an_interrupted_comparison_goes_on_and_ends_the_same(
    found, roomy_model, sizes, tmp_path, monkeypatch
):
    from ragft.experiments.grid import Grid

    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    comparison, _ = found
    whole, done = Grid.compute, []

    def dies_third(self, arm, seed):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arm)
        return whole(self, arm, seed)

    arms = ["prompt", "rag", "oracle", "prior"]
    options = {
        "arms": arms,
        "model": roomy_model,
        "base": sizes,
        "out": tmp_path,
        "progress": False,
    }
    monkeypatch.setattr(Grid, "compute", dies_third)
    with pytest.raises(KeyboardInterrupt):
        compare("world", **options)
    done.clear()
    monkeypatch.setattr(Grid, "compute", lambda *a: done.append(a[1]) or whole(*a))
    resumed = compare("world", **options)
    assert done == ["oracle", "prior"]
    before = comparison.answers.query("seed == 0").groupby("arm")["text"].apply(list)
    after = resumed.answers.groupby("arm")["text"].apply(list)
    assert all(after[arm] == before[arm] for arm in arms)


def test_marked_documents_tell_who_was_misled(roomy_model, sizes, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    documents = [
        Document(f"{n}{mark[0]}", f"Town {n} was founded in {1800 + n + shift}.", mark=mark)
        for n in range(10)
        for mark, shift in (("right", 0), ("wrong", 100))
    ]
    questions = [
        Question(f"q{n}", f"When was town {n} founded?", (DatedAnswer(str(1800 + n)),))
        for n in range(10)
    ]
    found = compare(
        Corpus(documents), questions=questions, arms=["prompt", "rag"], model=roomy_model,
        base=sizes, out=tmp_path / "out", progress=False,
    )  # fmt: skip
    rows = found.answers[found.answers["arm"] == "rag"]
    assert (rows["shown_right"] + rows["shown_wrong"] == 1).all() and (
        rows["shown_noise"] == 0
    ).all()
    assert found.answers[found.answers["arm"] == "prompt"]["misled"].isna().all()
    assert found.table.loc["rag", "shown_wrong"] == pytest.approx(rows["shown_wrong"].mean())
    assert math.isnan(found.table.loc["prompt", "misled"])
    text = comparison_text(found.to_dict())
    head, _, prompt, rag = text.splitlines()[:4]
    assert "misled %" in head and "shown wrong %" in head
    assert prompt.count("–") > rag.count("–")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": ["rag", "nothing"]}, "unknown arm 'nothing'; choose of prompt, fewshot"),
        ({"arms": []}, "no arms to compare"),
        ({"seeds": (0, 0)}, "none twice"),
        ({"seeds": ()}, "at least one"),
        ({"corpus": "packages:no such name"}, "no such name"),
        ({"corpus": "missing.jsonl", "questions": "q.jsonl"}, "missing.jsonl"),
        ({"corpus": "missing.jsonl"}, "needs --questions"),
        ({"questions": "q.jsonl"}, "leave the option out"),
    ],
)
def test_what_a_user_can_get_wrong(options, message, sizes, tmp_path):
    options = {"corpus": "world", "base": sizes, "out": tmp_path, "model": sizes.model} | options
    with pytest.raises(RagftError, match=message):
        compare(options.pop("corpus"), **options)


def test_a_model_folder_that_is_not_there_is_named(sizes, tmp_path):
    with pytest.raises(RagftError, match="nowhere"):
        compare("world", model=str(tmp_path / "nowhere"), base=sizes, out=tmp_path)


def test_asked_subjects_are_never_among_the_others(sizes):
    task = world_task(sizes, 6)
    assert {q.subject for q in task.asked}.isdisjoint(q.subject for q in task.others)
    assert {q.id for q in task.taught} == {q.id for q in task.asked if q.answerable}
    assert {q.text for q in task.taught}.isdisjoint(q.text for q in task.asked)
    assert len({q.subject for q in task.asked if q.answerable}) == 6


def documents_and_questions(count=10):
    documents = tuple(Document(f"d{n}", f"Item {n} costs {n + 5} coins.") for n in range(count))
    questions = [
        Question(f"q{n}", f"What does item {n} cost?", (DatedAnswer(f"{n + 5} coins"),),
                 supporting=(f"d{n}",))
        for n in range(count)
    ]  # fmt: skip
    return Corpus(documents), questions


def test_files_can_be_compared_and_say_what_cannot_be_known(roomy_model, sizes, tmp_path):
    corpus, questions = documents_and_questions()
    task = file_task(corpus, questions, wordings=2)
    assert len(task.asked) == 8 and len(task.others) == 2
    result = compare(
        task,
        arms=["prompt", "rag", "oracle"],
        model=roomy_model,
        base=sizes,
        out=tmp_path,
        progress=False,
    ).to_dict()
    for row in result["arms"]:
        assert row["confused"]["mean"] is None and row["fabricated"]["mean"] is None
    with pytest.raises(RagftError, match="'prior' needs a corpus with facts"):
        compare(task, arms=["prior"], model=roomy_model, base=sizes, out=tmp_path)


def test_questions_without_answers_are_for_retrieval_only(sizes):
    corpus, _ = documents_and_questions()
    with pytest.raises(RagftError, match="none has golden_answers"):
        file_task(corpus, [Question("q", "What?", supporting=("d1",))], wordings=1)


def test_a_written_task_can_be_loaded_again(sizes, tmp_path):
    counts = write_task("world", tmp_path, facts=5)
    task = load_task(tmp_path / "corpus.jsonl", sizes, questions=tmp_path / "questions.jsonl")
    assert len(task.corpus.documents) == counts["documents"]
    assert task.corpus.facts and len(task.asked) + len(task.others) == counts["asked"]
