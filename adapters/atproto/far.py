"""A PLC directory across the network: it takes operations, and tells the log of an identity."""

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from adapters.atproto import plc
from adapters.atproto.plc import Operation
from bridged.api import EgressRefused, Host, Malformed, Rejected, Retry, retry_after

_RATE_AFTER: Final = 3600.0
_JUDGED: Final = (400, 409)
"""What a directory answers when it has looked at an operation and will not have it, or not so soon."""


class FarDirectory:
    def __init__(self, host: Host, url: str) -> None:
        self._host, self._url = host, url.rstrip("/")

    async def add(self, did: str, operation: Operation) -> Sequence[Operation]:
        """Hands in an operation. The log of the identity, where it was there before; else ().

        Raises Retry, Rejected, EgressFailed.
        """
        body = orjson.dumps(dict(operation.fields))
        try:
            answer = await self._host.http.post(
                f"{self._url}/{did}", body, headers={"Content-Type": "application/json"}
            )
        except EgressRefused as refused:
            raise Retry(refused.why) from None
        if answer.status == 200:
            return ()
        said = f"status {answer.status}: {answer.body[:200].decode(errors='replace')}"
        if answer.status in _JUDGED:
            log = await self.log(did)
            if any(each.cid == operation.cid for each in log):
                return log  # it had come through, and the answer been lost
            if b"within last" not in answer.body[:200]:
                raise Rejected(said)
        after = retry_after(answer.headers.get("retry-after", ""), self._host.now())
        raise Retry(said, after or (_RATE_AFTER if answer.status in _JUDGED else None))

    async def log(self, did: str) -> Sequence[Operation]:
        """The operations of an identity that count, oldest first; () where there are none, or what is told is no log.

        Raises Retry, EgressFailed.
        """
        try:
            answer = await self._host.http.get(f"{self._url}/{did}/log")
        except EgressRefused as refused:
            raise Retry(refused.why) from None
        if answer.status == 404:
            return ()
        if answer.status != 200:
            raise Retry(f"status {answer.status}")
        try:
            return plc.chain(did, msgspec.json.decode(answer.body))
        except (Malformed, msgspec.MsgspecError, UnicodeError, RecursionError):
            self._host.log.warning("plc_log_refused", did=did)
            return ()
