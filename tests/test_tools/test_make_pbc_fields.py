# Copyright (c) mmleuk authors. All rights reserved.
import csv
import json
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmleuk.datasets import LLDDataset
from mmleuk.io import ConversionError
from mmleuk.io.errors import AnnotationError

FOLDER = Path(__file__).parents[2] / 'tools/dataset_converters'
sys.path.append(str(FOLDER))
from make_pbc_fields import make_pbc_fields, read_wbcatt  # noqa: E402

COLUMNS = (
    'img_name,label,cell_size,cell_shape,nucleus_shape,'
    'nuclear_cytoplasmic_ratio,chromatin_density,cytoplasm_vacuole,'
    'cytoplasm_texture,cytoplasm_colour,granule_type,granule_colour,'
    'granularity,path'
).split(',')

# Rows of the published tables, with the codes that follow from them.
NEUTROPHIL = (
    'Neutrophil,small,round,unsegmented-band,low,densely,no,clear,light blue,'
    'small,pink,yes,p'
)
LYMPHOCYTE = (
    'Lymphocyte,big,irregular,unsegmented-round,high,loosely,yes,frosted,'
    'purple blue,nil,nil,no,p'
)
CODES = {
    NEUTROPHIL: (0, 1, 1, -1, 1, 0, 0),
    LYMPHOCYTE: (2, 0, 0, -1, 0, 1, 1),
}
SIZE = (40, 36)


def write_table(path, rows):
    with open(path, 'w', newline='') as table:
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        for name, row in rows:
            writer.writerow([name, *row.split(',')])
    return str(path)


@pytest.fixture
def public(tmp_path):
    """Made-up TXL-PBC and WBCAtt: nine typed images, one of BCCD."""
    root = tmp_path / 'TXL_PBC'
    for folder in ('images', 'labels'):
        (root / folder / 'train').mkdir(parents=True)
    (root / 'data.yaml').write_text("nc: 3\nnames: ['WBC', 'RBC','Platelets']")
    rows = []
    for number in range(9):
        name = f'{"NE" if number < 5 else "LY"}_{number}.jpg'
        rows.append((name, NEUTROPHIL if number < 5 else LYMPHOCYTE))
        stem = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        # Each image has its own grey.
        image = Image.new('RGB', SIZE, (20 * number,) * 3)
        image.save(root / f'images/train/{stem}.jpg')
        (root / f'labels/train/{stem}.txt').write_text(
            # A white cell at the edge, the one in the middle, an erythrocyte.
            '0 .1 .1 .2 .2\n0 .5 .5 .5 .5\n1 .8 .8 .2 .2\n'
            if number == 7
            else '0 .5 .5 .5 .5\n1 .8 .8 .2 .2\n'
        )
    Image.new('RGB', SIZE).save(root / 'images/train/bccd.jpg')
    (root / 'labels/train/bccd.txt').write_text('0 .5 .5 .5 .5\n2 .1 .1 .1 .1')
    rows.append(('BA_1.jpg', NEUTROPHIL))  # not in TXL-PBC
    return root, write_table(tmp_path / 'wbcatt.csv', rows)


def test_fields(public, tmp_path):
    root, table = public
    report, types = make_pbc_fields(
        str(root), [table], str(tmp_path / 'out'), 'train'
    )
    assert report.num_in == 21
    assert report.num_out == 9
    assert report.num_fields == 2
    assert sum(report.dropped.values()) == 12
    assert report.dropped['erythrocytes and platelets'] == 9
    assert report.dropped['cells of images that WBCAtt does not have'] == 2
    # Five neutrophils for four lymphocytes.
    assert report.dropped['cells of types beyond their number'] == 1

    content = json.loads((tmp_path / 'out/json_labels/train.json').read_text())
    sources = [item['source'] for item in content['annotations']]
    neutrophils = {name for name in sources if name.startswith('NE')}
    assert len(neutrophils) == 4
    assert set(sources) - neutrophils == {f'LY_{i}.jpg' for i in range(5, 9)}
    data = LLDDataset(
        data_root=str(tmp_path / 'out/'),
        ann_file='json_labels/train.json',
        data_prefix=dict(img='images/'),
        pipeline=[],
    )
    assert not data.issues.counts
    assert sum(types.values()) == 8
    index = 0
    for field in range(2):
        info = data.get_data_info(field)
        assert (info['width'], info['height']) == (80, 72)
        assert Path(info['img_path']).name == f'train_{field:03d}_1000_PBC.jpg'
        with Image.open(info['img_path']) as image:
            pixels = np.asarray(image)
        seen = set()
        for cell in info['instances']:
            name = sources[index]
            index += 1
            row = NEUTROPHIL if name.startswith('NE') else LYMPHOCYTE
            x1, y1, x2, y2 = cell['bbox']
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            # The grey tells which image lies there.
            grey = 20 * int(name[3])
            assert abs(int(pixels[int(y), int(x), 0]) - grey) <= 3
            if cell['ignore_flag']:
                assert name == 'LY_7.jpg'
                assert cell['attributes'] == (-1,) * 7
                continue
            assert cell['attributes'] == CODES[row]
            label = row.split(',')[0].lower()
            classes = data.metainfo['classes']
            assert classes[cell['bbox_label']] == label
            # In the middle of its quarter.
            assert (x % 40, y % 36) == pytest.approx((20, 18))
            seen.add((x > 40, y > 36))
        assert len(seen) == 4
    assert index == len(sources)


