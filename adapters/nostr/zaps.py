"""Zaps (NIP-57): what a receipt (kind 9735) says, and who must have signed it. Pure; `receipts` asks the wallets.

That the receipt's signer is the recipient's wallet is checked before an event is handed in, since that needs I/O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

from adapters.nostr import ids
from adapters.nostr.event import BadEvent, Event, first_tag, parse_event, tag_values, verify
from adapters.nostr.nip19 import BadIdentifier, decode_lnurl
from bridged.api import Activity, Malformed, Ref, Zap, web_url

RECEIPT: Final = 9735
REQUEST: Final = 9734
MAX_TEXT: Final = 1000
MAX_MSATS: Final = 21_000_000 * 10**11

_INVOICE: Final = re.compile(r"ln(?:bcrt|bc|tbs|tb)(?:([1-9][0-9]{0,17})([munp]?))?1[02-9ac-hj-np-z]+")
_UNITS: Final = {"": Decimal(10**11), "m": Decimal(10**8), "u": Decimal(10**5), "n": Decimal(100), "p": Decimal("0.1")}
_ADDRESS: Final = re.compile(r"([a-z0-9._+-]{1,64})@([a-z0-9.-]{1,253}(?::[0-9]{1,5})?)")


@dataclass(frozen=True, slots=True)
class Receipt:
    """`zapper` paid `msats` to the account `recipient`, for the post `target` or (None) just so."""

    zapper: str
    recipient: str
    msats: int
    target: Ref | None
    text: str


def receipt_of(event: Event) -> Receipt:
    """What a receipt says, as far as its own bytes can prove it.

    Raises Malformed: zap_request, zap_amount, zap_mismatch, target.
    """
    try:
        request = parse_event(_value(event, "description"))
        verify(request)
    except BadEvent:
        raise Malformed("zap_request") from None
    recipients = tag_values(request, "p")
    if request.kind != REQUEST or len(recipients) != 1 or not ids.is_hex(recipients[0]):
        raise Malformed("zap_request")
    named = _value(event, "P")
    # The receipt repeats whom and what for: no more than the payer signed counts.
    if _value(event, "p") != recipients[0] or named not in ("", request.pubkey):
        raise Malformed("zap_mismatch")
    for name in ("e", "a"):
        if (said := _value(event, name)) and said != _value(request, name):
            raise Malformed("zap_mismatch")
    msats = amount(_value(event, "bolt11"))
    asked = _value(request, "amount")
    if msats is None or msats <= 0 or msats > MAX_MSATS:
        raise Malformed("zap_amount")
    if asked and asked != str(msats):
        raise Malformed("zap_amount")
    return Receipt(request.pubkey, recipients[0], msats, _target(request), request.content[:MAX_TEXT].strip())


def activity_of(event: Event) -> Activity | None:
    """The zap of a post; None when a person was paid just so. Raises Malformed."""
    receipt = receipt_of(event)
    if receipt.target is None:
        return None
    act = Zap(receipt.target, receipt.msats, receipt.text)
    return Activity(Ref(ids.NETWORK, event.id), ids.account_ref(receipt.zapper), float(event.created_at), act)


def amount(invoice: str) -> int | None:
    """Thousandths of a satoshi that a BOLT-11 invoice asks for; None for no invoice, or none in particular."""
    found = _INVOICE.fullmatch(invoice.strip().lower()) if len(invoice) < 4096 else None
    if found is None or found[1] is None:
        return None
    msats = int(found[1]) * _UNITS[found[2]]
    return int(msats) if msats == int(msats) else None


def wallet_of(detail: Mapping[str, str]) -> str:
    """Where the wallet of an account with this `Account.detail` describes itself (LUD-06, LUD-16); "" for none."""
    address = _ADDRESS.fullmatch(detail.get("lud16", "").lower())
    if address is not None:
        return f"https://{address[2]}/.well-known/lnurlp/{address[1]}"
    try:
        url = web_url(decode_lnurl(detail["lud06"])) if "lud06" in detail else None
    except BadIdentifier:
        return ""
    return url if url is not None and url.startswith("https://") else ""


def signer_of(answer: bytes) -> str:
    """The key that a wallet signs its receipts with, as its description has it; "" when it signs none."""
    try:
        members: object = msgspec.json.decode(answer)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    if not isinstance(members, dict):
        return ""
    found = cast(dict[str, Any], members)
    key: object = found.get("nostrPubkey")
    return key if found.get("allowsNostr") is True and isinstance(key, str) and ids.is_hex(key) else ""


def _target(request: Event) -> Ref | None:
    address = _value(request, "a")
    if ids.split_address(address) is not None:
        return Ref(ids.NETWORK, address)
    event_id = _value(request, "e")
    return Ref(ids.NETWORK, event_id) if ids.is_hex(event_id) else None


def _value(event: Event, name: str) -> str:
    tag = first_tag(event, name)
    return tag[1] if tag is not None and len(tag) > 1 else ""
