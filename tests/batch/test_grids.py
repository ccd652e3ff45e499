import json

import pytest

from ragft.batch.grids import full_grids, mark_full, place
from ragft.types import RagftError


def test_a_smaller_run_never_takes_the_place_of_a_full_one(tmp_path):
    assert full_grids(tmp_path) == {}
    assert place(tmp_path, "04_b", full=False) == tmp_path
    mark_full(tmp_path, "04_b")
    mark_full(tmp_path, "01_a")
    assert list(full_grids(tmp_path)) == ["01_a", "04_b"]
    assert place(tmp_path, "04_b", full=False) == tmp_path / "reduced"
    assert place(tmp_path, "04_b", full=True) == tmp_path
    assert place(tmp_path, "05_c", full=False) == tmp_path


def test_the_first_day_stays(tmp_path):
    mark_full(tmp_path, "04_b")
    path = tmp_path / "data" / "full_grid.json"
    path.write_text(json.dumps({"04_b": "2020-01-01"}))
    mark_full(tmp_path, "04_b")
    assert full_grids(tmp_path) == {"04_b": "2020-01-01"}


@pytest.mark.parametrize("text", ["{", "[1, 2]"])
def test_a_broken_list_is_named(tmp_path, text):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "full_grid.json").write_text(text)
    with pytest.raises(RagftError, match=r"full_grid\.json: not a list of notebooks"):
        place(tmp_path, "04_b", full=False)
