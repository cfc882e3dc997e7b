# Copyright (c) mmleuk authors. All rights reserved.
"""Plot the quality of dumped predictions, see docs/analysis.md.

Writes confusion matrices, precision and recall, reliability, the frequencies
of attributes and, given the log of the training, its curves, each as PNG and
SVG::

    python tools/test.py CONFIG CHECKPOINT --out work_dirs/test.pkl
    python tools/analysis_tools/plot_results.py work_dirs/test.pkl \
        --config CONFIG --out work_dirs/plots --calibration CHECKPOINT \
        --log work_dirs/RUN/TIME/vis_data/scalars.json
"""

import argparse
import json
import pickle
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
from dump_options import (
    add_dump_options,
    check_dump_options,
    read_config,
)
from mmdet.utils import register_all_modules

from mmleuk.config_files import config_path
from mmleuk.engine.checkpoint_metadata import (
    load_whole_checkpoint,
    read_calibration,
)
from mmleuk.engine.dumped_results import DumpedResults, read_dumped_results
from mmleuk.evaluation import LLDMetric
from mmleuk.evaluation.functional import (
    Calibration,
    MatchedResults,
    attribute_confusion,
    attribute_frequencies,
    confidence_and_correct,
    evaluate_boxes,
    precision_recall_curves,
    reliability_curve,
    table_macro_f1,
    type_confusion,
)
from mmleuk.structures import MISSING, macro_f1
from mmleuk.visualization.plots import (
    draw_attribute_confusion,
    draw_attribute_frequencies,
    draw_precision_recall,
    draw_reliability,
    draw_training_curves,
    draw_type_confusion,
    read_training_log,
    save_figure,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('results', help='pickle from tools/test.py --out')
    parser.add_argument(
        '--config',
        type=config_path,
        required=True,
        help='config that the test ran with',
    )
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder for the plots'
    )
    parser.add_argument(
        '--log',
        metavar='scalars.json',
        help="log of the training, in its run's vis_data, to draw its curves",
    )
    parser.add_argument(
        '--calibration',
        metavar='FILE',
        help='calibrated checkpoint, or a calibration as JSON, to draw the '
        'reliability of calibrated scores, too',
    )
    add_dump_options(
        parser,
        'score from which a detection exists in all plots but precision and '
        'recall',
    )
    args = parser.parse_args()
    check_dump_options(
        parser, args, ('results', 'config', 'log', 'calibration')
    )
    return args


def load_calibration(path: str) -> Calibration:
    """Load a calibration.

    Args:
        path (str): A calibrated checkpoint, or a JSON file of
            :meth:`Calibration.to_dict`.

    Returns:
        Calibration: The calibration.

    Raises:
        ValueError: If there is none in the file.
    """
    if path.endswith('.json'):
        return Calibration.from_dict(
            json.loads(Path(path).read_text(encoding='utf-8'))
        )
    calibration = read_calibration(load_whole_checkpoint(path)['meta'])
    if calibration is None:
        raise ValueError(
            f'{path} is not calibrated, expected a checkpoint that '
            'tools/analysis_tools/calibrate.py wrote'
        )
    return calibration


