"""The gateway's own pages: one frame (pages/frame.html), filled in. Everything that is filled in is escaped here or by
the caller, who says so by calling the parameter `..._html`."""

from functools import cache
from html import escape
from importlib.resources import files
from string import Template

CID_CHARACTERS_MIN = 20  # words of a language are shorter


@cache
def icon() -> bytes:
    """The picture for the browser's tab, as SVG."""
    return files("nearcast.gateways.http").joinpath("pages/icon.svg").read_bytes()


@cache
def _frame() -> Template:
    text = files("nearcast.gateways.http").joinpath("pages/frame.html").read_text(encoding="utf-8")
    return Template(text)


def page(title: str, body_html: str) -> str:
    """A whole page; `title` is plain text."""
    return _frame().substitute(title=escape(title), body=body_html)


def error_page(status: int, headline: str, message: str, fix: str | None) -> str:
    """A page that says what went wrong and what can be done."""
    advice = f'<p class="fix"><b>What to do:</b> {escape(fix)}</p>' if fix else ""
    body = f"""<main class="error">
<p class="status">{status}</p>
<h1>{escape(headline)}</h1>
<p class="reason">{escape(_sentence(message))}</p>
{advice}
</main>"""
    return page(f"{status} {headline}", body)


def _sentence(message: str) -> str:
    """A message begins small, as lines for programs do; a page's sentence begins large, unless with a name."""
    first = message.partition(" ")[0]
    return message[:1].upper() + message[1:] if len(first) < CID_CHARACTERS_MIN else message


def size_text(size_bytes: int | None) -> str:
    """A size for people: `1.4 MB`; an en dash when it is not known."""
    if size_bytes is None:
        return "–"
    size: float = size_bytes
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit always fits")
