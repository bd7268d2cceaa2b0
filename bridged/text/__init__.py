"""Rich text: plain letters with spans over them, built, cut, searched and laid out without losing a span.

Pure functions over `bridged.model.Text`. Positions count code points.
"""

from bridged.text.builder import TextBuilder
from bridged.text.cut import clean_name, graphemes, rewrite, slice, trim, truncate
from bridged.text.find import bare_url, find_emojis, find_links, find_tags, known_tags, web_url
from bridged.text.shape import ATOMS, BLOCKS, STYLES, Piece, Section, blocks, overlay, paragraphs, pieces
from bridged.text.split import split

__all__ = [
    "ATOMS",
    "BLOCKS",
    "STYLES",
    "Piece",
    "Section",
    "TextBuilder",
    "bare_url",
    "blocks",
    "clean_name",
    "find_emojis",
    "find_links",
    "find_tags",
    "graphemes",
    "known_tags",
    "overlay",
    "paragraphs",
    "pieces",
    "rewrite",
    "slice",
    "split",
    "trim",
    "truncate",
    "web_url",
]