class ResultPlots:
    """Draws all plots of dumped predictions.

    Args:
        results (DumpedResults): Predictions and labels.
        metric (LLDMetric): Gives the thresholds.
        out (str): Folder for the plots.
    """

    def __init__(
        self, results: DumpedResults, metric: LLDMetric, out: str
    ) -> None:
        self.results = results
        self.metric = metric
        self.out = out
        self.schema = results.schema
        self.matched: MatchedResults = results.match(metric)
        known = (self.matched.cell_codes != MISSING).any(axis=0)
        self.annotated = np.flatnonzero(known).tolist()

    @property
    def data(self) -> str:
        """str: What the plots are of, for their subtitles."""
        return (
            f'{self.results.name}: {len(self.matched.images)} fields, '
            f'{len(self.matched.cell_labels)} cells'
        )

    @property
    def working_point(self) -> str:
        """str: Which detections count, for subtitles."""
        return (
            f'detections of score ≥ {self.metric.score_thr:g}, paired with '
            f'cells at IoU ≥ {self.metric.iou_thr:g}'
        )

    def not_annotated(self) -> str:
        """Name the attributes that no plot shows, as a line of its own."""
        missing = [
            attribute.title
            for index, attribute in enumerate(self.schema)
            if index not in self.annotated
        ]
        return f'\nnot annotated: {", ".join(missing)}' if missing else ''

    def attribute_scores(self, index: int) -> Tuple[np.ndarray, float, float]:
        """Score an attribute as :class:`LLDMetric` does.

        Args:
            index (int): Which.

        Returns:
            tuple: The table of counts, and macro-F1 given a match and end to
            end.
        """
        matched, same_type = self.matched, self.metric.match_class
        matches = matched.type_matches if same_type else matched.matches
        paired = matches >= 0
        table = attribute_confusion(
            matched,
            index,
            self.schema.sizes[index],
            self.metric.score_thr,
            same_type,
        )
        return (
            table,
            macro_f1(
                matched.cell_codes[matches[paired], index],
                matched.codes[paired, index],
            ),
            table_macro_f1(table),
        )

    def confusion(self) -> List[Path]:
        """Draw which type was named for cells of each type."""
        figure = draw_type_confusion(
            type_confusion(
                self.matched, len(self.results.classes), self.metric.score_thr
            ),
            self.results.classes,
            f'{self.data}\n{self.working_point} whatever type they name; a '
            'second detection of a cell is no such cell; %: of the row',
        )
        return save_figure(figure, self.out, 'types_confusion')

    def attribute_confusion(self) -> List[Path]:
        """Draw which value was named for cells of each value."""
        scores = [self.attribute_scores(index) for index in self.annotated]
        figure = draw_attribute_confusion(
            [table for table, _, _ in scores],
            [self.schema[index].values for index in self.annotated],
            [self.schema[index].title for index in self.annotated],
            [
                f'macro-F1 {matched:.3f} matched, {end_to_end:.3f} end to end'
                for _, matched, end_to_end in scores
            ],
            f'{self.data}\n{self.working_point}; %: of the row'
            f'{self.not_annotated()}',
        )
        return save_figure(figure, self.out, 'attributes_confusion')

    def precision_recall(self) -> List[Path]:
        """Draw precision over recall of each type."""
        num_classes = len(self.results.classes)
        images, max_dets = self.matched.images, self.metric.max_dets
        boxes = evaluate_boxes(images, num_classes, max_dets)
        figure = draw_precision_recall(
            precision_recall_curves(images, num_classes, 0.5, max_dets),
            boxes['class_AP_50'],
            self.results.classes,
            self.metric.score_thr,
            f'{self.data}; IoU ≥ 0.5\nmean over types: AP50 '
            f'{boxes["mAP_50"]:.3f}, AP {boxes["mAP"]:.3f} (COCO); '
            f'orange dot: detections of score ≥ {self.metric.score_thr:g}; '
            'grey: the other types',
        )
        return save_figure(figure, self.out, 'types_precision_recall')

    def reliability(self, calibration: Optional[Calibration]) -> List[Path]:
        """Draw accuracy over confidence.

        Args:
            calibration (Calibration, optional): Draws calibrated scores, too.

        Returns:
            list[Path]: The files.
        """
        scores, right, _ = self.matched.right_or_wrong(self.metric.score_thr)
        titles = ['Type']
        before = [reliability_curve(scores, right)]
        after = [None]
        if calibration is not None:
            scaled = calibration.calibrate_scores(scores)
            if scaled is not None:
                after[0] = reliability_curve(scaled, right)
        for index in self.annotated if self.matched.probs is not None else ():
            attribute = self.schema[index]
            probs, truth, _ = self.matched.stated_attribute(self.schema, index)
            titles.append(attribute.title)
            before.append(
                reliability_curve(*confidence_and_correct(probs, truth))
            )
            after.append(None)
            if calibration is not None:
                scaled = calibration.calibrate_attributes(
                    attribute.name, probs
                )
                if scaled is not None:
                    after[-1] = reliability_curve(
                        *confidence_and_correct(scaled, truth)
                    )
        label = 'calibrated'
        if calibration is not None:
            label += ' (fitted on these same cells, so flattering)'
            if calibration.fitted_on != self.results.name:
                label = f'calibrated on {calibration.fitted_on}'
        figure = draw_reliability(
            titles,
            before,
            None if calibration is None else after,
            f'{self.data}\ntype: detections of score ≥ '
            f'{self.metric.score_thr:g}, right with a cell of that type at '
            f'IoU ≥ {self.metric.iou_thr:g}'
            + ('; attributes: matched cells' if len(titles) > 1 else '')
            + '\nbars: 95 % intervals; ECE: expected calibration error, 0 is '
            'best',
            label,
        )
        return save_figure(figure, self.out, 'reliability')

    def frequencies(self) -> List[Path]:
        """Draw how often each type has each value."""
        matched, num_classes = self.matched, len(self.results.classes)
        # What a reader of the predictions alone would count.
        shown = (matched.scores >= self.metric.score_thr) & ~(
            matched.in_unknown_area & (matched.type_matches < 0)
        )
        annotated, named = [], []
        for index in self.annotated:
            size = self.schema.sizes[index]
            annotated.append(
                attribute_frequencies(
                    matched.cell_labels,
                    matched.cell_codes[:, index],
                    num_classes,
                    size,
                )
            )
            named.append(
                attribute_frequencies(
                    matched.labels[shown],
                    matched.codes[shown, index],
                    num_classes,
                    size,
                )
            )
        figure = draw_attribute_frequencies(
            annotated,
            named,
            self.results.classes,
            [self.schema[index].values for index in self.annotated],
            [self.schema[index].title for index in self.annotated],
            f'{self.data}\nannotated cells by their type, and detections of '
            f'score ≥ {self.metric.score_thr:g} by the type they name; '
            f'numbers count cells{self.not_annotated()}',
        )
        return save_figure(figure, self.out, 'attribute_frequencies')

    def draw(self, calibration: Optional[Calibration]) -> List[Path]:
        """Draw all that the results allow.

        Args:
            calibration (Calibration, optional): For the reliability.

        Returns:
            list[Path]: The files.
        """
        files = self.confusion()
        if len(self.matched.cell_labels):
            files += self.precision_recall()
        files += self.reliability(calibration)
        if self.matched.codes is None:
            print('No plots of attributes: the detector predicts none.')
        elif not self.annotated:
            print('No plots of attributes: nobody annotated any.')
        else:
            files += self.attribute_confusion()
            files += self.frequencies()
        return files


