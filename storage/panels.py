"""The questions of the usage page and of `treadle usage`, in the order in which they are shown."""

from msgspec import Struct

from storage import texts

PARAMETERS = ("since", "until", "assistant_id")
"""What their SQL may name: two days, both included, and an assistant; each may be NULL."""

_SQL = texts.load("panels")


class Panel(Struct, frozen=True):
    name: str
    title: str
    sql: str


TITLES = {
    "totals": "In all",
    "by_day": "By day and model",
    "by_model": "By model",
    "by_caller": "By caller",
    "top_threads": "Dearest threads",
    "latency": "How long calls take",
    "outcomes": "By what became of the runs",
    "unpriced": "Without a price",
    "assistants": "Assistants",
}

PANELS = [Panel(name, title, _SQL[name].strip().rstrip(";")) for name, title in TITLES.items()]
