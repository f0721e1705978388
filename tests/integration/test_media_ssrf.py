"""Media by URL: whatever a URL says or leads to, nothing but public hosts is connected to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_catalog.media import public_download
from agent_catalog.media.loader import UrlMediaLoader
from agentrun.domain.errors import InvalidRequestError
from tests.certificates import self_signed
from tests.integration.internet import PUBLIC, PUBLIC_IPV6, Internet, ok, redirect

pytestmark = pytest.mark.anyio

FIELD = "media.0.data"
HERE = "http://files.example/"
NAMES = {
    "files.example": [[PUBLIC]],
    "localhost": [["127.0.0.1"]],
    "inside.example": [["10.1.2.3"]],
    "both.example": [[PUBLIC, "10.1.2.3"]],
    "six.example": [[PUBLIC_IPV6, "::ffff:10.1.2.3"]],
}

NOT_PUBLIC, SCHEME = "does not lead to a public host", "neither http nor https"
PORT, CREDENTIALS, ENCODED = "leads to a port other than", "with credentials", "percent-encoded"
INVALID = "not valid"
ADDRESSES = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0",  # noqa: S104 - refused, not bound to
    "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "100.64.0.1", "169.254.1.1", "169.254.169.254", "169.254.170.2",
    "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192", "198.18.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[fe80::1]", "[fe80::1%25lo]", "[fc00::1]", "[fd00::1]", "[fd00:ec2::254]",
    "[fd00:ec2::254%251]", "[fd00:ec2::23]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]",
    "[2001:1::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]",
    "[64:ff9b::169.254.169.254]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::]",
    "[2001:0:5ef5:79fd::1]", "[fe80::5efe:127.0.0.1]", "[0:0:0:0:0:ffff:a00:1]",
]  # fmt: skip
OTHER_NOTATIONS = [
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1",
    "0", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "127.0.0.1.",
]  # fmt: skip
HOST_NAMES = [
    "localhost", "LOCALHOST", "localhost.", "inside.example", "both.example", "six.example",
    "unknown.example", "-", "..", "a..b", "x" * 64, "1.2.3.4.5", "256.256.256.256",
]  # fmt: skip
WELL_FORMED = {
    **{f"http://{host}/": NOT_PUBLIC for host in [*ADDRESSES, *OTHER_NOTATIONS, *HOST_NAMES]},
    "https://169.254.169.254/latest/meta-data/": NOT_PUBLIC,
    "HTTP://127.0.0.1:80/": NOT_PUBLIC,
    "http://user@files.example/": CREDENTIALS,
    "http://user:secret@files.example/": CREDENTIALS,
    "http://@files.example/": CREDENTIALS,
    "http://files.example@127.0.0.1/": CREDENTIALS,
    "http://127.0.0.1\\@files.example/": CREDENTIALS,
    "http://files.example:22/": PORT,
    "http://files.example:443/": PORT,
    "https://files.example:80/": PORT,
    "http://files.example:8080/": PORT,
    "http://files.example:0/": PORT,
    "http://files.example:99999/": INVALID,
    "http://files.example:x/": INVALID,
    "ftp://files.example/": SCHEME,
    "file:///etc/passwd": SCHEME,
    "gopher://files.example/": SCHEME,
    "data:image/png;base64,iVBORw0KGgo=": SCHEME,
    "javascript:alert(1)": SCHEME,
    "http://files.example/" + "x" * 8000: "more than 8000 characters",
}
MALFORMED = {
    "http://[::1": INVALID,
    "http://[127.0.0.1]/": INVALID,
    "//127.0.0.1/": SCHEME,
    "http:///etc/passwd": NOT_PUBLIC,
    "http:127.0.0.1": NOT_PUBLIC,
    "http:\\\\127.0.0.1\\": NOT_PUBLIC,
    "http://127\u30020\u30020\u30021/": ENCODED,
    "http://\uff11\uff12\uff17.0.0.1/": ENCODED,
    "http://files.example/a b": ENCODED,
    "http://files.example/\r\nX: y": ENCODED,
    "http://files.example\t/": ENCODED,
    "http://127.0.0.1\x00.files.example/": ENCODED,
}


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    internet = Internet({name: [*answers] for name, answers in NAMES.items()})
    async with internet.opened():
        yield internet


async def load(url: str) -> bytes:
    return (await UrlMediaLoader().load({FIELD: url}))[FIELD]


async def refusal(url: str) -> str:
    with pytest.raises(InvalidRequestError) as refused:
        await load(url)
    ((name, reason),) = refused.value.params
    assert (name, str(refused.value)) == (FIELD, f"{FIELD} {reason}.")
    return reason


@pytest.mark.parametrize("url", [*WELL_FORMED, *MALFORMED])
async def test_what_is_not_public_is_refused_without_a_connection(
    internet: Internet, url: str
) -> None:
    assert (WELL_FORMED | MALFORMED)[url] in await refusal(url)
    assert (internet.connections, internet.requests) == ([], [])


@pytest.mark.parametrize("url", WELL_FORMED)
async def test_a_redirect_to_it_is_refused_just_so(internet: Internet, url: str) -> None:
    internet.answers["files.example/"] = redirect(url)
    assert WELL_FORMED[url] in await refusal(HERE)
    assert internet.connections == [(PUBLIC, 80)]


@pytest.mark.parametrize("to", ["//127.0.0.1/", "//files.example:22/", "http://[::1", "//\xe9/"])
async def test_a_redirect_relative_to_the_scheme_is_checked_too(
    internet: Internet, to: str
) -> None:
    internet.answers["files.example/"] = redirect(to)
    assert await refusal(HERE)
    assert internet.connections == [(PUBLIC, 80)]


async def test_every_hop_is_checked(internet: Internet) -> None:
    internet.answers |= {
        "files.example/": redirect("/next"),
        "files.example/next": redirect("http://inside.example/"),
    }
    assert NOT_PUBLIC in await refusal(HERE)
    assert internet.connections == [(PUBLIC, 80)] * 2


async def test_a_name_that_moves_inside_after_the_check_changes_nothing(
    internet: Internet,
) -> None:
    internet.names["moves.example"] = [[PUBLIC], ["127.0.0.1"]]
    internet.answers["moves.example/"] = ok(b"public")
    assert await load("http://moves.example/") == b"public"
    assert internet.connections == [(PUBLIC, 80)]


async def test_a_name_that_moves_inside_between_hops_is_refused(internet: Internet) -> None:
    internet.names["moves.example"] = [[PUBLIC], ["169.254.169.254"]]
    internet.answers["moves.example/"] = redirect("/again")
    assert NOT_PUBLIC in await refusal("http://moves.example/")
    assert internet.connections == [(PUBLIC, 80)]


async def test_an_inner_name_looks_like_one_that_does_not_exist(internet: Internet) -> None:
    assert await refusal("http://inside.example/") == await refusal("http://unknown.example/")


async def test_one_url_that_is_refused_by_its_look_stops_all(internet: Internet) -> None:
    internet.answers["files.example/"] = ok(b"public")
    with pytest.raises(InvalidRequestError, match=r"media\.1\.data"):
        await UrlMediaLoader().load({FIELD: HERE, "media.1.data": "ftp://files.example/"})
    assert internet.connections == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_stands_between_the_check_and_the_connection(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://10.9.9.9:3128")
    internet.answers["files.example/"] = ok(b"public")
    assert await load(HERE) == b"public"
    assert internet.connections == [(PUBLIC, 80)]


async def test_a_request_carries_the_name_and_neither_cookies_nor_credentials(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    internet.answers |= {
        "files.example/": redirect("/a/b;v=1?q=%20#part"),
        "files.example/a/b;v=1?q=%20": ok(b"public"),
    }
    assert await load(HERE) == b"public"
    names = {line.partition(":")[0].lower() for line in "\n".join(internet.requests).splitlines()}
    assert names >= {"host", "user-agent"}
    assert not names & {"cookie", "authorization", "proxy-authorization", "referer"}


async def test_tls_is_to_the_name_although_the_connection_is_to_its_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path, "files.example")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)
    internet = Internet(NAMES | {"other.example": [[PUBLIC]]}, {"files.example/": ok(b"secret")})
    async with internet.opened(server):
        assert await refusal("https://files.example/") == "could not be downloaded"
        monkeypatch.setattr(public_download, "_TRUSTED", trusting)
        assert await load("https://files.example/") == b"secret"
        assert await refusal("https://other.example/") == "could not be downloaded"
    assert internet.connections == [(PUBLIC, 443)] * 3
    assert len(internet.requests) == 1


TEXT = st.text(max_size=12) | st.text("azAZ019.:/@#?%[]\\-_~", max_size=20)
HOSTS = st.one_of(
    st.sampled_from([*ADDRESSES, *OTHER_NOTATIONS, *HOST_NAMES]),
    st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip)),
    st.ip_addresses(network="127.0.0.0/8").map(str),
    st.ip_addresses(network="169.254.0.0/16").map(lambda ip: f"{int(ip):#x}"),
    st.ip_addresses(network="::ffff:10.0.0.0/104").map(lambda ip: f"[{ip}]"),
    TEXT,
)
URLS = st.one_of(
    TEXT.map(lambda text: f"http:{text}"),
    st.builds(
        "{}://{}{}{}/{}".format,
        st.sampled_from(["http", "https", "HTTP", "ftp", "file"]),
        st.sampled_from(["", "", "", "@", "user@", "files.example\\@", "files.example#@"]),
        HOSTS,
        st.sampled_from(["", "", ":80", ":443", ":22", ":", ":-1"]),
        TEXT,
    ),
)


@settings(max_examples=300, deadline=None)
@given(URLS)
def test_no_url_whatever_leads_to_an_address_that_is_not_global(url: str) -> None:
    internet = Internet({name: [*answers] for name, answers in NAMES.items()})

    async def attempt() -> str:
        async with internet.opened():
            return await refusal(url)

    assert asyncio.run(attempt())
    assert all(ip_address(address).is_global for address, _ in internet.connections)
    assert all(port in (80, 443) for _, port in internet.connections)
