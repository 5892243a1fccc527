"""Sphinx's settings for the web edition. `python -m notebooks.web` runs Sphinx with them; see stage.py."""

import functools
import importlib
import json
import re
import shutil
from pathlib import Path

from notebooks.web import stage
from tests.notebooks import address

ROOT = Path(__file__).resolve().parents[2]

project = "Attention from Scratch"
author = "The Attention from Scratch authors"
language = "en"
extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns = []

# --- what is read ---------------------------------------------------------------------------------

nb_execution_mode = "off"  # the stored outputs are shown
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 6
myst_links_external_new_tab = False

copybutton_selector = "div.highlight pre:not(.cell_output pre)"  # code, not what it printed

# --- how it looks ---------------------------------------------------------------------------------

html_theme = "sphinx_book_theme"
html_title = project
html_baseurl = address.pages()
html_static_path = ["static"]
templates_path = ["templates"]
html_sidebars = {"**": ["navbar-logo.html", "search-button-field.html", "course-nav.html"]}
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_favicon = "static/icon.svg"
html_use_index = False  # it would be empty
html_copy_source = True  # the button that downloads the notebook
html_show_sphinx = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_theme_options = {
    "repository_url": address.address(),
    "repository_branch": "main",
    "path_to_docs": "",
    "use_repository_button": True,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the side bar has the search
    "show_navbar_depth": 1,
    "show_toc_level": 1,
    "search_bar_text": "Search the course",
    "logo": {"text": project},
    "extra_footer": "License: MIT",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

# --- mathematics, from files of the site ----------------------------------------------------------

# One file that draws formulas as SVG: no fonts to fetch, which browsers forbid to pages opened from a disk.
mathjax_path = "tex-svg.js"
mathjax3_config = {
    "options": {"enableMenu": False},  # its entries load parts that are not here
    "svg": {"fontCache": "local"},
}


def copy_files(app, error):
    """Copy the pictures of outputs, the notebooks to download, and MathJax from the package that brings it."""
    if error is None and app.builder.format == "html":
        out = Path(app.outdir)
        for notebook in (out / "_sources").rglob("*.ipynb"):  # as it is in the repository, not as it was staged
            shutil.copyfile(ROOT / notebook.relative_to(out / "_sources"), notebook)
        shutil.copytree(Path(app.srcdir) / stage.PICTURES, out / stage.PICTURES)
        translate_copy_button(out / "_static" / "copybutton.js")
        package = importlib.import_module("sphinx-mathjax-offline")
        shutil.copyfile(
            Path(package.__file__).parent / "static" / "mathjax" / mathjax_path, out / "_static" / mathjax_path
        )


def translate_copy_button(script):
    """Add the languages of the course to those of the button that copies code; it takes that of the page."""
    english = {"copy": "Copy", "copy_to_clipboard": "Copy to clipboard"}
    english |= {"copy_success": "Copied!", "copy_failure": "Failed to copy"}
    added = {
        code: {name: words["theme"].get(text, text) for name, text in english.items()}
        for code, words in stage.WORDS.items()
    }
    head, text = "const messages = {", script.read_text(encoding="utf-8")
    if head not in text:
        raise ValueError(f"{script} does not hold {head}: sphinx-copybutton has changed")
    script.write_text(text.replace(head, f"{head}\n  ...{json.dumps(added, ensure_ascii=False)},"), encoding="utf-8")


def tell_language(app, pagename, templatename, context, doctree):
    """A page says in which language it is, has the side bar of that language, and leads to the other ones."""
    language = context["language"] = stage.language_of(pagename)
    context["of_language"] = functools.partial(stage.navigation, language=language)
    pages = dict(stage.counterparts(pagename, app.env.found_docs))
    context["languages"] = [
        (code, words["name"], context["pathto"](pages[code]) if code in pages else None)
        for code, words in stage.WORDS.items()
        if code in pages or code == language
    ]


def translate_theme(app, pagename, templatename, context, doctree):
    """What the theme says is in the language of the page: Sphinx knows one language for a site."""
    language = context["language"]
    theme = stage.WORDS[language]["theme"]
    if not theme:
        return

    def said(text):
        return theme.get(text, text)

    context["gettext"] = context["translate"] = said  # the templates say what they say with one of these
    for option in ("search_bar_text", "extra_footer"):
        context[f"theme_{option}"] = said(context[f"theme_{option}"])
    buttons = list(context.get("header_buttons", []))
    for button in buttons:  # those of a group join the others
        button["tooltip"] = said(button.get("tooltip", ""))
        buttons += button.get("buttons", [])
    context["theme_logo_link"] = context["pathto"](stage.front_of(language))
    attribute = r'(?<= )(title|aria-label)="([^"]*)"'
    context["body"] = re.sub(attribute, lambda found: f'{found[1]}="{said(found[2])}"', context.get("body", ""))


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", tell_language)
    app.connect("html-page-context", translate_theme, priority=900)  # after the theme has said what it says
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
