# Copyright (c) mmleuk authors. All rights reserved.
"""The pages as a reader has them: in a browser, by mouse and by keyboard."""

import os
import re

import pytest
from film_predictions import (
    draw_images,
    make_cell,
    make_film,
    make_image,
    write_predictions,
)

from mmleuk.reports import ReportSettings, write_reports

pytestmark = pytest.mark.browser

HOSTILE = '"><script>document.title="broken"</script>'


@pytest.fixture(scope='module')
def browser(browser_path):
    from playwright.sync_api import sync_playwright

    # Chromium has no sandbox for root.
    args = ['--no-sandbox'] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=browser_path, args=args
        )
        yield browser
        browser.close()


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    """Reports of a patient, of one with a hostile name, and of a normal."""
    root = tmp_path_factory.mktemp('report')
    images = make_film('3', num_fields=8, focus=100.0)
    images += make_film(HOSTILE.replace('/', '\\'), num_fields=2)
    images += [
        make_image(f'n{n}.png', [make_cell('monocyte')] * 3, patient='normal')
        for n in range(6)
    ]
    images.append(make_image('broken.png', error='is cut short'))
    draw_images(root / 'images', [i for i in images if not i.error])
    reader = write_predictions(root / 'predictions.json', images)
    write_reports(
        reader,
        root / 'out',
        ReportSettings(picture_size=160),
        image_root=root / 'images',
    )
    return root / 'out'


class Visit:
    """A page, what it asked for and what it complained of."""

    def __init__(self, browser, path, **kwargs):
        self.context = browser.new_context(**kwargs)
        self.page = self.context.new_page()
        self.requests = []
        self.complaints = []
        self.context.on(
            'request', lambda request: self.requests.append(request.url)
        )
        self.page.on(
            'console', lambda message: self.complaints.append(message.text)
        )
        self.page.on(
            'pageerror', lambda error: self.complaints.append(str(error))
        )
        self.page.goto(path.as_uri())


@pytest.fixture
def visit(browser, out):
    visits = []

    def open_page(name='patient_3.html', **kwargs):
        visits.append(Visit(browser, out / name, **kwargs))
        return visits[-1]

    yield open_page
    for each in visits:
        each.context.close()
        # Whatever a test does, no page complains or asks for anything else.
        assert each.complaints == []
        asked = [url for url in each.requests if not url.startswith('data:')]
        assert asked == [each.requests[0]]


def column(page, number):
    cells = page.locator(f'#cells tbody tr td:nth-child({number})')
    return [
        text.strip()
        for text, shown in zip(
            cells.all_inner_texts(), [c.is_visible() for c in cells.all()]
        )
        if shown
    ]


def test_opens_with_all_pictures(visit):
    page = visit().page
    assert page.title() == 'Patient 3'
    widths = page.eval_on_selector_all(
        'img', 'all => all.map(i => i.naturalWidth)'
    )
    assert len(widths) > 20
    assert min(widths) > 0
    # The style was applied: the policy knows its hash.
    assert page.evaluate('getComputedStyle(document.body).maxWidth') == (
        '1160px'
    )


def test_a_hostile_name_is_text(visit, out):
    (name,) = (p.name for p in out.glob('patient_*.*.html'))
    page = visit(name).page
    assert page.locator('h1').inner_text().startswith('Patient "><script>')
    assert page.title() != 'broken'
    index = visit('index.html').page
    assert index.title() != 'broken'


