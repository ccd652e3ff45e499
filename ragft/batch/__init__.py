"""Reruns in batch: notebooks through papermill, with parameters checked first.

`parameters` reads and checks what a notebook takes, `runs` runs one of them unless it is finished,
`reproduction` runs all numbered ones, `batches` a grid of notebooks and parameters (`plan`). Runs
side by side are started by `pool` (or `ray_cluster`), made by `worker`, and led by `driver`.
"""

from ragft.batch.batches import ENGINES, run_grid
from ragft.batch.parameters import (
    Parameter,
    check_parameters,
    measures_time,
    parse_assignments,
    read_parameters,
)
from ragft.batch.plan import PlannedRun, read_grid
from ragft.batch.reproduction import reproduce
from ragft.batch.runs import NotebookRun, numbered_notebooks, run_notebook, table

__all__ = [
    "ENGINES",
    "NotebookRun",
    "Parameter",
    "PlannedRun",
    "check_parameters",
    "measures_time",
    "numbered_notebooks",
    "parse_assignments",
    "read_grid",
    "read_parameters",
    "reproduce",
    "run_grid",
    "run_notebook",
    "table",
]
