"""The JSON Schemas of a tool, in the subset that every host accepts.

Input: single types, closed objects, no references, no combinators, no titles and no defaults.
Output: the envelope. What is Finexio's carries a description and no type, since nothing of it is
promised; an older client that validates would otherwise swallow an answer that drifted.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.spec import Effect, Record, ToolSpec

Schema = dict[str, Any]


class _Subset(GenerateJsonSchema):
    """Leaves out what some hosts refuse; optional says the same as nullable."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return {"type": "string", "enum": list(schema["expected"])}


def _resolve(node: Any, definitions: Schema) -> Any:
    """Write every definition where it is used; models carry no title and no docstring."""
    if is_array(node):
        return [_resolve(item, definitions) for item in node]
    if not is_object(node):
        return node
    if "$ref" in node:
        name = str(node["$ref"]).rsplit("/", 1)[-1]
        return _resolve({**definitions[name], **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    resolved = {key: _resolve(value, definitions) for key, value in node.items()}
    if "properties" in resolved:
        resolved.pop("title", None)
        resolved.pop("description", None)
    return resolved


BOUNDS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "pattern"})


def input_schema(tool: ToolSpec) -> Schema:
    """The schema of a tool's arguments: what identifies comes first, what steers the answer last.

    The toolsets beside the core have tools of forty fields, which a model pays for in every conversation: there the
    bounds are left to the refusal of a value that breaks them.
    """
    raw = tool.arguments.model_json_schema(schema_generator=_Subset)
    whole: Schema = _resolve({k: v for k, v in raw.items() if k != "$defs"}, raw.get("$defs", {}))
    required: list[str] = whole.get("required", [])
    properties: dict[str, Schema] = whole["properties"]
    first, last = tool.path_names, tool.local_names
    order = sorted(properties, key=lambda name: (name in last, name not in first, name not in required))
    schema: Schema = {"type": "object", "properties": {name: properties[name] for name in order}}
    if required:
        schema["required"] = [name for name in order if name in required]
    schema["additionalProperties"] = False
    return schema if tool.toolset == "core" else _without_bounds(schema)


def _without_bounds(schema: Schema) -> Schema:
    kept = {key: value for key, value in schema.items() if key not in BOUNDS}
    if "properties" in kept:
        kept["properties"] = {name: _without_bounds(inner) for name, inner in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _without_bounds(kept["items"])
    return kept


def _described(record: Record) -> Schema:
    return {name: {"description": words} for name, words in record.fields.items()}


ERROR: Schema = {
    "type": "object",
    "description": "Instead of a result: what is so and what to do next",
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "may_have_happened": {"type": "boolean", "description": "true: unknown; repeat this exact call to ask"},
        "retryable": {"type": "boolean"},
        "retry_after_s": {"type": "number"},
        "http_status": {"type": "integer"},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}


def output_schema(tool: ToolSpec) -> Schema:
    """The schema of a tool's envelope, errors included."""
    if tool.shape is not None:
        return {"type": "object", "properties": {**tool.shape, "error": ERROR}}
    record: Schema = {"properties": _described(tool.record)}
    properties: Schema = {}
    if tool.listing is not None:
        properties["result"] = {"type": "array", "items": record}
        properties["next_cursor"] = {"description": "Pass it back for more; null at the end"}
        properties["prev_cursor"] = {"description": "The page before; null on the first"}
        properties["result_count"] = {"type": "integer", "description": "Rows in this answer"}
        properties["total_count"] = {"description": "Rows in all, if Finexio says"}
    else:
        if tool.effect is not Effect.READ:
            properties["status"] = {"type": "string", "description": "Outcome of the write"}
            properties["op_id"] = {"type": "string", "description": "Id of this write in the ledger"}
        many = tool.body_rows is not None
        properties["result"] = {"items": record} if many else record
    properties["notices"] = {"type": "array", "items": {"type": "string"}}
    properties["error"] = ERROR
    return {"type": "object", "properties": properties}


def entry(tool: ToolSpec) -> dict[str, Any]:
    """A tool as `tools/list` shows it."""
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.about,
        "inputSchema": input_schema(tool),
        "outputSchema": output_schema(tool),
        "annotations": {"title": tool.title, **tool.hints},
    }
