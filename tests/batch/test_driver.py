from __future__ import annotations

from dataclasses import replace

import pytest

from ragft.batch.driver import Progress, drive
from ragft.batch.worker import Job


class Script:
    """An engine whose jobs end as the test says: a list of statuses for each name.

    They end in the order of their start, those with `first` in their name before the others.
    """

    name, threads = "script", None

    def __init__(self, workers, *, first="", **ends):
        self.workers, self.ends, self.first = workers, ends, first
        self.running, self.order, self.most, self.closed = [], [], 0, False

    def start(self, job):
        self.running.append(job)
        self.order.append(job.name)
        self.most = max(self.most, len(self.running))

    def wait(self, seconds):
        job = min(self.running, key=lambda job: self.first not in job.name)
        self.running.remove(job)
        status = self.ends[job.name].pop(0)
        ended = {"kind": "ended", "status": status, "seconds": 1.0, "error": status}
        return [
            (job, {"kind": "started", "origin": {"commit": "c"}}),
            (job, {"kind": "waiting"}),
            (job, {"kind": "cells", "done": 1, "of": 3}),
            (job, ended),
        ]

    def close(self):
        self.closed = True


def jobs(names):
    return [Job(name, "", "", {}, "", "", "") for name in names]


def helper(job):
    return replace(job, name=f"{job.name}'s helper")


def run(engine, names, retries=0, **options):
    """Drive jobs; return the attempts as they were noted at their end."""
    notes = []
    drive(jobs(names), engine, notes.append, Progress(len(names), show=False), retries, **options)
    assert engine.closed
    return [note for note in notes if note.status != "running"]


def test_all_workers_are_kept_busy_and_no_more():
    engine = Script(2, **{name: ["ran"] for name in "abcd"})
    ended = run(engine, "abcd")
    assert [note.job.name for note in ended] == ["a", "b", "c", "d"] == engine.order
    assert engine.most == 2
    assert ended[0].origin == {"commit": "c"} and ended[0].last and ended[0].number == 1


def test_what_fails_is_tried_again_after_the_others_as_often_as_stated():
    ends = {"a": ["failed", "ran"], "b": ["failed"] * 3, "c": ["skipped"]}
    engine = Script(1, **ends)
    notes = run(engine, "abc", retries=2)
    assert all((note.seconds == 1.0) == (note.status != "failed") for note in notes)
    ended = [(n.job.name, n.number, n.status, n.last) for n in notes]
    assert ended == [
        ("a", 1, "failed", False),
        ("b", 1, "failed", False),
        ("c", 1, "skipped", True),
        ("a", 2, "ran", True),
        ("b", 2, "failed", False),
        ("b", 3, "failed", True),
    ]


def test_an_idle_worker_helps_a_running_job_once_where_none_waits():
    engine = Script(2, a=["ran"], b=["ran"], c=["failed"])
    ended = run(engine, "abc", helper=helper)
    assert [note.job.name for note in ended] == ["a", "b", "c"]
    assert engine.order == ["a", "b", "c", "c's helper"] and engine.most == 2


def test_what_becomes_of_a_helper_is_not_told_and_its_worker_is_free_again():
    ends = {"a": ["ran"], "b": ["ran"], "a's helper": ["failed"], "b's helper": ["failed"]}
    engine = Script(3, **ends, first="helper")
    ended = run(engine, "ab", helper=helper)
    assert [note.job.name for note in ended] == ["a", "b"]
    assert engine.order == ["a", "b", "a's helper", "b's helper"] and engine.most == 3


def test_no_jobs_is_nothing_to_do():
    assert run(Script(1), "") == []


def test_an_interrupt_ends_the_workers():
    engine = Script(1, a=["ran"])

    def interrupt(seconds):
        raise KeyboardInterrupt

    engine.wait = interrupt
    with pytest.raises(KeyboardInterrupt):
        drive(jobs("a"), engine, lambda attempt: None, Progress(1, show=False))
    assert engine.closed


def test_the_bar_counts_runs_by_their_cells_and_only_ended_failures(capsys):
    progress = Progress(4, done=1)
    progress.moved("a", 0.5)
    progress.moved("b", 0.25)
    progress.ended("b", last=False, failed=True)
    assert progress._bar.n == 1.5
    progress.ended("a", last=True, failed=True)
    progress.close()
    assert progress._bar.n == 2
    assert "2 of 4 runs, 1 failed" in progress._bar.postfix
    shown = capsys.readouterr()
    assert shown.out == "" and "left" in shown.err and shown.err.count("\n") == 1
