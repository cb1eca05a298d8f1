"""A self-contained HTML document, with one style for all tools."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --dim: #59636e; --back: #ffffff; --rule: #d1d9e0; --card: #f6f8fa;
  --good: #1a7f37; --bad: #cf222e }
@media (prefers-color-scheme: dark) {
:root { --ink: #e6edf3; --dim: #9198a1; --back: #0d1117; --rule: #3d444d; --card: #151b23;
  --good: #3fb950; --bad: #ff7b72 } }
body { margin: 2rem auto; max-width: 62.5rem; padding: 0 1rem; color: var(--ink); background: var(--back);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
h1 { font-size: 1.7rem; margin: 0 0 .3rem } h2 { font-size: 1.2rem; margin: 2rem 0 .6rem }
p { max-width: 46rem } .dim { color: var(--dim) } .good { color: var(--good) } .bad { color: var(--bad) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin: 1.4rem 0 }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .9rem 1.1rem }
.tile strong { display: block; font-size: 2.1rem; line-height: 1.2 }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; width: 100% }
th, td { padding: .25rem .6rem; text-align: right; vertical-align: bottom } td { white-space: nowrap }
th { border-bottom: 1px solid var(--rule); font-weight: 600 }
.scroll { overflow-x: auto } summary { cursor: pointer }
"""


def html_document(title: str, body: str, style: str = "") -> str:
    """A whole document. `body` is HTML; `style` is CSS that this document needs beyond the common style."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
{body.strip()}
</body>
</html>
"""
