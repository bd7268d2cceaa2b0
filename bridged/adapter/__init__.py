"""The adapter contract: what a network must offer the bridge, and what the bridge offers it.

A `Source` is heard, a `Sink` is also written to. `decode` and `encode` are pure: same input, same output, no
I/O, no clock, no randomness. Everything an encoder may look at is in its `View`, which the core fills from the
words of the activity itself, so an encoder never asks for more.
"""

from bridged.adapter.contract import (
    API_VERSION,
    Host,
    Http,
    Keys,
    Sign,
    Sink,
    Source,
    Tx,
)
from bridged.adapter.errors import (
    Busy,
    EgressFailed,
    EgressRefused,
    Malformed,
    Rejected,
    Retry,
    Unreachable,
    retry_after,
)
from bridged.adapter.values import (
    LOCAL,
    Blob,
    BlobLimit,
    Capabilities,
    Card,
    Delivery,
    Envelope,
    Finding,
    Heard,
    Outgoing,
    Part,
    Response,
    Sent,
    Site,
    There,
    Use,
    View,
)

__all__ = [
    "API_VERSION",
    "LOCAL",
    "Blob",
    "BlobLimit",
    "Busy",
    "Capabilities",
    "Card",
    "Delivery",
    "EgressFailed",
    "EgressRefused",
    "Envelope",
    "Finding",
    "Heard",
    "Host",
    "Http",
    "Keys",
    "Malformed",
    "Outgoing",
    "Part",
    "Rejected",
    "Response",
    "Retry",
    "Sent",
    "Sign",
    "Sink",
    "Site",
    "Source",
    "There",
    "Tx",
    "Unreachable",
    "Use",
    "View",
    "retry_after",
]
