"""Questions in JSON Lines files: `id, question, golden_answers, metadata`.

Dated answers, subjects and kinds travel in the metadata. Documents and facts live in
`corpora.jsonl`; how an answer is judged lives in `evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.corpora.jsonl import (
    date_columns,
    identifier_of,
    interval_of,
    iso,
    parse_day,
    read_rows,
    strings_of,
    text_of,
    write_rows,
)
from ragft.types import DatedAnswer, Document, Question, RagftError

if TYPE_CHECKING:
    from ragft.corpora.corpus import Corpus

RESERVED = (
    "supporting",
    "answerable",
    "answers",
    "asked_on",
    "subject",
    "relation",
    "kind",
    "cluster",
)
"""Keys of a question's `metadata` that are fields of `Question`; all others are its own."""


def _answers_row(answers: Iterable[DatedAnswer]) -> list[dict[str, Any]]:
    return [{"text": a.text, **date_columns(a), "documents": list(a.documents)} for a in answers]


def question_row(question: Question) -> dict[str, Any]:
    """Return a question as `id, question, golden_answers, metadata`.

    `golden_answers` are those that are right on `asked_on`; the dated ones go to
    `metadata.answers`, and only where they say more. `golden_answers` is left out of a
    question without any answer, which then serves retrieval only or is to be refused.

    Raises
    ------
    RagftError
        The question's own metadata uses a reserved key.
    """
    taken = sorted(set(question.metadata) & set(RESERVED))
    if taken:
        raise RagftError(
            f"question {question.id!r}: the metadata key {taken[0]!r} is a field of Question; "
            "give yours another name."
        )
    metadata: dict[str, Any] = {
        "supporting": list(question.supporting),
        "answerable": question.answerable,
        "asked_on": iso(question.asked_on),
    }
    metadata |= {key: getattr(question, key) for key in ("subject", "relation", "kind", "cluster")}
    golden = question.answers_on(question.asked_on)
    if question.answers != _undated(golden, question.supporting):
        metadata["answers"] = _answers_row(question.answers)
    row: dict[str, Any] = {"id": question.id, "question": question.text}
    if question.answers:
        row["golden_answers"] = list(golden)
    return {**row, "metadata": {**metadata, **question.metadata}}


def _undated(texts: Iterable[str], supporting: tuple[str, ...]) -> tuple[DatedAnswer, ...]:
    return tuple(DatedAnswer(text, documents=supporting) for text in texts)


def write_questions(path: str | Path, questions: Iterable[Question]) -> Path:
    """Write questions as JSON Lines (`id, question, golden_answers, metadata`).

    Everything survives the round trip through `read_questions`, dated answers included
    (tuples in `metadata` come back as lists). Returns the path.

    Raises
    ------
    RagftError
        See `question_row` and `write_rows`.
    """
    return write_rows(path, map(question_row, questions))


def _object(row: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = row.get(key) or {}
    if not isinstance(value, dict):
        raise RagftError(f"{where}: {key!r} must be an object, found {type(value).__name__}.")
    return value


def _answer(row: object, where: str) -> DatedAnswer:
    if not isinstance(row, dict):
        raise RagftError(f"{where}: 'answers' must be a list of objects.")
    documents = strings_of(row, "documents", where)
    return DatedAnswer(text_of(row, "text", where), **interval_of(row, where), documents=documents)


def _question(row: Mapping[str, Any], where: str, seen: set[str]) -> Question:
    metadata = _object(row, "metadata", where)
    supporting = strings_of(metadata, "supporting", where)
    golden = strings_of(row, "golden_answers", where)
    answers = _undated(golden, supporting)
    if "answers" in metadata:
        rows = metadata["answers"] or []
        if not isinstance(rows, list):
            raise RagftError(f"{where}: 'answers' must be a list of objects.")
        answers = tuple(_answer(row, where) for row in rows)
    answerable = metadata.get("answerable", True)
    if not isinstance(answerable, bool):
        raise RagftError(f"{where}: 'answerable' must be true or false, found {answerable!r}.")
    question = Question(
        id=identifier_of(row, where, seen),
        text=text_of(row, "question", where),
        answers=answers,
        asked_on=parse_day(metadata.get("asked_on"), f"{where}: 'asked_on'"),
        **{k: text_of(metadata, k, where, "") for k in ("subject", "relation", "cluster")},
        kind=text_of(metadata, "kind", where, "one_hop"),
        answerable=answerable,
        supporting=supporting,
        metadata={k: v for k, v in metadata.items() if k not in RESERVED},
    )
    # Two keys for one thing: whoever edits one by hand must not be answered by the other.
    if "golden_answers" in row and set(golden) != set(question.answers_on(question.asked_on)):
        raise RagftError(
            f"{where}: golden_answers disagree with metadata.answers on {question.asked_on}."
        )
    return question


def read_questions(
    path: str | Path,
    corpus: Corpus | None = None,
    *,
    answers_required: bool = False,
) -> tuple[Question, ...]:
    """Read questions from JSON Lines with `id, question, golden_answers, metadata`.

    Parameters
    ----------
    path : str or Path
    corpus : Corpus, optional
        The whole corpus (all days): ids that support an answer must be in it.
    answers_required : bool
        Without `golden_answers` a question serves retrieval only: it is read with no
        answers and stays answerable. Only `"answerable": false` in its metadata makes it
        a question to refuse. Set this where answers are to be scored.

    Raises
    ------
    RagftError
        Naming file and line: missing file, broken line, missing key, duplicate id, bad date,
        an id that the corpus lacks, a missing answer key where one is required; naming the
        file: no question in it.
    """
    seen: set[str] = set()
    questions = []
    for where, row in read_rows(path):
        question = _question(row, where, seen)
        if answers_required and question.answerable and not question.answers:
            raise RagftError(
                f"{where}: question {question.id!r} has no golden_answers, so answers to it "
                'cannot be scored; add them, or "answerable": false to its metadata.'
            )
        if corpus is not None:
            _check_supporting(question, corpus.by_id, where)
        questions.append(question)
    if not questions:
        raise RagftError(f"{path}: holds no question.")
    return tuple(questions)


def _check_supporting(question: Question, known: Mapping[str, Document], where: str) -> None:
    named = dict.fromkeys(question.supporting + question.supporting_on(None))
    missing = [identifier for identifier in named if identifier not in known]
    if missing:
        raise RagftError(
            f"{where}: question {question.id!r} is supported by {missing[0]!r}"
            + (f" and {len(missing) - 1} more" if missing[1:] else "")
            + ", which the corpus does not hold."
        )
