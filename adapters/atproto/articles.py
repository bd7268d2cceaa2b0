"""Articles as site.standard.document: beside the post that tells of one of ours, and as others publish them. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from adapters.atproto import cbor, ids, tid, writes
from adapters.atproto.blobs import blob_url
from adapters.atproto.embeds_out import blob_of
from adapters.atproto.facets import is_tag, read_text
from adapters.atproto.labels import labels_for, self_labels
from adapters.atproto.moments import spelled
from adapters.atproto.syntax import is_cid, uri_of
from adapters.atproto.threads_out import Strong
from bridged.api import Copy, Malformed, Part, PostBody, Text, View, truncate, web_url

ARTICLE: Final = 2000
"""Number of the part that is the article itself."""
MAX_TEXT: Final = 500_000
"""Bytes of one that we write; a record has a megabyte at most."""
MAX_RECORD: Final = 1 << 20
_MAX_TITLE, _MAX_ABSTRACT = 500, 3000
"""Graphemes, and ten bytes for each (lexicon)."""
_SITE: Final = re.compile("https?://[^/?#]+", re.IGNORECASE)

Record = dict[str, Any]


def article(body: PostBody, post: Strong, view: View, old: Copy | None, edited: float | None) -> Iterator[Part]:
    """What has a title and an address, as a whole; `post` tells of it. `old` is the article as it stands here.

    `edited` is when; None: it is said for the first time.
    """
    live = old is not None and not old.gone
    url = web_url(body.url)
    if not body.title or not url:
        if old is not None and live:
            yield writes.withdrawn(old)
        return
    record = _record(body, url, post, view)
    if old is not None and live:
        known: Record = cbor.decode(old.served)
        if {name: value for name, value in known.items() if name != "updatedAt"} == record:
            return
    if edited is not None:
        record["updatedAt"] = spelled(edited)
    key = tid.record_key(body.ref, body.at, ARTICLE)
    uri = old.ref if old is not None and old.ref is not None else ids.record_ref(view.actor.ref.id, ids.ARTICLE, key)
    yield writes.put(body.ref, uri, record, number=ARTICLE, update=live)


def _record(body: PostBody, url: str, post: Strong, view: View) -> Record:
    site = _SITE.match(url)
    assert site is not None, "web_url gives nothing else"
    path = url[site.end() :]
    blob = view.blobs.get(body.image) if body.image else None
    optional = {
        "path": path if path != "/" else "",
        "description": _cut(body.summary.strip(), _MAX_ABSTRACT),
        "textContent": truncate(Text(body.text.plain), max_bytes=MAX_TEXT).plain,
        "tags": [tag for tag in body.hashtags() if is_tag(tag)],
        "coverImage": blob_of(blob) if blob is not None else None,
        "labels": self_labels(labels_for(body.warning)) if body.sensitive or body.warning else None,
    }
    return {
        "$type": ids.ARTICLE,
        "site": uri_of(site.group()),
        "title": _cut(body.title, _MAX_TITLE),
        "publishedAt": spelled(min(body.at, view.at)),
        "bskyPostRef": post.record(),
        "bridgedOriginalUrl": url,
        **{name: value for name, value in optional.items() if value},
    }


def _cut(text: str, most: int) -> str:
    return truncate(Text(text), max_graphemes=most, max_bytes=10 * most).plain


@dataclass(frozen=True, slots=True)
class Article:
    """Somebody's article. `url` is "" where it has no address on the web."""

    title: str
    summary: str
    text: Text
    url: str
    image: str
    facts: dict[str, str]
    """Of the post that tells of it, where it names one: there it is answered and liked."""


def read_article(record: Mapping[str, Any], site: str, did: str, pds: str) -> Article:
    """`site` is the address of the publication it is part of. Raises Malformed: title, text."""
    title = _letters(record.get("title"), 10 * _MAX_TITLE)
    if not title:
        raise Malformed("title")
    named, path = record.get("site"), _letters(record.get("path"), MAX_TEXT)
    base = named if isinstance(named, str) and not named.startswith("at://") else site
    url = web_url(f"{base.rstrip('/')}/{path.removeprefix('/')}".rstrip("/")) if base else None
    return Article(
        title,
        _letters(record.get("description"), 10 * _MAX_ABSTRACT),
        Text(_letters(record.get("textContent"), MAX_RECORD)),
        url or "",
        blob_url(record.get("coverImage"), did, pds),
        _told_by(record),
    )


def _told_by(record: Mapping[str, Any]) -> dict[str, str]:
    found = record.get("bskyPostRef")
    strong = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    uri, cid = strong.get("uri"), strong.get("cid")
    if isinstance(uri, str) and ids.is_post(uri) and isinstance(cid, str) and is_cid(cid):
        return {"post": uri, "post_cid": cid}
    return {}


def _letters(value: Any, most: int) -> str:
    """Nothing for what is no string. Raises Malformed("text")."""
    return read_text(value, None, max_bytes=most).plain.strip() if isinstance(value, str) else ""


def publication(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """(DID, record key) of the publication an article says it is part of; None where it is loose."""
    site = record.get("site")
    found = ids.split(site) if isinstance(site, str) else None
    return (found[0], found[2]) if found is not None and found[1] == ids.PUBLICATION else None
