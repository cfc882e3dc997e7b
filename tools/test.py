# Copyright (c) mmleuk authors. All rights reserved.
"""Score a checkpoint as its config says, with MMDetection's command line."""

import argparse
import os.path as osp

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.config import Config, ConfigDict

from mmleuk.config_files import config_path
from mmleuk.engine.run_config import (
    add_run_arguments,
    build_runner,
    load_run_config,
    parse_run_args,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', type=config_path, help='path or name of the config'
    )
    parser.add_argument('checkpoint', help='path or address of the weights')
    parser.add_argument(
        '--out',
        metavar='FILE.pkl',
        help='also write all predictions, attributes included, to this pickle',
    )
    parser.add_argument(
        '--show', action='store_true', help='show the predictions in a window'
    )
    parser.add_argument(
        '--show-dir',
        help='also draw the predictions into this folder; a relative one is '
        'put into the folder of the run in the work directory',
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds for which --show shows an image',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='merge the predictions of several views of each image, as '
        '`tta_model` and `tta_pipeline` of the config say',
    )
    add_run_arguments(parser, 'test_dataloader.batch_size=2')
    args = parse_run_args(parser)
    if '://' not in args.checkpoint and not osp.isfile(args.checkpoint):
        parser.error(f'there is no checkpoint {args.checkpoint}')
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out is {args.out}, expected a name ending in .pkl')
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and put the command line's settings into it.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        Config: What the runner is built from.
    """
    cfg = load_run_config(args)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    if args.tta:
        use_test_time_augmentation(cfg, args.config)
    return cfg


def use_test_time_augmentation(cfg: Config, filename: str) -> None:
    """Wrap the model and replace the test pipeline, in place.

    Args:
        cfg (Config): The config.
        filename (str): Its path, for the message.

    Raises:
        SystemExit: If the config doesn't say what to do. MMDetection would
            merge with a model of its own here, which loses attributes.
    """
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise SystemExit(
            f'--tta: {filename} has no {" and no ".join(missing)}; see '
            '`mmleuk.AttributeTTAModel` for a model that merges attributes'
        )
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    set_pipeline(cfg.test_dataloader.dataset, cfg.tta_pipeline)


def set_pipeline(dataset: ConfigDict, pipeline: list) -> None:
    """Replace the pipeline of a dataset, inside any wrappers, in place.

    Args:
        dataset (ConfigDict): Config of a dataset, or of a wrapper that holds
            one as ``dataset`` or several as ``datasets``.
        pipeline (list[dict]): The transforms.
    """
    if 'dataset' in dataset:
        set_pipeline(dataset.dataset, pipeline)
    elif 'datasets' in dataset:
        for part in dataset.datasets:
            set_pipeline(part, pipeline)
    else:
        dataset.pipeline = pipeline


def main() -> None:
    """Test."""
    args = parse_args()
    cfg = load_config(args)
    runner = build_runner(cfg)
    if args.out is not None:
        runner.test_evaluator.metrics.append(
            DumpDetResults(out_file_path=args.out)
        )
    runner.test()


if __name__ == '__main__':
    main()
