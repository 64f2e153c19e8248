"""Answers to users' SQL as Arrow's IPC stream. Brings pyarrow along, so it is imported when it is asked for."""

from contextlib import closing

import pyarrow as pa
from duckdb import DuckDBPyConnection, Statement

from storage.answers import Sheet
from storage.questions import Answer, Question

BATCH = 2048
"""Rows."""


def answer(cursor: DuckDBPyConnection, statement: Statement, question: Question) -> Answer:
    """What the statement finds. Raises TooLargeError, and whatever DuckDB raises."""
    count, truncated, sheet = 0, False, Sheet()
    found = cursor.sql(statement, params=question.params)  # `execute` would make all rows before the first is read
    with (
        closing(found.to_arrow_reader(BATCH)) as reader,
        pa.ipc.new_stream(pa.PythonFile(sheet, mode="w"), reader.schema) as stream,
    ):
        for batch in reader:
            kept = batch.slice(0, question.max_rows - count)
            truncated = kept.num_rows < batch.num_rows
            count += kept.num_rows
            stream.write_batch(kept)
            if truncated:
                break
    return Answer(body=sheet.take(), row_count=count, truncated=truncated)
