"""The page that a person reads: what it says, to whom it listens, and that nobody else writes on it."""

from __future__ import annotations

import base64
import hashlib
import re

import httpx2
import pytest

from tests.issuer.world import REDIRECT, Page, World, world

HOSTILE = (
    "<script>alert(1)</script>",
    '"><form action=https://evil.example><input name=code>',
    "</title></style><img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; <!-- -->",
    "Finexio Official' onmouseover='x",
    "{name} {{7*7}} %s $name",
)


async def shown(server: World, **metadata: object) -> httpx2.Response:
    """The consent page of a new client."""
    registered = await server.register(**metadata)
    begun = await server.begin(registered["client_id"], redirect_uri=registered["redirect_uris"][0])
    return await server.http.get(begun.headers["location"])


def policy_of(answer: httpx2.Response) -> dict[str, str]:
    """The page's policy, by directive."""
    parts = [part.strip() for part in answer.headers["content-security-policy"].split(";")]
    return {part.split(" ")[0]: part.partition(" ")[2] for part in parts}


async def test_the_page_says_who_asks_for_what_and_where_the_code_comes_from() -> None:
    """Ours: in words, with the place prominent and the name as what it is, a stranger's claim."""
    async with world() as server:
        page = Page((await shown(server)).text)

        assert "client.example" in page.text
        assert "Robot" in page.text
        assert "nobody has checked this name" in page.text
        assert "finexio-mcp tokens invite" in page.text
        assert page.offered == ["read", "write", "pay"]
        assert page.fields["access"] == "pay"
        assert "trial system: no real money" in page.text
        assert [each.get("value") for each in page.all("button")] == ["allow", "deny"]


async def test_the_page_says_when_money_is_real() -> None:
    """Ours: where it is, that is said; where it is not, that is."""
    async with world(FINEXIO_ENVIRONMENT="production", FINEXIO_MCP_ACCESS="pay") as server:
        text = Page((await shown(server)).text).text

        assert "real money, which cannot be taken back" in text
        assert "trial" not in text


@pytest.mark.parametrize(
    ("uri", "place", "words"),
    [
        (REDIRECT, "client.example", "this website"),
        ("https://client.example:8443/cb", "client.example:8443", "this website"),
        ("http://127.0.0.1:4100/cb", "127.0.0.1:4100", "a program on this computer"),
        ("http://[::1]:4100/cb", "[::1]:4100", "a program on this computer"),
        ("com.example.app:/cb", "com.example.app", "the app on this device"),
        ("https://xn--bcher-kva.example/cb", "xn--bcher-kva.example", "this website"),
    ],
)
async def test_the_place_is_named_as_what_it_is(uri: str, place: str, words: str) -> None:
    """Ours: a look-alike of a known name is shown in the form in which it cannot be mistaken."""
    async with world() as server:
        answer = await shown(server, redirect_uris=[uri])
        page = Page(answer.text)

        assert f'<dd class="place">{place}</dd>' in answer.text
        assert words in page.text


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_only_text(name: str) -> None:
    """Ours: not one tag or attribute more than with any other name."""
    async with world() as server:
        usual, hostile = await shown(server), await shown(server, client_name=name)
        tags = [[(tag, sorted(attributes)) for tag, attributes in Page(each.text).tags] for each in (usual, hostile)]

        assert tags[0] == tags[1]
        assert " ".join(name.split()) in Page(hostile.text).text
        assert policy_of(usual) == policy_of(hostile)


async def test_what_was_typed_and_asked_is_not_repeated() -> None:
    """Ours: a code that did not work may be one with a slip, and state is the client's own."""
    async with world() as server:
        typed = '"><script>code</script>'
        page = await server.page((await server.register())["client_id"], state='"><script>state</script>')
        answer = await server.answer(page, code=typed)
        again = Page(answer.text)

        assert answer.status_code == 400
        assert "script" not in answer.text
        assert again.fields["code"] == ""
        assert again.fields["access"] == page.fields["access"]


