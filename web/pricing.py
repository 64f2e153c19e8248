"""Calls that had no price when they were recorded: `POST /analytics/prices`, and the command that asks for it."""

from uuid import UUID

import httpx
from litestar import Controller, post
from litestar.params import JSONBody
from msgspec import Struct
from rich.console import Console

from web.dependencies import TheGate

URL = "http://127.0.0.1:2024"

NO_SERVER = 2
"""Exit status when nobody answers."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Page(Struct, frozen=True):
    after: UUID | None = None
    """The call after which to go on; None begins."""


class Priced(Struct, frozen=True):
    priced: int
    """Calls of this page that have a cost now."""
    after: str | None
    """Where to go on; None when there are no more calls."""


class PricesController(Controller):
    path = "/analytics/prices"
    tags = ["Analytics"]

    @post(status_code=200)
    async def price(self, data: JSONBody[Page], gate: TheGate) -> Priced:
        """Price calls that had no price when they were recorded, a page of them. A cost that is known stays."""
        return Priced(*await gate.runtime.price_missing(str(data.after) if data.after else None))


def run(url: str | None) -> int:
    """`treadle usage price --missing`; the exit status."""
    url, found, after = url or URL, 0, None
    try:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            while True:
                answer = http.post("/analytics/prices", json={"after": after})
                if answer.is_error:
                    console.print(f"[bold red]treadle:[/] {url} answered {answer.status_code}: {answer.text}")
                    return 1
                found, after = found + answer.json()["priced"], answer.json()["after"]
                if after is None:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        console.print(f"[bold red]treadle:[/] No server answers at {url}: {error}. Start it, or name it with --url.")
        return NO_SERVER
    print(f"{found} calls have a cost now.")  # noqa: T201 - what was asked for
    return 0
