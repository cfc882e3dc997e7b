# Copyright (c) mmleuk authors. All rights reserved.
from typing import Iterator, Optional

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmleuk.engine.dataset_wrappers import iter_data_infos
from mmleuk.registry import HOOKS
from mmleuk.structures import AttributeSchema, TypeProfile

PROFILE_KEY = 'mmleuk_type_profile'


@HOOKS.register_module()
class TypeProfileHook(Hook):
    """Store in each checkpoint how often types have attribute values.

    Counts the labels of the training data without ignored cells, and stores a
    :class:`TypeProfile` as plain objects in
    ``checkpoint['meta']['mmleuk_type_profile']``. Inference uses it to explain
    which attributes speak for the type of a cell, and :class:`LLDMetric` to
    tell what the majority of the type would score: evaluators get the profile
    of this training, or that of the tested checkpoint, as ``type_profile`` in
    their ``dataset_meta``, None if there is none. Modules of the model with a
    ``set_value_counts``, such as attribute heads, get the cells of each value.
    A dataset without attributes gives no profile.

    Args:
        kwargs (dict): ``surprising_share`` and ``min_cells`` of
            :class:`TypeProfile`.
    """

    def __init__(self, **kwargs) -> None:
        self.profile_args = kwargs
        self._profile: Optional[dict] = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the profile of a checkpoint that is tested."""
        self._profile = checkpoint.get('meta', {}).get(PROFILE_KEY)

    def before_val(self, runner: Runner) -> None:
        """Hand the profile to the metrics."""
        self._hand_over(runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        """Hand the profile to the metrics."""
        self._hand_over(runner.test_evaluator)

    def _hand_over(self, evaluator: Evaluator) -> None:
        evaluator.dataset_meta = dict(
            evaluator.dataset_meta or {}, type_profile=self._profile
        )

    def before_train(self, runner: Runner) -> None:
        """Count the training data."""
        # A model that is fine-tuned may come from any data.
        self._profile = None
        dataset = runner.train_dataloader.dataset
        classes = dataset.metainfo.get('classes')
        attributes = dataset.metainfo.get('attributes')
        if not classes or not attributes:
            return
        profile = TypeProfile.count(
            classes,
            AttributeSchema(attributes),
            (
                (instance['bbox_label'], instance['attributes'])
                for info in _distinct_images(dataset)
                for instance in info['instances']
                # Other datasets of a joint training may have none.
                if not instance['ignore_flag'] and 'attributes' in instance
            ),
            **self.profile_args,
        )
        self._profile = profile.to_dict()
        counts = [t.sum(axis=0).tolist() for t in profile.counts.values()]
        for module in runner.model.modules():
            if hasattr(module, 'set_value_counts'):
                module.set_value_counts(counts)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the profile to a checkpoint."""
        if self._profile is not None:
            checkpoint['meta'][PROFILE_KEY] = self._profile


def _distinct_images(dataset) -> Iterator[dict]:
    """Go through the labels; an image that is read twice counts once."""
    seen = set()
    for info in iter_data_infos(dataset):
        if info['img_path'] not in seen:
            seen.add(info['img_path'])
            yield info
