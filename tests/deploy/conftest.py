"""Everything that `deploy/` needs beside it, made as its own script makes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.composed import DEPLOY
from tests.guards.ledger.conftest import postgresql as postgresql


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, with secrets and two accounts."""
    folder = tmp_path_factory.mktemp("original") / "deploy"
    shutil.copytree(DEPLOY, folder, ignore=shutil.ignore_patterns("secrets", "accounts", ".env"))
    subprocess.run([folder / "secrets.sh"], check=True, capture_output=True)
    accounts = folder / "accounts"
    accounts.mkdir(mode=0o700)
    shutil.copy(folder / "accounts.example.toml", accounts / "accounts.toml")
    for name in ("acme", "zenith"):
        (accounts / f"{name}.password").write_text(f"secret of {name}\n")
        (accounts / f"{name}.password").chmod(0o600)
    return folder


@pytest.fixture
def prepared(original: Path, tmp_path: Path) -> Path:
    """The same, to be changed by one test."""
    return Path(shutil.copytree(original, tmp_path / "deploy"))
