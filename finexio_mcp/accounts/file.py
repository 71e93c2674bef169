"""What stands in `accounts.toml`, checked to the last key. What is wrong is told without repeating a value."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from finexio_mcp.accounts.account import NAME_RULE, Account, Login, is_account_name
from finexio_mcp.accounts.keyrings import Keyring
from finexio_mcp.accounts.logins import FileLogin, KeyringLogin, VariableLogin
from finexio_mcp.settings import (
    NAMES,
    SettingProblem,
    Settings,
    SettingsError,
    describe,
)

FILE = NAMES["accounts_file"]
ACCOUNTS = "accounts"
REFERENCES = ("password_file", "password_env", "password_keyring")
LIMITS = ("rate", "rate_burst", "max_invoice_cents", "max_batch_cents", "max_day_cents", "webhook_hosts")
"""Settings that an account may have values of its own for."""
KEYS = ("username", *REFERENCES, *LIMITS)

MAX_PROBLEMS = 20
PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
PLACE = re.compile(r"at line (\d+), column (\d+)\)\Z")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
OF_SETTINGS = "FINEXIO_"
LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,400}")


class _References(BaseModel):
    """The keys that are texts."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    username: str
    password_file: str | None = None
    password_env: str | None = None
    password_keyring: str | None = None

    @field_validator("username", "password_file", "password_keyring")
    @classmethod
    def _check_line(cls, value: str) -> str:
        if not LINE.fullmatch(value):
            raise ValueError("must be one line of text, of 1 to 400 characters")
        return value

    @field_validator("username")
    @classmethod
    def _check_username(cls, value: str) -> str:
        # Basic authentication parts user and password there.
        if ":" in value:
            raise ValueError("must not have a colon in it")
        return value

    @field_validator("password_env")
    @classmethod
    def _check_variable(cls, value: str) -> str:
        if not VARIABLE.fullmatch(value):
            raise ValueError("must be the name of a variable, such as ACME_PASSWORD")
        if value.upper().startswith(OF_SETTINGS):
            # It would be taken for a setting that is misspelt, or be one, such as the key of the ledger.
            raise ValueError(f"must not begin with {OF_SETTINGS}, as settings do")
        return value

    def login(self, key: str, directory: Path, keyring: Keyring) -> Login:
        """Where the password is looked up, with one reference given."""
        if self.password_file is not None:
            return FileLogin(f"{key}.password_file", self.username, directory / self.password_file)
        if self.password_env is not None:
            return VariableLogin(f"{key}.password_env", self.username, self.password_env)
        return KeyringLogin(f"{key}.password_keyring", self.username, self.password_keyring or "", keyring)


class _Limits(Settings):
    """The server's settings again, for the bounds of those that an account may have; nothing is converted."""

    model_config = SettingsConfigDict(strict=True)

    def __init__(self, **given: Any) -> None:
        # Past the class between, which would look into the environment for what is not given.
        BaseModel.__init__(self, **given)


def read_accounts(content: bytes, settings: Settings, *, directory: Path, keyring: Keyring) -> dict[str, Account]:
    """The accounts in a file, in its order.

    Args:
        content: Of the file.
        settings: The server's, which hold where an account says nothing.
        directory: Where relative paths begin.
        keyring: Looked into when a password is needed, not now.

    Raises:
        SettingsError: Naming each key that cannot be used.
    """
    tables, problems = _tables(_decoded(content))
    accounts: dict[str, Account] = {}
    for name, table in tables.items():
        key = f"{ACCOUNTS}.{_shown(name)}"
        found = _account(name, key, table, settings, directory, keyring)
        if isinstance(found, Account):
            accounts[name] = found
        else:
            problems += found
    if problems:
        raise SettingsError([*problems[:MAX_PROBLEMS], *_rest(problems)])
    return accounts


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        # Some editors put a mark before the first line.
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        # Its words may hold what stands there, so only the place is told.
        place = PLACE.search(str(error))
        where = f"line {place[1]}, column {place[2]}, cannot be read" if place else "it cannot be read to its end"
        raise SettingsError([SettingProblem(FILE, f"names a file that is no TOML: {where}")]) from None


