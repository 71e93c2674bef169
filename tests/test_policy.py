"""What the operator allows: levels of access, limits on money, and where webhooks may point to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finexio_mcp.catalog import read
from tests.calls import (
    CREATE_WEBHOOK,
    EVERY_TOOL,
    OWN,
    PATCH_WEBHOOK,
    PAY,
    READS,
    REPLACE_WEBHOOK,
    WEBHOOK,
    WRITES,
    Arguments,
    Content,
    ask,
    changes,
    invoice,
    office,
    office_for,
)
from tests.conftest import ERAS, Era, connect

pytestmark = pytest.mark.parametrize("era", ERAS)

PRODUCTION = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_USERNAME": "demo", "FINEXIO_PASSWORD": "demo"}
EVERYTHING: dict[str, Arguments] = {**READS, **WRITES}


async def refused(tool: str, arguments: Arguments, era: Era, **settings: Any) -> Content:
    """What a call is answered that must not reach Finexio."""
    sim = office_for(tool)
    async with connect(sim, era, **settings) as client:
        content = await ask(client, tool, arguments)
    assert sim.journal.requests == []
    assert content["error"]["may_have_happened"] is False
    return content


# Access --------------------------------------------------------------------------

LEVELS = {
    "read": {*READS, *OWN},
    "write": {*READS, *OWN, *WRITES} - {PAY},
    "pay": {*READS, *OWN, *WRITES},
}
CORE = [name for name, listed in read().items() if listed.toolset == "core"]


@pytest.mark.parametrize("level", LEVELS)
async def test_tools_above_the_level_are_neither_listed_nor_run(level: str, era: Era) -> None:
    """Ours: read, then master data and webhooks, then payments; a refusal names the setting and what it would need."""
    sim = office()

    async with connect(sim, era, **EVERY_TOOL, FINEXIO_MCP_ACCESS=level) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        denied = {tool: await ask(client, tool, EVERYTHING[tool]) for tool in EVERYTHING if tool not in LEVELS[level]}

    assert listed == LEVELS[level]
    assert sim.journal.requests == []
    for tool, content in denied.items():
        assert content["error"]["code"] == "access_denied"
        assert content["status"] == "refused_by_policy"
        assert f"FINEXIO_MCP_ACCESS={'pay' if tool == PAY else 'write'}" in content["error"]["message"]


async def test_production_reads_only_until_the_operator_says_more(era: Era) -> None:
    """Ours: unset means `read` where money is real."""
    async with connect(office(), era, **PRODUCTION) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
    content = await refused(PAY, WRITES[PAY], era, **PRODUCTION)

    assert listed == LEVELS["read"] & set(CORE)
    assert content["error"]["code"] == "access_denied"


@pytest.mark.parametrize("environment", ["sandbox", "simulator"])
async def test_no_other_name_makes_the_production_address_harmless(environment: str, era: Era) -> None:
    """Ours: of the environment's name and the address, the stricter holds."""
    disguised = {
        "FINEXIO_ENVIRONMENT": environment,
        "FINEXIO_BASE_URL": "https://API.finexio.com/v2",
        "FINEXIO_USERNAME": "demo",
        "FINEXIO_PASSWORD": "demo",
    }

    unset = await refused(PAY, WRITES[PAY], era, **disguised)
    hooked = await refused(CREATE_WEBHOOK, WRITES[CREATE_WEBHOOK], era, **disguised, FINEXIO_MCP_ACCESS="pay")

    assert unset["error"]["code"] == "access_denied"
    assert hooked["error"]["code"] == "refused_by_policy"


async def test_a_choice_of_tools_holds_for_the_list_and_for_calls(era: Era) -> None:
    """Ours: what is not offered is not run, and the refusal names the setting."""
    chosen = "list_all_finexio_invoices, list_all_finexio_payments"

    async with connect(office(), era, FINEXIO_MCP_TOOLS=chosen) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
    content = await refused(PAY, WRITES[PAY], era, FINEXIO_MCP_TOOLS=chosen)

    assert listed == ["list_all_finexio_invoices", "list_all_finexio_payments"]
    assert content["error"]["code"] == "access_denied"
    assert "FINEXIO_MCP_TOOLS" in content["error"]["message"]


async def names_of(era: Era, toolsets: str) -> dict[str, str]:
    """What these toolsets list, each entry to the letter."""
    async with connect(office(), era, FINEXIO_MCP_TOOLSETS=toolsets) as client:
        return {tool.name: tool.model_dump_json() for tool in (await client.list_tools()).tools}


