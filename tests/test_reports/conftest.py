# Copyright (c) mmleuk authors. All rights reserved.
import shutil

import pytest

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


@pytest.fixture(scope='session')
def browser_path():
    """The browser to drive."""
    pytest.importorskip(
        'playwright.sync_api', reason='Playwright is not installed'
    )
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f'none of {", ".join(BROWSERS)} is installed')
    return path
