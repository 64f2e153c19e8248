"""Assistants: graphs, with the configuration they are run with."""

from typing import Any

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from web.bodies import strictly
from web.dependencies import AnyRequest, TheGate
from web.platform import ids, schemas
from web.platform.schemas import Assistant, AssistantSearch

FEW = 10
"""How many are listed if the caller does not say."""


class AssistantController(Controller):
    path = "/assistants"

    @get("/{assistant_id:str}")
    async def one(self, assistant_id: FromPath[str], gate: TheGate) -> Assistant:
        """An assistant, by its id or by the name of a graph, which means that graph's system assistant."""
        return schemas.assistant(await ids.assistant(gate.runtime, assistant_id))

    @post("/search", status_code=200)
    async def search(
        self, data: JSONBody[AssistantSearch], request: AnyRequest, gate: TheGate
    ) -> Response[list[Assistant] | list[dict[str, Any]]]:
        """Assistants that match all that is given. `X-Pagination-Total` says how many match in all."""
        asked, _ = await strictly(request, data)
        limit, offset = asked.limit or FEW, asked.offset or 0
        found, total = await gate.runtime.assistants(limit=limit, offset=offset, **_filters(asked))
        headers = {"X-Pagination-Total": str(total)}
        if offset + len(found) < total:
            headers["X-Pagination-Next"] = str(offset + len(found))
        shapes = [schemas.assistant(assistant) for assistant in found]
        return Response(schemas.selected(shapes, Assistant, asked.select or []), headers=headers)


def _filters(asked: AssistantSearch) -> dict[str, Any]:
    """What was asked for; what was not is left to the runtime."""
    names = ("metadata", "graph_id", "name", "sort_by", "sort_order")
    return {name: value for name in names if (value := getattr(asked, name)) is not None}