def draw_log(path: str, titles: Dict[str, str], out: str) -> List[Path]:
    """Draw the curves of a training.

    Args:
        path (str): Its ``scalars.json``.
        titles (dict[str, str]): Titles of the attributes by name.
        out (str): Folder for the plot.

    Returns:
        list[Path]: The files.
    """
    log = read_training_log(path)
    parts = Path(path).resolve().parts
    # FOLDER/RUN/TIME/vis_data/scalars.json
    run = '/'.join(parts[-5:-2]) if parts[-2] == 'vis_data' else parts[-1]
    figure = draw_training_curves(log, titles, run)
    return save_figure(figure, out, 'training_curves')


def main() -> None:
    """Draw."""
    args = parse_args()
    register_all_modules()
    cfg, metric = read_config(args)
    try:
        calibration = None
        if args.calibration is not None:
            calibration = load_calibration(args.calibration)
        results = read_dumped_results(
            args.results, cfg[f'{args.split}_dataloader'].dataset
        )
        plots = ResultPlots(results, metric, args.out)
        files = plots.draw(calibration)
        if args.log is not None:
            titles = {a.name: a.title for a in results.schema}
            files += draw_log(args.log, titles, args.out)
    except (ValueError, pickle.UnpicklingError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
    for path in files:
        print(path)


if __name__ == '__main__':
    main()
