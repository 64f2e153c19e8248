"""A TCP proxy that breaks its connections when it is told to, as a network does, or goes to another server."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


@asynccontextmanager
async def broken(*targets: str) -> AsyncGenerator[tuple[str, Callable[[], int]]]:
    """The address of a proxy before the first of `targets` that answers, and what breaks its open connections and says
    how many those were."""
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await first_open(targets)
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


async def first_open(targets: Iterable[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for target in targets:
        address = urlsplit(target)
        with suppress(ConnectionError):
            return await asyncio.open_connection(address.hostname, address.port)
    raise ConnectionError(f"Nobody answers at any of {targets}")
