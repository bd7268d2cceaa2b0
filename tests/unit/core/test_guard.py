"""The pure half of the egress guard: which addresses, which URLs."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bridged.guard import (
    HTTP_SCHEMES,
    WEBSOCKET_SCHEMES,
    Forbidden,
    Guard,
    allowed,
    check_redirect,
    check_url,
    is_address,
)

PUBLIC = """
1.1.1.1 8.8.8.8 93.184.216.34 172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0 169.253.255.255
192.0.1.255 192.88.98.255 192.88.100.0 198.17.255.255 198.20.0.0 223.255.255.255 2000::1 2001:200::1
2001:4860:4860::8888 2003::1 2606:4700::1111 2a00:1450::1 3ffe::1 3fff:1000::1 ::ffff:1.1.1.1
"""

CLOSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.255
192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 224.0.1.1
233.252.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1
::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::1
100::1 1fff::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:1ff::1 2001:db8::1 2002::1
2002:7f00:1:: 2002:a00:1:: 3fff::1 3fff:fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1
ff02::1 ff0e::1
"""


@pytest.mark.parametrize("address", PUBLIC.split())
def test_allowed_lets_the_public_internet_through(address: str) -> None:
    assert allowed(ip_address(address))


@pytest.mark.parametrize("address", CLOSED.split())
def test_allowed_refuses_what_is_not_public(address: str) -> None:
    assert not allowed(ip_address(address))


@pytest.mark.parametrize(
    ("address", "network", "expected"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.0.0.1", "10.0.0.0/8", True),
        ("127.0.0.1", "10.0.0.0/8", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:127.0.0.1", "10.0.0.0/8", False),
        ("::1", "::1/128", True),
        ("::2", "::1/128", False),
        ("fd00::1", "fd00::/8", True),
        # Unmapped first: a v6 network never names v4 addresses.
        ("::ffff:127.0.0.1", "::/0", False),
    ],
)
def test_allowed_adds_listed_networks(address: str, network: str, expected: bool) -> None:
    assert allowed(ip_address(address), [ip_network(network)]) is expected


@given(st.ip_addresses(v=4))
def test_allowed_judges_mapped_like_plain(address: IPv4Address) -> None:
    assert allowed(IPv6Address(f"::ffff:{address}")) is allowed(address)


@given(st.ip_addresses(v=6))
def test_allowed_v6_is_global_unicast(address: IPv6Address) -> None:
    """Whatever v6 passes lies in 2000::/3 and is no wrapping of a v4 address."""
    if allowed(address) and address.ipv4_mapped is None:
        assert int(address) >> 125 == 1
        assert address.sixtofour is None
        assert address.teredo is None


GUARD = Guard([ip_network("10.0.0.0/8"), ip_network("::1/128")], {80, 443})


@pytest.mark.parametrize(
    ("address", "port", "reason"),
    [
        ("1.1.1.1", 443, None),
        ("1.1.1.1", 80, None),
        ("1.1.1.1", 8080, "port"),
        ("1.1.1.1", 22, "port"),
        ("10.0.0.1", 8080, None),
        ("::ffff:10.0.0.1", 8080, None),
        ("::1", 7777, None),
        ("10.0.0.1", 0, "port"),
        ("127.0.0.1", 443, "address"),
        ("127.0.0.1", 8080, "address"),
        ("fe80::1%lo", 443, "address"),
        ("not an address", 443, "address"),
        ("0x7f.1", 443, "address"),
    ],
)
def test_guard_judges_address_and_port(address: str, port: int, reason: str | None) -> None:
    if reason is None:
        GUARD.check(address, port, "host.test")
    else:
        with pytest.raises(Forbidden) as refused:
            GUARD.check(address, port, "host.test")
        assert (refused.value.reason, refused.value.host) == (reason, "host.test")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.com", "https://example.com/"),
        ("https://example.com?b=%2F#d", "https://example.com/?b=/"),
        ("HTTPS://EXAMPLE.com:443/a?b=c#d", "https://example.com/a?b=c"),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
        ("http://a_b.example:8080/", "http://a_b.example:8080/"),
        ("https://example.com./x", "https://example.com./x"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("https://host.example/@a@b?x=/../y", "https://host.example/@a@b?x=/../y"),
        ("https://4chan.example1/", "https://4chan.example1/"),
    ],
)
def test_check_url_returns_the_url_as_sent(text: str, expected: str) -> None:
    assert str(check_url(text, HTTP_SCHEMES)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "scheme"),
        ("example.com", "scheme"),
        ("//example.com/", "scheme"),
        ("ftp://example.com/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://example.com/", "scheme"),
        ("unix:///run/x.sock", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("ws://example.com/", "scheme"),
        ("http:///x", "url"),
        ("http:example.com", "url"),
        ("http://example.com:99999/", "url"),
        ("http://example.com:x/", "url"),
        ("http://[::1/", "url"),
        ("http://exa mple.com/", "url"),
        ("http://exa\tmple.com/", "url"),
        ("http://example.com/\r\nx: y", "url"),
        ("http://example.com\\@127.0.0.1/", "url"),
        ("http://ex..ample/", "url"),
        ("http://example.com../", "url"),
        ("http://./", "url"),
        ("http://-x.example/", "url"),
        ("http://%31%32%37.0.0.1/", "address"),
        ("http://127.0.0.1%00.example.com/", "url"),
        ("http://" + "a" * 64 + ".example/", "url"),
        ("http://" + "a." * 127 + "aa/", "url"),
        ("http://\ud800.example/", "url"),
        ("http://example.com/" + "a" * 5000, "url"),
        ("http://u@example.com/", "userinfo"),
        ("http://u:p@example.com/", "userinfo"),
        ("http://:p@example.com/", "userinfo"),
        ("http://127.1/", "address"),
        ("http://0/", "address"),
        ("http://127.0.0.1./", "address"),
        ("http://0x7f.0.0.1/", "address"),
        ("http://a.0x7f/", "address"),
        ("http://2130706433/", "address"),
        ("http://1.1.1.01/", "address"),
        ("http://[fe80::1%25eth0]/", "address"),
        ("http://[::ffff:0x7f000001]/", "address"),
    ],
)
def test_check_url_refuses(text: str, reason: str) -> None:
    with pytest.raises(Forbidden) as refused:
        check_url(text, HTTP_SCHEMES)
    assert refused.value.reason == reason


