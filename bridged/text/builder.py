"""Building a `Text` from left to right, spans opened and closed on the way."""

from collections.abc import Generator
from contextlib import contextmanager

from bridged.model import Ref, Span, SpanKind, Text

MAX_GAP = 3
"""Most newlines written for one gap."""


class _Open:
    __slots__ = ("kind", "start", "target")

    def __init__(self, kind: SpanKind, target: Ref | str | None) -> None:
        self.kind: SpanKind = kind
        self.target = target
        self.start = -1


class TextBuilder:
    """Letters with nested spans.

    A span begins with the first letter added after `open` and ends with the last one before `close`; one that
    got no letters vanishes. Spaces and newlines asked for by `space`, `newline` and `gap` are written only
    between letters: never first, never last, never a space beside a newline.
    """

    def __init__(self) -> None:
        self._letters: list[str] = []
        self._length = 0
        self._open: list[_Open] = []
        self._unbegun = 0
        self._spans: list[Span] = []
        self._newlines = 0
        self._space = False

    def add(self, letters: str) -> None:
        """Write letters as they are, after whatever space is due."""
        if not letters:
            return
        if self._length:
            due = "\n" * self._newlines or " " * self._space
            self._letters.append(due)
            self._length += len(due)
        self._newlines, self._space = 0, False
        for span in self._open[len(self._open) - self._unbegun :]:
            span.start = self._length
        self._unbegun = 0
        self._letters.append(letters)
        self._length += len(letters)

    def space(self) -> None:
        """One space is due, unless a newline is."""
        self._space = True

    def newline(self) -> None:
        """One more newline is due, up to MAX_GAP."""
        self._newlines = min(self._newlines + 1, MAX_GAP)

    def gap(self, newlines: int) -> None:
        """At least so many newlines are due, up to MAX_GAP."""
        self._newlines = max(self._newlines, min(newlines, MAX_GAP))

    def open(self, kind: SpanKind, target: Ref | str | None = None) -> None:
        """Begin a span inside those already open."""
        self._open.append(_Open(kind, target))
        self._unbegun += 1

    def close(self) -> None:
        """End the span opened last; raises IndexError when none is open."""
        span = self._open.pop()
        if span.start < 0:
            self._unbegun -= 1
        else:
            self._spans.append(Span(span.start, self._length, span.kind, span.target))

    @contextmanager
    def span(self, kind: SpanKind, target: Ref | str | None = None) -> Generator[None]:
        """Everything added within is covered by one span."""
        self.open(kind, target)
        yield
        self.close()

    def build(self) -> Text:
        """The text so far; spans still open end here."""
        still = [Span(s.start, self._length, s.kind, s.target) for s in self._open if s.start >= 0]
        return Text("".join(self._letters), (*self._spans, *still))
