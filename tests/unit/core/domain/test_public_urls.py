"""What is refused of addresses: all that the guard of media refuses, and no public host's."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_ai._ssrf import is_cloud_metadata_ip, is_private_ip

from agentrun.domain.public_urls import is_loopback_address, is_public_address
from tests.integration.internet import PUBLIC, PUBLIC_IPV6

INNER = [
    *("127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "8.8.8.8"),
]
PREFIXES = ["64:ff9b::", "64:ff9b:1::", "2002::", "2001::", "::ffff:0:0", "::", "2600::", "fe80::"]
ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    # Global unicast, of which IPv6 as a whole has an eighth.
    st.integers(0, 2**125 - 1).map(lambda n: str(IPv6Address((1 << 125) + n))),
    # An address of IPv4 anywhere inside one of IPv6.
    st.builds(
        lambda prefix, inner, shift: str(
            IPv6Address((int(IPv6Address(prefix)) | (int(IPv4Address(inner)) << shift)) % 2**128)
        ),
        st.sampled_from(PREFIXES),
        st.sampled_from(INNER),
        st.integers(0, 96),
    ),
)


@settings(max_examples=1000)
@given(address=ADDRESSES)
@example("2600::5efe:7f00:1")
@example("2002:7f00:1::")
@example("64:ff9b::169.254.169.254")
@example("2001:0:5ef5:79fd::1")
def test_no_address_is_public_that_the_guard_of_media_refuses(address: str) -> None:
    if is_private_ip(address) or is_cloud_metadata_ip(address):
        assert not is_public_address(address)


@given(address=st.ip_addresses(v=4).map(str))
def test_of_ipv4_every_address_is_public_that_the_guard_of_media_lets_through(address: str) -> None:
    refused = is_private_ip(address) or is_cloud_metadata_ip(address)
    relays = address.startswith("192.88.99.")
    assert is_public_address(address) == (not refused and not relays)


@pytest.mark.parametrize(
    "address", [PUBLIC, PUBLIC_IPV6, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]
)
def test_addresses_of_well_known_hosts_are_public(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize("address", ["", "localhost", "1", "fe80::1%lo", f"{PUBLIC_IPV6}%eth0"])
def test_what_is_no_plain_address_is_not_public(address: str) -> None:
    assert not is_public_address(address)


def test_loopback_is_this_machine_only() -> None:
    assert is_loopback_address("127.8.9.10")
    assert is_loopback_address("::1")
    assert not any(map(is_loopback_address, ["10.0.0.1", "0.0.0.0", "localhost", "::"]))  # noqa: S104
    assert IPv6Network("::1/128")