async def test_the_list_keeps_the_registrys_order(era: Era) -> None:
    """Ours: the same settings give the same list, byte for byte, in whatever order they are written."""
    first = await names_of(era, "core,suppliers,buyers,ledger,chatgpt")
    second = await names_of(era, "chatgpt, ledger, buyers,core, suppliers")

    assert list(first) == list(second) == list(read())
    assert first == second


async def test_the_26_are_listed_alone_unless_the_operator_asks_for_more(era: Era) -> None:
    """Ours: whoever upgrades finds the list that they had."""
    async with connect(office(), era) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]

    assert listed == CORE
    assert len(listed) == 26


@pytest.mark.parametrize("toolset", ["core", "suppliers", "buyers", "ledger", "chatgpt"])
async def test_an_entry_is_the_same_whatever_else_is_listed(toolset: str, era: Era) -> None:
    """Ours: a prompt cache that begins with the list is not thrown away for a tool behind it."""
    alone, all_of_them = await names_of(era, toolset), await names_of(era, "core,suppliers,buyers,ledger,chatgpt")

    assert alone
    assert alone.items() <= all_of_them.items()
    assert [name for name in all_of_them if name in alone] == list(alone)


@pytest.mark.parametrize("toolset", ["core", "suppliers", "buyers", "chatgpt"])
async def test_a_tool_of_a_toolset_that_is_off_is_refused_and_the_setting_is_named(toolset: str, era: Era) -> None:
    """Ours: not an unknown tool, and nothing reaches Finexio; the model can tell its user what to ask for."""
    sim = office()
    off = [name for name, listed in read().items() if listed.toolset == toolset]
    others = ",".join({"core", "suppliers", "buyers", "ledger", "chatgpt"} - {toolset})

    async with connect(sim, era, FINEXIO_MCP_TOOLSETS=others) as client:
        denied = {tool: await ask(client, tool, EVERYTHING[tool]) for tool in off}

    assert sim.journal.requests == []
    for tool, content in denied.items():
        assert content["error"]["code"] == "access_denied"
        assert f"add {toolset} to FINEXIO_MCP_TOOLSETS" in content["error"]["message"]
        assert content["error"]["may_have_happened"] is False
        assert content.get("status") == ("refused_by_policy" if tool in WRITES else None)


# Money ---------------------------------------------------------------------------


async def test_production_pays_once_granted_and_only_onto_the_record(era: Era) -> None:
    """Ours: a repeated call is answered out of the ledger, which outlives the process."""
    sim = office()

    async with connect(sim, era, **PRODUCTION, FINEXIO_MCP_ACCESS="pay") as client:
        first = await ask(client, PAY, WRITES[PAY])
    async with connect(sim, era, **PRODUCTION, FINEXIO_MCP_ACCESS="pay") as client:
        second = await ask(client, PAY, WRITES[PAY])

    assert (first["status"], second["status"]) == ("confirmed", "already_submitted")
    assert second["result"][0]["id"] == first["result"][0]["id"]
    assert len(changes(sim)) == 1


