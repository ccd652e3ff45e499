import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragft.plotting import names


def test_names_are_pushed_apart_by_as_little_as_possible():
    # 10 and 10.5 move by 2.25 each, 30 has room and stays.
    assert names.spread([30.0, 10.5, 10.0], [5, 5, 5], 0, 100) == [30.0, 12.75, 7.75]


def test_names_of_one_line_stay_in_the_order_given():
    assert names.spread([1.0, 1.0], [2, 2], -9, 9) == [0.0, 2.0]


def test_names_stay_between_the_bounds_and_start_at_the_lower_without_room():
    assert names.spread([0.0, 0.0], [2, 2], 0, 100) == [1.0, 3.0]
    assert names.spread([9.0, 9.0], [2, 4], 0, 10) == [5.0, 8.0]
    assert names.spread([5.0, 5.0], [8, 8], 0, 10) == [4.0, 12.0]
    assert names.spread([], [], 0, 10) == []


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 5)), max_size=8))
def test_spread_names_keep_their_order_and_do_not_touch(boxes):
    wanted, sizes = [b[0] for b in boxes], [b[1] for b in boxes]
    placed = names.spread(wanted, sizes, 0, 100)
    order = sorted(range(len(boxes)), key=lambda i: (wanted[i], i))
    for one, two in zip(order, order[1:], strict=False):
        assert placed[two] - placed[one] >= (sizes[one] + sizes[two]) / 2 - 1e-6


def corners(marks, sizes, places):
    return [
        (x + a - w * (a < 0), y + up - h / 2, x + a + w * (a > 0), y + up + h / 2)
        for (x, y), (w, h), (a, up) in zip(marks, sizes, places, strict=True)
    ]


def test_names_beside_close_marks_share_no_place():
    marks = np.array([[100.0, 100], [104, 100], [108, 100], [112, 100]])
    sizes = np.tile([40.0, 18.0], (4, 1))
    panel = np.array([0.0, 0, 300, 300])
    boxes = corners(marks, sizes, names.find_places(marks, sizes, np.zeros((0, 4)), panel))
    for i, one in enumerate(boxes):
        assert one[0] >= 0 and one[1] >= 0 and one[2] <= 300 and one[3] <= 300
        for two in boxes[i + 1 :]:
            assert one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]


def test_a_lonely_name_stands_right_of_its_mark_and_left_where_the_panel_ends():
    panel, size = np.array([0.0, 0, 100, 100]), np.array([[40.0, 18.0]])
    none = np.zeros((0, 4))
    assert names.find_places(np.array([[20.0, 50]]), size, none, panel) == [(8, 0)]
    assert names.find_places(np.array([[90.0, 50]]), size, none, panel) == [(-8, 0)]
