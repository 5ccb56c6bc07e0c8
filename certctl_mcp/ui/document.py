"""The page's files for a browser, and the same page as a single document for hosts of MCP Apps.

The script consists of modules. For the single document they are joined in order, and each import becomes a
reference to an earlier module's export.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

MODULES: Final = (
    "address.js",
    "dom.js",
    "results.js",
    "times.js",
    "prose.js",
    "tooltip.js",
    "rows.js",
    "toasts.js",
    "http_client.js",
    "host_client.js",
    "notification_list.js",
    "table.js",
    "details.js",
    "changes.js",
    "chart.js",
    "overview.js",
    "channels.js",
    "audit.js",
    "causes.js",
    "filters.js",
    "notifications.js",
    "sign_in.js",
    "tabs.js",
    "main.js",
)
"""The modules, each after those from which it imports."""

_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)

_LINKS = re.compile(r"^<link .*>\n", re.MULTILINE)
_SCRIPT = '<script type="module" src="ui/page.js"></script>\n'

HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""The headers with which the files are served. Only what this server itself serves can run or be
requested."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file that a browser requests by name."""

    media_type: str
    content: bytes


@cache
def page_files(max_attempts: int) -> dict[str, PageFile]:
    """The page for a browser, by name; the one without a name is the page itself, and `n/` the same one level
    below.

    The names are relative to it, and so is `mcp`, which its script calls.
    """
    return {
        "": PageFile("text/html; charset=utf-8", _html(max_attempts).encode()),
        "n/": PageFile("text/html; charset=utf-8", _one_level_below(_html(max_attempts)).encode()),
        "ui/page.css": PageFile("text/css; charset=utf-8", _read("page.css").encode()),
        "ui/page.js": PageFile("text/javascript; charset=utf-8", _script().encode()),
        "ui/icon.svg": PageFile("image/svg+xml", _read("icon.svg").encode()),
    }


def _one_level_below(html: str) -> str:
    """The same page one level below, with its links adjusted."""
    below = html.replace('data-root="./"', 'data-root="../"', 1)
    return re.sub(r'(href|src)="ui/', r'\1="../ui/', below)


@cache
def app_document(max_attempts: int) -> str:
    """The page as a self-contained document."""
    html = _LINKS.sub("", _html(max_attempts)).replace("<html ", '<html data-host="app" ', 1)
    inline = f'<style>\n{_read("page.css")}</style>\n<script type="module">\n{_script()}</script>\n'
    return html.replace(_SCRIPT, inline, 1)


def _html(max_attempts: int) -> str:
    return _read("index.html").replace('data-max-attempts="5"', f'data-max-attempts="{max_attempts}"', 1)


@cache
def _script() -> str:
    return "\n".join(_module(name) for name in MODULES)


def _module(name: str) -> str:
    """One module as the body of a function that returns its exports."""
    source = _read(name)
    exported = ", ".join(found[2] for found in _EXPORT.finditer(source))
    body = _EXPORT.sub(r"\1", _IMPORT.sub(_import_as_destructuring, source))
    return f"const from_{name.removesuffix('.js')} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();\n"


def _import_as_destructuring(found: re.Match[str]) -> str:
    names = found[1].replace(" as ", ": ")
    return f"const {{ {names} }} = from_{found[2]};"


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
