"""Traffic, who is asked what, and what a memory gets wrong, with an arm that always knows."""

from collections import Counter

import numpy as np
import pytest

from ragft.corpora.world import World
from ragft.experiments import caching as module
from ragft.experiments.caching import MEMORIES, NONE, caching, traffic
from ragft.experiments.timeline import world_timeline
from ragft.profiles import profile
from ragft.types import UNKNOWN, Answer, RagftError

SIZES = profile("smoke", facts=8, world_subjects=20, n_boot=50)


def test_traffic_follows_its_popularity():
    drawn = traffic(50, 3, 40_000)
    counts = Counter(fact for fact, _ in drawn)
    first, second, *_ = (n for _, n in counts.most_common())
    assert first / 40_000 == pytest.approx(1 / sum(1 / n for n in range(1, 51)), rel=0.05)
    assert first / second == pytest.approx(2, rel=0.1)
    assert Counter(w for _, w in drawn).most_common()[-1][1] > 12_000
    even = Counter(fact for fact, _ in traffic(50, 1, 40_000, exponent=0))
    assert max(even.values()) / min(even.values()) < 1.4
    assert traffic(50, 3, 10) == traffic(50, 3, 10) != traffic(50, 3, 10, seed=1)
    assert traffic(50, 3, 0) == []


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, -1), (1, 1, 1, -0.5)])
def test_impossible_traffic_is_refused(wrong):
    with pytest.raises(RagftError, match="must be 1 or more"):
        traffic(*wrong)


@pytest.fixture(scope="module")
def line():
    world = World(subjects=20, seed=0, days=10, events=((5, 0.9),))
    return world_timeline(world, [0, 10], 8)


class Embeds:
    """Every question lies alone, but for the words at its end: wordings of a fact do not meet."""

    embedded = 0

    def embed(self, texts, cached=True):
        made = [np.random.default_rng(sum(map(ord, t))).normal(size=64) for t in texts]
        return np.stack([v / np.linalg.norm(v) for v in made]).astype(np.float32)


@pytest.fixture
def run(line, tmp_path, monkeypatch, roomy_model):
    """Return a function that runs memories before an arm that is always right."""
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))

    class Knows:
        name, teaches = "rag", ""

        def answer(self, questions):
            stages = {"embed": 2.0, "search": 8.0, "decode": 90.0}
            return [
                Answer((*q.answers_on(q.asked_on), UNKNOWN)[0], stage_ms=stages) for q in questions
            ]

    def start(**options):
        monkeypatch.setattr(module.Grid, "build", lambda *_: Knows())
        options = {"requests": 60, "model": roomy_model, "base": SIZES, **options}
        return caching(line, out=tmp_path, progress=False, **options)

    return start


def test_a_memory_answers_what_was_asked_before_and_does_not_notice_the_change(run):
    found = run(memories=[NONE, "same words", "same words, emptied"])
    rows = found.summary.set_index(["memory", "phase"])
    assert (rows["requests"] == 60).all()
    assert (rows.loc[NONE, "right"] == 1).all() and (rows.loc[NONE, "hit"] == 0).all()
    # What changed is answered as it was; a memory that is emptied answers everything rightly.
    kept = rows.loc["same words"]
    assert kept.loc["before", "right"] == 1 and kept.loc["after", "right"] < 0.8
    assert kept.loc["after", "stale"] == pytest.approx(1 - kept.loc["after", "right"])
    assert kept.loc["after", "wrong_hit"] > 0.3 and kept.loc["before", "wrong_hit"] == 0
    emptied = rows.loc["same words, emptied"]
    assert (emptied["right"] == 1).all() and (emptied["wrong_hit"] == 0).all()
    assert kept.loc["after", "hit"] > emptied.loc["after", "hit"] > 0
    requests = found.answers[found.answers["memory"] == "same words"]
    before = requests[requests["phase"] == "before"]
    texts = before["question_id"].nunique() * 5
    assert (~before["hit"]).sum() <= texts


