"""The records in an answer of Finexio's, in whichever of its shapes it arrives."""

from __future__ import annotations

from typing import Any

from finexio_mcp.errors import Unreadable
from finexio_mcp.paging import Page
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.spec import ToolSpec


def single(answer: Any) -> Any:
    """The one record in an object, in an array of one, or in a page that holds one."""
    if is_object(answer) and is_array(answer.get("results")):
        answer = answer["results"]
    if is_array(answer):
        answer = answer[0] if len(answer) == 1 else None
    return answer if is_object(answer) else None


def found_in(tool: ToolSpec, answer: Any, arguments: dict[str, Any]) -> Any:
    """The record in the answer to a read by id.

    Raises:
        Unreadable: There is none to be found in it.
    """
    record = tool.to_record(answer, arguments) if tool.to_record else single(answer)
    if record is None or (is_object(record) and not any(record.get(key) for key in tool.record.keys)):
        raise Unreadable("Finexio's answer holds no record; nothing changed.")
    return record


def other_id(tool: ToolSpec, record: Any, arguments: dict[str, Any]) -> list[str]:
    """Old keys may lead to records with new ids, so this is no failure; it must not pass unseen either."""
    comparable = is_object(record) and tool.record.keys == ("id",)
    found, asked = record.get("id") if comparable else None, arguments.get("id")
    same = not found or not asked or str(found).casefold() == str(asked).casefold()
    return [] if same else ["Finexio answered with a record of another id than the one asked for."]


MAX_ID_CHARS = 100


def id_of(record: Any) -> str | None:
    """The id in a record, if it is one that can be kept: short, and of characters that can be printed."""
    found = record.get("id") if is_object(record) else None
    text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    return text if 0 < len(text) <= MAX_ID_CHARS and text.isprintable() else None


def rows_of(tool: ToolSpec, answer: Any) -> Page:
    """The rows in a page, in a bare array, or in a bare object.

    Raises:
        Unreadable: There are none to be found in it.
    """
    if tool.to_rows is not None:
        rows = tool.to_rows(answer)
        return Page(rows, len(rows), last=True)
    if is_object(answer) and "results" in answer:
        rows, count = answer["results"], answer.get("count")
        if is_array(rows):
            whole = count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
            return Page(rows, whole, last=answer["next"] is None if "next" in answer else None)
    elif is_array(answer):
        return Page(answer, len(answer), last=True)
    elif is_object(answer) and not answer.keys().isdisjoint(tool.record.keys):
        return Page([answer], 1, last=True)
    raise Unreadable("Finexio's answer holds no list; nothing changed.")
