"""Conservation: what must hold of any model, here of the one that ships, on a small world."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ragft.corpora.world import World
from ragft.experiments import freshness_effects
from ragft.experiments.freshness import freshness
from ragft.experiments.timeline import world_timeline
from ragft.profiles import profile
from ragft.types import OUTCOMES, RagftError

SIZES = profile("smoke", epochs=1, batch_size=64, top_k=2)
LINES = (
    ("prompt", ""),
    ("rag", "never"),
    ("rag", "nightly"),
    ("rag", "at once"),
    ("finetuned", "never"),
    ("finetuned", "continued"),
    ("oracle", ""),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def line():
    world = World(subjects=60, seed=5, days=60, events=((30, 0.5),), arrivals=0.2, departures=0.2)
    return world_timeline(world, [29, 30, 31, 60], 32)


@pytest.fixture(scope="module")
def result(cache, line, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    return freshness(line, lines=LINES, base=SIZES, out=out, progress=False), out


def rows(result, arm, policy, day, **where):
    answers = result.answers
    chosen = (answers["arm"] == arm) & (answers["condition"] == policy)
    chosen &= answers["day"] == day.isoformat()
    for column, value in where.items():
        chosen &= answers[column] == value
    return answers[chosen].set_index("question_id")


def test_outcomes_sum_to_one_in_every_cell(result):
    shares = (
        result[0]
        .answers.groupby(["arm", "condition", "day"])["outcome"]
        .value_counts(normalize=True)
    )
    assert set(shares.index.get_level_values("outcome")) <= set(OUTCOMES)
    assert np.allclose(shares.groupby(level=[0, 1, 2]).sum(), 1)


def test_an_index_left_alone_answers_unchanged_facts_as_on_day_0(result, line):
    first, last = (rows(result[0], "rag", "never", d) for d in (line.start, line.days[-1]))
    still = [i for i in last.index if line.groups[i] == "unchanging"]
    assert len(still) > 5 and (first.loc[still, "text"] == last.loc[still, "text"]).all()
    assert (first.loc[still, "outcome"] == last.loc[still, "outcome"]).all()


def test_an_index_left_alone_knows_changed_facts_no_better_than_the_closed_book(result, line):
    day = line.days[-1]
    moved = sorted(line.moved(line.start, day) & set(rows(result[0], "rag", "never", day).index))
    found, closed = (
        (rows(result[0], *arm, day).loc[moved, "outcome"] == "correct").mean()
        for arm in (("rag", "never"), ("prompt", ""))
    )
    # What is gone is rightly answered 'unknown' by either; nothing else can be known.
    gone = [line.groups[i] == "withdrawn" for i in moved]
    assert len(moved) > 10 and found <= closed + np.mean(gone)


def test_a_nightly_index_is_behind_on_the_day_and_level_on_the_next(result, line):
    _, before, event, after, _ = line.days
    texts = {day: rows(result[0], "rag", "nightly", day)["text"] for day in (before, event, after)}
    shared = [i for i in texts[event].index if i in texts[before].index]
    assert (texts[event][shared] == texts[before][shared]).all()
    at_once = rows(result[0], "rag", "at once", after)["text"]
    assert (texts[after][at_once.index] == at_once).all()


def test_refresh_at_once_returns_to_the_accuracy_of_day_0(result, line):
    summary = result[0].summary
    mine = summary[
        (summary["arm"] == "rag") & (summary["policy"] == "at once")
        & (summary["measure"] == "accuracy") & (summary["group"] == "changing")
    ].set_index("day")  # fmt: skip
    first, last = mine.loc[pd.Timestamp(line.start)], mine.loc[pd.Timestamp(line.days[-1])]
    assert last["high"] >= first["mean"] and first["low"] <= last["high"]


def test_a_timeline_in_which_nothing_changes_is_flat(cache, tmp_path):
    still = world_timeline(World(subjects=30, seed=6, days=60), [30, 60], 12)
    lines = (("rag", "never"), ("rag", "nightly"), ("finetuned", "continued"))
    found = freshness(still, lines=lines, base=SIZES, out=tmp_path, progress=False)
    for _, mine in found.answers.groupby(["arm", "condition"]):
        texts = mine.pivot(index="question_id", columns="day", values="text")
        assert (texts.nunique(axis=1) == 1).all()
    assert found.record["results"]["moved"][-1]["share"] == 0
    work = ["passages_embedded", "tokens_trained", "bytes_written"]
    done = found.costs.groupby(["arm", "policy"])[work].nunique()
    assert (done == 1).all(axis=None), "nothing is retrained or embedded again"


def test_costs_are_left_out_where_they_are_not_asked_for(cache, tmp_path):
    still = world_timeline(World(subjects=30, seed=6, days=60), [60], 12)
    size = {"lines": (("rag", "never"),), "base": SIZES, "out": tmp_path, "progress": False}
    assert freshness(still, timed=False, **size).costs.empty
    assert not freshness(still, **size).costs.empty  # another run, not the same one


def test_upkeep_takes_a_share_of_the_cost(result):
    share = result[0].record["results"]["quantities"]["upkeep_share_of_cost"]
    assert 0 < share["low"] <= share["mean"] <= share["high"] < 1 and share["n"] > 10


def test_costs_grow_and_a_policy_that_does_nothing_costs_nothing_more(result, line):
    costs = result[0].costs.set_index(["arm", "policy", "day"])
    first, last = pd.Timestamp(line.start), pd.Timestamp(line.days[-1])
    for arm, policy in (("rag", "never"), ("finetuned", "never")):
        assert costs.loc[(arm, policy, first)].equals(costs.loc[(arm, policy, last)])
    assert (
        costs.loc[("rag", "nightly", last), "bytes_written"]
        > (costs.loc[("rag", "never", last), "bytes_written"])
    )
    assert (
        costs.loc[("finetuned", "continued", last), "tokens_trained"]
        > (costs.loc[("finetuned", "continued", first), "tokens_trained"])
    )
    assert costs.loc[("prompt", "", last), "seconds"] == 0


def test_repeated_it_is_read_from_its_record(result, line, monkeypatch):
    found, out = result
    monkeypatch.setattr("ragft.experiments.freshness.Work.compute", None)
    again = freshness(line, lines=LINES, base=SIZES, out=out, progress=False)
    pd.testing.assert_frame_equal(again.summary, found.summary)


def test_precision_is_undefined_where_nothing_is_retrieved(result):
    summary = result[0].summary
    measured = summary[summary["measure"] == "precision"]["arm"].unique()
    assert set(measured) == {"rag", "oracle"}


def test_effects_that_the_lines_do_not_allow_are_left_out(result):
    found = result[0].record["results"]["quantities"]
    assert "precision_drop_60_days" in found and found["precision_drop_60_days"]["mean"] < 0
    assert "stale_after_90_days" not in found, "the timeline is 60 days long"
    assert "continued_minus_scratch" not in found, "nothing was trained from scratch"


def test_what_an_index_loses_is_told_of_the_whole_collection(line):
    """Asked: 8 facts that change, of 10 in the collection, and 2 of 90 that do not."""

    def day(on, right):
        return pd.DataFrame(
            {
                "arm": "rag",
                "condition": "never",
                "day": on.isoformat(),
                "seed": 0,
                "question_id": [f"q{n}" for n in range(10)],
                "cluster": [f"q{n}" for n in range(10)],
                "group": ["changing"] * 8 + ["unchanging"] * 2,
                "precision": right,
            }
        )

    frame = pd.concat([day(line.start, [1.0] * 10), day(line.days[-1], [0.0] * 8 + [1.0] * 2)])
    sizes = {"changing": 10, "unchanging": 90}

    def drop(population):
        over = replace(line, population=population)
        return freshness_effects.precision_drop_60_days(
            freshness_effects.Scored(frame, over, SIZES)
        )

    assert drop({}).mean == pytest.approx(-0.8)
    assert drop(sizes).mean == pytest.approx(-0.1) and drop(sizes).n == 10
    assert (drop(sizes).one, drop(sizes).two) == (pytest.approx(0.9), pytest.approx(1.0))
    assert drop({**sizes, "withdrawn": 5}) is None, "nobody asked about them"


def test_the_crossing_is_where_the_two_arms_are_level(line):
    def part(arm, policy, group, right):
        return pd.DataFrame(
            {
                "arm": arm,
                "condition": policy,
                "day": line.days[-1].isoformat(),
                "seed": 0,
                "question_id": [f"{group}{n}" for n in range(100)],
                "cluster": [f"{group}{n}" for n in range(100)],
                "group": group,
                "accuracy": [1.0] * right + [0.0] * (100 - right),
            }
        )

    frame = pd.concat(
        [
            part("finetuned", "never", "unchanging", 95),
            part("rag", "at once", "unchanging", 85),
            part("finetuned", "never", "changing", 5),
            part("rag", "at once", "changing", 85),
        ]
    )
    scored = freshness_effects.Scored(frame, line, SIZES)
    found = freshness_effects.crossing_share_changed(scored)
    assert found.mean == pytest.approx(0.10 / 0.90)
    assert found.low < found.mean < found.high and found.n == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lines": ()}, "give at least one"),
        ({"lines": (("rag", "never"),) * 2}, "none twice"),
        ({"seeds": ()}, "give at least one"),
        ({"lines": (("rag", "monthly"),)}, "rag: no upkeep 'monthly'"),
    ],
)
def test_bad_arguments_are_named(line, tmp_path, options, message):
    with pytest.raises(RagftError, match=message):
        freshness(line, base=SIZES, out=tmp_path, **options)
