"""Where a webhook may go: rules about its URL, and about the address that its host's name leads to. Pure.

A URL is checked when a run is created. An address is checked for every connection, and the connection is made to that
very address: a name that is asked twice may answer differently.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from storage.errors import SenselessError

Address = IPv4Address | IPv6Address

PORTS = {"http": 80, "https": 443}

TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv6 addresses whose last four bytes are the IPv4 address that is reached."""


class WebhookRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the URLs of all webhooks."""

    allowed_domains: tuple[str, ...] = ()
    """Hosts; `*.example.com` is every host below it. None named: all are allowed."""
    allowed_ports: tuple[int, ...] = ()
    max_url_length: int = 4096
    require_https: bool = False
    disable_loopback: bool = True
    disable_private_ips: bool = True


class WebhookError(SenselessError):
    """A webhook may not go there."""


def check_url(url: str, rules: WebhookRules) -> None:
    """Raise WebhookError for a URL that is refused whatever its name leads to."""
    if len(url) > rules.max_url_length:
        raise WebhookError(f"the URL is longer than {rules.max_url_length} characters")
    parts, port = _parts(url)
    host = parts.hostname or ""
    if rules.require_https and parts.scheme != "https":
        raise WebhookError("the URL must begin with https://")
    if rules.allowed_ports and port not in rules.allowed_ports:
        raise WebhookError(f"port {port} is not allowed")
    if rules.allowed_domains and not any(_is_in(host, domain) for domain in rules.allowed_domains):
        raise WebhookError(f"{host} is not among the allowed domains")
    if rules.disable_loopback and _is_in(host.rstrip("."), "localhost", below=True):
        raise WebhookError(f"{host} is this machine")


def check_address(address: Address, rules: WebhookRules) -> None:
    """Raise WebhookError for an address that nobody outside may have called."""
    reached = _reached(address)
    if reached.is_loopback or reached.is_unspecified:
        if rules.disable_loopback:
            raise WebhookError(f"{address} is this machine")
    elif rules.disable_private_ips and not _is_public(reached):
        raise WebhookError(f"{address} is not a public address")


def _parts(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WebhookError(f"the URL cannot be read: {error}") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise WebhookError("the URL must begin with http:// or https://, and name a host")
    return parts, PORTS[parts.scheme] if port is None else port


def _is_in(host: str, domain: str, *, below: bool = False) -> bool:
    name = domain.lower()
    if name.startswith("*."):
        return host.endswith(name[1:])
    return host == name or (below and host.endswith(f".{name}"))


def _is_public(address: Address) -> bool:
    """Python counts the old site-local addresses of IPv6 and some multicast ones as global."""
    old = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not old


def _reached(address: Address) -> Address:
    """The address that is reached in the end: an IPv4 address can be written inside an IPv6 one."""
    if isinstance(address, IPv4Address):
        return address
    if inner := address.ipv4_mapped or address.sixtofour:
        return inner
    return ip_address(int(address) & 0xFFFFFFFF) if address in TRANSLATED else address
