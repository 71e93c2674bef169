"""Field types that several tools share: ids, cents, days, moments, free text."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from finexio_mcp.tools.spec import Arguments, Local, Pairs, Sensitive

MAX_CENTS = 999_999_900
MAX_ID_CHARS = 200
MAX_VALUE_CHARS = 100
MAX_LABEL_CHARS = 100
MAX_TEXT_CHARS = 1000
VISIBLE_CHARS = 4
"""What a masked number still shows; nobody's whole number is that short."""
ONLY_THE_END = "has four characters or fewer, which is the visible end of a number; give the whole number"

ROUTING_DIGITS = 9
ROUTING_WEIGHTS = (3, 7, 1) * 3

STATES = frozenset(
    """
    AL AK AS AZ AR AA AE AP CA CO CT DE DC FL GA GU HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY
    NC ND MP OH OK OR PA PR RI SC SD TN TX UT VT VI VA WA WV WI WY AB BC MB NB NL NT NS NU ON PE QC SK YT
    """.split()  # noqa: SIM905
)

DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?")
EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>.]+(?:\.[^@\s,;<>.]+)+")
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}|\*")
MASK = re.compile("[*•●∙⁎∗＊✱]")
WHOLE_URL = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)


def wrong(problem: str) -> PydanticCustomError:
    """A refusal in our own words, which never hold the value. Curly braces would be placeholders."""
    return PydanticCustomError("finexio_rule", problem.replace("{", "(").replace("}", ")"))  # type: ignore[arg-type]


def _check_id(value: str) -> str:
    if value in {".", ".."} or not 0 < len(value) <= MAX_ID_CHARS or " " in value or not value.isprintable():
        raise wrong("is no id: 1 to 200 characters without blanks, and not '.' or '..'")
    return value


def _check_reference(value: str) -> str:
    if value in {".", ".."} or not value.strip() or len(value) > MAX_ID_CHARS or not value.isprintable():
        raise wrong("is no id or reference: 1 to 200 printable characters, and not '.' or '..'")
    return value


def check_day(value: str) -> str:
    try:
        if DAY.fullmatch(value):
            date.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise wrong("is no date of the calendar; write YYYY-MM-DD")


def _check_moment(value: str) -> str:
    try:
        if MOMENT.fullmatch(value):
            datetime.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise wrong("is no date or time; write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS")


def _check_state(value: str) -> str:
    if value not in STATES:
        raise wrong(
            "is no US state or territory, military state or Canadian province; write two capital letters, such as GA"
        )
    return value


def check_email(value: str) -> str:
    """One address, of whatever length."""
    if not EMAIL.fullmatch(value):
        raise wrong("is no e-mail address; write one address such as ap@example.com")
    return value


def _check_emails(value: str) -> str:
    if len(value) > MAX_TEXT_CHARS:
        raise wrong(f"is longer than {MAX_TEXT_CHARS} characters")
    addresses = [address.strip() for address in value.split(",")]
    if not all(map(EMAIL.fullmatch, addresses)):
        raise wrong("must be one e-mail address, or several with commas between, such as ap@example.com,ar@example.com")
    return ",".join(addresses)


def _check_unbracketed(value: str) -> str:
    """Blanks around a code mean nothing, and would make two records of what is one."""
    if not value.strip() or not value.isprintable() or not {"[", "]"}.isdisjoint(value):
        raise wrong("must be printable characters, without square brackets, which Finexio forbids here")
    return value.strip()


def _check_filled(value: str) -> str:
    if not value.strip():
        raise wrong("must not be blank")
    return value


def _check_true(value: bool) -> bool:
    if not value:
        raise wrong("can only be true; leave it out otherwise")
    return value


def _check_url(value: str) -> str:
    if not WHOLE_URL.fullmatch(value):
        raise wrong("is no absolute http(s) URL")
    return value


def check_unmasked(value: str) -> str:
    """Refuse what one of our own answers showed in place of a number."""
    if MASK.search(value):
        raise wrong(
            "holds a mask, not the real value; a partial update without this field keeps what Finexio has, and "
            "anything else needs the whole value"
        )
    return value


def _check_account(value: str) -> str:
    check_unmasked(value)
    if not value.isascii() or not value.isdigit():
        raise wrong("must be digits only")
    if len(value) <= VISIBLE_CHARS:
        raise wrong(ONLY_THE_END)
    return value


def _check_routing(value: str) -> str:
    """The ninth digit of a US routing number checks the other eight."""
    _check_account(value)
    digits = [int(digit) for digit in value]
    if len(digits) != ROUTING_DIGITS or sum(map(int.__mul__, digits, ROUTING_WEIGHTS)) % 10 or not any(digits):
        raise wrong("is no routing number: nine digits, of which the last confirms the others; look for a typing error")
    return value


def _check_tax_id(value: str) -> str:
    check_unmasked(value)
    if len(value) <= VISIBLE_CHARS:
        raise wrong(ONLY_THE_END)
    return value


def _check_word(value: str) -> str:
    if len(value) > 40 or not value.isprintable():
        raise wrong("is too long for a status")
    return value


def _check_label(value: str) -> str:
    if len(value) > MAX_LABEL_CHARS or not value.isprintable():
        raise wrong(f"is longer than {MAX_LABEL_CHARS} printable characters")
    return value


def _check_field_name(value: str) -> str:
    if not FIELD_NAME.fullmatch(value):
        raise wrong('is no field name; write names such as "status", or "*" for all')
    return value


Check = AfterValidator


