"""The fine-tuning experiments as DataFrames that people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragft.report.frames import percent_table

if TYPE_CHECKING:
    import pandas as pd


def accuracy_table(
    summary: pd.DataFrame, rows: Sequence[str], columns: str = "condition"
) -> pd.DataFrame:
    """Return right answers in per cent, '87.3 [84.1, 90.2]', one column a condition.

    Parameters
    ----------
    summary : DataFrame
        With `measure`, mean, low, high, and the columns named in `rows` and `columns`.
    rows : sequence of str
        What a row of the table stands for.
    columns : str

    Returns
    -------
    DataFrame
        In the order of the summary; '–' where nothing was measured.
    """
    return percent_table(summary[summary["measure"] == "accuracy"], rows, columns)
