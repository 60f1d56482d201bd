"""The scripts and styles of the views, each as the one file that anywidget takes."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from pathlib import Path

_HERE = Path(__file__).parent

# A place in the page, by the text of a script: two releases of docmail may be in one window. The promise waits for the
# script, which may arrive later than the first part that needs it.
_PLACE = """((globalThis.docmailScripts ??= {{}})["{key}"] ??= (() => {{
  const place = {{}};
  place.script = new Promise((resolve) => (place.give = resolve));
  return place;
}})())"""


def script(name: str) -> str:
    """Return the script of this name, with those it imports in the place of the lines that import them."""
    text = (_HERE / f"{name}.js").read_text("utf-8")
    return re.sub(r'(?m)^import [^;]* from "\./(\w+)\.js";$', lambda line: script(line[1]), text)


def style(*names: str) -> str:
    """Return the style sheets of these names as one."""
    return "\n".join((_HERE / f"{name}.css").read_text("utf-8") for name in names)


@cache
def given(name: str) -> str:
    """Return the script as `script()` does, which also lends itself to the parts that are made of `borrowed(name)`."""
    text = script(name)
    return f"{text}\n{_PLACE.format(key=_key(text))}.give({{ render }});\n"


@cache
def borrowed(name: str) -> str:
    """Return a line that draws with the script of another part in the same page.

    Each widget sends its script to the browser: a form of eight parts would send eight times the same 20 kB.
    """
    place = _PLACE.format(key=_key(script(name)))
    drawn = "export default { render: async (context) => (await place.script).render(context) };"
    return f"const place = {place};\n{drawn}\n"


def _key(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
