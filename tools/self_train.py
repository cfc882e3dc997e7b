# Copyright (c) mmleuk authors. All rights reserved.
"""Train on annotated regions, label the rest once, train on everything.

One round of self-training. A config of it says how::

    self_training = dict(
        labeller='crop-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py',
        labeller_share=1 / 3,
        score_thr=0.85,
        iou_thr=0.5,
    )

1. The *labeller*, a config given relative to this one, is trained on the
   training data of this config. Both configs state a schedule that takes the
   whole budget; the labeller is given ``labeller_share`` of its own, and this
   config the rest of its own, so that together they take one budget.
2. The labeller is run over the whole training fields. Detections of at least
   ``score_thr`` in un-annotated area become labels; see
   ``mmleuk.datasets.pseudo_labels``.
3. This config is trained on the completed labels.

A run that was interrupted goes on where it stopped if it is started again.
With ``--gpus`` or ``--partition`` each stage takes several GPUs, by
``tools/dist_train.sh`` or ``tools/slurm_train.sh``: this tool itself is one
process.
"""

import argparse
import json
import os
import os.path as osp
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch.distributed import is_torchelastic_launched

from mmleuk.config_files import config_path
from mmleuk.datasets.pseudo_labels import label_fields
from mmleuk.engine.run_config import add_cfg_options
from mmleuk.engine.schedule import scale_schedule
from mmleuk.engine.write_once import write_once
from mmleuk.structures.class_map import ClassMap

