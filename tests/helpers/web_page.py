"""Checks for the HTML pages that the tools write."""

from __future__ import annotations

from html.parser import HTMLParser


def assert_whole_page(text: str) -> None:
    """An HTML page whose tags are all closed, and which loads nothing from anywhere."""

    class Checker(HTMLParser):
        open_tags: list[str]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base"}
            assert not {name for name, _ in attrs} & {"src", "href", "xlink:href", "data", "action"}
            if tag != "meta":
                self.open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open_tags.pop() == tag

    checker = Checker()
    checker.open_tags = []
    checker.feed(text)
    checker.close()
    assert checker.open_tags == []
    assert text.startswith("<!doctype html>")
    assert "url(" not in text
    assert "@import" not in text
