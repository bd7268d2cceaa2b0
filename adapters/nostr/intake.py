"""Who said what arrived, where that is not who signed it: messages are unwrapped, and wallets vouch for zaps.

A gift wrap's signer is a key for once (NIP-59), a zap receipt's is the recipient's wallet (NIP-57). What is handed
in names the sender, or the payer, as its signer; so it has to be proved before.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from adapters.nostr import ids, messages, zaps
from adapters.nostr.event import BadEvent, Event
from adapters.nostr.listening import envelope_of
from adapters.nostr.profiles_out import lightning_of
from bridged.api import Account, Busy, EgressFailed, Envelope, Host, Malformed, Ref, Rejected, Unreachable

WORKERS: Final = 4
WAITING: Final = 200
"""Receipts that wait for their wallet; more are dropped."""
KNOWN_FOR: Final = 3600.0
FAILED_FOR: Final = 60.0
"""Seconds for which a wallet's key, or that there is none to be had, is kept."""
WALLETS: Final = 2000
MAX_ANSWER: Final = 64 * 1024


class Intake:
    """`run` in a task of its own.

    bot      the public key (hex) of the bot
    secret   its secret key, for what is sealed for it
    account  the account as its home shows it now. Raises Unreachable
    """

    def __init__(
        self,
        host: Host,
        bot: Callable[[], str],
        secret: Callable[[], bytes],
        account: Callable[[Ref], Awaitable[Account | None]],
    ) -> None:
        self._host, self._bot, self._secret, self._account = host, bot, secret, account
        self._waiting: asyncio.Queue[tuple[Event, str]] = asyncio.Queue(WAITING)
        self._wallets: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    def admit(self, event: Event, channel: str, now: float) -> Envelope | None:
        """A verified event as it is handed in; None for what is refused, or has to wait and is handed in later."""
        try:
            if event.kind != zaps.RECEIPT:
                return self._envelope(event, channel, now)
            zaps.receipt_of(event)
            self._waiting.put_nowait((event, channel))
        except Malformed as bad:
            self._host.dropped(bad.reason)
        except asyncio.QueueFull:
            self._host.dropped("zaps_waiting")
        return None

    async def admitted(self, event: Event, channel: str, now: float) -> Envelope:
        """The same at once. Raises Malformed."""
        if event.kind != zaps.RECEIPT:
            return self._envelope(event, channel, now)
        receipt = zaps.receipt_of(event)
        if await self._signer(receipt.recipient) != event.pubkey:
            raise Malformed("zap_signer")
        return replace(envelope_of(event, channel, now), signer=ids.account_ref(receipt.zapper))

    def _envelope(self, event: Event, channel: str, now: float) -> Envelope:
        bot = self._bot()
        envelope = envelope_of(event, channel, now)
        if not messages.is_for(event, bot):
            return envelope
        try:
            return replace(envelope, signer=messages.message_of(event, self._secret(), bot).actor)
        except BadEvent as bad:
            raise Malformed(bad.reason) from None

    async def _work(self) -> None:
        while True:
            event, channel = await self._waiting.get()
            try:
                envelope = await self.admitted(event, channel, self._host.now())
                await self._host.receive(envelope)
            except Malformed as bad:
                self._host.dropped(bad.reason)
            except Busy as busy:
                # It stays within what relays are asked for again after a restart.
                await asyncio.sleep(busy.after)
                await self._waiting.put((event, channel))

    async def _signer(self, recipient: str) -> str:
        """The key that the recipient's wallet signs with, "" when there is none to be had."""
        now = self._host.now()
        key, until = self._wallets.get(recipient, ("", 0.0))
        if until > now:
            return key
        try:
            key, until = await self._ask(recipient), now + KNOWN_FOR
        except (Unreachable, EgressFailed, Rejected):
            key, until = "", now + FAILED_FOR
        self._wallets[recipient] = key, until
        self._wallets.move_to_end(recipient)
        if len(self._wallets) > WALLETS:
            self._wallets.popitem(last=False)
        return key

    async def _ask(self, recipient: str) -> str:
        ref = ids.account_ref(recipient)
        ghost = await self._host.ghost(ref)
        account = None if ghost is not None else await self._account(ref)
        if ghost is not None:
            url = zaps.wallet_of({"lud16": lightning_of(ghost[1])})
        else:
            url = zaps.wallet_of(account.detail) if account is not None else ""
        if not url:
            return ""
        answer = await self._host.http.get(url, headers={"Accept": "application/json"}, limit=MAX_ANSWER)
        if answer.status >= 500 or answer.status == 429:
            raise Unreachable(f"status {answer.status}")
        return zaps.signer_of(answer.body) if answer.status == 200 else ""
