"""How many tokens threads took, from the rows of their model calls."""

from duckdb import DuckDBPyConnection

from storage import queries
from storage.conversations import ModelUsage, TokenUsage

CALLERS = ("lead_agent", "subagent", "middleware")

_SQL = queries.load("usage")


def of_thread(db: DuckDBPyConnection, thread_id: str, *, include_active: bool) -> TokenUsage:
    """Of the runs that have ended, however; with `include_active`, also of those that are running, so far."""
    rows = db.execute(_SQL["of_thread"], {"thread_id": thread_id, "include_active": include_active}).fetchall()
    [(_, _, runs, _, tokens, input_tokens, output_tokens)] = [row for row in rows if row[0] is row[1] is None]
    return TokenUsage(
        thread_id=thread_id,
        total_tokens=tokens,
        total_input_tokens=input_tokens,
        total_output_tokens=output_tokens,
        total_runs=runs,
        by_model={model: ModelUsage(tokens, runs) for model, _, _, runs, tokens, *_ in rows if model is not None},
        by_caller=dict.fromkeys(CALLERS, 0) | {row[1]: row[4] for row in rows if row[1] is not None},
    )