async def test_a_choice_is_kept_when_the_code_was_wrong() -> None:
    """Ours: whoever chose less does not allow more by trying again."""
    async with world() as server:
        page = await server.page((await server.register())["client_id"])
        answer = await server.answer(page, code="aaaa-bbbb-cccc-dddd", access="read")

        assert Page(answer.text).fields["access"] == "read"


async def test_the_page_runs_nothing_and_loads_nothing() -> None:
    """Ours: no script, no picture, no frame; a style that is in the page, and a form that leads to us and then back."""
    async with world() as server:
        answer = await shown(server)
        page, policy = Page(answer.text), policy_of(answer)

        assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "link", "object", "embed", "base", "a"}
        assert not [
            name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"
        ]
        style = re.search("<style>(.*?)</style>", answer.text, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert policy == {
            "default-src": "'none'",
            "style-src": f"'sha256-{digest}'",
            "form-action": "'self' https:",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }


@pytest.mark.parametrize(
    ("uri", "schemes"),
    [
        (REDIRECT, "https:"),
        ("http://localhost:4100/cb", "https: http:"),
        ("com.example.app:/cb", "https: com.example.app:"),
    ],
)
async def test_the_form_may_lead_to_the_place_and_on(uri: str, schemes: str) -> None:
    """Ours: browsers judge by this where the answer to the form may send them, at every step."""
    async with world() as server:
        assert policy_of(await shown(server, redirect_uris=[uri]))["form-action"] == f"'self' {schemes}"


async def test_every_page_keeps_to_itself() -> None:
    """Ours: kept by nobody, framed by nobody, and its address told to nobody else."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        page = await server.page(client_id)
        pages = [
            await shown(server),
            await server.answer(page, code="aaaa-bbbb-cccc-dddd"),
            await server.answer(page, headers={}, code="x"),
            await server.begin("nobody"),
            await server.begin(client_id, response_type="token"),
            await server.http.get("/consent"),
            await server.http.get("/consent", params={"request": "x"}),
        ]

        assert [answer.status_code for answer in pages] == [200, 400, 403, 400, 400, 400, 400]
        for answer in pages:
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            # With `no-referrer`, browsers would send the form with the origin `null`, which we do not take.
            assert answer.headers["referrer-policy"] == "same-origin"
            assert policy_of(answer)["frame-ancestors"] == "'none'"


async def test_the_link_back_says_nothing_of_its_own_and_runs_nothing() -> None:
    """Ours: what the client put into its address and its state stays text; the page's own policy holds here too."""
    uri = "https://client.example/cb?a='onclick=alert(1)&amp;b=%22%3E"
    async with world() as server:
        client_id = (await server.register(redirect_uris=[uri]))["client_id"]
        answer = await server.begin(client_id, redirect_uri=uri, response_type="token", state='"><script>x</script>')
        page = Page(answer.text)

        (link,) = page.all("a")
        assert link.keys() == {"href", "rel"}
        assert str(link["href"]).startswith(f"{uri}&error=unsupported_response_type&")
        assert not {tag for tag, _ in page.tags} & {"script", "form", "img", "iframe", "base"}
        assert "alert" not in page.text
        assert policy_of(answer)["default-src"] == policy_of(answer)["form-action"] == "'none'"
        assert link["rel"] == "noreferrer"


async def test_the_page_can_be_used_without_seeing_it() -> None:
    """Ours: a language, a title, a heading; each field has a label, and what went wrong is announced with it."""
    async with world() as server:
        answer = await server.answer(
            await server.page((await server.register())["client_id"]), code="aaaa-bbbb-cccc-dddd"
        )
        page = Page(answer.text)

        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("title")) == len(page.all("h1")) == len(page.all("legend")) == 1
        ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        (typed,) = [each for each in page.all("input") if each.get("type") == "text"]
        assert typed["id"] in {each.get("for") for each in page.all("label")}
        assert set(str(typed["aria-describedby"]).split()) <= set(ids)
        assert typed["aria-invalid"] == "true"
        assert {"class": "alert", "role": "alert", "id": "problem"} in page.all("p")
        _, deny = page.all("button")
        assert "formnovalidate" in deny
