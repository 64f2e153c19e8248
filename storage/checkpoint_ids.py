"""Ids of checkpoints, which LangGraph makes from the time of day: the greatest of a thread is its newest.

LangGraph's own ids only grow within one process. A thread goes from process to process, and clocks are set back: what
it wrote then would lie below what it had written before, and the next run would go on from there, as if the last had
never been.
"""

from langgraph.checkpoint.base import id as langgraph_ids

TIMED = 6
"""The version of UUID that is made from the time, and sorts by it."""


LAST = "_last_v6_timestamp"
"""What LangGraph calls the time of its last id; its next one is later. There is no other way to set it forward."""


def exceed(checkpoint_id: str) -> None:
    """From here on LangGraph's new ids in this process are above this one; an id of another kind says nothing."""
    try:
        given = langgraph_ids.UUID(checkpoint_id)
    except ValueError:
        return
    if given.version == TIMED:
        module = langgraph_ids.__dict__
        module[LAST] = max(module[LAST] or 0, given.time)
