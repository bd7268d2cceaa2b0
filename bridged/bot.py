"""The bridge's own account writes to somebody, where their network has messages."""

from bridged.core import Core
from bridged.model import BOT, HOME, Activity, Message, Ref, Text
from bridged.store import acts
from bridged.store.engine import Tx
from bridged.store.signals import OUTBOX
from bridged.tell import tell


def can_write(core: Core, network: str) -> bool:
    adapter = core.adapters.get(network)
    return adapter is not None and "Message" in adapter.capabilities.acts


def write_to(core: Core, tx: Tx, to: Ref, name: str, text: Text) -> None:
    """Queues a message to one person on their own network; once for each `name`."""
    now, said = core.now(), Ref(HOME, name)
    if acts.copies_of(tx, said, to.network):
        return
    tell(core, tx, Activity(said, BOT, now, Message((to,), text)), to.network, now)
    tx.signal(OUTBOX)
