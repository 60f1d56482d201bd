"""The small pages that a browser shows during a sign-in: what happened, and what to do next.

They consist of docmail's own sentences. Nothing that a request brought is repeated on them, except where the sandbox
names the mailbox and the code; `Markup` escapes those. They load nothing and run no script (`HEADERS`).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from markupsafe import Markup

from docmail.language import _, current

_STYLE = Markup("""\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; background: Canvas; color: CanvasText; }
main { box-sizing: border-box; max-width: 34rem; margin: 0 auto; padding: 12vh 1.25rem 2rem; overflow-wrap: anywhere; }
h1 { margin: 0 0 .75rem; font-size: clamp(1.2rem, 5.5vw, 1.5rem); line-height: 1.25; }
p { margin: 0 0 .75rem; }
form { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.25rem; }
button { min-height: 2.75rem; padding: 0 1.25rem; font: inherit; cursor: pointer; }
""")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # After a form, Chromium holds the address of the redirect against form-action as well.
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
        "form-action 'self' http://127.0.0.1:*; base-uri 'none'; frame-ancestors 'none'"
    ),
}
"""What the server sends before such a page."""

# An empty icon, so that the browser asks for none.
_PAGE = Markup("""\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · docmail</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
""")


def page(title: str, *paragraphs: str, form: str = "") -> str:
    """Return a page in the current language; what is no `Markup` is text."""
    content = Markup("\n").join(Markup("<p>{}</p>").format(text) for text in paragraphs) + form
    return _PAGE.format(language=current(), title=title, style=_STYLE, content=content)


def back() -> str:
    """Return the sentence that ends each page on which nothing is left to do."""
    return _("You can close this tab and go back to JupyterLab.")


def over(title: str, *paragraphs: str) -> str:
    """Return a page on which nothing is left to do."""
    return page(title, *paragraphs, back())
