"""Pages for people, of what has no page at home: our own words, no script, nothing loaded from elsewhere. Pure."""

import base64
import hashlib
import html
from collections.abc import Iterator
from string import Template

import nh3

from adapters.activitypub.documents import Document
from adapters.activitypub.shapes import (
    ACTOR_TYPES,
    AS2_TYPE,
    ident,
    links,
    natural,
    objects,
    origin,
    text,
    types,
    web_url,
)

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{max-width:42rem;margin:0 auto;padding:2rem 1rem;font:1rem/1.6 system-ui,sans-serif;overflow-wrap:anywhere}"
    "h1{font-size:1.25rem}footer{margin-top:3rem;font-size:.85rem;opacity:.7}"
)
POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)

_TAGS = {"a", "blockquote", "br", "code", "del", "em", "li", "ol", "p", "pre", "span", "strong", "ul"}
_PAGE = Template(
    """<!doctype html>
<html lang="$lang">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title</title>
<link rel="alternate" type="$as2" href="$id">
<style>$style</style>
</head>
<body>
<main>
<h1>$heading</h1>
$body
</main>
<footer>$original<p>Bridged by <a href="/">$bridge</a>.</p></footer>
</body>
</html>
"""
)


def page(document: Document, bridge: str, domain: str) -> str:
    """HTML of one of our actors, objects or activities."""
    said = ident(document)
    if types(document) & ACTOR_TYPES:
        name = f"@{text(document.get('preferredUsername'))}@{domain}"
        heading = f"{html.escape(text(document.get('name')) or name)} <small>{html.escape(name)}</small>"
        body, title = _rich(document.get("summary")), name
    else:
        author = ident(document.get("attributedTo")) or ident(document.get("actor"))
        title = text(document.get("name")) or " ".join(sorted(types(document)))
        heading = f"{html.escape(title)} <small>by {_link(author)}</small>"
        body = "\n".join(_parts(document))
    return _PAGE.substitute(
        lang=html.escape(natural(document, "content")[1] or "und"),
        title=html.escape(f"{title} · {bridge}"),
        as2=AS2_TYPE,
        id=html.escape(said),
        style=_STYLE,
        heading=heading,
        body=body,
        original="".join(f"<p>Original: <code>{html.escape(uri)}</code></p>" for uri in _originals(document)),
        bridge=html.escape(bridge),
    )


def _parts(document: Document) -> Iterator[str]:
    if published := text(document.get("published")):
        yield f'<p><time datetime="{html.escape(published)}">{html.escape(published)}</time></p>'
    if summary := text(document.get("summary")):
        yield f"<p><strong>{html.escape(summary)}</strong></p>"
    yield _rich(document.get("content"))
    for item in objects(document.get("attachment")):
        if url := web_url(item.get("url")):
            yield f"<p>{_link(url, text(item.get('name')))}</p>"
    if target := ident(document.get("object")):
        yield f"<p>{_link(target)}</p>"


def _rich(value: object) -> str:
    """What our encoder wrote as safe HTML, held to that once more."""
    return nh3.clean(text(value), tags=_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https"})


def _link(url: str, name: str = "") -> str:
    shown = html.escape(name or url)
    return f'<a href="{html.escape(url)}" rel="nofollow noopener noreferrer">{shown}</a>' if origin(url) else shown


def _originals(document: Document) -> list[str]:
    return [href for href, rel, _ in links(document.get("url")) if rel == "canonical"]
