"""The settings: what is left out is what its network has, and what is wrong is named."""

import pytest
from pydantic import ValidationError

from adapters.atproto.config import AtprotoConfig


def read(**said: object) -> AtprotoConfig:
    return AtprotoConfig.model_validate(said)


def test_settings_of_the_public_network_are_whole_by_themselves() -> None:
    config = read()
    assert config.plc == "https://plc.directory"
    assert config.ingest.jetstream
    assert config.crawlers
    assert config.appview
    assert config.moderation


def test_settings_of_a_network_of_its_own_name_nobody_outside() -> None:
    for config in (read(plc="embedded"), read(plc="http://localhost:2582/")):
        assert config.ingest.jetstream is config.ingest.firehose is config.moderation is None
        assert (config.crawlers, config.appview) == ([], "")


def test_settings_that_are_made_stay_as_they_are_made() -> None:
    config = read(ingest={"firehose": "wss://relay.test/"}, crawlers=[], appview="", moderation=None)
    assert (config.ingest.firehose, config.ingest.jetstream) == ("wss://relay.test", None)
    assert (config.crawlers, config.appview, config.moderation) == ([], "", None)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"plc": "ftp://plc.test"}, "an address here is like"),
        ({"plc": "https://plc.test:x"}, "this is no address"),
        ({"ingest": {"jetstream": "https://j.test"}}, "an address here is like wss://"),
        ({"ingest": {"jetstream": "wss://j.test", "firehose": "wss://r.test"}}, "not both"),
        ({"operator_key": "did:key:nonsense"}, "a public key is written"),
        ({"moderation": {"url": "https://m.test", "did": "mod"}}, "this is no DID"),
        ({"pace": {"second": 0}}, "greater than or equal"),
        ({"pase": {}}, "Extra inputs"),
        ({"long_posts": "whole"}, "'thread' or 'cut'"),
    ],
)
def test_settings_that_are_wrong_say_what_is(said: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        read(**said)


def test_settings_written_down_with_their_defaults_are_read_again() -> None:
    for config in (AtprotoConfig(), AtprotoConfig.at_home()):
        assert AtprotoConfig.model_validate(config.model_dump(mode="json")) == config


def test_settings_for_ones_own_machine_name_nobody_outside() -> None:
    config = AtprotoConfig.at_home()
    assert (config.plc, config.crawlers, config.appview, config.moderation) == ("embedded", [], "", None)
