"""The loop of every experiment: each cell once, nothing lost by a stop, nothing done twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.profiles import profile
from ragft.records import Records, content_key
from ragft.types import BusyError, RagftError

SIZES = profile("smoke", seeds=(3, 5))


class Lab:
    """An experiment that doubles numbers, and notes what it was asked to do."""

    def __init__(self, folder, fails_at=None):
        self.records, self.fails_at = Records(folder), fails_at
        self.computed, self.summed = [], 0

    def key(self, letter, number):
        return content_key({"letter": letter, "number": number})

    def compute(self, letter, number):
        if number == self.fails_at:
            raise ZeroDivisionError
        self.computed.append((letter, number))
        return pd.DataFrame({"letter": [letter], "twice": [2 * number]}), {"number": number}

    def sum_up(self, frames, notes):
        self.summed += 1
        answers = pd.concat(frames, ignore_index=True)
        return answers, {"total": int(answers["twice"].sum()), "notes": notes}

    def run(self, cells, settings=None, compute=None):
        return run_cells(
            Finished,
            "doubling",
            cells,
            self.key,
            compute or self.compute,
            self.sum_up,
            records=self.records,
            sizes=SIZES,
            settings=settings or {},
            parameters={"cells": len(cells)},
            hashes={"corpus": "c0"},
            progress=False,
        )


CELLS = [("a", 1), ("b", 2), ("c", 3)]


def never(*_):
    raise AssertionError("computed again")


def test_every_cell_is_computed_once_and_summed_up_in_order(tmp_path):
    lab = Lab(tmp_path)
    found = lab.run(CELLS)
    assert lab.computed == CELLS
    assert found.results == {"total": 12, "notes": [{"number": n} for n in (1, 2, 3)]}
    assert found.answers.to_dict("list") == {"letter": ["a", "b", "c"], "twice": [2, 4, 6]}


def test_the_record_says_what_was_asked(tmp_path):
    found = Lab(tmp_path).run(CELLS)
    assert found.folder.parent == tmp_path / "doubling"
    assert found.quantities == {}
    assert found.to_dict() == {**found.results, "record": str(found.folder / "record.json")}
    assert found.record["parameters"] == {"cells": 3}
    assert found.record["hashes"] == {"corpus": "c0"}
    assert found.record["seeds"] == [3, 5] and found.record["profile"]["name"] == "smoke"


def test_two_that_run_the_same_experiment_share_its_cells(tmp_path):
    both, took = threading.Barrier(2, timeout=30), {"one": [], "two": []}

    def run(name):
        def compute(letter, number):
            took[name].append((letter, number))
            both.wait()  # breaks unless the other is at a cell of its own meanwhile
            return Lab(tmp_path).compute(letter, number)

        return Lab(tmp_path).run([*CELLS, ("d", 4)], compute=compute)

    with ThreadPoolExecutor(2) as pool:
        found = [made.result() for made in [pool.submit(run, name) for name in took]]
    assert sorted(took["one"] + took["two"]) == [*CELLS, ("d", 4)]
    assert len(took["one"]) == len(took["two"]) == 2
    assert [run.results["total"] for run in found] == [20, 20]
    assert found[0].answers.equals(found[1].answers)
    assert found[0].answers["letter"].tolist() == ["a", "b", "c", "d"]


def test_a_cell_that_says_it_is_busy_is_asked_once_more_and_then_an_error(tmp_path):
    asked = []

    def compute(letter, number):
        asked.append(letter)
        if letter == "a":
            raise BusyError("a: somebody else has it")
        return Lab(tmp_path).compute(letter, number)

    with pytest.raises(BusyError, match="a: somebody else has it"):
        Lab(tmp_path).run(CELLS, compute=compute)
    assert asked == ["a", "b", "c", "a"]


def test_cells_with_one_key_are_computed_once_and_both_summed_up(tmp_path):
    lab = Lab(tmp_path)
    found = lab.run([("a", 1), ("b", 2), ("a", 1)])
    assert lab.computed == [("a", 1), ("b", 2)]
    assert found.answers["letter"].tolist() == ["a", "b", "a"]


def test_cells_of_another_run_are_taken_over(tmp_path):
    lab = Lab(tmp_path)
    lab.run(CELLS[:2])
    found = lab.run([CELLS[2], *CELLS[:2]])
    assert lab.computed == CELLS  # 'c' alone the second time
    assert found.answers["letter"].tolist() == ["c", "a", "b"]
    again = lab.run(CELLS, compute=never)  # in another order, so another record
    assert again.answers["letter"].tolist() == ["a", "b", "c"]
    assert len(lab.records.finished("doubling")) == 3


def test_an_exception_loses_no_finished_cell_and_leaves_no_record(tmp_path):
    lab = Lab(tmp_path, fails_at=3)
    with pytest.raises(ZeroDivisionError):
        lab.run(CELLS)
    assert lab.computed == CELLS[:2] and lab.summed == 0
    assert lab.records.finished("doubling") == []
    lab.fails_at = None
    found = lab.run(CELLS)
    assert lab.computed == CELLS  # the first two not again
    whole = Lab(tmp_path / "whole").run(CELLS)
    assert found.results == whole.results
    pd.testing.assert_frame_equal(found.answers, whole.answers)


def test_a_finished_run_is_read_and_nothing_is_computed_or_summed_up(tmp_path):
    lab = Lab(tmp_path)
    first = lab.run(CELLS)
    again = lab.run(CELLS, compute=never)
    assert lab.summed == 1
    assert again.record == first.record and again.folder == first.folder
    pd.testing.assert_frame_equal(again.answers, first.answers)


def test_a_finished_run_does_not_need_its_cells(tmp_path):
    import shutil

    lab = Lab(tmp_path)
    lab.run(CELLS)
    shutil.rmtree(tmp_path / "cells")
    assert lab.run(CELLS, compute=never).results["total"] == 12


def test_other_settings_are_another_record_of_the_same_cells(tmp_path):
    lab = Lab(tmp_path)
    one = lab.run(CELLS, {"level": 0.95})
    two = lab.run(CELLS, {"level": 0.9}, compute=never)
    assert lab.summed == 2 and one.folder != two.folder


def test_every_cell_gets_its_own_frame(tmp_path):
    """A closure over the loop's variable would give all cells the last one."""
    lab = Lab(tmp_path)
    lab.run(CELLS)
    for letter, number in CELLS:
        frame, notes = lab.records.cached(lab.key(letter, number), never)
        assert frame["letter"].tolist() == [letter] and notes == {"number": number}


@pytest.mark.parametrize("seeds", [(), (1, 1), (0, 1, 0)])
def test_seeds_are_at_least_one_and_distinct(seeds):
    with pytest.raises(RagftError, match=r"seeds=\[.*\]: give at least one, and none twice"):
        distinct(seeds)
    assert distinct([2, 0, 1]) == (2, 0, 1)
