"""Tells others that a run has ended: after its end is committed, and whatever becomes of this gateway meanwhile.

The gateway that made a run waits for its end and calls its webhook. What it still owes when it dies is in the ledger,
and is called by the next one that starts: so a webhook may come twice, and is never forgotten.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
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

Shape = Callable[[Run], Any]
"""A run, as its dialect shows it."""


class Webhooks:
    """Those of one gateway."""

    def __init__(self, runtime: Runtime, rules: WebhookRules, shapes: Mapping[Dialect, Shape]) -> None:
        self._runtime = runtime
        self._rules = rules
        self._shapes = shapes
        self._watches: dict[str, asyncio.Task[None]] = {}
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

    def watch(self, run: Run) -> None:
        """Call the run's webhook when it has ended, if it has one."""
        if run.request.webhook is None or run.status.is_final or run.run_id in self._watches:
            return
        task = asyncio.create_task(self._see_through(run.thread_id, run.run_id), name=f"webhook of {run.run_id}")
        self._watches[run.run_id] = task
        task.add_done_callback(lambda _: self._watches.pop(run.run_id))

    async def recover(self) -> None:
        """Take over what gateways that have died still owe."""
        for thread_id, run_id in await self._runtime.owed_webhooks():
            self._watches[run_id] = asyncio.create_task(self._see_through(thread_id, run_id))

    async def close(self) -> None:
        """What is still owed is called after the next start."""
        for watch in self._watches.values():
            watch.cancel()
        await asyncio.gather(*self._watches.values(), return_exceptions=True)
        await self._http.aclose()

    async def _see_through(self, thread_id: str, run_id: str) -> None:
        try:
            await self._runtime.ended(thread_id, run_id)
            run = await self._runtime.run(thread_id, run_id, lately=True)  # with what it took, which the ledger counts
            await self._call(run, await self._runtime.result(run))
            await self._runtime.told(run)
        except NotFoundError:
            logger.info("Run %s was deleted before its webhook was called", run_id)
        except Exception:  # nobody awaits it; it is still owed, and is tried again after the next start
            logger.exception("The webhook of run %s could not be called", run_id)

    async def _call(self, run: Run, values: bytes | None) -> None:
        """Try some times. What becomes of it never concerns the run."""
        url = run.request.webhook
        assert url is not None, "only runs with a webhook are watched"
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
