"""Draw the icons and the social card: `python -m tests.screenshots.icons`."""

from base64 import b64encode

from playwright.sync_api import Page

from tests.screenshots.browser import browser
from tests.screenshots.png import smaller
from tests.support.repository import ROOT

STATIC = ROOT / "static"

CARD = """<!doctype html><meta charset="utf-8"><style>
@font-face {{ font-family: Inter; font-weight: 400 700;
             src: url("data:font/woff2;base64,{font}"); }}
body {{ margin: 0; width: 1200px; height: 630px; box-sizing: border-box; padding: 96px;
        display: flex; flex-direction: column; justify-content: space-between;
        background: #fafafa; color: #18181b; font: 400 36px/1.4 Inter; }}
img {{ width: 128px; height: 128px; }}
h1 {{ margin: 0; font-size: 84px; font-weight: 700; letter-spacing: -0.03em; line-height: 1.1; }}
p {{ margin: 24px 0 0; color: #52525b; }}
</style><img src="data:image/svg+xml;base64,{icon}">
<div><h1>License keys</h1><p>Generate, check and reset the keys of your subscriptions.</p></div>
"""
"""Without the portal's name: that is a setting, and stands beside the card as its title."""


def draw(page: Page, html: str, width: int, height: int) -> bytes:
    """Return what the HTML looks like in a window of that size."""
    page.set_viewport_size({"width": width, "height": height})
    page.set_content(html)
    page.evaluate("document.fonts.ready")
    return page.screenshot(omit_background=True)


def main() -> None:
    """Write favicon.png, apple-touch-icon.png and social-card.png."""
    icon = b64encode((STATIC / "favicon.svg").read_bytes()).decode()
    font = b64encode((STATIC / "vendor/inter/inter-latin.woff2").read_bytes()).decode()
    image = f'<img width="100%" src="data:image/svg+xml;base64,{icon}">'
    with browser() as chromium:
        page = chromium.new_page()
        small = draw(page, f'<body style="margin:0">{image}', 32, 32)
        (STATIC / "favicon.png").write_bytes(small)  # its corners are transparent
        # iOS rounds the corners itself.
        touch = draw(page, f'<body style="margin:0;background:#27272a">{image}', 180, 180)
        (STATIC / "apple-touch-icon.png").write_bytes(smaller(touch))
        card = draw(page, CARD.format(icon=icon, font=font), 1200, 630)
        (STATIC / "social-card.png").write_bytes(smaller(card))


if __name__ == "__main__":
    main()
