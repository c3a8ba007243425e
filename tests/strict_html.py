"""A page held to more than browsers ask: every tag closed in order, nothing fetched, every picture decodes."""

import base64
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

from PIL import Image

VOID = {"meta", "img", "br", "hr", "link", "input"}
LIMIT = 3 * 2**20


@dataclass
class Page:
    text: str = ""
    images: list[Image.Image] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)


class _Strict(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.page = Page()

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        assert tag not in ("script", "iframe", "object", "embed", "base", "link"), f"<{tag}> in a report"
        for name, value in attrs:
            assert not name.startswith("on"), f"<{tag} {name}>"
            if name in ("src", "href", "data", "poster", "srcset", "action"):
                assert value.startswith(("data:", "#")), f"<{tag} {name}={value[:60]}> asks for something outside"
            if name == "style":
                assert "url(" not in value
        if tag == "img":
            source = dict(attrs)["src"]
            match = re.fullmatch(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)", source)
            assert match, source[:60]
            image = Image.open(BytesIO(base64.b64decode(match[2], validate=True)))
            image.load()
            assert image.format.lower() == match[1]
            self.page.images.append(image)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            assert "url(" not in data and "@import" not in data
            return
        self.page.text += data
        if self.open and re.fullmatch(r"h[1-6]", self.open[-1]):
            self.page.headings.append(data)


def read_page(path: Path) -> Page:
    """Parse the page, which must be whole and below 3 MB."""
    assert path.stat().st_size < LIMIT
    source = path.read_text(encoding="utf-8")
    assert source.startswith("<!DOCTYPE html>")
    parser = _Strict()
    parser.feed(source)
    parser.close()
    assert parser.open == [], f"never closed: {parser.open}"
    return parser.page
