# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
from dumped_fields import write_fields
from random_results import ATTRIBUTES, CLASSES

from mmleuk.engine.checkpoint_metadata import (
    load_whole_checkpoint,
    read_calibration,
)

FOLDER = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('calibrate')


@pytest.fixture
def folder(tmp_path):
    write_fields(tmp_path / 'data')
    return tmp_path / 'data'


@pytest.fixture
def run(tool, folder, monkeypatch):
    def run_tool(*options, config='config.py', results='results.pkl'):
        names = config, 'epoch_1.pth', results
        paths = [str(folder / name) for name in names]
        monkeypatch.setattr(sys, 'argv', ['calibrate.py', *paths, *options])
        tool.main()

    return run_tool


def test_writes_a_calibrated_copy(run, folder, capsys):
    before = (folder / 'epoch_1.pth').read_bytes()
    run()
    assert (folder / 'epoch_1.pth').read_bytes() == before
    loaded = torch.load(folder / 'epoch_1_calibrated.pth', weights_only=True)
    calibration = read_calibration(loaded['meta'])
    assert calibration.fitted_on == 'data/test.json'
    assert calibration.type_temperature > 0
    assert set(calibration.attribute_temperatures) == {
        'cell_size',
        'nuclear_shape',
    }
    assert loaded['state_dict'].keys() == {'weight'}
    printed = capsys.readouterr().out
    assert 'cross-validated over images' in printed
    temperature = f'{calibration.attribute_temperatures["cell_size"]:.3f}'
    row = [line for line in printed.splitlines() if 'cell_size' in line][0]
    assert temperature in row


def test_out_and_in_place(run, folder):
    out = folder / 'new.pth'
    run('--out', str(out))
    expected = read_calibration(load_whole_checkpoint(out)['meta'])
    with pytest.raises(SystemExit):
        run('--out', str(out))
    run('--in-place')
    found = load_whole_checkpoint(folder / 'epoch_1.pth')['meta']
    assert read_calibration(found) == expected
    with pytest.raises(SystemExit):
        run('--in-place', '--out', str(folder / 'other.pth'))


def test_prior_and_threshold_reach_the_fit(run, folder):
    found = []
    for name, threshold in dict(a='0', b='0.6').items():
        out = folder / f'{name}.pth'
        options = '--score-thr', threshold, '--prior-std', '0.01'
        run('--out', str(out), *options)
        found.append(read_calibration(load_whole_checkpoint(out)['meta']))
    low, high = found
    assert low.type_temperature == pytest.approx(1, abs=0.02)
    assert low.attribute_temperatures == high.attribute_temperatures
    assert low.type_temperature != high.type_temperature


def test_an_attribute_with_few_cells_is_left_out_and_named(
    run, folder, capsys
):
    path = folder / 'test.json'
    content = json.loads(path.read_text())
    for index, annotation in enumerate(content['annotations']):
        if index >= 20:
            annotation['nuclear_shape'] = 4
    path.write_text(json.dumps(content))
    run()
    loaded = load_whole_checkpoint(folder / 'epoch_1_calibrated.pth')
    calibration = read_calibration(loaded['meta'])
    assert set(calibration.attribute_temperatures) == {'cell_size'}
    printed = capsys.readouterr().out
    assert 'Stays uncalibrated: nuclear_shape' in printed
    assert 'expected at least 30' in printed


def save_checkpoint(folder, **meta):
    torch.save(
        dict(state_dict={}, meta=dict(dataset_meta=meta)),
        folder / 'epoch_1.pth',
    )


@pytest.mark.parametrize(
    'meta, message',
    [
        (
            dict(classes=CLASSES[::-1], attributes=ATTRIBUTES),
            'names the types',
        ),
        (
            dict(classes=CLASSES, attributes=ATTRIBUTES[::-1]),
            'names the attributes',
        ),
        (dict(classes=CLASSES), 'names the attributes None'),
        ({}, "doesn't say which types"),
    ],
)
def test_refuses_a_checkpoint_of_another_schema(run, folder, meta, message):
    save_checkpoint(folder, **meta)
    with pytest.raises(SystemExit, match=message):
        run()
    assert not (folder / 'epoch_1_calibrated.pth').exists()


def test_refuses_predictions_of_another_schema(run, folder):
    path = folder / 'results.pkl'
    samples = pickle.loads(path.read_bytes())
    for sample in samples:
        prediction = sample['pred_instances']
        prediction['attribute_probs'] = prediction['attribute_probs'][:, :4]
    path.write_bytes(pickle.dumps(samples))
    with pytest.raises(SystemExit, match='these results are of another model'):
        run()


def test_refuses_fields_of_the_training(run, folder):
    text = (folder / 'config.py').read_text()
    (folder / 'leaky.py').write_text(text.replace('train.json', 'test.json'))
    with pytest.raises(SystemExit, match='30 of 30 fields, .* trained on'):
        run(config='leaky.py')


def test_patients_stay_together_where_all_are_known(tool, folder):
    images = [
        dict(name=f'{index}.png', patient=str(index // 3))
        for index in range(9)
    ]
    results = tool.DumpedResults('val', (), None, images)
    groups, kind = tool.group_images(results)
    assert kind == 'patients'
    assert groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    images[4]['patient'] = None
    assert tool.group_images(results)[1] == 'images'
