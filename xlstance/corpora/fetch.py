"""Fetching of the catalog's sources from their publishers' addresses into a folder.

The folder keeps ``fetched.json``: the SHA-256 of every file that came, so that a second run downloads nothing twice
and a file that changed, here or at the publisher's, is noticed. A file has its final name only once it is whole and
its hash is the one that is expected.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from xlstance import __version__
from xlstance.corpora.archives import unpack
from xlstance.corpora.catalog import CatalogEntry, RemoteFile, describe_licence, find_entry
from xlstance.corpora.download import TransferSettings, download, forget
from xlstance.errors import DataError, StorageError
from xlstance.files import sha256_of, write_whole

FETCHED = "fetched.json"
_PATIENCE = TransferSettings()


def fetch(
    names: Sequence[str],
    into: Path,
    *,
    languages: Sequence[str] = (),
    catalog: Mapping[str, CatalogEntry] | None = None,
    transfer: TransferSettings = _PATIENCE,
    say: Callable[[str], object] = print,
) -> list[Path]:
    """Downloads sources; what is already there is left alone, what was begun is gone on with.

    Args:
        names: of catalog entries.
        into: the folder that the entries' paths are below; made where there is none.
        languages: which languages of the entries that have a file for each; empty for all.
        catalog: the entries; the built-in ones if None.
        transfer: how patient the downloads are.
        say: is told of each source's licence before its first byte, and of what was done.

    Returns:
        The files and unpacked folders, fetched now or before.

    Raises:
        DataError: for an unknown name or language, a source that cannot be fetched, and whatever is wrong with what
            a server sends; the message names the address.
        StorageError: if the folder cannot be written, or another fetch is at work in it.
    """
    entries = [find_entry(name, catalog) for name in dict.fromkeys(names)]
    for entry in entries:
        if not entry.files:
            raise DataError(f"{entry.name} has no address to be fetched from; {' '.join(entry.manual.split())}")
    _check_languages(entries, languages)
    paths = []
    with _locked(into), requests.Session() as session:
        session.headers["User-Agent"] = f"xlstance/{__version__}"
        folder = _Folder(into, session, transfer)
        for entry in entries:
            say(describe_licence(entry))
            files = entry.remote_files(languages)
            new = 0
            for file in files:
                new += folder.bring(file)
                paths.append(into / file.path)
            say(f"  {new} of {len(files)} files fetched, {len(files) - new} were there; all in {into}")
            if entry.manual:
                say(f"  left to do: {' '.join(entry.manual.split())}")
    return paths


def _check_languages(entries: Sequence[CatalogEntry], languages: Sequence[str]) -> None:
    """Refuses a language that no entry has, and an entry that has none of the languages."""
    known = {lang for entry in entries for lang in entry.languages}
    for lang in languages:
        if lang not in known:
            raise DataError(f"language {lang!r}: {entries[0].name} has {', '.join(sorted(known))}")
    for entry in entries:
        if languages and not set(languages) & set(entry.languages):
            raise DataError(f"{entry.name} has none of {', '.join(languages)}; it has {', '.join(entry.languages)}")


@dataclass
class _Folder:
    """A folder that files are fetched into, and what its ``fetched.json`` knows of them."""

    root: Path
    session: requests.Session
    transfer: TransferSettings
    known: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        path = self.root / FETCHED
        try:
            self.known = json.loads(path.read_text())["files"] if path.exists() else {}
            {name: noted["sha256"] for name, noted in self.known.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{path} cannot be read ({error}); remove it, and the files are checked anew") from error

    def bring(self, file: RemoteFile) -> bool:
        """Sees to it that a file, or what an archive holds, is there; returns whether anything was downloaded."""
        target = self.root / file.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.unpack == "none":
                return self._bring_file(file, target)
            if target.exists():
                self._check(file, target, self.known.get(file.path, {}).get("sha256", ""))
                return False
            archive = target.with_name(f"{target.name}.{file.unpack}")
            downloaded = self._bring_file(file, archive)
            unpack(archive, file.unpack, target)
            archive.unlink()
        except OSError as error:
            raise StorageError(f"{target} cannot be written: {error}") from error
        return downloaded

    def _bring_file(self, file: RemoteFile, target: Path) -> bool:
        if target.exists():
            found = sha256_of(target)
            self._check(file, target, found)
            self._note(file, found, target)
            return False
        part = target.with_name(f"{target.name}.part")
        download(file.url, part, size=file.bytes, session=self.session, settings=self.transfer)
        found, expected = sha256_of(part), self._expected(file)
        if expected not in ("", found):
            forget(part)
            why = (
                "the catalog pins another file"
                if file.sha256
                else f"an earlier fetch got another file; to take the new one, remove {file.path!r} from {FETCHED}"
            )
            raise DataError(f"{file.url}: the SHA-256 of what came is {found}, expected {expected} ({why})")
        self._note(file, found, part)  # first the note: a file without one would be a stranger to the next run
        os.replace(part, target)
        forget(part)
        return True

    def _expected(self, file: RemoteFile) -> str:
        """The hash that the catalog pins, else the one that came from this address before, else empty."""
        noted = self.known.get(file.path, {})
        return file.sha256 or (noted["sha256"] if noted.get("url") == file.url else "")

    def _check(self, file: RemoteFile, target: Path, found: str) -> None:
        """Refuses a file or folder that is there and is not what the address gives."""
        expected = self._expected(file)
        if not expected:
            raise DataError(f"{target} is there and was not fetched from {file.url}; move it away and run again")
        if found != expected:
            raise DataError(
                f"{target} is not the file of {file.url}: its SHA-256 is {found}, expected {expected}; "
                "move it away and run again"
            )

    def _note(self, file: RemoteFile, sha256: str, path: Path) -> None:
        noted = {"url": file.url, "sha256": sha256, "bytes": path.stat().st_size}
        if self.known.get(file.path) == noted:
            return
        self.known[file.path] = noted
        text = json.dumps({"schema": 1, "files": dict(sorted(self.known.items()))}, indent=1)
        write_whole(self.root / FETCHED, text)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps a second fetch out of the folder; the lock goes with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"{folder} cannot be made or opened: {error}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(f"another fetch is at work in {folder}; wait for it to end") from error
        yield
    finally:
        os.close(handle)
