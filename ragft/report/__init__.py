"""Results for people: text for a terminal, tables for a notebook, pictures with their records."""

from ragft.report.behaviour import bars_frame, curves_frame, rules_table
from ragft.report.explanations import View, explanation_html, explanation_text, printable
from ragft.report.finetuning import accuracy_table
from ragft.report.frames import (
    by_group,
    freshness_note,
    hero_frame,
    history_frame,
    hits_frame,
    last_day,
    matrix_frame,
    quantities_frame,
    shares_frame,
)
from ragft.report.hallucination import (
    doubts_frame,
    examples_frame,
    outcomes_frame,
    positions_frame,
    remedies_frame,
    shares_table,
)
from ragft.report.history import known_items_frame
from ragft.report.latency import (
    beyond_frame,
    extrapolated_table,
    floors_frame,
    latency_table,
    least_frame,
    quantiles_frame,
    stages_frame,
)
from ragft.report.publish import keep, model_line, publish
from ragft.report.retrieval import both_table, cuts_frame, found_frame, marks_table, stages_table
from ragft.report.text import (
    bench_text,
    columns,
    comparison_text,
    doctor_text,
    intervals_text,
    number,
    percent,
    retrieval_text,
)

__all__ = [
    "View",
    "accuracy_table",
    "bars_frame",
    "bench_text",
    "beyond_frame",
    "both_table",
    "by_group",
    "columns",
    "comparison_text",
    "curves_frame",
    "cuts_frame",
    "doctor_text",
    "doubts_frame",
    "examples_frame",
    "explanation_html",
    "explanation_text",
    "extrapolated_table",
    "floors_frame",
    "found_frame",
    "freshness_note",
    "hero_frame",
    "history_frame",
    "hits_frame",
    "intervals_text",
    "keep",
    "known_items_frame",
    "last_day",
    "latency_table",
    "least_frame",
    "marks_table",
    "matrix_frame",
    "model_line",
    "number",
    "outcomes_frame",
    "percent",
    "positions_frame",
    "printable",
    "publish",
    "quantiles_frame",
    "quantities_frame",
    "remedies_frame",
    "retrieval_text",
    "rules_table",
    "shares_frame",
    "shares_table",
    "stages_frame",
    "stages_table",
]
