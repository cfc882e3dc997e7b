# Copyright (c) mmleuk authors. All rights reserved.
import base64
import csv
import gc
import hashlib
import json
import re
import tracemalloc
from html.parser import HTMLParser

import pytest
from film_predictions import (
    apart,
    draw_images,
    make_cell,
    make_film,
    make_header,
    make_image,
    write_predictions,
)
from msgspec import to_builtins
from msgspec.structs import replace

from mmleuk.io.predictions import PredictionReader
from mmleuk.reports import (
    Reference,
    ReportSettings,
    load_reference,
    write_reports,
)

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"\''


class Page(HTMLParser):
    """Tags, their attributes and the text of a page."""

    def __init__(self, path):
        super().__init__()
        self.raw = path.read_text(encoding='utf-8')
        self.tags = []
        self.texts = []
        self.scripts = []
        self._inside = None
        self.feed(self.raw)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == 'script':
            self.scripts.append('')

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, text):
        if self._inside == 'script':
            self.scripts[-1] += text
        elif self._inside != 'style':
            self.texts.append(text)

    @property
    def text(self):
        return re.sub(r'\s+', ' ', ' '.join(self.texts))

    def all(self, tag, **attrs):
        return [
            found
            for name, found in self.tags
            if name == tag and all(found.get(k) == v for k, v in attrs.items())
        ]


@pytest.fixture
def report(tmp_path):
    """Write reports of images whose pictures are there."""

    def write(images, header=(), pictures=True, **kwargs):
        root = tmp_path / 'images'
        if pictures:
            readable = [image for image in images if not image.error]
            draw_images(root, readable)
        reader = write_predictions(
            tmp_path / 'predictions.json', images, **dict(header)
        )
        out = tmp_path / 'out'
        settings = ReportSettings(**kwargs.pop('settings', {}))
        entries = write_reports(
            reader, out, settings, image_root=root, **kwargs
        )
        return out, entries

    return write


def test_a_page_a_patient(report):
    images = make_film('3') + make_film('10')
    # Images of patients lie scattered.
    out, entries = report(images[::2] + images[1::2])
    assert [entry.patient for entry in entries] == ['3', '10']
    assert sorted(path.name for path in out.iterdir()) == [
        'index.html',
        'patient_10.csv',
        'patient_10.html',
        'patient_3.csv',
        'patient_3.html',
    ]
    page = Page(out / 'patient_3.html')
    assert 'Patient 3 ' in page.text
    assert 'Research output, not a diagnosis' in page.text
    assert '13 of 25 named cells' in page.text
    assert 'The interval lies above the 20 % mark' in page.text
    assert 'Counted as blasts: myeloblast.' in page.text
    assert 'With promonocytes as blast equivalents: 76.0 %' in page.text
    assert 'bootstrap over the 6 fields' in page.text
    assert '1 cell of the type “none”' in page.text
    assert 'left out of the denominator' in page.text
    assert (
        'myeloblast with abundant cytoplasm: 3 % of 100 training cells'
        in page.text
    )
    assert 'not stated' not in page.text
    for fact in ('epoch_9.pth', 'train.json', '100x', 'val.json, 900 cells'):
        assert fact in page.text
    # Six fields, and the crops: of a type with more than five cells ten.
    assert len(page.all('img')) == 6 + 10 + 6 + 6 + 1
    for image in page.all('img'):
        assert image['src'].startswith('data:image/jpeg;base64,')


def test_the_index_names_all(report):
    images = make_film('3') + make_film('10', num_fields=2)
    out, _ = report(images)
    index = Page(out / 'index.html')
    assert '2 patients' in index.text
    assert [link['href'] for link in index.all('a')] == [
        'patient_3.html',
        'patient_10.html',
    ]
    assert 'above' in index.text
    assert 'Few cells' in index.text
    assert 'Few fields' in index.text


def test_the_table_has_all_cells(report):
    out, _ = report(make_film(), settings=dict(max_cells=7))
    with (out / 'patient_3.csv').open(encoding='utf-8-sig') as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 26
    page = Page(out / 'patient_3.html')
    assert '7 of 26 cells: blasts first' in page.text
    assert page.raw.count('<tr data-type=') == 7
    assert {'href': 'patient_3.csv'} in page.all('a')


def test_the_policy_allows_this_page_alone(report):
    out, _ = report(make_film())
    for name in ('patient_3.html', 'index.html'):
        page = Page(out / name)
        (meta,) = page.all('meta', **{'http-equiv': 'Content-Security-Policy'})
        policy = dict(
            part.strip().split(' ', 1) for part in meta['content'].split(';')
        )
        assert policy['default-src'] == "'none'"
        assert policy['img-src'] == 'data:'
        assert policy['base-uri'] == policy['form-action'] == "'none'"
        script = page.scripts[-1]
        style = re.search(r'<style>(.*?)</style>', page.raw, re.S)[1]
        for text, key in ((script, 'script-src'), (style, 'style-src')):
            digest = hashlib.sha256(text.encode()).digest()
            sha = base64.b64encode(digest).decode()
            assert policy[key] == f"'sha256-{sha}'"
        for _, attrs in page.tags:
            assert 'style' not in attrs
            assert not any(key.startswith('on') for key in attrs)


