"""Files of others made ours, for networks whose sinks must own what they show: fetched, checked, kept, served.

Nobody waits long for it. What an activity shows is fetched before the transaction that says it, each file by a task of
its own; what is not there soon is looked at again a little later, a few times, and then the activity goes without.
Which file stands for what is in the database, so that a View is read in the transaction it is for.
"""

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from bridged import lasting
from bridged.adapter import Blob, BlobLimit, Busy, Card, EgressFailed, EgressRefused, Http, Response, Use
from bridged.files import Limits, fetchable, link_in, shown_in
from bridged.model import Activity
from bridged.pictures import FORMATS
from bridged.seams import seam
from bridged.store import blobs
from bridged.store.engine import Store, Tx
from bridged.text import clean_name
from bridged.workshop import Spoilt, Workshop

IMAGE = 10 << 20
PAGE = 1 << 20
VIDEO = "video/mp4"
PROMPT = 4.0
"""Seconds that an activity waits for its files at a time."""
WAITS = (5.0, 20.0, 60.0, 180.0)
"""Seconds after which it is looked at again; then it goes without."""
TRIES = len(WAITS) + 1
DAY = 86400.0
"""Seconds for which what was not to be had is not asked for again, and a page is not read anew."""
AT_ONCE, OF_HOST = 6, 2
"""Files fetched at once, and of them from one host."""
QUEUE = 500
REST = 10.0
"""Seconds for which a host that did not answer is not asked."""
TITLE, DESCRIPTION = 300, 1000

_LATER = frozenset({408, 425, 429})
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/apng": "image/png",
}
_HTML = frozenset({"text/html", "application/xhtml+xml"})
TYPES = frozenset({*FORMATS, VIDEO})
"""What is taken over, and served."""


class Unavailable(Exception):
    """No file is to be had: for ever, or `later` perhaps."""

    def __init__(self, why: str, *, later: bool = False) -> None:
        super().__init__(why)
        self.why, self.later = why, later


