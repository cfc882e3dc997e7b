# Copyright (c) mmleuk authors. All rights reserved.
"""Runs a training or a test and shows a line for each epoch, and a picture.

    python tools/dev/show_progress.py LOG FOLDER COMMAND [ARGUMENT ...]

All output goes to the file LOG. The first picture that the command draws
into FOLDER, or into a folder in it, is named as soon as it is there. If the
command fails, the end of its output is shown.
"""

import re
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import List, Optional

# As MMEngine writes them.
TRAIN = re.compile(r'Epoch\(train\)\s+\[\s*(\d+)\]\[\s*(\d+)/(\d+)\]')
TEST = re.compile(r'Epoch\(test\)\s+\[\s*(\d+)/(\d+)\]')
ETA = re.compile(r'eta: (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)')
LOSS = re.compile(r'\bloss: (\S+)')
# In the config, which is logged before the first epoch.
MAX_EPOCHS = re.compile(r'\bmax_epochs=(\d+)')
SCORE = re.compile(r'Epoch\(val\).*?bbox_mAP: (\S+)')
ERROR = re.compile(r' - (ERROR|CRITICAL) - ')
SUFFIXES = ('.png', '.jpg', '.jpeg')
# Lines of a failed command.
NUM_LAST_LINES = 25


class Progress:
    """Turns lines of MMEngine's log into a few lines to show.

    Args:
        folder (Path): Where pictures appear. Those of before do not count.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start = time.monotonic()
        # Of files; their clock may be coarse.
        self.start_of_files = time.time() - 0.1
        self.num_epochs = ''
        self.knows_picture = False

    def feed(self, line: str) -> List[str]:
        """Take one line of output.

        Args:
            line (str): Any line; most say nothing new.

        Returns:
            list[str]: Lines to show.
        """
        if ERROR.search(line):
            return [line.rstrip()]
        found = MAX_EPOCHS.search(line)
        if found and not self.num_epochs:
            self.num_epochs = f' of {found[1]}'
        shown = []
        found = TRAIN.search(line)
        # The last step of an epoch.
        if found and found[2] == found[3]:
            loss = LOSS.search(line)
            text = f'  epoch {found[1]:>2}{self.num_epochs}'
            if loss:
                text += f', loss {float(loss[1]):.2f}'
            shown.append(text + self._times(line))
        found = SCORE.search(line)
        if found:
            shown.append(f'  box AP {float(found[1]):.3f}')
        found = TEST.search(line)
        if found:
            shown.append(
                f'  {found[1]:>3} of {found[2]} images{self._times(line)}'
            )
        if 'Epoch(' in line and not self.knows_picture:
            picture = self.first_picture()
            if picture is not None:
                self.knows_picture = True
                shown.append(f'  first picture: {picture}')
        return shown

    def _times(self, line: str) -> str:
        """Say how long it has taken, and how long it will take."""
        minutes = (time.monotonic() - self.start) / 60
        text = f', {minutes:.1f} minutes'
        found = ETA.search(line)
        if found:
            days, hours, minutes, seconds = (
                int(x or 0) for x in found.groups()
            )
            left = days * 1440 + hours * 60 + minutes + seconds / 60
            text += f', about {left:.1f} left'
        return text

    def first_picture(self) -> Optional[Path]:
        """Find the oldest picture that was drawn since the start."""
        times = {
            path: path.stat().st_mtime
            for path in self.folder.rglob('*')
            if path.suffix in SUFFIXES
        }
        new = [path for path in times if times[path] >= self.start_of_files]
        return min(new, key=times.__getitem__, default=None)


def run(log: Path, folder: Path, command: List[str]) -> int:
    """Run a command and show how far it is.

    Args:
        log (Path): File for all output.
        folder (Path): Where it draws.
        command (list[str]): The command.

    Returns:
        int: The command's exit status.
    """
    progress = Progress(folder)
    last_lines: deque = deque(maxlen=NUM_LAST_LINES)
    with open(log, 'w', encoding='utf-8') as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        )
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            file.flush()
            last_lines.append(line)
            for text in progress.feed(line):
                print(text, flush=True)
    status = process.wait()
    if status:
        sys.stderr.writelines(last_lines)
        print(
            f'{" ".join(command)} ended with {status}; its whole output is '
            f'{log}',
            file=sys.stderr,
        )
    return status


def main() -> None:
    """Run the command and exit with its status."""
    if len(sys.argv) < 4:
        sys.exit(f'usage: {sys.argv[0]} LOG FOLDER COMMAND [ARGUMENT ...]')
    log, folder, *command = sys.argv[1:]
    status = run(Path(log), Path(folder), command)
    # Of a process that a signal has ended: as a shell has it.
    sys.exit(128 - status if status < 0 else status)


if __name__ == '__main__':
    main()