def test_what_comes_from_files_is_escaped(report, tmp_path):
    cells = [make_cell()] * 3 + [make_cell('monocyte')]
    images = [
        make_image(
            'a.png',
            cells,
            patient=HOSTILE,
            field=HOSTILE,
            magnification=HOSTILE,
            subset=HOSTILE,
            diagnosis=HOSTILE,
        ),
        make_image(f'b/{HOSTILE[:2]}.png', patient=HOSTILE, error=HOSTILE),
    ]
    header = dict(
        model=dict.fromkeys(['config', 'checkpoint', 'dataset'], HOSTILE),
        software={HOSTILE: HOSTILE},
        created=HOSTILE,
        calibration=dict(fitted_on=HOSTILE),
    )
    reference = Reference(make_header().type_profile, HOSTILE)
    out, (entry,) = report(images, header, reference=reference)
    for name in (entry.page, 'index.html'):
        page = Page(out / name)
        assert 'alert(1)' in page.text
        assert len(page.all('script')) == (1 if name == 'index.html' else 2)
        assert not any('onerror' in attrs for _, attrs in page.tags)
        assert not page.all('img', src='x')
        for meta in page.all('meta'):
            assert 'alert' not in str(meta)
        # The text comes out as it went in.
        assert HOSTILE in page.texts


def test_types_and_attributes_are_escaped(report):
    header = make_header().to_dict()
    header = json.loads(
        json.dumps(header)
        .replace('"monocyte"', json.dumps(HOSTILE))
        .replace('"abundant"', json.dumps(HOSTILE + '2'))
    )
    images = [
        json.loads(
            json.dumps(to_builtins(image))
            .replace('"monocyte"', json.dumps(HOSTILE))
            .replace('"abundant"', json.dumps(HOSTILE + '2'))
        )
        for image in make_film()
    ]
    out, _ = report(make_film())
    path = out / 'hostile.json'
    path.write_text(json.dumps(dict(header, images=images)))
    write_reports(PredictionReader(path), out / 'hostile')
    page = Page(out / 'hostile/patient_3.html')
    assert len(page.all('script')) == 2
    assert not any('onerror' in attrs for _, attrs in page.tags)
    data = json.loads(page.scripts[0])
    assert HOSTILE in {cell['type'] for cell in data['cells'].values()}


def test_json_in_the_page_cannot_end_its_script(report):
    name = 'a</script>\u2028\u2029<!--<script>&'
    images = [make_image('a.png', [make_cell()], field=name)]
    out, (entry,) = report(images)
    raw = Page(out / entry.page).raw
    block = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', raw, re.S
    )[1]
    assert not set(block) & set('<>&\u2028\u2029')
    (cell,) = json.loads(block)['cells'].values()
    assert cell['field'] == name


@pytest.mark.parametrize(
    'patient', ['../x', '', 'x' * 3000, '患者 7', '\ud800', 'a"b', '\u202e7']
)
def test_any_name_of_a_patient(report, patient):
    images = [make_image('a.png', [make_cell()], patient=patient)]
    out, (entry,) = report(images)
    assert (out / entry.page).resolve().parent == out.resolve()
    assert len(list(out.iterdir())) == 3
    assert not list(out.parent.glob('*.html'))
    Page(out / entry.page)


def test_a_name_in_the_printed_foot_is_a_string(report):
    images = [
        make_image('a.png', [make_cell()], patient='"; } </style>\\\n\0é')
    ]
    out, (entry,) = report(images)
    page = Page(out / entry.page)
    style = re.search(r'<style>(.*?)</style>', page.raw, re.S)[1]
    (foot,) = re.findall(r'@bottom-left \{ content: "(.*?)"; \} \}\n', style)
    assert re.fullmatch(r'(\\[0-9a-f]{6}|[A-Za-z0-9])+', foot)
    assert '\\0000e9' in foot
    assert style.endswith('; } }\n')


def test_missing_images_leave_the_numbers(report):
    out, (entry,) = report(make_film(), pictures=False)
    assert {note.code for note in entry.notes} >= {'no-picture'}
    page = Page(out / entry.page)
    assert '13 of 25 named cells' in page.text
    assert 'Pictures not shown. 6 images could not be opened' in page.text
    assert page.all('img') == []
    assert 'No picture' in page.text


def test_one_broken_image_spoils_no_other(report, tmp_path):
    images = make_film()
    draw_images(tmp_path / 'images', images)
    (tmp_path / 'images/3_2.png').write_bytes(b'no image')
    out, (entry,) = report(images, pictures=False)
    page = Page(out / entry.page)
    assert 'Pictures not shown. 1 image could not be opened' in page.text
    assert page.raw.count('data-opens="field"') == 5


def test_a_model_that_was_not_calibrated_says_so(report):
    cells = apart(*[make_cell(confidence=None, score=0.913)] * 7)
    out, (entry,) = report([make_image(cells=cells)], dict(calibration=None))
    page = Page(out / entry.page)
    assert 'Uncalibrated model' in page.text
    assert '0.91 uncalibrated' in page.text
    assert 'Median score (uncalibrated)' in page.text
    assert '91 %' not in page.text


