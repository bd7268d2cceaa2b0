import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridged.keys import KeyRing, SecretError, load
from bridged.model import Ref

RING = KeyRing(b"k" * 32)


def test_derived_keys_stay_as_they_are() -> None:
    # every ghost on Nostr hangs on this: a change would orphan them all
    key = RING.derive("nostr-ghost", Ref("activitypub", "https://a.example/users/a"), 0)
    assert key.hex() == "7190fa43b283a62bac428afe38ec12546bcccf52dfad4eaa8fe4820072b1ec2e"


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.integers(0, 3))
def test_every_argument_counts(purpose: str, id: str, generation: int) -> None:
    key = RING.derive(purpose, Ref("net", id), generation)
    assert len(key) == 32
    assert key == RING.derive(purpose, Ref("net", id), generation)
    others = [
        RING.derive(purpose + "x", Ref("net", id), generation),
        RING.derive(purpose, Ref("net", id + "x"), generation),
        RING.derive(purpose, Ref("nets", id), generation),
        RING.derive(purpose, Ref("net", id), generation + 1),
        KeyRing(b"l" * 32).derive(purpose, Ref("net", id), generation),
    ]
    assert key not in others


def test_arguments_do_not_run_into_one_another() -> None:
    assert RING.derive("a", Ref("b", "cd")) != RING.derive("a", Ref("bc", "d"))
    assert RING.derive("ab", Ref("c", "d")) != RING.derive("a", Ref("bc", "d"))


def test_sealed_value_opens_under_its_name_only() -> None:
    sealed = RING.seal("name", b"value")
    assert b"value" not in sealed
    assert RING.unseal("name", sealed) == b"value"
    assert RING.seal("name", b"value") != sealed
    for ring, name, what in (
        (RING, "other", sealed),
        (KeyRing(b"l" * 32), "name", sealed),
        (RING, "name", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (RING, "name", b""),
    ):
        with pytest.raises(SecretError):
            ring.unseal(name, what)


def test_secret_is_never_shown() -> None:
    assert "kkkk" not in repr(RING) + str(RING)


def test_secret_file_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "secret.key"
    with pytest.raises(SecretError, match="bridged init"):
        load(file, None, {}, make=False)
    first = load(file, None, {}, make=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = load(file, None, {}, make=True)
    assert first.derive("p", Ref("n", "i")) == again.derive("p", Ref("n", "i"))


def test_two_who_make_the_secret_at_once_have_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "var" / "secret.key"
    others: list[KeyRing] = []

    def meanwhile(name: str) -> None:
        if name == "secret.written" and not others:
            others.append(KeyRing(b"o" * 32))
            path.write_text((b"o" * 32).hex())
            path.chmod(0o600)

    monkeypatch.setattr("bridged.keys.seam", meanwhile)
    ring = load(path, None, {}, make=True)
    assert ring.derive("x", Ref("net", "a")) == others[0].derive("x", Ref("net", "a"))
    assert [each.name for each in path.parent.iterdir()] == ["secret.key"]


def test_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_text("ab" * 32)
    file.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        load(file, None, {}, make=False)


def test_secret_comes_from_the_environment() -> None:
    ring = load(None, "SECRET", {"SECRET": (b"k" * 32).hex()}, make=False)
    assert ring.derive("p", Ref("n", "i")) == RING.derive("p", Ref("n", "i"))
    with pytest.raises(SecretError, match="not set"):
        load(None, "SECRET", {}, make=False)
    with pytest.raises(SecretError, match="shorter"):
        load(None, "SECRET", {"SECRET": "short"}, make=False)
