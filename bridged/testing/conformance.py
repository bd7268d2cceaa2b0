"""What every adapter must do, as a class to subclass in a test file of its own:

    class TestRed(Conformance):
        adapter = Red
        native = Account(...)

        def samples(self): ...
        def back(self, part, ghost): ...

Everything runs on the real core over SQLite, with a network in memory on the other side. Nothing is sent: what
is looked at is what the adapter reads and writes. Needs pytest, pytest-asyncio (mode `auto`) and hypothesis.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bridged.adapter import API_VERSION, LOCAL, Envelope, Http, Malformed, Outgoing, Part, Sink
from bridged.model import Account, Act, Activity, Delete, Edit, Ghost, Post, React
from bridged.store import acts, dump, identity
from bridged.testing.fakehost import FakeHost
from bridged.testing.frozen import frozen
from bridged.testing.harness import Harness
from bridged.testing.network import FakeNetwork
from bridged.testing.stage import Said, Stage

ACTS = {kind.__name__ for kind in get_args(Act)}
_UNPLAYED = {"Accept", "BlockList", "FollowList", "PinList", "QuoteRequest", "Reject"}
"""Acts that the stage has no scene for, or only for some networks."""
_UNCHECKED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
_NETWORK = re.compile(r"[a-z][a-z0-9]{1,30}")


class Conformance:
    """Subclass it, name the class `Test…`, and fill in what is declared here.

    adapter  the class under test       config  its part of bridge.yaml
    native   somebody at home there, with `endpoint` set where deliveries need one
    """

    adapter: ClassVar[type[Sink]]
    native: ClassVar[Account]
    config: ClassVar[Mapping[str, object]] = {}

    def samples(self) -> Sequence[Envelope]:
        """Verified native inputs: first a post by `native`, then one of every other kind that is read."""
        raise NotImplementedError

    def back(self, part: Part, ghost: Ghost) -> Envelope | None:
        """The envelope in which a part we said would come back to us; None where it never does."""
        raise NotImplementedError

    def http(self) -> Http | None:
        """The outside that minting and look-ups need, if they need one."""
        return None

    @pytest.fixture
    async def stage(self, tmp_path: Path) -> AsyncIterator[Stage]:
        other = FakeNetwork("elsewhere")
        other.join("ann", "art")
        bridge = Harness(
            [self.adapter, other.adapter],
            data_dir=tmp_path,
            http=self.http(),
            configs={self.adapter.network: self.config},
        )
        async with bridge:
            await bridge.write(lambda tx: identity.save_account(tx, self.native, bridge.clock()))
            yield Stage(bridge, other, self.adapter.network, self.native)

    def test_class_says_what_it_is(self) -> None:
        a = self.adapter
        assert _NETWORK.fullmatch(a.network), "the network's name is lower-case letters and digits"
        assert a.api_version == API_VERSION
        assert issubclass(a.config_type, BaseModel)
        assert a.migrations is None or any((a.migrations / "versions").glob("*.py"))
        assert a.capabilities.acts <= ACTS
        assert self.native.ref.network == a.network

    async def test_new_tables_are_empty(self) -> None:
        """A restore fills them from a backup."""
        host = FakeHost()
        if self.adapter.migrations is not None:
            host.migrate(self.adapter.migrations)

        def empty(tx: Any) -> bool:
            return dump.clear(tx, [self.adapter.network])

        assert await host.write(empty), "its migrations make rows"

    async def test_decode_is_pure(self, stage: Stage) -> None:
        for envelope in self.samples():
            with frozen():
                once = stage.sink.decode(envelope)
                again = stage.sink.decode(envelope)
            assert list(once) == list(again)

    async def test_decode_speaks_of_its_own_network(self, stage: Stage) -> None:
        read = [a for envelope in self.samples() for a in stage.sink.decode(envelope)]
        assert read, "no sample says anything"
        for activity in read:
            assert activity.ref.network == activity.actor.network == stage.network
            if isinstance(activity.act, Post):
                assert activity.act.body.ref == activity.ref
            if isinstance(activity.act, Post | Edit):
                assert activity.act.body.author == activity.actor
        assert len({a.ref for a in read}) == len(read), "two samples, or two acts of one, have the same ref"

    async def test_decode_refuses_garbage_with_malformed_alone(self, stage: Stage) -> None:
        bodies = [e.body for e in self.samples()]
        first = self.samples()[0]

        @settings(
            max_examples=150,
            deadline=None,
            database=None,
            suppress_health_check=_UNCHECKED,
        )
        @given(_garbage(bodies))
        def garbage(body: bytes) -> None:
            envelope = Envelope(stage.network, "garbage", body, first.channel, first.signer, first.received_at)
            try:
                reason = ""
                for activity in stage.sink.decode(envelope):
                    assert isinstance(activity, Activity)
            except Malformed as error:
                reason = error.reason
            assert re.fullmatch(r"[a-z0-9_]{0,60}", reason), "a reason is one counted word"

        garbage()

    async def test_names_and_parse_are_a_pair(self, stage: Stage) -> None:
        refs = [self.native.ref]
        refs += [a.ref for e in self.samples() for a in stage.sink.decode(e) if isinstance(a.act, Post)]
        for ref in refs:
            with frozen():
                name = stage.sink.names(ref)
                assert stage.sink.parse(name) == ref
        for text in ("", " ", "nonsense", "\x00", "http://", "a" * 5000):
            stage.sink.parse(text)

    async def test_mint_gives_the_same_ghost_again(self, stage: Stage) -> None:
        async def free(_: str) -> bool:
            return False

        once = await stage.sink.mint(stage.ann, free)
        assert once == await stage.sink.mint(stage.ann, free)
        assert (once.owner, once.ref.network) == (stage.ann.ref, stage.network)
        assert once.handle.split() == [once.handle]
        assert (await stage.sink.mint(stage.art, free)).ref != once.ref

    async def test_mint_takes_no_handle_that_is_taken(self, stage: Stage) -> None:
        tried: list[str] = []

        async def taken(handle: str) -> bool:
            tried.append(handle)
            return len(tried) == 1

        ghost = await stage.sink.mint(stage.ann, taken)
        assert tried
        assert ghost.handle != tried[0]

    async def test_encode_is_pure(self, stage: Stage) -> None:
        for said in await stage.play(self.samples()[0]):
            with frozen():
                once, again = stage.encode(said), stage.encode(said)
            assert once == again
            if isinstance(said.out, Outgoing):
                assert once == said.out

    async def test_every_act_that_can_be_said_is_said_or_refused(self, stage: Stage) -> None:
        heard = {s.kind for s in await stage.play(self.samples()[0])}
        assert heard <= self.adapter.capabilities.acts, "the core asks for no more than the capabilities name"
        missing = self.adapter.capabilities.acts - heard - _UNPLAYED
        assert not missing, f"never asked for: {missing}"
        if self.adapter.capabilities.follows == "request":
            assert "Accept" in heard

    async def test_parts_hold_together(self, stage: Stage) -> None:
        for said in await stage.play(self.samples()[0]):
            if not isinstance(said.out, Outgoing):
                continue
            slots = [(p.of, p.number) for p in said.out.parts]
            assert len(set(slots)) == len(slots), "two parts for one slot"
            for part in said.out.parts:
                assert part.number >= 0
                if part.ref is None:
                    assert self.adapter.capabilities.ids == "server" or not part.body
                else:
                    assert part.ref.network == stage.network
                assert all(part.endpoints)
                assert part.body or not part.endpoints, "what is sent is not empty"
                for origin, number in part.waits:
                    assert (origin, number) in slots or await stage.has_copy(origin, number)
            assert all(loss.strip() for loss in said.out.losses)

    async def test_like_unlike_and_like_again_are_three_things(self, stage: Stage) -> None:
        if "React" not in self.adapter.capabilities.acts:
            pytest.skip("no likes here")
        said = [
            s
            for s in await stage.play(self.samples()[0])
            if s.kind == "React" or (s.kind == "Delete" and isinstance(s.subject, React))
        ]
        bodies = [p.body for s in said if isinstance(s.out, Outgoing) for p in s.out.parts if p.body]
        assert len(bodies) >= 3
        assert len(set(bodies)) == len(bodies)

    async def test_meaning_survives_the_way_there_and_back(self, stage: Stage) -> None:
        said = await stage.play(self.samples()[0])
        for kind in ("Post", "React", "Repost"):
            for each in (s for s in said if s.kind == kind):
                read = self._read_back(stage, each)
                same = [(activity, part) for activity, part in read if type(activity.act).__name__ == kind]
                assert len(same) >= min(1, len(read)), "beside the thing itself, a network may ask leave for it"
                for activity, part in same:
                    assert activity.actor == each.view.actor.ref
                    assert self.adapter.capabilities.ids == "server" or activity.ref == part.ref
        first = next(s for s in said if s.kind == "Post")
        texts = [a.act.body.text.plain for a, _ in self._read_back(stage, first) if isinstance(a.act, Post)]
        if texts:
            assert "hello" in " ".join(texts)
            assert "https://example.com/page" in " ".join(texts)
        answer = next(s for s in said if isinstance(s.activity.act, Post) and s.activity.act.body.reply_to)
        back = [a.act.body for a, _ in self._read_back(stage, answer) if isinstance(a.act, Post)]
        if back and self.adapter.capabilities.ids == "derived":
            there = answer.view.there[answer.activity.act.body.reply_to]  # type: ignore[union-attr, index]
            assert there is not None
            assert back[0].reply_to == there.ref

    async def test_other_bridges_can_see_that_our_posts_are_copies(self, stage: Stage) -> None:
        for each in await stage.play(self.samples()[0]):
            if each.kind == "Post":
                for activity, _ in self._read_back(stage, each):
                    if isinstance(activity.act, Post):
                        assert activity.mark or activity.act.body.mark

    async def test_own_copies_that_come_back_are_dropped(self, stage: Stage) -> None:
        said = [s for s in await stage.play(self.samples()[0]) if s.kind == "Post"]
        before = len(stage.other.received())
        for each in said:
            if not isinstance(each.out, Outgoing):
                continue
            for part in each.out.parts:
                envelope = self.back(part, each.view.actor)
                if envelope is not None:
                    await stage.bridge.hear(envelope, settle=False)
        await stage.bridge.decide()
        assert len(stage.other.received()) == before

    async def test_local_parts_are_applied(self, stage: Stage) -> None:
        for each in await stage.play(self.samples()[0]):
            if isinstance(each.out, Outgoing):
                for part in each.out.parts:
                    if LOCAL in part.endpoints:
                        await stage.apply(each, part)

    @pytest.mark.parametrize("for_good", [False, True])
    async def test_leaving_is_said(self, stage: Stage, for_good: bool) -> None:
        await stage.play(self.samples()[0])
        said = await stage.leave(for_good=for_good)
        farewells = [s for s in said if isinstance(s.activity.act, Delete) and s.activity.act.target == stage.ann.ref]
        assert len(farewells) == 1
        assert isinstance(farewells[0].out, Outgoing)
        for part in farewells[0].out.parts:
            if LOCAL in part.endpoints:
                await stage.apply(farewells[0], part)
        left = await stage.bridge.read(lambda tx: acts.origins_with_copies(tx, stage.ann.ref, stage.network, 100))
        assert [k for k in left if k.live] == []

    def _read_back(self, stage: Stage, said: Said) -> list[tuple[Activity, Part]]:
        if not isinstance(said.out, Outgoing):
            return []
        parts = [p for p in said.out.parts if p.body]
        found: list[tuple[Activity, Part]] = []
        for part in parts:
            envelope = self.back(part, said.view.actor)
            if envelope is not None:
                found += [(a, part) for a in stage.sink.decode(envelope)]
        return found


_others: list[Any] = [None, 0, -1.5, "", "x", [], [[]], {}, {"id": 3}, True, "\x00", 10**30, ["a", None]]


def _garbage(bodies: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Any bytes, any JSON, and samples spliced, or with a member exchanged for something else."""

    @st.composite
    def spliced(draw: st.DrawFn) -> bytes:
        body = draw(st.sampled_from(bodies))
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 20)))
        return body[:start] + draw(st.binary(max_size=12)) + body[end:]

    @st.composite
    def exchanged(draw: st.DrawFn) -> bytes:
        body = draw(st.sampled_from(bodies))
        try:
            tree: dict[str, object] = dict(json.loads(body))
        except (ValueError, TypeError):
            return body[:-1]
        return json.dumps({**tree, draw(st.sampled_from(sorted(tree))): draw(st.sampled_from(_others))}).encode()

    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    names = st.text(max_size=8)
    trees = st.recursive(leaves, lambda t: st.lists(t, max_size=4) | st.dictionaries(names, t, max_size=4))
    texts = trees.map(lambda tree: json.dumps(tree).encode())
    return st.one_of(st.binary(max_size=200), texts, spliced(), exchanged())
