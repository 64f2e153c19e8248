"""What runs leave behind: a thread's state, its log, and rows of what models were asked."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.evidence import Row
from tests.chaos.promises.case import FINAL, WORN_OUT, Breach, Case

STEPS = ["begin", "work", "end"]
PREFIXES = [STEPS[:length] for length in range(len(STEPS) + 1)]
STRETCHES = [STEPS[first:last] for first in range(len(STEPS)) for last in range(first, len(STEPS) + 1)]


def state_is_in_order(case: Case) -> Iterator[Breach]:
    """A thread's state has the steps of its runs together, and the runs as they started."""
    for thread_id, done in case.found.states.items():
        entries = [entry.partition(" ")[0] for entry in done]
        order = [run_id for run_id, before in zip(entries, [None, *entries], strict=False) if run_id != before]
        started = dict.fromkeys(one.run_id for one in case.found.steps.get(thread_id, []))
        if order != [run_id for run_id in started if run_id in entries]:
            yield Breach(f"the state has its runs in the order {order}", None, thread_id)


def state_is_what_runs_made(case: Case) -> Iterator[Breach]:
    """It has all steps of a success, each once, and none of what was undone."""
    for thread_id, done in case.found.states.items():
        made: dict[str, list[str]] = defaultdict(list)
        for run_id, _, step in (entry.partition(" ") for entry in done):
            made[run_id].append(step)
        for row in (row for row in case.found.rows if row.thread_id == thread_id):
            if (steps := made.pop(row.run_id, [])) not in _possible(case, row):
                what = f"it is {row.status}{' (rolled back)' if row.rolled_back else ''}, asked to {case.how(row)}"
                yield case.breach(f"{what}, and the state has {steps} of it", row)
        for run_id in made:
            yield Breach("the state has steps of it, and there is no such run", run_id, thread_id)


def _possible(case: Case, row: Row) -> list[list[str]]:
    """What a run may have left in its thread's state."""
    match case.how(row), row.status:
        case _ if row.rolled_back:
            return [[]]
        case "resume", _:
            return STRETCHES
        case ("ask", "success") | ("fail", "error") if WORN_OUT not in (row.error or ""):
            return [["begin"]]
        case _, "success":
            return [STEPS]
        case _:
            return PREFIXES


def calls_are_rows(case: Case) -> Iterator[Breach]:
    """What a model served to a run that succeeded is in rows, and no row is there that it has not served."""
    served = Counter((one.run_id, one.attempt) for one in case.found.served)
    whole = Counter((one.run_id, one.attempt) for one in case.found.calls if one.status == "success")
    for run_id, attempt in served.keys() | whole.keys():
        rows, bill, row = whole[run_id, attempt], served[run_id, attempt], case.rows.get(run_id)
        is_last = row is not None and row.status == "success" and row.attempt == attempt
        if rows > bill or (is_last and rows < bill):
            yield Breach(f"attempt {attempt} was served {bill} calls, and {rows} are in rows", run_id)


def tokens_count_once(case: Case) -> Iterator[Breach]:
    """Rows have what was served, no call is there twice, and runs add up to their calls."""
    prices = {one.input_tokens + one.output_tokens for one in case.found.served}
    sums, counts = Counter[str](), Counter(call.call_id for call in case.found.calls)
    for call in case.found.calls:
        sums[call.run_id] += call.total_tokens
        if call.status == "success" and call.total_tokens not in prices:
            yield Breach(f"a call of {call.total_tokens} tokens was served to nobody", call.run_id)
        if counts[call.call_id] > 1:
            yield Breach(f"the call {call.call_id} is there {counts[call.call_id]} times", call.run_id)
    for row in case.found.rows:
        if row.total_tokens != sums[row.run_id]:
            yield case.breach(f"it has {row.total_tokens} tokens, and its calls have {sums[row.run_id]}", row)


def logs_are_whole(case: Case) -> Iterator[Breach]:
    """No number of a thread's log is there twice, and each run has ended there once."""
    for thread_id, seq in case.found.repeated_events:
        yield Breach(f"the event {seq} is there twice", None, thread_id)
    for row in case.found.rows:
        if row.status in FINAL and not row.deleted and row.closings != 1:
            yield case.breach(f"its events say {row.closings} times that it has ended", row)
