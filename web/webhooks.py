"""Tells others that a run has ended: after its end is committed, and whatever becomes of this gateway meanwhile.

The ledger says what is owed, to one gateway each, which calls it and says so. When that one goes, or does not come to
it because it has been stopped, another is told: so a webhook comes once, may come twice if something breaks over it,
and is never forgotten.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import httpx
import msgspec

from actors.runtime import Runtime
from storage.errors import NotFoundError
from storage.records import Dialect, Run
from web.errors import wrong
from web.shapes import moment
from web.webhook_rules import WebhookError, WebhookRules, check_address, check_url

logger = logging.getLogger(__name__)

TRIES = 3
PAUSE = 1.0
"""Seconds before the second try; twice as long before the third."""

WITHIN = 10.0
"""Seconds that a try may take."""

LAST_WITHIN = 2.0
"""Seconds that calls under way may take when the gateway stops."""

Shape = Callable[[Run], Any]
"""A run, as its dialect shows it."""


class Webhooks:
    """Those of one gateway."""

    def __init__(self, runtime: Runtime, rules: WebhookRules, shapes: Mapping[Dialect, Shape]) -> None:
        self._runtime = runtime
        self._rules = rules
        self._shapes = shapes
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._turn: asyncio.Task[None] | None = None
        self._closing = False
        # Proxies of the environment are not asked: they would connect to addresses that nobody has checked.
        self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=WITHIN)

    def check(self, url: str | None) -> None:
        """Refuse a request for a webhook that may not be called."""
        if url is None:
            return
        try:
            check_url(url, self._rules)
            if (address := _literal(httpx.URL(url).host)) is not None:
                check_address(address, self._rules)
        except (WebhookError, httpx.InvalidURL) as error:
            raise wrong("webhook", str(error)) from error

    def open(self) -> None:
        """Call what is owed, from now on, whenever it is this gateway's turn."""
        self._turn = asyncio.create_task(self._take_turn(), name="webhooks")

    async def close(self) -> None:
        """Finish the calls under way, if they take no longer than a moment; the rest is for the next gateway."""
        self._closing = True
        if self._calls:
            await asyncio.wait(self._calls.values(), timeout=LAST_WITHIN)
        ending = [*self._calls.values(), *([self._turn] if self._turn else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._http.aclose()

    async def _take_turn(self) -> None:
        while True:
            try:
                async with aclosing(self._runtime.owed_webhooks()) as told:
                    async for owed in told:
                        for thread_id, run_id in owed:
                            self._begin(thread_id, run_id)
            except Exception:  # nobody awaits it, and what is owed must not be forgotten
                logger.exception("Webhooks cannot be called")
            await asyncio.sleep(PAUSE)

    def _begin(self, thread_id: str, run_id: str) -> None:
        if self._closing or run_id in self._calls:  # the ledger has restarted, and says it again
            return
        task = asyncio.create_task(self._see_through(thread_id, run_id), name=f"webhook of {run_id}")
        self._calls[run_id] = task
        task.add_done_callback(lambda _: self._calls.pop(run_id))

    async def _see_through(self, thread_id: str, run_id: str) -> None:
        try:
            run = await self._runtime.run(thread_id, run_id, lately=True)  # with what it took, which the ledger counts
            await self._call(run, await self._runtime.result(run))
            await self._runtime.told(run)
        except NotFoundError:
            logger.info("Run %s was deleted before its webhook was called", run_id)
        except Exception:  # nobody awaits it; it is still owed, and is tried again by the next gateway
            logger.exception("The webhook of run %s could not be called", run_id)

    async def _call(self, run: Run, values: bytes | None) -> None:
        """Try some times. What becomes of it never concerns the run."""
        url = run.request.webhook
        assert url is not None, "only what has a webhook is owed"
        for number in range(TRIES):
            if number:
                await asyncio.sleep(PAUSE * 2 ** (number - 1))
            try:
                answer = await self._post(httpx.URL(url), self._told(run, values))
            except WebhookError as error:
                logger.warning("The webhook of run %s is not called: %s", run.run_id, error)
                return
            except (httpx.HTTPError, OSError) as error:
                logger.info("Webhook of run %s: %r", run.run_id, error)
                continue
            if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                return
        logger.warning("The webhook of run %s was given up after %s tries", run.run_id, TRIES)

    async def _post(self, url: httpx.URL, content: bytes) -> httpx.Response:
        """To the very address that was checked: a name that is asked twice may answer differently."""
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port)
        address = ip_address(found[0][4][0])
        check_address(address, self._rules)
        headers = {"Host": url.netloc.decode(), "Content-Type": "application/json"}
        extensions = {"sni_hostname": url.host}
        at = url.copy_with(host=str(address))
        return await self._http.post(at, content=content, headers=headers, extensions=extensions)

    def _told(self, run: Run, values: bytes | None) -> bytes:
        said = msgspec.to_builtins(self._shapes[run.dialect](run))
        return msgspec.json.encode(
            {
                **said,
                "run_started_at": moment(run.started_at) if run.started_at else None,
                "run_ended_at": moment(run.ended_at) if run.ended_at else None,
                "webhook_sent_at": moment(datetime.now(UTC)),
                "values": msgspec.Raw(values or b"null"),
            }
        )


def _literal(host: str) -> Any:
    """The address that a host is, if it is none of the names."""
    try:
        return ip_address(host)
    except ValueError:
        return None
