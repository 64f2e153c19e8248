"""What people think of runs: given, read, taken back, counted."""

from datetime import UTC, datetime

from litestar import Controller, delete, get, put
from litestar.params import FromPath, JSONBody
from uuid_utils.compat import uuid7

from storage.conversations import Feedback, FeedbackStats
from storage.errors import SenselessError
from web.bodies import strictly
from web.dependencies import AnyRequest, TheGate
from web.gateway import schemas
from web.gateway.ids import ThreadId
from web.gateway.schemas import FeedbackRequest, FeedbackResponse, Success


class FeedbackController(Controller):
    path = "/{thread_id:str}/runs/{run_id:str}/feedback"

    @put()
    async def give(
        self,
        thread_id: ThreadId,
        run_id: FromPath[str],
        data: JSONBody[FeedbackRequest],
        request: AnyRequest,
        gate: TheGate,
    ) -> FeedbackResponse:
        """Say what you think of a run, in place of what you have said before."""
        asked, _ = await strictly(request, data)
        await gate.runtime.thread(thread_id)
        run = await gate.runtime.run(thread_id, run_id)
        if asked.rating not in (1, -1):
            raise SenselessError("rating must be +1 or -1")
        given = Feedback(
            feedback_id=str(uuid7()),
            thread_id=thread_id,
            run_id=run.run_id,
            message_id=asked.message_id,
            rating=asked.rating,
            comment=asked.comment,
            created_at=datetime.now(UTC),
        )
        return schemas.feedback(await gate.runtime.put_feedback(given))

    @get()
    async def own(self, thread_id: ThreadId, run_id: FromPath[str], gate: TheGate) -> list[FeedbackResponse]:
        """What you think of a run: a list of one, or of none."""
        return [schemas.feedback(one) for one in await gate.runtime.feedback(thread_id, run_id, None)]

    @delete(status_code=200)
    async def take_back(self, thread_id: ThreadId, run_id: FromPath[str], gate: TheGate) -> Success:
        """Take back what you have said of a run."""
        await gate.runtime.thread(thread_id)
        await gate.runtime.delete_feedback(thread_id, run_id, None)
        return Success(success=True)

    @get("/stats")
    async def stats(self, thread_id: ThreadId, run_id: FromPath[str], gate: TheGate) -> FeedbackStats:
        """What all together think of a run."""
        return await gate.runtime.feedback_stats(thread_id, run_id)
