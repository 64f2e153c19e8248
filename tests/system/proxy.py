"""A TCP proxy that breaks its connections when it is told to, as a network does."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


@asynccontextmanager
async def broken(target: str) -> AsyncGenerator[tuple[str, Callable[[], int]]]:
    """The address of a proxy before `target`, and what breaks its open connections and says how many those were."""
    address = urlsplit(target)
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(address.hostname, address.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(pipe(reader, far_writer))
            group.create_task(pipe(far_reader, writer))

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            open_now.discard(writer)
            writer.close()

    def cut() -> int:
        return len([writer.transport.abort() for writer in open_now])

    proxy = await asyncio.start_server(serve, "127.0.0.1")
    async with proxy:
        yield f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}", cut
        cut()
