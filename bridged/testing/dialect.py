"""What golden cases need to know of one network, beside its adapter."""

from collections.abc import Mapping
from typing import Any, Protocol

from bridged.adapter import Envelope, Part, Sink
from bridged.model import Account, Ref


class Dialect(Protocol):
    """What a rehearsal needs to know of one network.

    `sink` is the adapter, started. `hidden` names facts in `PostBody.detail` that say nothing new to a reader.
    """

    sink: Sink
    hidden: frozenset[str]

    def account(self, entry: Mapping[str, Any]) -> Account:
        """Somebody at home there, from an entry of the cast."""
        ...

    def envelope(self, said: Any, received_at: float) -> Envelope:
        """A native input as it would arrive."""
        ...

    def written(self, ref: Ref, form: str) -> str:
        """How a text there may write a ref, by the name of a form."""
        ...

    def shown(self, part: Part) -> Any:
        """A part as JSON to read."""
        ...

    def back(self, part: Part, received_at: float) -> Envelope | None:
        """The envelope in which what we said would come back to us; None where it never does."""
        ...
