"""How many tokens threads took, from what the model calls of their runs add up to."""

from duckdb import DuckDBPyConnection

from storage import queries
from storage.conversations import ModelUsage, TokenUsage

_SQL = queries.load("usage")


def of_thread(db: DuckDBPyConnection, thread_id: str, *, include_active: bool) -> TokenUsage:
    """Of the runs that have ended, however; with `include_active`, also of those that are running, so far."""
    given = {"thread_id": thread_id, "include_active": include_active}
    with queries.transaction(db):  # both see the same moment
        [(runs, total, read, written, lead, subagents, middleware)] = db.execute(_SQL["of_thread"], given).fetchall()
        models = db.execute(_SQL["models_of_thread"], given).fetchall()
    return TokenUsage(
        thread_id=thread_id,
        total_tokens=total,
        total_input_tokens=read,
        total_output_tokens=written,
        total_runs=runs,
        by_model={model: ModelUsage(tokens, runs) for model, tokens, runs in models},
        by_caller={"lead_agent": lead, "subagent": subagents, "middleware": middleware},
    )