def test_seed_and_number(public, tmp_path):
    root, table = public

    def sources(out, **options):
        make_pbc_fields(
            str(root), [table], str(tmp_path / out), 'train', **options
        )
        text = (tmp_path / out / 'json_labels/train.json').read_text()
        return [item['source'] for item in json.loads(text)['annotations']]

    assert sources('a') == sources('b')
    assert any(
        sources(f's{seed}', seed=seed) != sources(f't{seed}')
        for seed in (1, 2, 3)
    )
    # All nine fill two fields, and one is left over.
    assert len(set(sources('c', per_class=9))) == 8
    assert len(set(sources('d', per_class=2))) == 4


def test_a_field_is_of_images_of_one_size(public, tmp_path):
    root, table = public
    wider = sorted((root / 'images/train').glob('*-*.jpg'))[:5]
    for path in wider:
        Image.new('RGB', (44, 36)).save(path)
    report, _ = make_pbc_fields(
        str(root), [table], str(tmp_path / 'out'), 'train', per_class=9
    )
    assert report.num_fields == 2
    sizes = set()
    for path in (tmp_path / 'out/images').iterdir():
        with Image.open(path) as image:
            sizes.add(image.size)
    assert sizes == {(80, 72), (88, 72)}


def test_refusals(public, tmp_path):
    root, table = public
    out = str(tmp_path / 'out')
    with pytest.raises(ConversionError, match='no field can be made'):
        make_pbc_fields(str(root), [table], out, 'train', per_class=1)
    make_pbc_fields(str(root), [table], out, 'train')
    with pytest.raises(ConversionError, match='is there already'):
        make_pbc_fields(str(root), [table], out, 'train')
    with pytest.raises(FileNotFoundError):
        make_pbc_fields(str(root), [table], out, 'val')
    (root / 'data.yaml').write_text('names: [RBC, Platelets, other]')
    with pytest.raises(AnnotationError, match='expected "WBC" among them'):
        make_pbc_fields(str(root), [table], f'{out}2', 'train')


@pytest.mark.parametrize(
    'row, message',
    [
        (NEUTROPHIL.replace('small', 'tiny', 1), "cell_size='tiny'"),
        (NEUTROPHIL.replace('unsegmented-band', 'ring'), "shape='ring'"),
        (NEUTROPHIL.replace('Neutrophil', 'Ig'), "row 3: the label is 'Ig'"),
        (f'{NEUTROPHIL},more', 'row 3: expected 14 columns'),
        (NEUTROPHIL[:30], 'row 3: expected 14 columns'),
    ],
)
def test_faults_of_the_table(tmp_path, row, message):
    path = write_table(
        tmp_path / 'a.csv', [('a.jpg', NEUTROPHIL), ('b.jpg', row)]
    )
    with pytest.raises(AnnotationError, match=message):
        read_wbcatt([path])


def test_one_image_in_two_rows(tmp_path):
    path = write_table(tmp_path / 'a.csv', [('a.jpg', NEUTROPHIL)])
    again = write_table(tmp_path / 'b.csv', [('a.jpg', NEUTROPHIL)])
    other = write_table(tmp_path / 'c.csv', [('a.jpg', LYMPHOCYTE)])
    assert read_wbcatt([path, again]) == {
        'a.jpg': ('neutrophil', CODES[NEUTROPHIL])
    }
    with pytest.raises(AnnotationError, match='is in another row'):
        read_wbcatt([path, other])
    for content in (b'\xff\xfe', b'a,b\n"x', b'', b'img_name,label\nx,y\n'):
        (tmp_path / 'd.csv').write_bytes(content)
        with pytest.raises(AnnotationError, match='d.csv'):
            read_wbcatt([str(tmp_path / 'd.csv')])


def test_names_as_published():
    # An image of PBC and its file in TXL-PBC.
    assert (
        str(uuid.uuid5(uuid.NAMESPACE_URL, 'BA_74901.jpg'))
        == 'c6479b33-cc10-5ca1-8e4c-a5c2e0500e63'
    )
