"""Knobs for a simulator that runs as a process: outside /v2, for the same user."""

import base64
import json
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from .clock import stamp
from .faults import Fault
from .wire import Answer, Received, Refusal, json_answer

if TYPE_CHECKING:
    from .simulator import Simulator

PREFIX = "/_simulator/"


def answer(simulator: "Simulator", request: Received) -> Answer:
    """GET state or journal; POST advance, fault or reset."""
    match (request.method, request.path.removeprefix(PREFIX)):
        case ("GET", "state"):
            return json_answer(_state(simulator))
        case ("GET", "journal"):
            return json_answer(_journal(simulator))
        case ("POST", "advance"):
            return _advance(simulator, _body(request))
        case ("POST", "fault"):
            return _fault(simulator, _body(request))
        case ("POST", "reset"):
            simulator.reset()
            return json_answer(_state(simulator))
        case _:
            raise Refusal(404, {"detail": "Not found."})


def _state(simulator: "Simulator") -> dict[str, Any]:
    counted = ("buyers", "suppliers", "invoices", "payments", "drawdowns", "webhooks", "history")
    return {
        "now": stamp(simulator.clock.now()),
        "seed": simulator.seed,
        "counts": {name: len(getattr(simulator, name)) for name in counted},
        "requests": len(simulator.journal.requests),
        "effects": len(simulator.journal.effects),
        "faults": simulator.faults_left,
    }


def _journal(simulator: "Simulator") -> dict[str, Any]:
    return {
        "requests": [
            {
                "index": record.index,
                "method": record.method,
                "path": record.path,
                "query": record.query,
                "body": record.body,
                "status": record.status,
                "user": record.user,
                "at": stamp(record.at),
            }
            for record in simulator.journal.requests
        ],
        "effects": [
            {"kind": effect.kind, "id": effect.id, "request": effect.request, "at": stamp(effect.at)}
            for effect in simulator.journal.effects
        ],
    }


def _body(request: Received) -> dict[str, Any]:
    body: Any = request.json if request.body else {}
    if not isinstance(body, dict):
        raise Refusal(400, {"detail": "A JSON object is expected."})
    return cast("dict[str, Any]", body)


def _advance(simulator: "Simulator", body: dict[str, Any]) -> Answer:
    try:
        simulator.advance(timedelta(**body))
    except (TypeError, ValueError, OverflowError):
        raise Refusal(400, {"detail": 'Expected something like {"days": 3}, and not back in time.'}) from None
    return json_answer(_state(simulator))


def _fault(simulator: "Simulator", body: dict[str, Any]) -> Answer:
    """The fields of Fault, with `lands_after_seconds`, and `body` as text or `body_base64`; times, method and path."""
    try:
        times, method, path = body.pop("times", 1), body.pop("method", None), body.pop("path", None)
        simulator.fault(_read_fault(body), times=times, method=method, path=path)
    except (TypeError, ValueError):
        known = ", ".join(field.name for field in fields(Fault))
        raise Refusal(400, {"detail": f"A fault is made of: {known}; and method, path, times."}) from None
    return json_answer(_state(simulator), 201)


def _read_fault(body: dict[str, Any]) -> Fault:
    given = dict(body)
    if "lands_after_seconds" in given:
        given["lands_after"] = timedelta(seconds=given.pop("lands_after_seconds"))
    if "body_base64" in given:
        given["body"] = base64.b64decode(given.pop("body_base64"))
    elif "body" in given:
        content = given["body"]
        given["body"] = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    return Fault(**given)