def test_policy_stops_scripts_and_requests(browser, out):
    seen = Visit(browser, out / 'patient_3.html')
    seen.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'document.title = "broken"';
            document.body.append(script);
            const image = document.createElement('img');
            image.src = 'http://127.0.0.1:9/x.png';
            document.body.append(image);
        }"""
    )
    seen.page.wait_for_function('document.images.length > 0')
    assert seen.page.title() == 'Patient 3'
    refused = [text for text in seen.complaints if 'Content Secur' in text]
    assert len(refused) == 2
    seen.context.close()


def test_sorts_by_header(visit):
    page = visit().page
    header = page.locator('#cells th', has_text='Confidence')
    header.get_by_role('button').click()
    assert header.get_attribute('aria-sort') == 'ascending'
    sure = [int(re.sub(r'\D', '', text)) for text in column(page, 4)]
    assert sure == sorted(sure)
    assert len(set(sure)) > 3
    header.get_by_role('button').press('Enter')
    assert header.get_attribute('aria-sort') == 'descending'
    again = [int(re.sub(r'\D', '', text)) for text in column(page, 4)]
    assert again == sorted(sure, reverse=True)
    kind = page.locator('#cells th', has_text='Type')
    kind.get_by_role('button').press('Space')
    assert header.get_attribute('aria-sort') == 'none'
    types = column(page, 3)
    assert types == sorted(types)
    # Within a type the order by confidence stays.
    row = [
        int(re.sub(r'\D', '', text))
        for text, name in zip(column(page, 4), types)
        if name == 'monocyte'
    ]
    assert row == sorted(row, reverse=True)


def test_filters(visit):
    page = visit().page
    total = len(column(page, 1))
    shown = page.locator('output[name=shown]')
    assert shown.inner_text() == f'{total} of {total} shown'
    page.locator('select[name=type]').select_option('monocyte')
    assert set(column(page, 3)) == {'monocyte'}
    assert shown.inner_text() == f'8 of {total} shown'
    page.locator('select[name=type]').select_option('')
    page.get_by_label('Text').fill('LARGE scanty')
    assert column(page, 3) == ['monocyte'] * 8
    page.get_by_label('Text').fill('abundant')
    assert len(column(page, 3)) == 9
    page.get_by_label('surprising only').check()
    assert column(page, 3) == ['myeloblast']
    page.get_by_label('Text').fill('no such cell')
    assert column(page, 3) == []
    assert shown.inner_text() == f'0 of {total} shown'


def test_a_field_opens_by_keyboard(visit):
    page = visit().page
    thumb = page.locator('.thumb').nth(1)
    thumb.focus()
    page.keyboard.press('Enter')
    viewer = page.locator('#viewer')
    assert viewer.is_visible()
    title = page.locator('#viewer-title')
    assert title.inner_text() == 'Field 2'
    assert viewer.locator('.box').count() == 4
    assert viewer.locator('.viewer-panel li').count() == 4
    page.keyboard.press('ArrowRight')
    assert title.inner_text() == 'Field 3'
    for _ in range(3):
        page.keyboard.press('ArrowLeft')
    assert title.inner_text() == 'Field 8', 'after the first comes the last'
    assert page.locator('.viewer-place').inner_text() == '8 of 8'
    page.keyboard.press('Escape')
    assert not viewer.is_visible()
    label = page.evaluate('document.activeElement.dataset.title')
    assert label == 'Field 8', 'the focus is where one stopped looking'


def test_a_cell_opens_with_its_evidence(visit):
    page = visit().page
    page.locator('.card.surprising .opens').first.click()
    panel = page.locator('.viewer-panel')
    assert 'myeloblast with abundant cytoplasm: 3' in panel.inner_text()
    row = panel.locator('tr.odd').nth(1).inner_text()
    assert 'Cytoplasm: abundant' in row
    assert 'against: ' in row
    assert page.locator('.viewer-frame .chosen').count() == 1
    panel.get_by_role('button', name='All of field 1').click()
    assert page.locator('#viewer-title').inner_text() == 'Field 1'
    panel.get_by_role('button', name='3 monocyte').click()
    assert page.locator('#viewer-title').inner_text().startswith('monocyte')
    page.get_by_role('button', name='Close').click()
    assert not page.locator('#viewer').is_visible()


def test_arrows_follow_the_filtered_and_sorted_table(visit):
    page = visit().page
    page.locator('select[name=type]').select_option('promonocyte')
    page.locator('#cells tbody tr:not([hidden]) .link').first.click()
    place = page.locator('.viewer-place')
    assert place.inner_text() == '1 of 8'
    page.get_by_role('button', name='Next').click()
    assert place.inner_text() == '2 of 8'
    title = page.locator('#viewer-title').inner_text()
    assert title.startswith('promonocyte')


def test_the_index_sorts_and_leads_on(browser, out):
    seen = Visit(browser, out / 'index.html')
    page = seen.page
    names = page.locator('#patients tbody th')
    assert len(names.all()) == 3
    page.get_by_role('button', name='Blasts').click()
    assert names.first.inner_text() == 'normal'
    page.get_by_role('button', name='Blasts').click()
    assert names.last.inner_text() == 'normal'
    page.get_by_role('searchbox').fill('unreadable')
    assert [n.inner_text() for n in names.all() if n.is_visible()] == ['3']
    page.get_by_role('link', name='3').click()
    assert page.title() == 'Patient 3'
    assert seen.complaints == []
    assert len([u for u in seen.requests if u.startswith('file:')]) == 2
    seen.context.close()


@pytest.mark.parametrize('name', ['patient_3.html', 'index.html'])
def test_accessible(visit, name):
    axe_playwright = pytest.importorskip(
        'axe_playwright_python.sync_playwright',
        reason='axe-playwright-python is not installed',
    )
    page = visit(name).page
    axe = axe_playwright.Axe()
    states = [axe.run(page)]
    if name != 'index.html':
        page.locator('.card.surprising .opens').first.click()
        states.append(axe.run(page))
    for result in states:
        assert len(result.response['passes']) > 15
        faults = [
            (fault['id'], fault['impact'], fault['nodes'][0]['html'])
            for fault in result.response['violations']
            if fault['impact'] in ('serious', 'critical')
        ]
        assert faults == []


@pytest.mark.parametrize('width', [360, 800, 1600])
def test_no_page_is_wider_than_its_window(visit, width):
    for name in ('patient_3.html', 'index.html'):
        page = visit(name, viewport=dict(width=width, height=800)).page
        assert page.evaluate('document.documentElement.scrollWidth') == width


def test_prints_on_a4(visit, tmp_path):
    page = visit().page
    page.emulate_media(media='print')
    assert not page.locator('nav').is_visible()
    assert not page.locator('form.filters').is_visible()
    assert page.locator('.card').first.is_visible()
    page.pdf(path=tmp_path / 'a.pdf', prefer_css_page_size=True)
    content = (tmp_path / 'a.pdf').read_bytes()
    boxes = re.findall(rb'/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]', content)
    assert 2 <= len(boxes) < 12
    for width, height in boxes:
        # A4 in points, to the nearest of the renderer's units.
        assert float(width) == pytest.approx(595.3, abs=1)
        assert float(height) == pytest.approx(841.9, abs=1)


def test_works_without_scripts(visit):
    page = visit(java_script_enabled=False).page
    assert '17 of 33' in page.locator('#blasts').inner_text()
    assert page.locator('#cells tbody tr').count() == 34
    assert page.locator('.thumb img').first.is_visible()
