# Copyright (c) mmleuk authors. All rights reserved.
"""Take the pictures of docs/report.md from a page of a report.

    python tools/dev/report_screenshots.py outputs/report/patient_3.html

Needs Playwright (pip install playwright) and Chromium.
"""

import argparse
import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image

# A page with a few pictures should load fast.
MAX_BYTES = 300_000

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('page', help='page of a patient')
    parser.add_argument(
        '--out',
        default='docs/images',
        help='folder of the pictures (default: %(default)s)',
    )
    parser.add_argument(
        '--width',
        type=int,
        default=1180,
        help='width of the window in pixels (default: %(default)s)',
    )
    args = parser.parse_args()
    if not Path(args.page).is_file():
        parser.error(f'there is no page {args.page}')
    return args


def write_small(shot: bytes, file: Path) -> None:
    """Write a PNG with as many colours as the size allows."""
    image = Image.open(io.BytesIO(shot)).convert('RGB')
    for colours in (256, 128, 64, 32):
        stream = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(
            stream, 'PNG', optimize=True
        )
        if stream.tell() <= MAX_BYTES:
            file.write_bytes(stream.getvalue())
            print(f'{file}: {stream.tell() // 1000} kB, {colours} colours')
            return
    raise ValueError(
        f'{file} would have {stream.tell()} bytes, expected at most '
        f'{MAX_BYTES}: take a smaller --width'
    )


def main() -> None:
    """Take the pictures."""
    args = parse_args()
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        sys.exit(f'error: expected one of {", ".join(BROWSERS)} in the PATH')
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit('error: screenshots need Playwright: pip install playwright')
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    # Chromium has no sandbox for root.
    flags = ['--no-sandbox'] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=browser_path, args=flags
        )
        page = browser.new_page(viewport=dict(width=args.width, height=900))
        page.goto(Path(args.page).resolve().as_uri())
        # From the top to the end of the differential count.
        box = page.locator('#differential').bounding_box()
        page.set_viewport_size(
            dict(width=args.width, height=round(box['y'] + box['height']) + 24)
        )
        write_small(page.screenshot(), out / 'report_top.png')
        # Prefer a type with surprising attributes.
        gallery = page.locator('.type:has(.surprise)')
        if not gallery.count():
            gallery = page.locator('.type')
        if not gallery.count():
            sys.exit(f'error: {args.page} has no gallery of cells')
        write_small(gallery.first.screenshot(), out / 'cell_gallery.png')
        browser.close()


if __name__ == '__main__':
    main()
