"""Opens one page in Qt's Chromium and prints what it saw as JSON: ``python tests/browser.py PAGE WIDTH PICTURE``.

A process of its own, because Qt wants the main thread.
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--no-sandbox --disable-gpu"

from PySide6.QtCore import QTimer, QUrl
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, QWebEngineUrlRequestInterceptor
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

LOOK = """JSON.stringify({
  title: document.title,
  headings: [...document.querySelectorAll("h1, h2, h3")].map(h => h.innerText),
  pictures: document.images.length,
  broken: [...document.images].filter(i => !i.complete || i.naturalWidth == 0).length,
  too_wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  inner_too_wide: Math.max(0, ...[...document.querySelectorAll(".wide")].map(e => e.scrollWidth - e.clientWidth)),
  invisible: [...document.querySelectorAll("img, table, svg, h1, h2")]
    .filter(e => e.getBoundingClientRect().width == 0).length,
})"""


class Fetches(QWebEngineUrlRequestInterceptor):
    """What the page asks for beside itself."""

    def __init__(self, page: QUrl):
        super().__init__()
        self.page = page
        self.seen: list[str] = []

    def interceptRequest(self, info) -> None:
        if info.requestUrl() != self.page and info.requestUrl().scheme() != "data":
            self.seen.append(info.requestUrl().toString())
            info.block(True)


class Listening(QWebEnginePage):
    """Keeps what the page says on its console."""

    def __init__(self, profile: QWebEngineProfile):
        super().__init__(profile)
        self.console: list[str] = []

    def javaScriptConsoleMessage(self, level, message, line, source) -> None:
        self.console.append(message)


def main(path: str, width: str, picture: str) -> None:
    """Load, look, photograph, print."""
    application = QApplication([])
    url = QUrl.fromLocalFile(str(Path(path).resolve()))
    profile, fetches = QWebEngineProfile(), Fetches(url)
    profile.setUrlRequestInterceptor(fetches)
    page, view = Listening(profile), QWebEngineView()
    view.setPage(page)
    view.resize(int(width), 1600)

    def say(found: str) -> None:
        view.grab().save(picture)
        print(json.dumps({**json.loads(found), "console": page.console, "fetched": fetches.seen}), flush=True)
        os._exit(0)  # Qt takes seconds to end in order

    def look(loaded: bool) -> None:
        if not loaded:
            sys.exit(f"{path}: Qt could not load the page.")
        QTimer.singleShot(500, lambda: page.runJavaScript(LOOK, say))

    page.loadFinished.connect(look)
    view.load(url)
    view.show()
    application.exec()


if __name__ == "__main__":
    main(*sys.argv[1:])