def _tables(document: dict[str, Any]) -> tuple[dict[str, Any], list[SettingProblem]]:
    problems = _unknown(document, (ACCOUNTS,), "")
    tables: Any = document.get(ACCOUNTS)
    if not isinstance(tables, dict) or not tables:
        problems.append(SettingProblem(FILE, "names a file without accounts; each begins with a line [accounts.NAME]"))
        return {}, problems
    return cast("dict[str, Any]", tables), problems


def _account(
    name: str, key: str, table: Any, settings: Settings, directory: Path, keyring: Keyring
) -> Account | list[SettingProblem]:
    if not is_account_name(name):
        return [SettingProblem(key, f"is no name for an account: {NAME_RULE}")]
    if not isinstance(table, dict):
        return [SettingProblem(key, f"must be a table: a line [{key}] and keys below it")]
    given = cast("dict[str, Any]", table)
    problems = [*_check_password(given, key), *_unknown(given, KEYS, f"{key}.")]
    references, limits = _references(given, key), _limits(given, key)
    problems += [*(references if isinstance(references, list) else ()), *(limits if isinstance(limits, list) else ())]
    if problems or isinstance(references, list) or isinstance(limits, list):
        return problems
    own = settings.model_copy(update={"account": name, **limits})
    return Account(name, own, references.login(key, directory, keyring))


def _check_password(given: dict[str, Any], key: str) -> list[SettingProblem]:
    if "password" in given:
        words = (
            "must not stand in this file: put the password into a file of its own and name that in password_file, "
            "or name a variable in password_env, or a service of the system's keyring in password_keyring"
        )
        return [SettingProblem(f"{key}.password", words)]
    named = [name for name in REFERENCES if name in given]
    if len(named) != 1:
        how = "none of them" if not named else " and ".join(named)
        return [SettingProblem(key, f"needs exactly one of {', '.join(REFERENCES)}; it has {how}")]
    return []


def _references(given: dict[str, Any], key: str) -> _References | list[SettingProblem]:
    try:
        return _References.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return [SettingProblem(f"{key}.{detail['loc'][0]}", _words(detail)) for detail in details]


def _words(detail: Mapping[str, Any]) -> str:
    match detail["type"]:
        case "missing":
            return "has to be set: the API user that Finexio gave you"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            return "must be a text in quotes"


def _limits(given: dict[str, Any], key: str) -> dict[str, Any] | list[SettingProblem]:
    values = {name: given[name] for name in LIMITS if name in given}
    hosts: Any = values.get("webhook_hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in cast("list[Any]", hosts)):
        return [SettingProblem(f"{key}.webhook_hosts", 'must be a list of host names, such as ["hooks.example.com"]')]
    if "webhook_hosts" in values:
        values["webhook_hosts"] = tuple(cast("list[str]", hosts))
    try:
        checked = _Limits(**{NAMES[name]: value for name, value in values.items()})
    except ValidationError as error:
        fields = {NAMES[name]: name for name in LIMITS}
        return [SettingProblem(f"{key}.{fields[name]}", problem) for name, problem in describe(error)]
    return {name: getattr(checked, name) for name in values}


def _unknown(given: Collection[str], known: Collection[str], prefix: str) -> list[SettingProblem]:
    problems: list[SettingProblem] = []
    for name in given:
        if name in known or (prefix and name == "password"):
            continue
        near = difflib.get_close_matches(name[:60], known, n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
        problems.append(SettingProblem(f"{prefix}{_shown(name)}", f"is not known{meant}"))
    return problems


def _shown(key: str) -> str:
    """A key as it may stand in a message: other ones than plain words may be anything."""
    return key if PLAIN_KEY.fullmatch(key) else "(a key with other signs than letters, digits, _ and -)"


def _rest(problems: list[SettingProblem]) -> list[SettingProblem]:
    more = len(problems) - MAX_PROBLEMS
    return [SettingProblem(FILE, f"has {more} more problems")] if more > 0 else []
