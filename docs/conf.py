"""Builds the site by Sphinx: `make docs`. What it shows is gathered from the whole repository by `gather.py`."""

from __future__ import annotations

import atexit
import enum
import inspect
import itertools
import logging
import os
import re
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from traitlets import HasTraits

HERE = Path(__file__).resolve().parent
HOMES = tempfile.TemporaryDirectory(prefix="docmail-docs-", ignore_cleanup_errors=True)
sys.path.insert(0, str(HERE))

import docmail
from gather import gather

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "docmail"
version = release = docmail.__version__
html_title = f"docmail {version}"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["README.md"]  # the pages that include it are its pages

# --- text ---

myst_heading_anchors = 3
default_role = "code"  # docstrings mark code as Markdown does
nitpicky = True
nitpick_ignore_regex = [
    # Other projects: their sites are not asked.
    ("py:class", r"(collections|datetime|ipywidgets|pathlib|t)\..+|Executor|Path|date|datetime"),
    # Shorthands of annotations, and what only docmail's own rooms make.
    ("py:class", r"(docmail\.\w+\.\w+\.)?(_PerRow|_T|Addresses|Application|Arrived|BadRows|Draft|Folders|Format|Home)"),
    ("py:class", r"(docmail\.\w+\.\w+\.)?(Limits|Mail|Position|Server|Source|Step|Stored|Tokens|Value|When|Where)"),
]
maximum_signature_line_length = 90
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# --- tutorials ---

# The static fallback of each view stands in the page: a view would need its kernel, and scripts from elsewhere.
VIEW = "application/vnd.jupyter.widget-view+json"
nb_mime_priority_overrides = [("html", VIEW, None)]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

# --- pages ---

html_theme = "furo"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
templates_path = [str(HERE / "templates")]
html_copy_source = False
html_domain_indices = False
html_show_copyright = False


def _stay_away_from_the_user() -> None:
    """Give the tutorials' kernels an empty environment and no keyring: what the user has set does not reach them."""
    atexit.register(HOMES.cleanup)
    for name in [name for name in os.environ if name.startswith("DOCMAIL_")]:
        del os.environ[name]
    os.environ |= {"LANGUAGE": "en", "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    os.environ["XDG_CONFIG_DIRS"] = HOMES.name  # where an organisation's file would be
    # Otherwise each kernel says that it listens at a port of this computer.
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    os.environ["IPYTHONDIR"] = HOMES.name
    profile = Path(HOMES.name, "profile_default")
    profile.mkdir()
    (profile / "ipython_kernel_config.json").write_text('{"IPKernelApp": {"log_level": "ERROR"}}', "utf-8")


def _new_home(app: Sphinx, name: str, _text: list[str]) -> None:
    """Let the kernel of a tutorial, which starts while its page is read, find its own file and no mail of another."""
    os.environ["DOCMAIL_HOME"] = str(Path(HOMES.name, name))
    os.environ["JPY_SESSION_NAME"] = str(app.env.doc2path(name))  # as JupyterLab names it


def _is_code(paragraph: str) -> bool:
    return paragraph.startswith(("    ", "import ", "settings = ")) or "├" in paragraph


def _in_rest(_app: Sphinx, _what: str, _name: str, value: Any, _options: Any, lines: list[str]) -> None:
    """Mark code in a docstring as reStructuredText wants it: indented lines, statements, drawn trees; list values."""
    marked = []
    for code, paragraphs in itertools.groupby(re.split(r"\n{2,}", "\n".join(lines)), _is_code):
        text = "\n\n".join(paragraphs)
        language = "text" if "├" in text else "python"
        marked.append(f".. code-block:: {language}\n\n{textwrap.indent(text, '    ')}" if code else text)
    if isinstance(value, enum.EnumType):
        members: list[Any] = list(value)
        marked.append("Values: " + ", ".join(f"``{member}``" for member in members))
    lines[:] = [*"\n\n".join(marked).splitlines(), ""]


def _signature(
    _app: Sphinx, what: str, _name: str, value: Any, _options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Show what a widget is made with, which traitlets hides; and `...` for a default that Sphinx cannot read."""
    if what == "class" and issubclass(value, HasTraits):
        own = inspect.signature(value.__init__)
        rest = [each.replace(annotation=inspect.Parameter.empty) for each in list(own.parameters.values())[1:]]
        return str(inspect.Signature(rest)), None
    return (signature and re.sub(r"<[\w. ]+>", "...", signature)), returned


def _leave_out_views(_app: Sphinx, page: nodes.document) -> None:
    """Take out the outputs that are a view and no HTML: their text is empty, or Python's name of the view."""
    for output in list(page.findall(nodes.container)):
        kinds = {form.get("mime_type") for form in output.children if isinstance(form, nodes.container)}
        if output.get("nb_element") == "mime_bundle" and VIEW in kinds and "text/html" not in kinds:
            output.parent.remove(output)


def _page(_app: Sphinx, name: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Say which language a page is in, and leave out the state of widgets that no page shows."""
    if name.startswith("guides/af/"):
        context["language"] = "af"
    context["script_files"] = [
        script for script in context["script_files"] if "widget-state" not in str(getattr(script, "attributes", ""))
    ]


def setup(app: Sphinx) -> None:
    """Gather the pages, and take part in the build."""
    _stay_away_from_the_user()
    gather(Path(app.srcdir))
    app.add_lexer("csv", TextLexer)  # Pygments knows none
    app.connect("source-read", _new_home)
    app.connect("autodoc-process-docstring", _in_rest)
    app.connect("autodoc-process-signature", _signature)
    app.connect("doctree-read", _leave_out_views)
    app.connect("html-page-context", _page, priority=900)  # after myst-nb has added its scripts
