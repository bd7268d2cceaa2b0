"""Handing one activity to one inbox."""

import asyncio

from adapters.activitypub.shapes import AS2_TYPE
from adapters.activitypub.signer import Signer
from bridged.api import Delivery, Host, Rejected, Response, Retry, Sent, retry_after

_LATER = frozenset({408, 425, 429})
_GONE = frozenset({404, 410})


async def deliver(item: Delivery, host: Host, signer: Signer) -> Sent:
    """POST the activity as its actor; after a 401 once more, signed in the other scheme.

    Raises Retry, Rejected.
    """
    for scheme in await signer.order(item.endpoint):
        try:
            # A private RSA operation takes about a millisecond: too long for a loop that sends many.
            signed = await asyncio.to_thread(
                signer.headers, scheme, item.actor.ref.id, "POST", item.endpoint, item.body
            )
        except ValueError:
            raise Rejected("endpoint_is_no_url") from None
        headers = {"Content-Type": AS2_TYPE, "Accept": AS2_TYPE, **signed}
        response = await host.http.post(item.endpoint, item.body, headers=headers)
        if 200 <= response.status < 300:
            await signer.took(item.endpoint, scheme)
            return Sent(note=f"HTTP {response.status}, {scheme}")
        if response.status != 401:
            raise _failure(response, host.now())
    # some say so as well when they could not fetch our key just now
    raise Retry("HTTP 401 with both signature schemes")


def _failure(response: Response, now: float) -> Retry | Rejected:
    why = f"HTTP {response.status}"
    if response.status >= 500 or response.status in _LATER:
        return Retry(why, retry_after(response.headers.get("retry-after", ""), now))
    return Rejected(why, gone=response.status in _GONE)