TOOLS = Path(__file__).resolve().parent
SETTING = 'self_training'
SETTINGS = ('labeller', 'labeller_share', 'score_thr', 'iou_thr')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'config', type=config_path, help='path or name of the config'
    )
    parser.add_argument(
        '--work-dir',
        help='folder for logs, labels and checkpoints; default: '
        './work_dirs/ and the name of the config',
    )
    add_cfg_options(parser, 'self_training.score_thr=0.9')
    parser.add_argument(
        '--gpus',
        type=int,
        help='GPUs for each stage, of this computer or of the partition '
        '(default: one; 8 of a partition)',
    )
    parser.add_argument(
        '--partition', help='partition of a Slurm cluster for each stage'
    )
    args = parser.parse_args()
    if is_torchelastic_launched():
        parser.error(
            'torchrun started it, expected one process: call `python '
            'tools/self_train.py` with --gpus, which starts torchrun for each '
            'stage'
        )
    if args.gpus is not None and args.gpus < 1:
        parser.error(f'--gpus is {args.gpus}, expected 1 or more')
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and check what it says of self-training.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        Config: The config, with ``work_dir``.

    Raises:
        SystemExit: If the config isn't one of self-training.
    """
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.setdefault('default_scope', 'mmdet')
    setting = cfg.get(SETTING, {})
    if set(setting) != set(SETTINGS):
        raise SystemExit(
            f'{args.config}: `{SETTING}` has the settings {sorted(setting)}, '
            f'expected {sorted(SETTINGS)}; see the head of {__file__}'
        )
    if not 0 < setting.labeller_share < 1:
        raise SystemExit(
            f'{args.config}: labeller_share is {setting.labeller_share}, '
            'expected a number above 0 and below 1'
        )
    labeller = osp.join(osp.dirname(args.config), setting.labeller)
    if not osp.isfile(labeller):
        raise SystemExit(
            f'{args.config}: there is no labeller {labeller}, expected the '
            'path of a config, relative to this one'
        )
    setting.labeller = labeller
    if {'dataset', 'datasets'} & set(cfg.train_dataloader.dataset):
        raise SystemExit(
            f'{args.config}: the training dataset is a '
            f'{cfg.train_dataloader.dataset.type}, expected one LLDDataset, '
            'without a wrapper'
        )
    stem = Path(args.config).stem
    cfg.work_dir = args.work_dir or osp.join('./work_dirs', stem)
    return cfg


def use_fields_of(dataset: ConfigDict, source: ConfigDict) -> ConfigDict:
    """Point a dataset to the fields of another one.

    Args:
        dataset (ConfigDict): Config of a dataset, or of a wrapper that holds
            one as ``dataset``.
        source (ConfigDict): Config of the dataset with the fields.

    Returns:
        ConfigDict: The second dataset with the pipeline of the first, in the
        wrappers of the first.
    """
    if 'dataset' in dataset:
        inner = use_fields_of(dataset.dataset, source)
        return ConfigDict({**dataset, 'dataset': inner})
    return ConfigDict({**source, 'pipeline': dataset.pipeline})


def labeller_config(cfg: Config) -> Config:
    """Make the config of the first stage.

    Args:
        cfg (Config): The config of self-training.

    Returns:
        Config: The labeller's, to train on and to test on the same training
        fields, with the same seed and its share of its schedule. It isn't
        validated: nothing is chosen by its score.
    """
    labeller = Config.fromfile(cfg[SETTING].labeller)
    labeller.setdefault('default_scope', 'mmdet')
    fields = cfg.train_dataloader.dataset
    for loader in (labeller.train_dataloader, labeller.test_dataloader):
        loader.dataset = use_fields_of(loader.dataset, fields)
    for key in ('randomness', 'unsqueeze'):
        if key in cfg:
            labeller[key] = cfg[key]
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        labeller[key] = None
    scale_schedule(labeller, cfg[SETTING].labeller_share)
    return labeller


def student_config(cfg: Config, ann_file: Path) -> Config:
    """Make the config of the last stage.

    Args:
        cfg (Config): The config of self-training.
        ann_file (Path): The completed labels. File names in them are relative
            to ``data_root``.

    Returns:
        Config: The config, over the completed labels and with the rest of its
        schedule.
    """
    student = Config(cfg.to_dict())
    dataset = student.train_dataloader.dataset
    for key in ('subset', 'split', 'indices'):
        dataset.pop(key, None)
    if 'class_map' in dataset:
        # The completed labels are of the mapped classes already.
        classes = ClassMap(dataset.pop('class_map')).classes()
        dataset.metainfo = {'classes': classes, **dataset.get('metainfo', {})}
    dataset.ann_file = str(ann_file.absolute())
    dataset.ann_format = 'json'
    dataset.data_prefix = dict(img='')
    scale_schedule(student, 1 - cfg[SETTING].labeller_share)
    return student


def run_tool(
    name: str,
    files: Sequence[Path],
    *options: str,
    gpus: Optional[int] = None,
    partition: Optional[str] = None,
) -> None:
    """Run one of the runners.

    Args:
        name (str): 'train' or 'test'.
        files (Sequence[Path]): Its config, and the checkpoint to test.
        *options (str): The rest of its command line.
        gpus (int, optional): Number of GPUs. None: one, or as many as the
            script for Slurm takes.
        partition (str, optional): Partition of a Slurm cluster to run on.

    Raises:
        SystemExit: If it fails; it has said why.
    """
    files = [str(path) for path in files]
    environment = dict(os.environ)
    if partition is not None:
        script = str(TOOLS / f'slurm_{name}.sh')
        command = ['bash', script, partition, f'self_train_{name}', *files]
        if gpus is not None:
            environment['GPUS'] = str(gpus)
    elif gpus is not None and gpus > 1:
        script = str(TOOLS / f'dist_{name}.sh')
        command = ['bash', script, *files, str(gpus)]
    else:
        command = [sys.executable, str(TOOLS / f'{name}.py'), *files]
    done = subprocess.run([*command, *options], env=environment)
    if done.returncode:
        raise SystemExit(done.returncode)


def train_labeller(
    config: Path, work_dir: Path, run: Callable[..., None]
) -> Path:
    """Train the labeller, unless that was finished before.

    Args:
        config (Path): The labeller's config.
        work_dir (Path): Its working directory.
        run (callable): :func:`run_tool`.

    Returns:
        Path: The last checkpoint.
    """
    finished = work_dir / 'finished'
    if not finished.exists():
        run('train', [config], '--work-dir', str(work_dir), '--resume')
        checkpoint = Path((work_dir / 'last_checkpoint').read_text()).name
        write_once(finished, checkpoint)
    return work_dir / finished.read_text()


def detect(
    config: Path, checkpoint: Path, work_dir: Path, run: Callable[..., None]
) -> List[dict]:
    """Run the labeller over the training fields.

    Args:
        config (Path): Its config.
        checkpoint (Path): Its weights.
        work_dir (Path): Where the log and the detections go.
        run (callable): :func:`run_tool`.

    Returns:
        list[dict]: Data samples with ``img_id`` and ``pred_instances``.
    """
    out = work_dir / 'detections.pkl'
    options = ('--work-dir', str(work_dir), '--out', str(out))
    run('test', [config, checkpoint], *options)
    with open(out, 'rb') as file:
        return pickle.load(file)


def complete_labels(
    dataset: ConfigDict, samples: List[dict], setting: ConfigDict
) -> Dict[str, Any]:
    """Join the labels of the training fields and what was detected.

    Args:
        dataset (ConfigDict): Config of the training fields.
        samples (list[dict]): What :func:`detect` returned.
        setting (ConfigDict): The setting of self-training.

    Returns:
        dict: Annotations as from :func:`label_fields`.
    """
    fields = DATASETS.build(dataset)
    return label_fields(
        [fields.get_data_info(index) for index in range(len(fields))],
        {sample['img_id']: sample['pred_instances'] for sample in samples},
        fields.metainfo['classes'],
        fields.schema,
        root=fields.data_root or '.',
        score_thr=setting.score_thr,
        iou_thr=setting.iou_thr,
    )


def self_train(args: argparse.Namespace) -> None:
    """Train, label, train.

    Args:
        args (argparse.Namespace): The command line.

    Raises:
        FileExistsError: If the work directory holds a run of other settings.
    """
    register_all_modules(init_default_scope=False)
    cfg = load_config(args)
    init_default_scope(cfg.default_scope)
    work_dir = Path(cfg.work_dir)
    run = partial(run_tool, gpus=args.gpus, partition=args.partition)

    labeller = labeller_config(cfg)
    labeller_file = write_once(
        work_dir / 'stages' / 'labeller.py', labeller.pretty_text
    )
    checkpoint = train_labeller(labeller_file, work_dir / 'labeller', run)

    ann_file = work_dir / 'labelled.json'
    student = student_config(cfg, ann_file)
    stem = Path(args.config).stem
    # Before the labels, so that these are of no other settings either.
    config = write_once(
        work_dir / 'stages' / f'{stem}.py', student.pretty_text
    )
    if not ann_file.exists():
        samples = detect(
            labeller_file, checkpoint, work_dir / 'labelling', run
        )
        labels = complete_labels(
            labeller.test_dataloader.dataset, samples, cfg[SETTING]
        )
        found = sum('score' in cell for cell in labels['annotations'])
        print(
            f'{ann_file}: {len(labels["annotations"]) - found} labelled '
            f'cells and {found} detected ones of score >= '
            f'{cfg[SETTING].score_thr}'
        )
        write_once(ann_file, json.dumps(labels))
    run('train', [config], '--work-dir', str(work_dir), '--resume')


def main() -> None:
    """Run from the command line."""
    args = parse_args()
    try:
        self_train(args)
    except FileExistsError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