def test_what_the_ledger_reads_is_the_time_of_looking_up(run):
    found = run(memories=[NONE, "same words"])
    before = found.answers[found.answers["phase"] == "before"].groupby("memory")["retrieval"]
    ratio = before.mean()["same words"] / before.mean()[NONE]
    told = found.quantities["retrieval_time_cached_over_uncached"]
    assert told["mean"] == pytest.approx(ratio) and told["unit"] == "ratio" and ratio < 0.9
    hits = found.quantities["hits_same_words_before"]
    assert hits["mean"] == pytest.approx(1 - before.mean()["same words"] / 10, abs=0.05)
    assert found.quantities["wrong_hits_same_words_after"]["mean"] > 0.3


def test_a_memory_of_meanings_takes_the_indexs_embedder(run, monkeypatch):
    monkeypatch.setattr(
        module.Grid, "new_library",
        lambda self: type("Library", (), {"prepare": lambda *_: None,
                                          "index": type("Index", (), {"embedder": Embeds()})})(),
    )  # fmt: skip
    found = run(memories=[NONE, "same words", "near 0.95"])
    hits = found.answers.groupby("memory")["hit"].mean()
    assert hits["near 0.95"] == hits["same words"]  # no two of these lie near each other
    assert "retrieval_time_near_095" in found.quantities


def test_without_a_plain_run_harm_is_not_known(run):
    found = run(memories=["same words"])
    assert found.summary["wrong_hit"].isna().all()
    assert not [name for name in found.quantities if name.startswith("retrieval_time")]


def test_every_request_goes_to_all_memories_before_the_next_one(run, monkeypatch):
    sent = []
    whole = module._Line.send

    def send(line, question):
        sent.append(line.name)
        return whole(line, question)

    monkeypatch.setattr(module._Line, "send", send)
    names = [NONE, "same words", "same words, emptied"]
    run(memories=names)
    turns = [sent[n : n + 3] for n in range(0, len(sent), 3)]
    assert all(sorted(turn) == sorted(names) for turn in turns)
    assert {turn[0] for turn in turns} == set(names)  # none is always the first


def test_a_finished_run_is_read(run, monkeypatch):
    before = run(memories=[NONE])
    monkeypatch.setattr(module._Work, "compute", lambda *_: pytest.fail("measured again"))
    assert run(memories=[NONE]).folder == before.folder


def test_every_fact_holds_on_both_days_and_comes_in_every_wording(line, tmp_path, roomy_model):
    sizes = profile(SIZES, model=roomy_model)
    work = module._Work(line, sizes, module.Records(tmp_path), 10, 1.0)
    for day in work.days:
        for wording in work.wordings:
            assert set(work.facts) <= {q.id for q in line.ask(day, wording)}
    assert len(work.wordings) == 5 and len(set(MEMORIES)) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memories": []}, r"memories=\[\]: choose of no memory, prompt prefixes"),
        ({"memories": [NONE, NONE]}, "none twice"),
        ({"memories": ["elephant"]}, "choose of no memory"),
        ({"requests": 0}, "0 requests are wanted; give 2 days and 1 request"),
        ({"exponent": -1.0}, "exponent=-1.0 not below 0"),
    ],
)
def test_what_a_user_can_get_wrong(run, options, message):
    with pytest.raises(RagftError, match=message):
        run(**options)


def test_prefixes_are_reused_and_change_no_answer(line, tmp_path, monkeypatch, roomy_model):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    sizes = profile(SIZES, model=roomy_model, max_new_tokens=3)
    kinds = [NONE, "prompt prefixes"]
    found = caching(line, requests=6, memories=kinds, model=roomy_model, base=sizes,
                    out=tmp_path, progress=False)  # fmt: skip
    asked = found.answers.set_index(["memory", "phase", "number"]).sort_index()
    assert asked.loc[kinds[0], "outcome"].equals(asked.loc[kinds[1], "outcome"])
    assert asked.loc[NONE, "reused"].isna().all()
    shares = asked.loc["prompt prefixes", "reused"]
    assert shares["before", 0] == 0 and 0 < shares.mean() < 1
    assert not asked["hit"].any()
    assert found.quantities["reading_time_prefixes_over_none"]["n"] > 0
