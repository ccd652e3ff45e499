"""Frames before they are drawn: the order of arms, and what would be drawn twice or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragft.plotting.style import ARMS, look
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd


def not_applicable(frame: pd.DataFrame) -> pd.Series:
    """Tell which rows the column `applicable`, if there is one, says to be not applicable."""
    import pandas as pd

    # What is left open by NaN or None counts as applicable.
    return frame["applicable"].eq(False) if "applicable" in frame else pd.Series(False, frame.index)


def in_table_order(frame: pd.DataFrame, where: str = "") -> pd.DataFrame:
    """Return the rows in the order in which figures show arms; `where` is told in the error.

    Raises
    ------
    RagftError
        An arm is unknown, or occurs twice.
    """
    for arm in frame["arm"]:
        look(arm)
    if (twice := frame["arm"].duplicated()).any():
        place = f" in {where!r}" if where else ""
        raise RagftError(f"plot: the data has {frame['arm'][twice].iloc[0]!r} twice{place}")
    return frame.sort_values("arm", key=lambda arms: arms.map([*ARMS].index))


def check_lines(frame: pd.DataFrame, line: str, at: str) -> None:
    """Refuse a frame whose lines have two values at a place, none at all, or what is no share.

    Parameters
    ----------
    frame : pandas.DataFrame
    line, at : str
        Columns: what a line is drawn for, and its places across. Every row needs both.

    Raises
    ------
    RagftError
        With the column that is not filled, the first line and place that occur twice, or the
        first mean outside [0, 1].
    """
    for column in (line, at):
        if frame[column].isna().any():
            raise RagftError(f"plot: a row has no {column}")
    if (twice := frame.duplicated([line, at])).any():
        row = frame[twice].iloc[0]
        raise RagftError(f"plot: the data has {row[line]!r} twice at {at} {row[at]:g}")
    means = frame["mean"].astype(float)
    if (strange := frame[(means < 0) | (means > 1)]).size:
        row = strange.iloc[0]
        raise RagftError(f"plot: the mean {row['mean']:g} of {row[line]!r} is no share in [0, 1]")
    if not means.notna().any():
        raise RagftError("plot: no row has a mean to draw")
