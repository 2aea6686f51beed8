"""The morning report as one HTML file that can be mailed: everything is in it, thumbnails too, and no script.

It is made from the kept report (Markdown) and the ledger, so it can be made again for any night; what was decided since
is in it then.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from urllib.parse import quote, urlencode

from markdown_it import MarkdownIt
from PIL import Image

from schemas.errors import StoreError
from schemas.settings import Settings
from storage.ledger import Ledger
from storage.ledger.nights import NightImage, NightSummary
from storage.objects import Store

log = logging.getLogger(__name__)

SHOWN = 300
"""Thumbnails in one file: about 2 MB."""
EACH = 12
"""Of one asset at most."""
ASSETS_TABLE = "Made"
"""The section of the Markdown report that the page leaves out: it says the same under "By asset"."""
SIDE, QUALITY = 160, 70
"""px and JPEG quality of a thumbnail: JPEG, which every mail program shows."""
STYLE = """
body { font: 15px/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1b2130; background: #fff;
       max-width: 1080px; margin: 24px auto; padding: 0 16px; }
h1 { font-size: 24px; } h2 { font-size: 19px; margin-top: 32px; } h3 { font-size: 16px; margin: 20px 0 6px; }
table { border-collapse: collapse; } th, td { border: 1px solid #d0d5dd; padding: 3px 9px; text-align: left; }
a { color: #1d4ed8; } .faint { color: #667085; }
.first { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 14px; }
.flagged { border-left: 4px solid #c1121f; padding: 2px 12px; overflow: hidden; font-size: 13px; }
.flagged img { float: left; margin: 0 14px 4px 0; } .flagged a { font-size: 15px; }
h3 .faint { font-size: 14px; font-weight: normal; margin-left: 6px; }
.tiles a { display: inline-block; margin: 0 8px 10px 0; font-size: 12px; width: 160px; vertical-align: top;
           text-decoration: none; color: #667085; overflow-wrap: anywhere; }
img { display: block; max-width: 160px; max-height: 160px; }
.mark { color: #c1121f; }
"""


def make_page(night: int, text: str, *, ledger: Ledger, store: Store, settings: Settings) -> str:
    """The page of a night, whose report (Markdown) is `text`. A thumbnail that cannot be had is left out."""
    summary = ledger.summary(night)
    each = max(1, min(EACH, SHOWN // max(1, len(summary.by_asset))))
    images = ledger.night_images(night, each=each)[:SHOWN]
    thumbs = {image.digest: data for image in images if (data := _thumb(store, image.thumb_key)) is not None}
    return draw_page(text, summary, images, thumbs, settings=settings)


def draw_page(
    text: str, summary: NightSummary, images: Sequence[NightImage], thumbs: Mapping[str, bytes], *, settings: Settings
) -> str:
    """Pure. `thumbs`: JPEG bytes by image digest."""
    links = _Links(settings.review_url)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    head, *sections = text.split("\n## ")
    rest = "\n".join(f"## {section}" for section in sections if not section.startswith(f"{ASSETS_TABLE}\n"))
    title = f"Night {summary.night.id}: {summary.night.outcome or 'open'}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{STYLE}</style></head><body>",
        markdown.render(head),
        f'<p>Review: <a href="{links.inbox()}">the inbox</a></p>',
        *_flagged(summary, images, thumbs, links),
        markdown.render(rest) if rest else "",
        *_assets(summary, images, thumbs, links, settings),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


class _Links:
    """Addresses in the review app, escaped for an attribute."""

    def __init__(self, review_url: str) -> None:
        self.base = review_url.rstrip("/")

    def inbox(self, **filters: str) -> str:
        return escape(f"{self.base}/?{urlencode(filters, quote_via=quote)}" if filters else f"{self.base}/")


def _flagged(
    summary: NightSummary, images: Sequence[NightImage], thumbs: Mapping[str, bytes], links: _Links
) -> Iterable[str]:
    flagged = [image for image in images if image.flags]
    if not summary.flagged:
        return
    yield f'<h2>Look here first: {_images(summary.flagged)} flagged</h2><div class="first">'
    for image in flagged:
        sentences = "".join(f"<br>{escape(check)}: {escape(sentence)}" for check, sentence in image.flags)
        name = escape(f"{image.project} / {image.asset} {image.variant}")
        link = f'<a href="{links.inbox(image=image.digest)}">{name}</a>'
        yield f'<div class="flagged">{_picture(image, thumbs)}{link}{sentences}</div>'
    yield "</div>"
    if more := summary.flagged - len(flagged):
        yield f'<p class="faint">and {more} more: <a href="{links.inbox()}">the inbox</a> shows them first</p>'


def _assets(
    summary: NightSummary,
    images: Sequence[NightImage],
    thumbs: Mapping[str, bytes],
    links: _Links,
    settings: Settings,
) -> Iterable[str]:
    made = {(one.project, one.asset): one for one in summary.by_asset}
    if made:
        yield "<h2>By asset</h2>"
    for (project, asset), group in groupby(images, key=lambda image: (image.project, image.asset)):
        one, shown = made[project, asset], list(group)
        cost = f"{settings.gpu_hour_price * one.gpu_seconds / 3600:.2f} {settings.currency}"
        about = escape(f"{_images(one.made)}, {one.flagged} flagged, {one.approved} approved, {cost}")
        inbox = links.inbox(project=project, asset=asset)
        name = escape(f"{project} / {asset}")
        yield f'<h3><a href="{inbox}">{name}</a> <span class="faint">{about}</span></h3>'
        tiles = "".join(
            f'<a href="{links.inbox(image=image.digest)}">{_picture(image, thumbs)}{escape(image.variant)}'
            f"{' <span class=mark>flagged</span>' if image.flags else ''}</a>"
            for image in shown
        )
        yield f'<div class="tiles">{tiles}</div>'
        if more := one.made - len(shown):
            yield f'<p class="faint">and {more} more: <a href="{inbox}">in the inbox</a></p>'


def _picture(image: NightImage, thumbs: Mapping[str, bytes]) -> str:
    data = thumbs.get(image.digest)
    if data is None:
        return ""
    source = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{escape(f"{image.asset} {image.variant}")}" src="{source}">'


def _images(many: int) -> str:
    return f"{many} image{'s' * (many != 1)}"


def _thumb(store: Store, key: str) -> bytes | None:
    """JPEG, its longest side at most SIDE px."""
    try:
        with Image.open(io.BytesIO(store.get(key))) as picture:
            small = picture.convert("RGB")
    except (StoreError, OSError) as wrong:  # damaged or away: the report is sent all the same
        log.warning("a thumbnail is left out of the report: %s", wrong)
        return None
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
