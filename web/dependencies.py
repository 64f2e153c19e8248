"""What handlers may ask for by name."""

import re
from functools import partial
from typing import Annotated, Any

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter, SkipValidation
from msgspec import Struct

from actors.runtime import Parts, Runtime, Submission, UntilEnded
from storage.records import CancelAction, OnDisconnect, Run
from web.answers import Leave, LongAnswers
from web.errors import wrong
from web.settings import Settings
from web.shapes import CLIENT_GONE
from web.webhooks import Webhooks


class Gate(Struct, frozen=True):
    """One gateway: what it asks, how it is set, and its answers under way."""

    runtime: Runtime
    settings: Settings
    answers: LongAnswers
    webhooks: Webhooks

    def ending(self, run: Run) -> Leave:
        """What ends a run whose client has gone."""
        return partial(self.runtime.cancel, run.thread_id, run.run_id, CancelAction.INTERRUPT, CLIENT_GONE)

    def leave(self, run: Run) -> Leave | None:
        """What becomes of a run if the client goes that has created it."""
        return None if run.request.on_disconnect is OnDisconnect.CONTINUE else self.ending(run)

    async def submit(self, submission: Submission) -> Run:
        """As the runtime's, unless the webhook may not be called."""
        self.webhooks.check(submission.run.request.webhook)
        return await self.runtime.submit(submission)

    async def ended(self, run: Run) -> tuple[Run, bytes | None]:
        """A run that exists, once it has ended, and what it left."""
        final = await self.runtime.ended(run.thread_id, run.run_id)
        return final, await self.runtime.result(final)

    async def submit_and_wait(self, submission: Submission) -> tuple[Run, UntilEnded]:
        """As the runtime's, unless the webhook may not be called."""
        self.webhooks.check(submission.run.request.webhook)
        return await self.runtime.submit_and_wait(submission)

    async def submit_and_follow(self, submission: Submission) -> tuple[Run, Parts]:
        """As the runtime's, unless the webhook may not be called."""
        self.webhooks.check(submission.run.request.webhook)
        return await self.runtime.submit_and_follow(submission)


TheGate = NamedDependency[SkipValidation[Gate]]
AnyRequest = Request[Any, Any, Any]
KEY = re.compile(r"[!-~]{1,255}")
LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]


def provide_gate(state: State) -> Gate:
    return state.gate


PROVIDERS = {"gate": Provide(provide_gate, sync_to_thread=False)}


def key_of(request: AnyRequest) -> str | None:
    """What the client called its request: the same name on the same thread makes no second run."""
    name = request.headers.get("idempotency-key")
    if name is not None and not KEY.fullmatch(name):
        raise wrong("Idempotency-Key", "Expected 1 to 255 visible characters", "header")
    return name
