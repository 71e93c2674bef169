"""The companies of these tests."""

from __future__ import annotations

from tests.replicas.firms import Firm

ACME = Firm(account="acme", user="fx-api", password="pw-Zinc-4411", mark="kestrel", invoices=235, seed=21)
BIRCH = Firm(account="birch", user="birch_bot", password="pw-Jade-6633", mark="osprey", invoices=3, seed=22)
