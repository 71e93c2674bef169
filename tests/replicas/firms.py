"""Companies with books in which every value says whose it is, and what each request to Finexio was signed with."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finexio_mcp.simulator import Companies, Received, Simulator
from finexio_mcp.simulator.reachable import Exchange
from tests.calls import TODAY

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Firm:
    """A company at Finexio, and the account that leads to it."""

    account: str
    user: str
    password: str
    mark: str
    """A word that is in every value of its books, and nowhere else."""
    invoices: int = 0
    """How many it has from before."""
    seed: int = 1

    @property
    def buyer(self) -> str:
        return f"{self.mark}-buyer"

    @property
    def supplier(self) -> str:
        return f"{self.mark}-supplier"

    def old_invoice(self, number: int) -> str:
        """The id of one from before."""
        return f"{self.mark}-invoice-{number:03}"

    @property
    def payment(self) -> str:
        return f"{self.mark}-payment"

    @property
    def drawdown(self) -> str:
        return f"{self.mark}-drawdown"

    @property
    def webhook(self) -> str:
        return f"{self.mark}-hook"

    def order(self, number: str, cents: int, **fields: Any) -> dict[str, Any]:
        """An invoice of this company to be paid."""
        return {
            "invoice_number": f"{self.mark.upper()}-{number}",
            "amount_cents": cents,
            "invoice_date": TODAY,
            "originating_counterparty_id": self.buyer,
            "receiving_counterparty_id": self.supplier,
            **fields,
        }

    def books(self) -> Simulator:
        """Its books at Finexio."""
        sim = Simulator(seed=self.seed, populated=False, username=self.user, password=self.password)
        sim.add_buyer(self.buyer, name=f"{self.mark} stores", external_reference_id=f"{self.mark}-store")
        sim.add_supplier(self.supplier, name=f"{self.mark} paper", external_reference_id=f"{self.mark}-paper")
        contact: dict[str, Any] = {"name": f"{self.mark} rae", "email": f"rae@{self.mark}.example"}
        sim.add_contact(
            self.supplier, id=f"{self.mark}-contact", external_reference_id=f"{self.mark}-ap", primary=True, **contact
        )
        parties = {"originating_counterparty_id": self.buyer, "receiving_counterparty_id": self.supplier}
        for number in range(self.invoices):
            about = {"invoice_number": f"{self.mark}-old-{number}", "note": f"for {self.mark}", "status": "complete"}
            sim.add_invoice(self.old_invoice(number), amount_cents=500_00 + number, **about, **parties)
        if self.invoices:
            sim.add_payment(self.payment, invoice_ids=[self.old_invoice(0)], status="settled")
            sim.add_drawdown(self.drawdown, payments=[self.payment])
        sim.add_history(object_id=self.supplier)
        sim.add_webhook(
            self.webhook, url=f"https://hooks.{self.mark}.example/in", username=self.mark, password=f"{self.mark}-word"
        )
        sim.journal.clear()
        return sim

    def secrets(self) -> list[str]:
        """What nobody is ever told."""
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [self.password, basic]


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A complete request, as it reached Finexio."""

    user: str | None
    password: str | None
    method: str
    path: str
    text: str
    """Address and body."""
    body: Any
    at: float
    """By this machine's clock, which only goes on."""


class Watched(Companies):
    """A pretend Finexio that remembers with what each request was signed, the password included."""

    def __init__(self, firms: Iterable[Firm]) -> None:
        super().__init__({firm.account: firm.books() for firm in firms})
        self.signed: list[Signed] = []

    def receive(self, request: Received) -> Exchange:
        if request.path.startswith("/v2"):
            user, password = request.credentials or (None, None)
            text = f"{request.path}?{request.query_string} {request.body.decode()}"
            self.signed.append(
                Signed(
                    user=user,
                    password=password,
                    method=request.method,
                    path=request.path,
                    text=text,
                    body=request.json,
                    at=time.monotonic(),
                )
            )
        return super().receive(request)

    def posts(self, number: str | None = None) -> list[Signed]:
        """The invoice batches that came; only those with this invoice in them."""
        batches = [one for one in list(self.signed) if one.method == "POST" and one.path.endswith("/invoices/batch/")]
        if number is None:
            return batches
        return [one for one in batches if any(row["invoice_number"] == number for row in one.body)]


# Whose a text is -----------------------------------------------------------------


class Owners:
    """Tells by any piece of text which companies it speaks of."""

    def __init__(self, firms: Sequence[Firm], upstream: Mapping[str, Simulator]) -> None:
        self._firms, self._upstream = firms, upstream
        self._ids: dict[str, str] = {}

    def learn(self) -> None:
        """The ids that Finexio has given out by now."""
        for firm in self._firms:
            sim = self._upstream[firm.account]
            books: tuple[Mapping[str, Any], ...] = (sim.invoices, sim.payments, sim.suppliers, sim.buyers)
            found = [*UUID.findall(str([*books, sim.webhooks, sim.drawdowns])), *UUID.findall(str(sim.history))]
            found += UUID.findall(str([sim.suppliers, sim.buyers]))
            for id_ in found:
                assert self._ids.setdefault(id_, firm.account) == firm.account

    def by_books(self, text: str) -> set[str]:
        """Accounts whose books a text shows something of."""
        text = text.lower()
        marked = {firm.account for firm in self._firms if firm.mark in text}
        return marked | {self._ids[id_] for id_ in UUID.findall(text) if id_ in self._ids}

    def by_name(self, text: str) -> set[str]:
        """Accounts that a text names, by their names or by their users at Finexio."""
        return {firm.account for firm in self._firms if any(names(text, word) for word in (firm.account, firm.user))}

    def named(self, text: str) -> set[str]:
        """Both."""
        return self.by_books(text) | self.by_name(text)

    def secrets_in(self, text: str) -> list[str]:
        """The secrets of any company that a text holds."""
        return [secret for firm in self._firms for secret in firm.secrets() if secret in text]


def names(text: str, word: str) -> bool:
    """Whether a word stands in a text by itself; `acme` does not stand in `acme-west`."""
    return re.search(rf"(?<![A-Za-z0-9_-]){re.escape(word)}(?![A-Za-z0-9_-])", text) is not None


# What the operator writes ----------------------------------------------------------


def write(path: Path, text: str) -> Path:
    """A file that is there at once or not at all, as an editor saves it."""
    aside = path.with_suffix(f"{path.suffix}.new")
    aside.write_text(text, encoding="utf-8")
    aside.chmod(0o600)
    return aside.replace(path)


def keep_password(directory: Path, firm: Firm) -> Path:
    """The file that the password of its user is read from."""
    return write(directory / f"{firm.user}.password", f"{firm.password}\n")


def accounts_file(
    directory: Path, firms: Iterable[Firm], *, limits: Mapping[str, Mapping[str, Any]] | None = None
) -> Path:
    """`accounts.toml` for these companies, and a file with each password."""
    tables: list[str] = []
    for firm in firms:
        file = keep_password(directory, firm)
        lines = [f"[accounts.{firm.account}]", f'username = "{firm.user}"', f'password_file = "{file}"']
        lines += [f"{name} = {value}" for name, value in (limits or {}).get(firm.account, {}).items()]
        tables.append("\n".join(lines))
    return write(directory / "accounts.toml", "\n\n".join(tables) + "\n")
