"""Reports are sent to the service that moderates this network, in the name of whom they are from.

Inter-service authentication: a JWT signed by the account's own key (atproto.com/specs/xrpc#service-auth).
"""

import secrets
from base64 import urlsafe_b64encode
from typing import Any, Final

import msgspec

from adapters.atproto.crypto import SigningKey
from adapters.atproto.reports_out import METHOD
from bridged.api import Delivery, Host, Rejected, Retry, Sent, retry_after

GOOD_FOR: Final = 60
"""Seconds."""
_AGAIN: Final = frozenset({408, 421, 425, 429})


async def deliver(host: Host, item: Delivery, key: SigningKey, moderator: str) -> Sent:
    """One call of createReport. Raises Retry, Rejected."""
    proof = token(key, item.actor.ref.id, moderator, METHOD, host.now())
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {proof}"}
    answer = await host.http.post(item.endpoint, item.body, headers=headers)
    if 200 <= answer.status < 300:
        return Sent(note="reported")
    # who says our own token back has it told to nobody else
    words = answer.body.replace(proof.encode(), b"(our token)")[:200]
    said = f"status {answer.status}: {words.decode(errors='replace')}"
    if answer.status >= 500 or answer.status in _AGAIN:
        raise Retry(said, retry_after(answer.headers.get("retry-after", ""), host.now()))
    raise Rejected(said)


def token(key: SigningKey, issuer: str, audience: str, method: str, now: float) -> str:
    """What proves for a minute that `issuer` calls `method` at `audience`."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "lxm": method,
        "iat": int(now),
        "exp": int(now) + GOOD_FOR,
        "jti": secrets.token_hex(16),
    }
    signed = f"{_part({'typ': 'JWT', 'alg': 'ES256K'})}.{_part(claims)}"
    return f"{signed}.{_spelled(key.sign(signed.encode()))}"


def _part(value: dict[str, Any]) -> str:
    return _spelled(msgspec.json.encode(value))


def _spelled(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
