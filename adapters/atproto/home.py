"""What encoders must know of our own place on the AT Protocol."""

from dataclasses import dataclass
from typing import Literal

LongPosts = Literal["thread", "cut"]


@dataclass(frozen=True, slots=True)
class Home:
    """`long_posts`: what does not fit one post becomes a thread, or is cut and ends in a card that links to the whole.

    `articles`: they are records of site.standard.document, too.

    `moderation` is the https address of the service that reports go to, without a trailing slash; "": there is none.
    """

    long_posts: LongPosts = "thread"
    moderation: str = ""
    articles: bool = False
