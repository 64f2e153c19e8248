"""Answers in Arrow as Parquet files. Brings pyarrow along, so it is imported when such a file is wanted."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from storage.questions import Answer

COMPRESSION = "zstd"


def read(answer: Answer) -> pa.Table:
    return pa.ipc.open_stream(answer.body).read_all()


def write(answer: Answer, path: Path) -> None:
    parquet.write_table(read(answer), path, compression=COMPRESSION)
