"""Pictures from the web, where the settings allow it; never from a private address.

The name is resolved once, every address is checked, and the connection goes to the address that was checked:
a name that points elsewhere a moment later gains nothing. Each redirect is checked in the same way.
"""

import asyncio
import http.client
import ipaddress
import socket
import ssl
import time
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

from foveate.errors import InputError, OptionError, SourceTooLarge
from foveate.serving.settings import Settings
from foveate.serving.uploads import Folder, safe_name

SECONDS = 20.0  # for everything
REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
_CHUNK = 1 << 16
_HEADERS = {"accept": "image/*, application/pdf", "user-agent": "foveate"}


async def fetch(url: str, folder: Folder, settings: Settings) -> Path:
    """A file from the web, into the work folder. Raises `InputError`."""
    if not settings.allow_urls:
        raise OptionError(
            "this server fetches no addresses: send the file itself, as data:…;base64,… or by POST /v1/files"
        )
    path = folder.new()
    try:
        await asyncio.to_thread(_fetch, url, path, settings.max_bytes, time.monotonic() + SECONDS)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def public_address(host: str, port: int) -> str:
    """The address to connect to. Raises `OptionError` when the name has none, or one that is private."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        raise OptionError(f"the host of the address cannot be found ({problem}): check it") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if not is_public(address):
            raise OptionError("the address leads into a private network, where this server does not go")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also where it is wrapped in another."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _fetch(url: str, path: Path, most: int, until: float) -> None:
    for _ in range(REDIRECTS + 1):
        parts = _checked(url)
        connection = _connect(parts, until)
        try:
            target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
            connection.request(
                "GET", target, headers={"accept": "image/*, application/pdf", "user-agent": "foveate"}
            )
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                url = urljoin(url, answer.headers.get("location", ""))
                continue
            if answer.status != 200:
                raise OptionError(f"the address answers {answer.status}: check it, or send the file itself")
            _save(answer, path, most, until)
            return
        except (OSError, http.client.HTTPException) as problem:
            raise OptionError(
                f"the address gives no file ({type(problem).__name__}): send the file itself"
            ) from None
        finally:
            connection.close()
    raise OptionError(f"the address redirects more than {REDIRECTS} times: send the file itself")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OptionError("this is not an address: write https://…, or send a data URL") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise OptionError("only addresses of http, https and data are read: send the file as a data URL")
    if port not in (None, PORTS[parts.scheme]) or parts.username is not None:
        raise OptionError("addresses with a port or a user are not fetched: send the file itself")
    if any(ord(char) <= 32 or ord(char) > 126 for char in url):
        raise OptionError("the address holds signs that must be written as %-codes: write it anew")
    return parts


def _connect(parts: SplitResult, until: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    port = PORTS[parts.scheme]
    try:
        stream = socket.create_connection((public_address(host, port), port), timeout=_left(until))
        if parts.scheme == "https":
            stream = ssl.create_default_context().wrap_socket(stream, server_hostname=host)
    except OSError as problem:
        raise OptionError(
            f"the address cannot be reached ({type(problem).__name__}): send the file itself"
        ) from None
    connection = http.client.HTTPConnection(host, port)
    connection.sock = stream  # connected already, to the address that was checked
    return connection


def _save(answer: http.client.HTTPResponse, path: Path, most: int, until: float) -> None:
    size = 0
    with path.open("xb") as file:
        while chunk := answer.read1(_CHUNK):
            size += len(chunk)
            if size > most:
                raise SourceTooLarge(f"the file at the address is over the limit of {most:,} bytes")
            _left(until)
            file.write(chunk)
    if not size:
        raise InputError(f"{safe_name(None)}: the address gives an empty file")


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise OptionError(f"the address took more than {SECONDS:g} s: send the file itself")
    return left
