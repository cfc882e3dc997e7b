# Copyright (c) mmleuk authors. All rights reserved.
from collections import deque

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmleuk.engine.atomic_backend import ATOMIC_BACKEND
from mmleuk.registry import HOOKS


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """A ``CheckpointHook`` that never leaves a training without a checkpoint.

    MMEngine's removes the oldest checkpoint before it writes the next one,
    straight to its name: a process that is killed in between, or a full disk,
    leaves half a file, or with ``max_keep_ckpts=1`` nothing at all. Here a
    checkpoint is written aside, gets its name when it is whole, and only then
    the oldest one goes. Until then the disk has to hold one more.

    Args:
        *args: Arguments of ``CheckpointHook``. With ``backend_args`` of your
            own, or an ``out_dir`` that is no local folder, that backend
            writes.
        **kwargs: Likewise.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose the backend, and do what the parent does.

        Args:
            runner (:obj:`Runner`): The runner.
        """
        out_dir = self.out_dir or runner.work_dir
        if self.backend_args is None and '://' not in str(out_dir):
            self.backend_args = dict(backend=ATOMIC_BACKEND)
        super().before_train(runner)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        """Save a checkpoint, then remove those that are too many.

        Args:
            runner (:obj:`Runner`): The runner.
            step (int): Number of the epoch or iteration.
            meta (dict): What to store of it.
        """
        num_kept, self.max_keep_ckpts = self.max_keep_ckpts, -1
        outdated = deque()
        if num_kept > 0:
            if step not in self.keep_ckpt_ids:
                self.keep_ckpt_ids = deque([*self.keep_ckpt_ids, step])
            while len(self.keep_ckpt_ids) > num_kept:
                outdated.append(self.keep_ckpt_ids.popleft())
            runner.message_hub.update_info(
                'keep_ckpt_ids', list(self.keep_ckpt_ids)
            )
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = num_kept
        if not is_main_process():
            return
        for old in outdated:
            path = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(old)
            )
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):
                # Those of DeepSpeed are folders.
                self.file_backend.rmtree(path)
