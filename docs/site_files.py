"""For mkdocs: pages that stand beside docs/ in the repository become pages of the site, and links to them lead there; the pages
of strategies, which are written by make_pages.py, come into the menu; formulas become MathML, which needs no script.
"""

import html
import os
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("PLOTLY_RENDERER", "notebook")  # figures of the notebook come with their script, none is loaded
BESIDE = ("certificates/FORMAT.md", "checker/verified/README.md", "certificates/golden/verdicts.json")


def on_config(config: Any, **_: Any) -> Any:
    """Where the menu has the page of strategies, it gets a page for each of them below."""
    overview = "strategies.md"
    for section in (section for entry in config.nav for section in entry.values() if isinstance(section, list)):
        for entry in section:
            if overview in entry.values():
                pages = sorted((ROOT / "docs" / "strategies").glob("*.md"))
                entry["Strategies"] = [{"All of them": overview}, *({page.stem: f"strategies/{page.name}"} for page in pages)]
    return config


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add them."""
    for name in BESIDE:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """From docs/ they are one folder up; in the site they are below."""
    return re.sub(r"\]\(\.\./(?=certificates/|checker/)", "](", markdown)


def on_page_content(content: str, **_: Any) -> str:
    """What pymdownx.arithmatex has marked as formulas: those in a line of text, and those in lines of their own."""
    content = re.sub(r'<span class="arithmatex">\\\((.*?)\\\)</span>', _in_text, content, flags=re.DOTALL)
    return re.sub(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', _displayed, content, flags=re.DOTALL)


def _in_text(found: re.Match[str]) -> str:
    return convert(html.unescape(found[1]))


def _displayed(found: re.Match[str]) -> str:
    return f'<p style="overflow-x: auto">{convert(html.unescape(found[1]), display="block")}</p>'
