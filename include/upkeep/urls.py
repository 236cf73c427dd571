"""Which addresses Upkeep may speak to: by scheme and host, from a list that the operator keeps."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

ALLOWED = "UPKEEP_ALLOWED_HOSTS"
ALWAYS = frozenset({"127.0.0.1", "localhost", "::1"})
# Where clouds hand out credentials to whoever asks, beside the link-local addresses.
METADATA = frozenset(
    {
        *("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"),
        *("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"),
    }
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_PRINTABLE = re.compile(r"[!-~]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def url_fault(url: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """What is wrong with an address and how to mend it; None if it may be used.

    Only http and https, no credentials in the URL, and only hosts of this machine or of
    ``UPKEEP_ALLOWED_HOSTS`` (names with commas; ``.example.org`` allows all below it).
    Addresses where clouds hand out credentials are never allowed, however they are written.
    Only plain ASCII is read: parsers of URLs disagree about everything else.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "is not a URL", "write https://host:port"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "is not an http(s) URL with a host", "write https://host:port"
    if "@" in parts.netloc:
        return "holds credentials", "name an Airflow connection instead"
    address = _address(host)
    if not _PRINTABLE.fullmatch(url) or (address is None and not _NAME.fullmatch(host)):
        return "has a host that is no plain name or address", "write the name in ASCII (punycode)"
    if host in METADATA or (address is not None and _hands_out_credentials(address)):
        return "is a link-local address", "name the server itself"
    return _not_listed(host, environ)


def _not_listed(host: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    allowed = {h.strip().lower() for h in environ.get(ALLOWED, "").split(",") if h.strip()}
    if host in ALWAYS | allowed or any(a.startswith(".") and host.endswith(a) for a in allowed):
        return None
    return f"{host} is not an allowed host", f"add it to {ALLOWED}"


def _address(host: str) -> Address | None:
    """The address that a host is; ``2852039166``, ``0xA9FEA9FE`` and ``127.1`` are ones too."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _hands_out_credentials(address: Address) -> bool:
    inner = _inside(address)
    found = (address, inner) if inner else (address,)
    return any(
        a.is_link_local or a.is_unspecified or a.is_multicast or str(a) in METADATA for a in found
    )


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    mapped = address.ipv4_mapped or address.sixtofour
    translated = address in _NAT64 or int(address) >> 32 == 0
    return mapped or (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if translated else None)