def test_a_share_that_cannot_be_stated(report):
    images = [make_image(cells=[make_cell('monocyte')])]
    out, (entry,) = report(images, settings=dict(blast_types=('basophil',)))
    assert 'Cannot be stated' in Page(out / entry.page).text
    assert 'not stated' in Page(out / 'index.html').text


def test_a_detector_without_attributes(report):
    bare = replace(make_cell(), attributes={}, evidence=())
    cells = apart(*[bare] * 12)
    header = dict(schema=None, type_profile=None)
    out, (entry,) = report([make_image(cells=cells)], header)
    page = Page(out / entry.page)
    assert 'Attributes by type' not in page.text
    assert '12 of 12 named cells' in page.text


def test_attributes_never_labelled_are_not_shown(report):
    profile = make_header().type_profile
    profile = type(profile).from_dict(profile.to_dict())
    profile.counts['cytoplasm'][:] = 0
    cell = make_cell()
    values = {k: v.value for k, v in cell.attributes.items()}
    evidence = profile.explain('myeloblast', values)
    cells = apart(*[replace(cell, evidence=evidence)] * 12)
    out, (entry,) = report(
        [make_image(cells=cells)], dict(type_profile=profile)
    )
    page = Page(out / entry.page)
    assert 'Cytoplasm: what the model says of them means' in page.text
    assert 'scanty cytoplasm' not in page.text
    assert 'medium cell size' in page.text


@pytest.mark.parametrize(
    'images',
    [
        [],
        [make_image()],
        [make_image(error='is cut short')],
        [make_image(cells=[make_cell('none')])],
    ],
    ids=['none', 'empty', 'unreadable', 'unnamed'],
)
def test_next_to_nothing(report, images):
    out, entries = report(images)
    assert len(entries) == len(images)
    Page(out / 'index.html')
    for entry in entries:
        page = Page(out / entry.page)
        assert 'Cannot be stated' in page.text
        assert 'What this report cannot say' in page.text


def test_a_reference_of_other_patients(report, tmp_path):
    path = tmp_path / 'normal.json'
    write_predictions(path, make_film('n'))
    out, (entry,) = report(make_film(), reference=load_reference(path))
    page = Page(out / entry.page)
    assert 'reference normal.json (upright line), read by a model' in page.text


def test_fields_of_one_name_are_told_apart(report):
    images = [
        make_image('a/1.png', [make_cell()], field='1'),
        make_image('b/1.png', [make_cell()], field='1'),
        make_image('b/2.png', [make_cell()], field='2'),
    ]
    out, (entry,) = report(images)
    text = Page(out / entry.page).text
    assert 'field 1 (a/1.png)' in text
    assert 'field 1 (b/1.png)' in text
    assert re.search(r'field 2 ?,', text)


def test_pictures_are_capped(report):
    settings = dict(max_pictures=2, max_gallery=1, picture_size=64)
    out, (entry,) = report(make_film(), settings=settings)
    page = Page(out / entry.page)
    assert page.raw.count('data-opens="field"') == 2
    assert '2 of 6 fields: those with the most blasts' in page.text
    assert len(page.all('img')) == 2 + 2 * 3 + 1


def test_repeated_records_are_reported(report):
    images = make_film()
    out, _ = report(images + images[:2])
    assert 'Left out: 2 records of images' in Page(out / 'index.html').text


def test_the_same_again(report):
    out, _ = report(make_film())
    first = (out / 'patient_3.html').read_bytes()
    out, _ = report(make_film()[::-1])
    assert (out / 'patient_3.html').read_bytes() == first


def test_an_unknown_type_of_blast_writes_nothing(report, tmp_path):
    with pytest.raises(ValueError, match="blast type 'blast', expected one"):
        report(make_film(), settings=dict(blast_types=('blast',)))
    assert not (tmp_path / 'out').exists()


def test_memory_does_not_grow_with_patients(tmp_path):
    def peak(num_patients):
        images = (
            image
            for patient in range(num_patients)
            for image in make_film(f'{num_patients}-{patient}')
        )
        reader = write_predictions(tmp_path / 'p.json', images)
        tracemalloc.start()
        # What a rendered template leaves behind refers to itself.
        write_reports(
            reader, tmp_path / 'out', on_patient=lambda _: gc.collect()
        )
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)
    gc.collect()
    # What is there already need not be gone through each time.
    gc.freeze()
    try:
        assert peak(20) < 1.5 * peak(4)
    finally:
        gc.unfreeze()


def test_other_names_of_a_cell_are_told(report):
    twice = [make_cell('monocyte', 0.4), make_cell('myeloblast', 0.9)]
    out, (entry,) = report([make_image(cells=twice)])
    page = Page(out / entry.page)
    assert '1 of 1 named cell' in page.text
    assert 'or monocyte, 40 %' in page.text
    assert '1 box on the cell of a surer box' in page.text
    assert 'data-number="1"' not in page.raw
