"""NIP-19 and NIP-21: the shared vectors, round trips, refusals that repeat nothing."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr import nip19
from adapters.nostr.nip19 import (
    BadIdentifier,
    Identifier,
    Naddr,
    Nevent,
    Note,
    Nprofile,
    Npub,
    SecretKeyRefused,
    decode,
    decode_uri,
    encode,
    encode_uri,
)
from tests.vectors import vectors

KEY = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d"
NPUB = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"

hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
relay_lists = st.lists(st.text(st.characters(max_codepoint=127), min_size=1, max_size=40), max_size=4).map(tuple)
kinds = st.integers(0, 65_535)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
identifiers = st.one_of(
    st.builds(Npub, hexes),
    st.builds(Note, hexes),
    st.builds(Nprofile, hexes, relay_lists),
    st.builds(Nevent, hexes, relay_lists, st.none() | hexes, st.none() | kinds),
    st.builds(Naddr, names, hexes, kinds, relay_lists),
)


def load(*parts: str) -> Any:
    return json.loads(vectors().joinpath("nostr", *parts).read_text("utf-8"))


def made(prefix: str, data: Any) -> Identifier:
    """The identifier the vectors describe by a hex string or an object."""
    if prefix in ("npub", "note"):
        return {"npub": Npub, "note": Note}[prefix](data)
    fields = {**data, "relays": tuple(data.get("relays", ()))}
    return {"nprofile": Nprofile, "nevent": Nevent, "naddr": Naddr}[prefix](**fields)


def written(prefix: str, data: bytes) -> str:
    """Any prefix and payload in bech32, valid or not as an identifier."""
    return nip19._bech32_encode(prefix, data)  # pyright: ignore[reportPrivateUsage]


def test_own_vectors_decode_and_survive_encoding():
    file = load("own", "nip19.json")
    seen: set[str] = set()
    for case in file["from_spec"] + file["cases"]:
        seen.add(case["type"])
        if case["type"] == "nsec":
            with pytest.raises(SecretKeyRefused):
                decode(case["encoded"])
            continue
        identifier = made(case["type"], case["decodes_to"])
        assert decode(case["encoded"]) == identifier
        assert decode(encode(identifier)) == identifier
        # The order of TLVs is free and nostr-tools writes them backwards: only what has one part must agree.
        if case["type"] in ("npub", "note"):
            assert encode(identifier) == case["encoded"]
    assert seen == {"npub", "nsec", "note", "nprofile", "nevent", "naddr"}


def test_the_profile_of_nip_19_is_written_as_in_its_text():
    (case,) = (c for c in load("own", "nip19.json")["from_spec"] if c["type"] == "nprofile")
    assert encode(made("nprofile", case["decodes_to"])) == case["encoded"]


def test_own_invalid_vectors_are_refused():
    cases = load("own", "nip19.json")["invalid"]
    for case in cases:
        with pytest.raises(BadIdentifier):
            decode(case["input"])
    assert len(cases) >= 6


def test_own_keys_have_their_npub_and_no_readable_nsec():
    for key in load("own", "test-keys.json")["keys"].values():
        assert encode(Npub(key["pubkey"])) == key["npub"]
        with pytest.raises(SecretKeyRefused):
            decode(key["nsec"])


def test_recorded_nostr_tools_calls_agree():
    """Exceptions: nsec is neither written nor read here; TLV order differs, so results are compared read."""
    checked = 0
    for call in load("nostr-tools-recorded", "nip19.json"):
        function, (argument,) = call["fn"], call["args"]
        if function == "nsecEncode":
            continue
        checked += 1
        if function == "decode":
            if "error" in call or call["result"]["type"] == "nsec":
                with pytest.raises(BadIdentifier):
                    decode(argument)
            else:
                assert decode(argument) == made(call["result"]["type"], call["result"]["data"])
        else:
            identifier = made(function.removesuffix("Encode"), argument)
            assert decode(call["result"]) == identifier == decode(encode(identifier))
    assert checked >= 15


def test_recorded_nip21_calls_agree():
    for call in load("nostr-tools-recorded", "nip21.json"):
        (uri,) = call["args"]
        if call["fn"] == "parse":
            decoded = call["result"]["decoded"]
            assert decode_uri(uri) == made(decoded["type"], decoded["data"])
        elif call["result"]:
            assert encode_uri(decode_uri(uri)) == uri
        else:
            with pytest.raises(BadIdentifier):
                decode_uri(uri)


@given(identifiers)
def test_decode_undoes_encode(identifier: Identifier):
    text = encode(identifier)
    assert decode(text) == decode(text.upper()) == decode_uri(encode_uri(identifier)) == identifier


@settings(max_examples=300)
@given(
    st.text(max_size=80)
    | st.builds(written, st.sampled_from(["npub", "note", "nprofile", "nevent", "naddr", "x"]), st.binary(max_size=90))
)
def test_decode_raises_only_its_typed_error(text: str):
    for read in (decode, decode_uri):
        try:
            identifier = read(text)
        except BadIdentifier:
            continue
        assert decode(encode(identifier)) == identifier


@given(identifiers, st.integers(0), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_changed_character_is_noticed(identifier: Identifier, place: int, character: str):
    text = encode(identifier)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(BadIdentifier):
            decode(changed)


@pytest.mark.parametrize("prefix", ["", "nostr:", "NOSTR:"])
@pytest.mark.parametrize("change", [str, str.upper, lambda text: text[:-1] + "q", lambda text: text[:20], str.title])
def test_secret_key_is_refused_without_being_repeated(prefix: str, change):
    secret = change(written("nsec", bytes.fromhex(KEY)))
    read = decode_uri if prefix else decode
    with pytest.raises(SecretKeyRefused) as caught:
        read(prefix + secret)
    assert secret[6:14].lower() not in repr(caught.value).lower()
    assert caught.value.__cause__ is None


def test_refusals_repeat_nothing_of_the_input():
    for text in (NPUB[:-1] + "q", NPUB + "b", "é" + NPUB, written("nevent", b"\0\x09secretly")):
        with pytest.raises(BadIdentifier) as caught:
            decode(text)
        assert text[6:14] not in repr(caught.value)
        assert "secretly" not in repr(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "npub",
        "npub1",
        "1qqqqqq",
        " " + NPUB,
        NPUB + "\n",
        NPUB.replace("npub", "note"),
        NPUB[:10] + NPUB[10:].upper(),
        NPUB.upper().replace("K", "\u212a"),  # KELVIN SIGN, whose lower case is k
        KEY,
        "npub1" + "q" * 5000,
    ],
)
def test_what_is_no_bech32_is_refused(text: str):
    with pytest.raises(BadIdentifier):
        decode(text)


KEY_TLV = b"\0\x20" + bytes(32)
AUTHOR_TLV = b"\2\x20" + bytes(32)
KIND_TLV = b"\3\4" + bytes(4)


@pytest.mark.parametrize(
    ("prefix", "data"),
    [
        ("npub", bytes(31)),
        ("npub", bytes(33)),
        ("note", b""),
        ("nprofile", b""),
        ("nprofile", b"\1\1a"),
        ("nprofile", b"\0\x1f" + bytes(31)),
        ("nprofile", KEY_TLV + b"\1"),
        ("nprofile", KEY_TLV + b"\1\5abcd"),
        ("nprofile", KEY_TLV + b"\1\2\xc3\xa9"),
        ("nevent", AUTHOR_TLV),
        ("nevent", KEY_TLV + b"\2\x1f" + bytes(31)),
        ("nevent", KEY_TLV + b"\3\2\0\1"),
        ("nevent", KEY_TLV + b"\3\4\0\1\0\0"),
        ("naddr", b"\0\1d" + AUTHOR_TLV),
        ("naddr", b"\0\1d" + KIND_TLV),
        ("naddr", AUTHOR_TLV + KIND_TLV),
        ("naddr", b"\0\1\xff" + AUTHOR_TLV + KIND_TLV),
        ("nrelay", b"\0\1a"),
        ("ncryptsec", bytes(91)),
        ("lnbc", bytes(32)),
    ],
)
def test_malformed_payload_is_refused(prefix: str, data: bytes):
    with pytest.raises(BadIdentifier):
        decode(written(prefix, data))


def test_padding_must_be_zero_and_short():
    """BIP-173: fewer than five bits of padding, all zero."""

    def with_fives(fives: list[int]) -> str:
        expanded = [*nip19._expanded("npub"), *fives]  # pyright: ignore[reportPrivateUsage]
        checksum = nip19._polymod([*expanded, *[0] * 6]) ^ 1  # pyright: ignore[reportPrivateUsage]
        fives = [*fives, *(checksum >> shift & 31 for shift in range(25, -1, -5))]
        return "npub1" + "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[five] for five in fives)

    assert decode(with_fives([0] * 52)) == Npub("0" * 64)
    for fives in ([0] * 51 + [1], [0] * 51):
        with pytest.raises(BadIdentifier, match="padding"):
            decode(with_fives(fives))


def test_unknown_tlvs_are_ignored_and_the_first_of_a_type_counts():
    data = b"\x09\3abc" + KEY_TLV + b"\xff\0" + b"\0\x20" + b"\1" * 32 + b"\1\1a" + b"\1\0" + b"\2\1x"
    assert decode(written("nprofile", data)) == Nprofile("0" * 64, ("a",))


def test_longest_identifier_is_5000_characters():
    fits = Nprofile(KEY, ("r" * 255,) * 11 + ("r" * 252,))
    assert len(encode(fits)) == 4999
    assert decode(encode(fits)) == fits
    with pytest.raises(BadIdentifier, match="too long"):
        encode(Nprofile(KEY, (*fits.relays[:-1], "r" * 253)))
    with pytest.raises(BadIdentifier, match="too long"):
        decode(encode(fits) + "qq")


@pytest.mark.parametrize(
    "identifier",
    [
        Npub(KEY.upper()),
        Npub(KEY[:-1]),
        Npub(KEY + "\n"),
        Note(""),
        Nprofile(KEY, ("",)),
        Nprofile(KEY, ("wss://é",)),
        Nprofile(KEY, ("r" * 256,)),
        Nevent(KEY, kind=65_536),
        Nevent(KEY, kind=-1),
        Nevent(KEY, author="x"),
        Naddr("x" * 256, KEY, 30_023),
        Naddr("\ud800", KEY, 30_023),
        Naddr("x", KEY, 2**32),
    ],
)
def test_what_cannot_be_written_is_refused(identifier: Identifier):
    with pytest.raises(BadIdentifier):
        encode(identifier)
