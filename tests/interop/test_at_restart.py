"""The bridge is killed while people on both sides go on: nothing said meanwhile is missed, nothing is told twice."""

from .atproto import Stack
from .bridge import Bridge
from .conftest import Ghosts, Readers, listening
from .peers import Fedify, NostrUser, Relay
from .world import eventually


def test_what_is_said_while_the_bridge_is_dead_crosses_once(
    stack: Stack, sky: Bridge, nora: NostrUser, fred: Fedify, ghosts: Ghosts, sky_relay: Relay, readers: Readers
) -> None:
    vera = readers("vera").user
    nora.note("nora before the death")
    fred.post("fred before the death")
    to_nora, to_fred = stack.said(ghosts.nora, "nora before"), stack.said(ghosts.fred, "fred before")
    vera.reply("vera hears well", to_fred)
    fred.wait_note("vera hears well")
    sky.kill()
    vera.reply("vera to a dead nora", to_nora)
    vera.reply("vera to a dead fred", to_fred)
    like = vera.like(to_nora)
    vera.delete(like)
    nora.note("nora while it is dead")
    sky.start()
    listening(sky)
    fred.post("fred after the death")
    fred.wait_note("vera to a dead fred")
    sky_relay.wait_post("vera to a dead nora")
    for did, text in ((ghosts.nora, "nora while it is dead"), (ghosts.fred, "fred after the death")):
        eventually(lambda d=did, t=text: stack.posts(d, t), timeout=60)
        assert len(stack.posts(did, text)) == 1
    assert len(fred.notes("vera to a dead fred")) == 1
    assert len(sky_relay.posts("vera to a dead nora")) == 1
    assert stack.refusals() == []
