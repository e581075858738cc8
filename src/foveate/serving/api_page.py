"""/docs: the OpenAPI description as one plain page, without scripts and without other hosts."""

import json
import re
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter()
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8886; border-radius: 6px; }
details { border-top: 1px solid #8886; padding: .6rem 0; }
summary { cursor: pointer; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: start; vertical-align: top; padding: .25rem .8rem .25rem 0; }
td { border-bottom: 1px solid #8883; }
"""


@router.get("/docs", include_in_schema=False)
async def page(request: Request) -> HTMLResponse:
    """The description for people; for programs it is at /openapi.json."""
    description = request.app.openapi()
    policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(render(description), headers=policy)


def render(description: dict[str, Any]) -> str:
    """A whole HTML page from an OpenAPI description."""
    info = description["info"]
    parts = [f"<h1>{escape(info['title'])}</h1>"]
    parts += [f"<p>{_words(text)}</p>" for text in info["description"].split("\n\n")]
    parts.append('<p>For programs: <a href="openapi.json">openapi.json</a></p>')
    for path, methods in description["paths"].items():
        parts += [_operation(description, path, method, about) for method, about in methods.items()]
    title = f"<title>{escape(info['title'])} API</title>"
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{viewport}{title}<style>{_STYLE}</style>'
    return (
        f'<!DOCTYPE html><html lang="en"><head>{head}</head><body><main>{"".join(parts)}</main></body></html>'
    )


def _operation(description: dict[str, Any], path: str, method: str, about: dict[str, Any]) -> str:
    name = f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code>'
    rows = [(p["name"], p["schema"], p.get("required", False), p["in"]) for p in about.get("parameters", ())]
    for kind, body in about.get("requestBody", {}).get("content", {}).items():
        schema = _resolved(description, body["schema"])
        needed = schema.get("required", ())
        place = "form" if "form" in kind else "body"
        rows += [(n, s, n in needed, place) for n, s in schema.get("properties", {}).items()]
    table = "".join(_row(description, *row) for row in rows)
    if table:
        table = f"<table><tr><th>field</th><th>in</th><th>type</th><th></th></tr>{table}</table>"
    words = f"<p>{_words(about.get('description', ''))}</p>"
    return f"<details><summary>{name} {escape(about.get('summary', ''))}</summary>{words}{table}</details>"


def _row(description: dict[str, Any], name: str, schema: dict[str, Any], needed: bool, place: str) -> str:
    schema = _resolved(description, schema)
    words = schema.get("description", "")
    if schema.get("default") is not None:
        words += f" (default: {json.dumps(schema['default'])})"
    mark = " <strong>required</strong>" if needed else ""
    cells = (
        f"<code>{escape(name)}</code>{mark}",
        escape(place),
        escape(_type(description, schema)),
        escape(words),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _words(text: str) -> str:
    """Text with `code` in it."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _type(description: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(description, _resolved(description, one)) for one in schema["anyOf"])
    if schema.get("contentMediaType"):
        return "file"
    return str(schema.get("title", "object") if schema.get("type") == "object" else schema.get("type", ""))


def _resolved(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: dict[str, Any] = description["components"]["schemas"][reference.rsplit("/", 1)[1]]
    return found
