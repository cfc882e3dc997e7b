# Copyright (c) mmleuk authors. All rights reserved.
import argparse
from datetime import timedelta
from typing import Optional

from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed
from torch import distributed


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``.

    Args:
        parser (argparse.ArgumentParser): The parser.
    """
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        # Else each process of torchrun would do everything, into one folder.
        default='pytorch'
        if distributed.is_torchelastic_launched()
        else 'none',
        help='what starts the processes of a distributed run (default: '
        'pytorch under torchrun, or else none)',
    )
    # `torch.distributed.launch` passes it in either spelling; torchrun sets
    # the environment variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def join_processes(
    launcher: str, backend: str = 'gloo', timeout: Optional[float] = None
) -> None:
    """Join the group of processes that a launcher has started.

    MMEngine's ``init_dist`` starts processes on accelerators only. This
    starts those of torchrun also on a machine without any, with gloo.

    Args:
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.
        backend (str): Backend of torch on an accelerator.
        timeout (float, optional): Seconds that a process waits for others.
            None: as long as torch does.

    Raises:
        SystemExit: If processes of Slurm or MPI find no accelerator.
    """
    if launcher == 'none' or is_distributed():
        return
    if has_accelerator():
        init_dist(launcher, backend, timeout=timeout)
    elif launcher == 'pytorch':
        limit = None if timeout is None else timedelta(seconds=timeout)
        distributed.init_process_group('gloo', timeout=limit)
    else:
        raise SystemExit(
            f'--launcher {launcher}: torch sees no accelerator, and MMEngine '
            'starts such processes on accelerators only. On CPUs use '
            'torchrun and --launcher pytorch, which srun and mpirun can start '
            'on each machine'
        )


def leave_processes() -> None:
    """Leave the group, if this process is in one.

    The threads of a group that is left open may abort a process that ends.
    """
    if is_distributed():
        distributed.destroy_process_group()


def has_accelerator() -> bool:
    """Whether MMEngine can start several processes on the device."""
    return get_device() not in ('cpu', 'mps')