def kind_of(data: bytes) -> str:
    """What the first bytes say it is: one of the types taken here, or ""."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        if data[8:12] in (b"avif", b"avis"):
            return "image/avif"
        if data[8:12] in (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash"):
            return VIDEO
    return ""


class Media:
    """The media room. Built without I/O; `http` is given to it by who has one, without it nothing is fetched.

    `most_video`: bytes of a film, 0 for none.
    """

    def __init__(self, store: Store, data_dir: Path, base_url: str, now: Callable[[], float], most_video: int) -> None:
        self.http: Http | None = None
        self.workshop = Workshop()
        self.prompt = PROMPT
        self.count: Callable[[str], None] = lambda _: None
        self.folder = data_dir / "media"
        self._store, self._now, self._base_url, self._most_video = store, now, base_url, most_video
        self._tasks: dict[tuple[str, ...], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._hosts: dict[str, tuple[asyncio.Semaphore, int]] = {}
        self._silent: dict[str, float] = {}

    def path(self, sha256: bytes) -> Path:
        name = sha256.hex()
        return self.folder / name[:2] / name[2:]

    async def blob(self, sha256: bytes) -> tuple[Blob, Path] | None:
        """A file that something shows, and where it lies."""
        found = await self._store.read(lambda tx: blobs.served(tx, sha256))
        path = self.path(sha256)
        return (found, path) if found is not None and path.is_file() else None

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.workshop.close()

    async def prepare(self, activity: Activity, network: str, limits: Limits | None) -> bool:
        """Has what the activity shows fetched for `network`; whether something may still come. May be repeated."""
        if limits is None or self.http is None:
            return False
        wanted = shown_in(activity, limits)
        link = link_in(activity, self._base_url)
        tasks = [task for url, use in wanted.items() if (task := await self._file(network, url, use, limits[use]))]
        if link is not None:
            tasks += [self._start(("card", network, link), self._card(network, link, limits))]
        if tasks:
            await asyncio.wait(tasks, timeout=self.prompt)
        return await self._store.read(lambda tx: any(self._open(tx, network, url, use) for url, use in wanted.items()))

    def _open(self, tx: Tx, network: str, url: str, use: Use) -> bool:
        known = blobs.source(tx, network, url, use)
        return known is None or (known.sha256 is None and known.tries < TRIES)

    async def _file(self, network: str, url: str, use: Use, limit: BlobLimit) -> asyncio.Task[None] | None:
        known = await self._store.read(lambda tx: blobs.source(tx, network, url, use))
        if known is not None:
            if known.sha256 is not None and self.path(known.sha256).is_file():
                return None
            if known.sha256 is None and known.tries >= TRIES and self._now() - known.at < DAY:
                return None
        tries = known.tries if known is not None and known.tries < TRIES else 0
        return self._start((network, url, use), self._had(network, url, use, limit, tries))

    def _start(self, key: tuple[str, ...], job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The task that does this already, or one that does it now."""
        task = self._tasks.get(key)
        if task is not None:
            job.close()
            return task
        task = self._tasks[key] = asyncio.create_task(job)
        task.add_done_callback(lambda done: self._done(key, done))
        return task

    def _done(self, key: tuple[str, ...], task: asyncio.Task[None]) -> None:
        del self._tasks[key]
        if not task.cancelled() and isinstance(task.exception(), Busy):
            self.count("busy")  # nothing is written down: it is asked for again

    async def _had(self, network: str, url: str, use: Use, limit: BlobLimit, tries: int) -> None:
        """Fetches, checks and keeps one file, and writes down how that went."""
        try:
            blob, data = await self._made(url, use, limit)
            await asyncio.to_thread(self._place, blob.sha256, data)
        except (Unavailable, OSError) as e:
            no = e if isinstance(e, Unavailable) else Unavailable(f"not stored: {e.strerror}", later=True)
            self.count("later" if no.later else "refused")
            failed = blobs.Source(None, no.why, tries + 1 if no.later else TRIES, self._now())
            await self._store.write(lambda tx: blobs.put_source(tx, network, url, use, failed))
            return
        seam("blob.placed")

        def unit(tx: Tx) -> bool:
            # looked for here because what nothing shows is removed in a transaction too
            if not self.path(blob.sha256).is_file():
                return False
            blobs.add(tx, blob, self._now())
            blobs.put_source(tx, network, url, use, blobs.Source(blob.sha256, "", 0, self._now()))
            return True

        if await self._store.write(unit):
            self.count("kept")
            seam("blob.kept")

    def _place(self, sha256: bytes, data: bytes) -> None:
        """The file is whole and on disk when this returns."""
        path = self.path(sha256)
        lasting.folder(path.parent)
        part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
        try:
            with open(part, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        lasting.sync(path.parent)

    async def _made(self, url: str, use: Use, limit: BlobLimit) -> tuple[Blob, bytes]:
        """The file as it is shown. Raises Unavailable."""
        film = use == "video"
        most = min(limit.bytes, self._most_video) if film else IMAGE
        if not most:
            raise Unavailable("films are not taken over here")
        response = await self._get(url, most, "video/mp4" if film else "image/*")
        declared = _declared(response)
        kind = kind_of(response.body)
        if not kind or (kind == VIDEO) is not film:
            raise Unavailable("of no type that is taken over")
        if declared not in _UNSAID and _ALIASES.get(declared, declared) != kind:
            raise Unavailable("not of the type it is said to be")
        if film:
            if kind not in limit.types:
                raise Unavailable("of no type that is taken over")
            digest = await asyncio.to_thread(lambda: hashlib.sha256(response.body).digest())
            return Blob(digest, kind, len(response.body), 0, 0), response.body
        order = {"do": "fit", "mime": kind, "most": limit.bytes, "side": limit.side, "types": sorted(limit.types)}
        said, data = await self._opened(order, response.body)
        return Blob(hashlib.sha256(data).digest(), said["mime"], len(data), said["width"], said["height"]), data

    async def _opened(self, order: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            return await self.workshop.do(order, data)
        except Spoilt as e:
            raise Unavailable(e.why) from None

    async def _card(self, network: str, url: str, limits: Limits) -> None:
        """What the page says of itself, and its picture. Once a day at most: nobody waits for a page that is down."""
        at = await self._store.read(lambda tx: blobs.card_at(tx, url))
        if at is None or self._now() - at > DAY:
            try:
                card = await self._read_page(url)
            except Unavailable:
                card = None
            await self._store.write(lambda tx: blobs.put_card(tx, url, card, self._now()))
        else:
            card = await self._store.read(lambda tx: blobs.card(tx, url))
        if card is not None and card.thumb and "thumb" in limits:
            task = await self._file(network, card.thumb, "thumb", limits["thumb"])
            if task is not None:
                await asyncio.wait([task])

    async def _read_page(self, url: str) -> Card | None:
        response = await self._get(url, PAGE, "text/html")
        if _declared(response) not in _HTML:
            return None
        charset = re.search(r"charset=[\"']?([\w-]{2,40})", response.headers.get("content-type", ""))
        said, _ = await self._opened({"do": "card", "charset": charset[1] if charset else ""}, response.body)
        title, description = clean_name(said["title"], TITLE), clean_name(said["description"], DESCRIPTION)
        with contextlib.suppress(ValueError):
            thumb = urljoin(response.url, said["thumb"]) if said["thumb"] else ""
            return Card(url, title, description, thumb if fetchable(thumb) else "") if title else None
        return Card(url, title, description) if title else None

    async def _get(self, url: str, limit: int, accept: str) -> Response:
        """Raises Unavailable."""
        host = _host(url)
        async with self._slot(host):
            if self._silent.get(host, 0.0) > self._now():
                raise Unavailable("its host did not answer just now", later=True)
            assert self.http is not None
            try:
                response = await self.http.get(url, headers={"Accept": accept}, limit=limit)
            except EgressRefused as e:
                raise Unavailable(f"not asked for: {e}") from None
            except EgressFailed as e:
                if "too_large" in str(e):
                    raise Unavailable("too big") from None
                self._silent = {h: t for h, t in self._silent.items() if t > self._now()} | {host: self._now() + REST}
                raise Unavailable(f"no answer: {e}", later=True) from None
        if response.status != 200:
            again = response.status >= 500 or response.status in _LATER
            raise Unavailable(f"answered with {response.status}", later=again)
        return response

    @asynccontextmanager
    async def _slot(self, host: str) -> AsyncGenerator[None]:
        """Room for one fetch; who waits for a slow host takes no room from others."""
        if len(self._tasks) > QUEUE:
            raise Unavailable("too many files at once", later=True)
        room, waiting = self._hosts.get(host) or (asyncio.Semaphore(OF_HOST), 0)
        self._hosts[host] = room, waiting + 1
        try:
            async with room, self._slots:
                yield
        finally:
            room, waiting = self._hosts[host]
            self._hosts[host] = room, waiting - 1
            if waiting == 1:
                del self._hosts[host]

    # --- what nothing shows ---

    async def sweep(self) -> int:
        """Removes files of which no row knows: those of a process that died in between. How many."""
        gone = 0
        for folder in await asyncio.to_thread(lambda: sorted(self.folder.glob("??"))):
            paths = {_name(path): path for path in folder.iterdir()}
            names = [name for name in paths if name is not None]
            known = await self._store.read(lambda tx, names=names: blobs.known(tx, names))
            for name, path in paths.items():
                gone += (name is None or name not in known) and self._remove(path)
        return gone

    def _remove(self, path: Path) -> bool:
        """Where there are several processes, one of them may be at it just now."""
        with contextlib.suppress(OSError):
            if self._store.sqlite or path.stat().st_mtime < self._now() - 3600:
                path.unlink()
                return True
        return False

    async def prune(self, keep: float) -> int:
        """Removes what nothing has shown for `keep` seconds; how many files."""
        after, end, gone = b"", False, 0
        while not end:
            now = self._now()
            old, last = await self._store.write(lambda tx, a=after, n=now: blobs.idle(tx, a, n - keep, n))
            gone += await self._store.write(lambda tx, o=old: self._drop(tx, o)) if old else 0
            after, end = last or b"", last is None
        await self._store.write(lambda tx: blobs.forget(tx, self._now() - 7 * DAY))
        return gone

    def _drop(self, tx: Tx, files: list[bytes]) -> int:
        """Removed before the rows are gone for good: who wants to keep the same file now finds out in their own."""
        gone = blobs.drop(tx, files)
        for sha256 in gone:
            self.path(sha256).unlink(missing_ok=True)
        return len(gone)


def _declared(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _name(path: Path) -> bytes | None:
    """The hash that a file is named after."""
    try:
        name = bytes.fromhex(path.parent.name + path.name)
    except ValueError:
        return None
    return name if len(name) == 32 else None