def _schema(**extra: Any) -> Any:
    return Field(json_schema_extra=extra)


Id = Annotated[str, Check(_check_id)]
"""Any id of Finexio's; its shape is not promised."""

Reference = Annotated[str, Check(_check_reference)]
"""Text that somebody chose as a key; it may hold blanks."""
NewReference = Annotated[str, Field(max_length=100), Check(_check_reference)]
"""One that is chosen now; it has to fit into an address later."""

Status = Annotated[str, Check(_check_word)]
"""Not an enum: the vendor has changed the spelling before."""
Label = Annotated[str, Check(_check_label)]
"""A word of a list that is not published; the bound is ours."""
FieldName = Annotated[str, Check(_check_field_name)]

Cents = Annotated[int, Field(ge=1, le=MAX_CENTS)]
Day = Annotated[str, Check(check_day), _schema(format="date")]
Moment = Annotated[str, Check(_check_moment), _schema(pattern=r"^\d{4}-\d\d-\d\d")]
"""A date, a time without zone (as Finexio writes them) or with one; sent as typed."""
State = Annotated[str, Check(_check_state), _schema(pattern="^[A-Z]{2}$")]
Country = Literal["CAN", "UMI", "USA"]
Email = Annotated[str, Field(max_length=50), Check(check_email)]
Emails = Annotated[str, Check(_check_emails)]
"""One address or several; sent with nothing but a comma between."""
Code = Annotated[str, Field(min_length=1, max_length=200), Check(_check_unbracketed)]
"""The caller's own unique key of a supplier or buyer."""
Filled = Check(_check_filled)
"""Trait of a text that must say something."""
OnlyTrue = Annotated[bool, Check(_check_true)]
Url = Annotated[str, Field(max_length=190), Check(_check_url)]
BankAccountNumber = Annotated[str, Field(max_length=17), Check(_check_account), Sensitive()]
BankRoutingNumber = Annotated[str, Field(max_length=9), Check(_check_account), Sensitive()]
RoutingNumber = Annotated[str, Check(_check_routing), Sensitive()]
"""A US routing number, with its check digit."""
TaxId = Annotated[str, Field(max_length=11), Check(_check_tax_id), Sensitive()]
Password = Annotated[str, Field(max_length=190), Check(check_unmasked), Sensitive()]
PayeeType = Literal[
    "Employee",
    "Business",
    "Individual",
    "InternalTransfer",
    "Student",
    "BankingInstitution",
    "Insurance",
    "Government",
    "Unknown",
]

Text10 = Annotated[str, Field(max_length=10)]
Text16 = Annotated[str, Field(max_length=16)]
Text17 = Annotated[str, Field(max_length=17)]
Text36 = Annotated[str, Field(max_length=36)]
Text40 = Annotated[str, Field(max_length=40)]
Text50 = Annotated[str, Field(max_length=50)]
Text70 = Annotated[str, Field(max_length=70)]
Text100 = Annotated[str, Field(max_length=100)]
Text190 = Annotated[str, Field(max_length=190)]
Text200 = Annotated[str, Field(max_length=200)]
Text1000 = Annotated[str, Field(max_length=1000)]


class Pair(BaseModel):
    """One entry of `metadata`."""

    model_config = Arguments.model_config

    name: str
    """Key."""
    value: Annotated[str | int, WithJsonSchema({"type": "string"})]
    """Text or whole number."""


def _check_key(value: str) -> str:
    if value.startswith("_") or not value:
        raise wrong("must not begin with an underscore or be empty")
    return value


def _as_short_text(value: str | int | None) -> str | None:
    text = None if value is None else str(value)
    if text is not None and len(text) > MAX_VALUE_CHARS:
        raise wrong(f"is longer than {MAX_VALUE_CHARS} characters")
    return text


class ShortPair(BaseModel):
    """One entry of a supplier's or buyer's `metadata`; without a value it is null."""

    model_config = Arguments.model_config

    name: Annotated[str, Field(max_length=25), Check(_check_key)]
    """Key."""
    value: Annotated[
        str | int | None, Check(_as_short_text), WithJsonSchema({"type": "string", "maxLength": MAX_VALUE_CHARS})
    ] = None
    """Text."""


AnyPair = TypeVar("AnyPair", Pair, ShortPair)


def _unique_names(pairs: list[AnyPair]) -> list[AnyPair]:
    if len({pair.name for pair in pairs}) < len(pairs):
        raise wrong("names a key twice")
    return pairs


def _as_map(pairs: list[Pair] | list[ShortPair] | None) -> dict[str, str | int | None] | None:
    return None if pairs is None else {pair.name: pair.value for pair in pairs}


Metadata = Annotated[list[Pair], Check(_unique_names), PlainSerializer(_as_map), Pairs()]
"""Declared as pairs, since many hosts cannot send a map; Finexio gets a map."""
ShortMetadata = Annotated[list[ShortPair], Check(_unique_names), PlainSerializer(_as_map), Pairs()]
"""The same within the bounds that Finexio sets for suppliers and buyers."""


class ReadArguments(Arguments):
    """Arguments of a tool that shows records."""

    fields: Annotated[list[FieldName] | None, Field(max_length=60), Local()] = None
    """Field names to show; ["*"]: all."""


class ListArguments(ReadArguments):
    """Arguments of a list that is read in parts."""

    limit: Annotated[int | None, Field(ge=1, le=100), Local()] = None
    """Rows, default 100."""
    next_cursor: Annotated[str | None, Field(max_length=2000), Local()] = None
    """Cursor of an earlier answer."""
