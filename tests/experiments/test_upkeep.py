from datetime import date, timedelta

import numpy as np
import pytest

from ragft.arms.finetuned import Training
from ragft.arms.library import Library
from ragft.experiments.timeline import known_on
from ragft.experiments.upkeep import (
    Upkeep,
    index_day,
    policy_of,
    refresh_costs,
    refresh_days,
    trained_days,
    upkeep_share,
)
from ragft.types import RagftError, RefreshCost
from tests.experiments.test_timeline import timeline  # noqa: F401


def policy(name, line, arm="rag"):
    return policy_of(arm, name, line)


def test_what_an_index_knows_on_a_day(timeline):  # noqa: F811
    start = timeline.start
    day = start + timedelta(days=17)
    known = {
        name: (index_day(policy(name, timeline), timeline, day) - start).days
        for name in ("never", "weekly", "nightly", "at once", "kept")
    }
    assert known == {"never": 0, "weekly": 14, "nightly": 16, "at once": 17, "kept": 17}
    assert index_day(policy("nightly", timeline), timeline, start) == start


def test_when_an_adapter_is_trained(timeline):  # noqa: F811
    def ages(name, after):
        chosen = policy(name, timeline, "finetuned")
        days = trained_days(chosen, timeline, timeline.start + timedelta(days=after))
        return [(d - timeline.start).days for d in days]

    assert ages("never", 90) == [0]
    assert ages("monthly", 29) == [0] and ages("monthly", 60) == [0, 30, 60]


@pytest.mark.parametrize("name", ["weekly", "nightly", "at once", "kept"])
def test_an_index_kept_up_by_refreshes_equals_one_built_anew(timeline, name):  # noqa: F811
    chosen, library = policy(name, timeline), Library(retriever="bm25")
    costs = refresh_costs(chosen, timeline, library)
    known = index_day(chosen, timeline, timeline.days[-1])
    fresh = known_on(timeline.corpus, known, chosen.kept)
    held = {p.doc_id: (p.text, p.valid_to) for p in library.index.passages}
    wanted = {d.id: (d.text, None) for d in fresh.documents}
    if chosen.kept:  # versions that came and went between two refreshes were never seen
        assert set(held) <= set(wanted)
    else:
        assert held == wanted
    assert costs[0][0] == timeline.start
    assert [day for day, _ in costs[1:]] == [
        day for day, _ in refresh_days(chosen, timeline, timeline.days[-1])
    ]


def test_refreshing_touches_what_changed_and_nothing_else(timeline):  # noqa: F811
    class Counting:
        embedded = 0

        def embed(self, texts, cached=True):
            self.embedded += len(texts)
            return np.eye(1, 4, dtype=np.float32).repeat(len(texts), 0)

    library = Library(retriever="dense", embedder=Counting())
    costs = refresh_costs(policy("at once", timeline), timeline, library)
    versions = {
        (d.title, d.text) for d in timeline.corpus.documents if d.valid_to != timeline.start
    }
    in_time = {
        (d.title, d.text)
        for d in timeline.corpus.documents
        if (d.valid_from or timeline.start) <= timeline.days[-1]
        and (d.valid_to is None or d.valid_to > timeline.start)
    }
    assert sum(c.passages_embedded for _, c in costs) == len(in_time) <= len(versions)


def test_the_share_of_upkeep_by_hand():
    costs = [(date(2024, 1, 1), RefreshCost(10.0))]
    costs += [(date(2024, 1, 1 + n), RefreshCost(2.0)) for n in range(1, 5)]
    answers = np.full(40, 10.0)  # ms: 1,000 a day for 10 days take 100 s
    found = upkeep_share(costs, answers, days=10)
    assert found.mean == found.low == found.high == pytest.approx(8 / 118) and found.n == 4
    uneven = [*costs[:-1], (date(2024, 1, 9), RefreshCost(6.0))]
    wide = upkeep_share(uneven, answers, days=10)
    assert wide.mean == pytest.approx(12 / 122) and 8 / 118 <= wide.low < wide.mean < wide.high
    assert upkeep_share(costs[:2], answers, days=10) is None
    assert upkeep_share(costs, answers[:1], days=10) is None


def upkeep(line):
    def load():
        raise AssertionError("nothing is to be trained here")

    return Upkeep(line, 2, Training(), load)


def test_continued_training_sees_the_changes_alone_and_rehearsal_as_many_others(timeline):  # noqa: F811
    day = timeline.days[-1]
    steps = {
        name: upkeep(timeline).steps(policy(name, timeline, "finetuned"), day)
        for name in ("never", "monthly", "continued", "rehearsed")
    }
    assert len(steps["never"]) == 1 and len(steps["monthly"]) == len(steps["continued"]) == 4
    since = timeline.start
    for number, until in enumerate(timeline.retraining_days, 1):
        changed = timeline.moved(since, until)
        continued = {q.id for q in steps["continued"][number]}
        rehearsed = {q.id for q in steps["rehearsed"][number]}
        held = {q.id for q in timeline.taught(until, 1)}
        assert continued == changed & held
        assert continued < rehearsed and len(rehearsed - changed) <= len(changed)
        assert {q.id for q in steps["monthly"][number]} == held
        since = until


def test_lessons_name_what_decides_an_adapter(timeline):  # noqa: F811
    chosen = policy("continued", timeline, "finetuned")
    first, last = (
        upkeep(timeline).lessons(chosen, day) for day in (timeline.start, timeline.days[-1])
    )
    settings, start, *changed = last
    assert [start] == first and changed
    assert settings["learning_rate"] < Training().learning_rate < settings["epochs"]
    scratch = policy("monthly", timeline, "finetuned")
    assert len(upkeep(timeline).lessons(scratch, timeline.days[-1])) == 1


@pytest.mark.parametrize(
    ("arm", "name"),
    [
        ("rag", "monthly"),
        ("finetuned", "nightly"),
        ("prompt", "weekly"),
        ("finetuned", "each release"),
    ],
)
def test_a_policy_that_an_arm_cannot_follow_is_refused(timeline, arm, name):  # noqa: F811
    with pytest.raises(RagftError, match=f"{arm}: no upkeep '{name}'"):
        policy_of(arm, name, timeline)
