"""Self-labels (com.atproto.label.defs#selfLabels) and what they mean as warnings. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

NOT_FOR_STRANGERS: Final = "!no-unauthenticated"
"""Not to be shown to who is not signed in."""

_KIND: Final = "com.atproto.label.defs#selfLabels"
_MAX_LABELS: Final = 10
_MAX_LABEL: Final = 128
_MEANING: Final = {
    "porn": "Adult content",
    "sexual": "Sexually suggestive",
    "nudity": "Nudity",
    "graphic-media": "Graphic media",
    "gore": "Graphic media",
}
_NO_WARNING: Final = frozenset({"bot"})
# Words in which people warn, and the label that hides such pictures. The first that fits counts.
_WORDS: Final = (
    ("porn", re.compile(r"\b(?:porn\w*|nsfw|adult|18\+)", re.IGNORECASE)),
    ("nudity", re.compile(r"\b(?:nud\w+|naked|topless)", re.IGNORECASE)),
    ("sexual", re.compile(r"\b(?:sex\w*|lewd|erotic\w*|kink\w*)", re.IGNORECASE)),
)


def values_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels that a record's author gave it."""
    labels = record.get("labels")
    values: Any = cast(dict[str, Any], labels).get("values") if isinstance(labels, dict) else None
    if not isinstance(values, list):
        return ()
    found: dict[str, None] = {}
    for each in cast(list[Any], values)[:_MAX_LABELS]:
        value: Any = cast(dict[str, Any], each).get("val") if isinstance(each, dict) else None
        if isinstance(value, str) and 0 < len(value) <= _MAX_LABEL and "\0" not in value:
            found[value] = None
    return tuple(found)


def warning_of(labels: Iterable[str]) -> str:
    """What they warn of, in words; "" for labels that warn of nothing."""
    told = (_MEANING.get(label, label) for label in labels if not label.startswith("!") and label not in _NO_WARNING)
    return ", ".join(dict.fromkeys(told))


def labels_for(warning: str) -> tuple[str, ...]:
    """The label that stands for a warning in words: there are few, and all but these mean nothing to readers."""
    for label, words in _WORDS:
        if words.search(warning) or warning == _MEANING[label]:
            return (label,)
    return ("graphic-media",)


def self_labels(values: Iterable[str]) -> dict[str, Any]:
    return {"$type": _KIND, "values": [{"val": value} for value in dict.fromkeys(values)][:_MAX_LABELS]}
