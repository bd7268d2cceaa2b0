"""What records of the collections we write may look like, by the name of the lexicon: definitions by name in it.

The constraints are those of the published lexicons of 2026-08-20; a test holds these against them.
"""

from collections.abc import Mapping
from typing import Final

from adapters.atproto.lexicon.notation import Def, blob, flag, form, listed, number, obj, record, ref, text, union

_STRONG: Final = ref("com.atproto.repo.strongRef")
_RATIO: Final = ref("app.bsky.embed.defs#aspectRatio")
_FACETS: Final = listed(ref("app.bsky.richtext.facet"))
_LABELS: Final = union("com.atproto.label.defs#selfLabels")
_DATE: Final = form("datetime")
_PICTURE: Final = blob(1_000_000, "image/png", "image/jpeg")
_MEDIA: Final = ("app.bsky.embed.images", "app.bsky.embed.video", "app.bsky.embed.gallery", "app.bsky.embed.external")

SCHEMAS: Final[Mapping[str, Mapping[str, Def]]] = {
    "app.bsky.feed.post": {
        "main": record(
            "tid",
            {
                "text": text(3000, 300),
                "entities?": listed(ref("#entity")),
                "facets?": _FACETS,
                "reply?": ref("#replyRef"),
                "embed?": union(*_MEDIA, "app.bsky.embed.record", "app.bsky.embed.recordWithMedia"),
                "langs?": listed(form("language"), 3),
                "labels?": _LABELS,
                "tags?": listed(text(640, 64), 8),
                "createdAt": _DATE,
            },
        ),
        "replyRef": obj({"root": _STRONG, "parent": _STRONG}),
        "entity": obj({"index": ref("#textSlice"), "type": text(), "value": text()}),
        "textSlice": obj({"start": number(0), "end": number(0)}),
    },
    "app.bsky.feed.like": {"main": record("tid", {"subject": _STRONG, "createdAt": _DATE, "via?": _STRONG})},
    "app.bsky.feed.repost": {"main": record("tid", {"subject": _STRONG, "createdAt": _DATE, "via?": _STRONG})},
    "app.bsky.feed.threadgate": {
        "main": record(
            "tid",
            {
                "post": form("at-uri"),
                "allow?": listed(union("#mentionRule", "#followerRule", "#followingRule", "#listRule"), 5),
                "createdAt": _DATE,
                "hiddenReplies?": listed(form("at-uri"), 300),
            },
        ),
        "mentionRule": obj({}),
        "followerRule": obj({}),
        "followingRule": obj({}),
        "listRule": obj({"list": form("at-uri")}),
    },
    "app.bsky.feed.postgate": {
        "main": record(
            "tid",
            {
                "createdAt": _DATE,
                "post": form("at-uri"),
                "detachedEmbeddingUris?": listed(form("at-uri"), 50),
                "embeddingRules?": listed(union("#disableRule"), 5),
            },
        ),
        "disableRule": obj({}),
    },
    "app.bsky.feed.generator": {
        "main": record(
            "any",
            {
                "did": form("did"),
                "displayName": text(240, 24),
                "description?": text(3000, 300),
                "descriptionFacets?": _FACETS,
                "avatar?": _PICTURE,
                "acceptsInteractions?": flag(),
                "labels?": _LABELS,
                "contentMode?": text(
                    known=("app.bsky.feed.defs#contentModeUnspecified", "app.bsky.feed.defs#contentModeVideo")
                ),
                "createdAt": _DATE,
            },
        )
    },
    "app.bsky.graph.follow": {"main": record("tid", {"subject": form("did"), "createdAt": _DATE, "via?": _STRONG})},
    "app.bsky.graph.block": {"main": record("tid", {"subject": form("did"), "createdAt": _DATE})},
    "app.bsky.actor.profile": {
        "main": record(
            "literal:self",
            {
                "displayName?": text(640, 64),
                "description?": text(2560, 256),
                "pronouns?": text(200, 20),
                "website?": form("uri"),
                "avatar?": _PICTURE,
                "banner?": _PICTURE,
                "labels?": _LABELS,
                "joinedViaStarterPack?": _STRONG,
                "pinnedPost?": _STRONG,
                "createdAt?": _DATE,
            },
        )
    },
    "site.standard.document": {
        "main": record(
            "tid",
            {
                "site": form("uri"),
                "title": text(5000, 500),
                "publishedAt": _DATE,
                "bskyPostRef?": _STRONG,
                "content?": {**union(), "closed": False},
                "contributors?": listed(ref("#contributor")),
                "coverImage?": blob(1_000_000, "image/*"),
                "description?": text(30_000, 3000),
                "labels?": _LABELS,
                "links?": union(),
                "path?": text(),
                "tags?": listed(text(1280, 128)),
                "textContent?": text(),
                "updatedAt?": _DATE,
            },
        ),
        "contributor": obj({"did": form("did"), "displayName?": text(1000, 100), "role?": text(1000, 100)}),
    },
    "com.atproto.repo.strongRef": {"main": obj({"uri": form("at-uri"), "cid": form("cid")})},
    "com.atproto.label.defs": {
        "selfLabels": obj({"values": listed(ref("#selfLabel"), 10)}),
        "selfLabel": obj({"val": text(128)}),
    },
    "app.bsky.richtext.facet": {
        "main": obj({"index": ref("#byteSlice"), "features": listed(union("#mention", "#link", "#tag"))}),
        "mention": obj({"did": form("did")}),
        "link": obj({"uri": form("uri")}),
        "tag": obj({"tag": text(640, 64)}),
        "byteSlice": obj({"byteStart": number(0), "byteEnd": number(0)}),
    },
    "app.bsky.embed.defs": {"aspectRatio": obj({"width": number(1), "height": number(1)})},
    "app.bsky.embed.images": {
        "main": obj({"images": listed(ref("#image"), 4)}),
        "image": obj({"image": blob(2_000_000, "image/*"), "alt": text(), "aspectRatio?": _RATIO}),
    },
    "app.bsky.embed.gallery": {
        "main": obj({"items": listed(union("#image"), 20)}),
        "image": obj({"image": blob(2_000_000, "image/*"), "alt": text(), "aspectRatio": _RATIO}),
    },
    "app.bsky.embed.video": {
        "main": obj(
            {
                "video": blob(300_000_000, "video/mp4"),
                "captions?": listed(ref("#caption"), 20),
                "alt?": text(),
                "aspectRatio?": _RATIO,
                "presentation?": text(known=("default", "gif")),
            }
        ),
        "caption": obj({"lang": form("language"), "file": blob(20_000, "text/vtt")}),
    },
    "app.bsky.embed.external": {
        "main": obj({"external": ref("#external")}),
        "external": obj(
            {
                "uri": form("uri"),
                "title": text(),
                "description": text(),
                "thumb?": blob(1_000_000, "image/*"),
                "associatedRefs?": listed(_STRONG),
            }
        ),
    },
    "app.bsky.embed.record": {"main": obj({"record": _STRONG})},
    "app.bsky.embed.recordWithMedia": {"main": obj({"record": ref("app.bsky.embed.record"), "media": union(*_MEDIA)})},
}
