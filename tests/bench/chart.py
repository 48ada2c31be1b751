# SPDX-License-Identifier: ISC
"""Horizontal bars as SVG, without a library: readable on a light and on a dark page."""

from xml.sax.saxutils import escape

STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600 } .note { fill: #59636e; font-size: 12px }
    .bar { fill: #8c959f } .ours { fill: #0969da }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc } .note { fill: #9198a1 } .bar { fill: #656c76 } .ours { fill: #4493f8 }
    }"""
WIDTH, LEFT, RIGHT, ROW = 640, 150, 90, 26


def bars(title, note, values, ours="dynapm"):
    """`values`: name → (number, its text), in their order; the longest bar is the largest number."""
    largest = max((number for number, _ in values.values()), default=0) or 1
    height = 56 + ROW * len(values) + 8
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">', f"  <style>{STYLE}\n  </style>",
           f'  <text class="title" x="0" y="18">{escape(title)}</text>',
           f'  <text class="note" x="0" y="37">{escape(note)}</text>']
    for i, (name, (number, text)) in enumerate(values.items()):
        y = 50 + ROW * i
        length = max(1.0, (WIDTH - LEFT - RIGHT) * number / largest)
        out += [f'  <text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
                f'  <rect class="{"ours" if name == ours else "bar"}" x="{LEFT}" y="{y}" width="{length:.1f}" '
                f'height="18" rx="3"/>',
                f'  <text x="{LEFT + length + 8:.1f}" y="{y + 14}">{escape(text)}</text>']
    return "\n".join([*out, "</svg>", ""])