@given(st.text(max_size=60), st.sampled_from(["", "http://", "wss://", "https://u@", "http://["]))
def test_check_url_raises_nothing_else(text: str, start: str) -> None:
    """Any text is either refused or becomes a URL whose host is an address or a plain name."""
    try:
        url = check_url(start + text, HTTP_SCHEMES | WEBSOCKET_SCHEMES)
    except Forbidden:
        return
    host = url.raw_host
    assert host
    assert host.isascii()
    if is_address(host):
        ip_address(host)
    assert url == URL(str(url))


@pytest.mark.parametrize(
    ("source", "location", "expected"),
    [
        ("http://a.example/x/y", "z", "http://a.example/x/z"),
        ("http://a.example/x", "https://b.example/", "https://b.example/"),
        ("https://a.example/x", "//b.example/y#z", "https://b.example/y"),
        ("https://a.example/x", "?q", "https://a.example/x?q"),
    ],
)
def test_check_redirect_joins(source: str, location: str, expected: str) -> None:
    assert str(check_redirect(URL(source), location)) == expected


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://a.example/", "downgrade"),
        ("http://127.0.0.1./", "address"),
        ("ftp://a.example/", "scheme"),
        ("wss://a.example/", "scheme"),
        ("javascript:1", "scheme"),
        ("//u:p@b.example/", "userinfo"),
        ("//a.example:99999/", "url"),
        ("/\udcff\udc00//\\", "url"),
        ("/" + "a" * 5000, "url"),
    ],
)
def test_check_redirect_refuses(location: str, reason: str) -> None:
    with pytest.raises(Forbidden) as refused:
        check_redirect(URL("https://a.example/"), location)
    assert refused.value.reason == reason
