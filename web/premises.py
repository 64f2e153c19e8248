"""What a server needs before anything slow happens: a host it may listen on, a port, a data folder, a project."""

import errno
import fcntl
import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from actors.project import DEMO, Project, read


class UnusableError(Exception):
    """What was asked for cannot be served. The message is one line, for the user."""


def check_host(host: str, *, insecure: bool) -> None:
    if not (insecure or _is_loopback(host)):
        raise UnusableError(
            f"Others could reach {host}, and there is no authentication: everybody could run the graphs. "
            "Use 127.0.0.1, or --insecure if the network is trusted."
        )


def project_of(config: Path | None) -> Project:
    if config is not None:
        return read(config)
    here = Path("langgraph.json")
    return read(here) if here.exists() else DEMO


@contextmanager
def listening(host: str, port: int) -> Generator[socket.socket, None, None]:
    """Taken before anything slow happens, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            cure = ". Choose another with --port" if error.errno == errno.EADDRINUSE else ""
            raise UnusableError(f"Cannot listen on {_shown(host)}:{port}: {error.strerror}{cure}") from None
        yield listener


@contextmanager
def owning(data: Path) -> Generator[None, None, None]:
    """The data folder is ours as long as this process lives, and only ours."""
    with _lock_file(data) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnusableError(f"The data folder {data} is in use by another Treadle") from None
        yield


def url_of(host: str, port: int) -> str:
    return f"http://{_shown(host)}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lock_file(data: Path) -> IO[str]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        return (data / "lock").open("w")
    except OSError as error:
        raise UnusableError(f"The data folder {data} cannot be used: {error.strerror}") from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
