"""One download that survives cut connections, lying servers and a killed process.

The bytes go to ``NAME.part``; beside it ``NAME.part.json`` keeps what identifies the publisher's version (a strong
ETag, or Last-Modified) and its length. What is there is continued by a Range request that holds for that version
alone (RFC 9110, sections 13.1.5 and 14): any other answer starts the file anew, so wrong bytes are never appended.
"""

import ipaddress
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from xlstance.errors import DataError, StorageError
from xlstance.progress import progress_bar

_CHUNK = 1 << 18
_REDIRECTS = 10
_PASSING = (408, 425, 429)  # too slow, too early, too many: worth another try, as is every 5xx


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """How patient a download is.

    Attributes:
        tries: how often a file is asked for before it is given up; what came is kept for the next run.
        wait: seconds before the second try, doubled before each further one.
        timeout: seconds without a byte after which a connection counts as cut.
        unannounced: bytes that are taken from a server that does not say how many will come.
    """

    tries: int = 5
    wait: float = 1.0
    timeout: float = 60.0
    unannounced: int = 1 << 33


@dataclass(frozen=True)
class _Version:
    """What the bytes of a ``.part`` belong to: address, ETag or Last-Modified (or empty), whole length or -1."""

    url: str
    validator: str
    length: int


class _CutError(Exception):
    """This try failed, another may not; the message says how."""


def download(
    url: str, part: Path, *, size: int = 0, session: requests.Session, settings: TransferSettings = TransferSettings()
) -> None:
    """Brings a file's bytes to ``part``, going on where an earlier call was stopped.

    Args:
        url: an https address; http is taken from this machine's loopback only.
        part: the unfinished file, ``NAME.part``; it is whole when this returns.
        size: bytes it must have, 0 where that is not known.
        session: makes the requests.
        settings: how patient to be.

    Raises:
        DataError: if the address is refused, or the server or what it sends is at fault.
        StorageError: if the disk is full or cannot be written.
    """
    check_address(url, local=True)
    reason = ""
    for attempt in range(settings.tries):
        if attempt:
            time.sleep(settings.wait * 2 ** (attempt - 1))
        try:
            _try(url, part, size, session, settings)
            return
        except _CutError as error:
            reason = str(error)
        except OSError as error:
            raise StorageError(f"{part} cannot be written: {error}") from error
    came = part.stat().st_size if part.exists() else 0
    kept = f"; {came} bytes came and are kept in {part}: run again to go on" if came else ""
    raise DataError(f"{url} could not be fetched in {settings.tries} tries ({reason}){kept}")


def forget(part: Path) -> None:
    """Removes an unfinished file and what is noted beside it."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


def check_address(url: str, *, local: bool = False) -> None:
    """Refuses what is no https address.

    Args:
        url: the address.
        local: whether http to this machine's loopback is taken as well.

    Raises:
        DataError: naming the address.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if not (local and parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise DataError(f"{url} is refused: only https addresses are fetched from")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _try(url: str, part: Path, size: int, session: requests.Session, settings: TransferSettings) -> None:
    version, have = _resumable(part, url)
    if version and have == version.length:
        return  # a run was stopped between the last byte and the final name
    headers = {"Accept-Encoding": "identity"}
    if version and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version.validator}
    with _answer(url, headers, session, settings) as response:
        if response.status_code == 206 and version:
            _check_continues(response, version, have, part)
            length = version.length
        elif response.status_code == 200:
            have, length = 0, _length(response, url)
        elif response.status_code == 416:
            forget(part)
            raise _CutError("the publisher's file is shorter than it was")
        elif response.status_code in _PASSING or response.status_code >= 500:
            raise _CutError(f"the server answers {response.status_code} {response.reason}")
        else:
            raise DataError(
                f"{url}: the server answers {response.status_code} {response.reason}; "
                "has the publisher moved the file, or does it ask for a login?"
            )
        if size and length not in (-1, size):
            forget(part)
            raise DataError(f"{url}: the server announces {length} bytes, the catalog says {size}")
        limit = size or (length if length >= 0 else settings.unannounced)
        _check_room(part, limit - have if length >= 0 else 0)
        if not have:
            part.write_bytes(b"")  # before the note, so that no bytes are taken for another version's
            _note_path(part).write_text(json.dumps(asdict(_Version(url, _validator(response), length))))
        have = _receive(response, part, have, length, limit)
    if length < 0 and size and have < size:
        raise _CutError(f"{have} of {size} bytes came")