async def test_production_pays_nothing_that_it_cannot_record(
    era: Era, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: without a durable ledger a repeated call could pay twice, so nothing is sent; reads go on."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "no_directory"))
    (tmp_path / "no_directory").write_text("")
    sim = office()

    async with connect(sim, era, **EVERY_TOOL, **PRODUCTION, FINEXIO_MCP_ACCESS="pay") as client:
        contents = {tool: await ask(client, tool, WRITES[tool]) for tool in WRITES if "webhook" not in tool}
        read = await ask(client, "list_all_finexio_invoices")

    told = {(content["status"], content["error"]["code"]) for content in contents.values()}
    assert told == {("ledger_unavailable", "ledger_unavailable")}
    assert changes(sim) == []
    assert "error" not in read


@pytest.mark.parametrize("tool", [tool for tool in WRITES if tool != PAY and "webhook" not in tool])
async def test_other_writes_are_open_in_production_once_granted(tool: str, era: Era) -> None:
    """Ours: `write` is enough for master data."""
    async with connect(office(), era, **EVERY_TOOL, **PRODUCTION, FINEXIO_MCP_ACCESS="write") as client:
        content = await ask(client, tool, WRITES[tool])

    assert content["status"] == "confirmed"


async def test_an_invoice_over_the_limit_is_refused_by_its_place(era: Era) -> None:
    """Ours: each invoice over the limit is named; its amount is not, and splitting is not suggested."""
    batch = [invoice("A-1", 100_00), invoice("A-2", 100_01), invoice("A-3", 999_99)]

    content = await refused(PAY, {"invoices": batch}, era, FINEXIO_MCP_MAX_INVOICE_CENTS=100_00)

    assert content["status"] == content["error"]["code"] == "refused_by_policy"
    assert [problem["field"] for problem in content["error"]["fields"]] == [
        "invoices[1].amount_cents",
        "invoices[2].amount_cents",
    ]
    assert "FINEXIO_MCP_MAX_INVOICE_CENTS" in content["error"]["message"]
    assert "Do not split" in content["error"]["message"]
    assert [row["invoice_number"] for row in content["result"]] == ["A-1", "A-2", "A-3"]


async def test_with_an_accounts_file_a_refusal_names_the_key_that_may_stand_there_too(era: Era, tmp_path: Path) -> None:
    """Ours: the operator is not sent to a setting that is unset, and the account is not named."""
    password, file = tmp_path / "password", tmp_path / "accounts.toml"
    password.write_text("demo")
    limits = "max_invoice_cents = 50000\nmax_batch_cents = 60000\nwebhook_hosts = ['elsewhere.example']"
    file.write_text(f"[accounts.acme]\nusername = 'demo'\npassword_file = '{password}'\n{limits}\n")
    acme = {"FINEXIO_MCP_ACCOUNTS_FILE": str(file), "FINEXIO_MCP_ACCOUNT": "acme"}

    one = await refused(PAY, {"invoices": [invoice("A-1", 500_01)]}, era, **acme)
    batch = await refused(PAY, {"invoices": [invoice("A-1", 400_00), invoice("A-2", 300_00)]}, era, **acme)
    hook = await refused(CREATE_WEBHOOK, WRITES[CREATE_WEBHOOK], era, **acme)

    assert "500" in one["error"]["message"]
    assert "(FINEXIO_MCP_MAX_INVOICE_CENTS, or max_invoice_cents of the account)" in one["error"]["message"]
    assert "(FINEXIO_MCP_MAX_BATCH_CENTS, or max_batch_cents of the account)" in batch["error"]["message"]
    assert "FINEXIO_MCP_WEBHOOK_HOSTS, or webhook_hosts of the account" in hook["error"]["fields"][0]["problem"]
    assert "accounts.acme" not in str([one, batch, hook])


async def test_a_batch_over_the_limit_is_refused_and_one_at_the_limit_is_not(era: Era) -> None:
    """Ours: the sum of all rows counts."""
    batch = [invoice(f"A-{number}", 60_00) for number in range(5)]

    over = await refused(PAY, {"invoices": batch}, era, FINEXIO_MCP_MAX_BATCH_CENTS=299_99)
    async with connect(
        office(), era, FINEXIO_MCP_MAX_BATCH_CENTS=300_00, FINEXIO_MCP_MAX_INVOICE_CENTS=60_00
    ) as client:
        at = await ask(client, PAY, {"invoices": batch})

    assert over["error"]["code"] == "refused_by_policy"
    assert "FINEXIO_MCP_MAX_BATCH_CENTS" in over["error"]["message"]
    assert at["status"] == "confirmed"


@pytest.mark.parametrize("amount", [1e12, "1", True, 10.0, -1, 0])
async def test_no_odd_amount_slips_under_a_limit(amount: Any, era: Era) -> None:
    """Ours: an amount is a whole number of cents before any limit is looked at."""
    content = await refused(PAY, {"invoices": [invoice(amount_cents=amount)]}, era, FINEXIO_MCP_MAX_INVOICE_CENTS=5)

    assert content["error"]["code"] == "invalid_arguments"


# Webhooks ------------------------------------------------------------------------

LISTED = {"FINEXIO_MCP_WEBHOOK_HOSTS": "hooks.acme.example, Hooks.Other.Example"}

NEVER = [
    "https://user@hooks.acme.example/fx",
    "https://user:pass@hooks.acme.example/fx",
    "https://hooks.acme.example@evil.example/fx",
    "https://evil.example\\@hooks.acme.example/fx",
    "https://hooks.acme.example\\.evil.example/fx",
    "http://hooks.acme.example/fx",
    "https://hooks.acme.example:99999/fx",
    "https://[::1/fx",
    "https://höoks.acme.example/fx",
    "https://hooks.acme.example/\u202e",
]
NOT_LISTED = [
    "https://evil.example/fx",
    "https://hooks.acme.example.evil.example/fx",
    "https://evil.example/hooks.acme.example",
    "https://evil.example?hooks.acme.example",
    "https://evil.example#hooks.acme.example",
    "https://acme.example/fx",
    "https://127.0.0.1/fx",
    "https://xhooks.acme.example/fx",
]
ALLOWED = [
    "https://hooks.acme.example/fx",
    "https://hooks.acme.example./fx",
    "https://HOOKS.acme.example:8443/fx?x=1",
    "https://hooks.other.example/",
]


async def test_webhooks_go_only_to_hosts_that_the_operator_lists(era: Era) -> None:
    """Ours: parsers disagree on odd addresses, so there are none; userinfo never hides the host."""
    sim = office()

    async with connect(sim, era, **LISTED) as client:
        kept_out = {url: await ask(client, PATCH_WEBHOOK, id=WEBHOOK, url=url) for url in [*NEVER, *NOT_LISTED]}
        assert sim.journal.requests == []
        let_in = [await ask(client, PATCH_WEBHOOK, id=WEBHOOK, url=url) for url in ALLOWED]

    codes = {url: content["error"]["code"] for url, content in kept_out.items()}
    assert {codes[url] for url in NOT_LISTED} == {"refused_by_policy"}
    assert {codes[url] for url in NEVER} <= {"refused_by_policy", "invalid_arguments"}
    assert [content["status"] for content in let_in] == ["confirmed"] * len(ALLOWED)
    assert "evil" not in str([content["error"] for content in kept_out.values()])


@pytest.mark.parametrize("tool", [CREATE_WEBHOOK, REPLACE_WEBHOOK, PATCH_WEBHOOK])
async def test_every_tool_that_sets_an_address_keeps_the_rule(tool: str, era: Era) -> None:
    """Ours: payment data leaves to that address, whichever way it was set."""
    content = await refused(tool, {**WRITES[tool], "url": "https://evil.example/fx"}, era, **LISTED)

    assert (content["status"], content["error"]["code"]) == ("refused_by_policy", "refused_by_policy")
    assert content["error"]["fields"][0]["field"] == "url"
    assert "FINEXIO_MCP_WEBHOOK_HOSTS" in content["error"]["fields"][0]["problem"]


@pytest.mark.parametrize("tool", [CREATE_WEBHOOK, REPLACE_WEBHOOK])
async def test_in_production_an_unset_list_of_hosts_allows_none(tool: str, era: Era) -> None:
    """Ours: the operator has to name hosts before payment data may leave."""
    content = await refused(tool, WRITES[tool], era, **PRODUCTION, FINEXIO_MCP_ACCESS="write")

    assert content["error"]["code"] == "refused_by_policy"
    assert "FINEXIO_MCP_WEBHOOK_HOSTS" in content["error"]["fields"][0]["problem"]


async def test_elsewhere_an_unset_list_allows_https_and_this_machine(era: Era) -> None:
    """Ours: a listener can be tried out; plain http leaves the machine nowhere."""
    open_to = ["https://anything.example/fx", "http://localhost:8080/fx", "http://127.0.0.1/fx", "http://[::1]:1/fx"]
    closed_to = ["http://anything.example/fx", "https://u:p@anything.example/", "http://localhost.evil.example/"]

    async with connect(office(), era) as client:
        let_in = [await ask(client, PATCH_WEBHOOK, id=WEBHOOK, url=url) for url in open_to]
        kept_out = [await ask(client, PATCH_WEBHOOK, id=WEBHOOK, url=url) for url in closed_to]

    assert [content["status"] for content in let_in] == ["confirmed"] * 4
    # Plain http is a slip that the caller can mend; a user in the address never is one.
    codes = [content["error"]["code"] for content in kept_out]
    assert codes == ["invalid_arguments", "refused_by_policy", "invalid_arguments"]


async def test_a_change_without_an_address_has_to_name_it_where_hosts_are_listed(era: Era) -> None:
    """Ours: it would send more to the stored address, wherever that is."""
    sim = office()

    async with connect(sim, era, FINEXIO_MCP_WEBHOOK_HOSTS="elsewhere.example") as client:
        content = await ask(client, PATCH_WEBHOOK, id=WEBHOOK, all_payment_details=True)

    assert content["status"] == "refused_by_policy"
    assert "FINEXIO_MCP_WEBHOOK_HOSTS" in content["error"]["fields"][0]["problem"]
    assert changes(sim) == []


async def test_production_without_a_list_of_hosts_changes_no_webhook(era: Era) -> None:
    """Ours: an unset list refuses every webhook write that sends data, whatever it changes."""
    settings = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_MCP_ACCESS": "write", "FINEXIO_USERNAME": "u"}
    sim = office()

    async with connect(sim, era, **settings, FINEXIO_PASSWORD="Robot-Password-1") as client:
        content = await ask(client, PATCH_WEBHOOK, id=WEBHOOK, all_payment_details=True)

    assert content["status"] == "refused_by_policy"
    assert changes(sim) == []