def _receive(response: requests.Response, part: Path, have: int, length: int, limit: int) -> int:
    """Appends the body to the part; returns how many bytes it then has."""
    name = part.name.removesuffix(".part")
    total = length if length >= 0 else None
    with (
        part.open("ab") as file,
        progress_bar(desc=name, initial=have, total=total, unit="B", unit_scale=True) as bar,
    ):
        try:
            # `read1` hands over what has come; `iter_content` would lose a begun chunk when the connection is cut.
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                have += len(chunk)
                if have > limit:
                    raise DataError(f"{response.url}: more than {limit} bytes come; nothing of it is kept")
                file.write(chunk)
                bar.update(len(chunk))
        except HTTPError as error:
            of = f"{have} of {length}" if length >= 0 else str(have)
            raise _CutError(f"the connection was cut after {of} bytes") from error
        except DataError:
            forget(part)
            raise
    if have < length:
        raise _CutError(f"the connection was closed after {have} of {length} bytes")
    return have


@contextmanager
def _answer(
    url: str, headers: dict[str, str], session: requests.Session, settings: TransferSettings
) -> Iterator[requests.Response]:
    """The answer to a request, redirects followed by hand so that each address is looked at before it is asked."""
    here, local = url, not url.startswith("https:")
    for _ in range(_REDIRECTS):
        try:
            response = session.get(here, headers=headers, stream=True, allow_redirects=False, timeout=settings.timeout)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _CutError(f"no connection: {type(error).__name__}") from error
        except (requests.RequestException, ValueError) as error:
            raise DataError(f"{here} cannot be asked for: {error}") from error
        with response:
            if not response.is_redirect:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise DataError(f"{here}: the server packs the file on its way though it was asked not to")
                yield response
                return
            here = urljoin(here, response.headers["Location"])
            try:
                check_address(here, local=local)
            except DataError as error:
                raise DataError(f"{url} leads to another address; {error}") from error
    raise DataError(f"{url}: more than {_REDIRECTS} redirects")


def _resumable(part: Path, url: str) -> tuple[_Version | None, int]:
    """The version that a part belongs to and its bytes; none where it cannot be gone on with."""
    try:
        version = _Version(**json.loads(_note_path(part).read_text()))
        have = part.stat().st_size
    except (OSError, ValueError, TypeError):
        return None, 0
    whole = version.length >= 0
    if version.url != url or not whole or have > version.length or not (version.validator or have == version.length):
        return None, 0
    return version, have


def _check_continues(response: requests.Response, version: _Version, have: int, part: Path) -> None:
    """Refuses a partial answer that is not the rest of this version."""
    said = response.headers.get("Content-Range", "")
    if said != f"bytes {have}-{version.length - 1}/{version.length}" or _validator(response) != version.validator:
        forget(part)
        raise _CutError(f"the server sent another part than it was asked for ({said or 'no Content-Range'})")


def _length(response: requests.Response, url: str) -> int:
    """The announced length, -1 for none."""
    said = response.headers.get("Content-Length")
    if said is None or "chunked" in response.headers.get("Transfer-Encoding", ""):
        return -1
    if not said.isdecimal():
        raise DataError(f"{url}: the server announces a length of {said!r}")
    return int(said)


def _validator(response: requests.Response) -> str:
    """The strong ETag of an answer, else its Last-Modified; a weak ETag does not tell bytes apart."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise StorageError(f"{part}: {needed} bytes are to come and the disk has {free} left; make room and run again")


def _note_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
