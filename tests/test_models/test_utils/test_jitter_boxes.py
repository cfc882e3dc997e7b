# Copyright (c) mmleuk authors. All rights reserved.
import torch

from mmleuk.models.utils import jitter_boxes


def test_boxes_deviate_as_told_and_end_at_the_image():
    torch.manual_seed(0)
    box = torch.tensor([300.0, 300, 340, 380])
    moved = jitter_boxes(box.expand(4000, 4), (1000, 1000), 0.1, 0.2)
    sides = moved[:, 2:] - moved[:, :2]
    shifts = ((moved[:, :2] + moved[:, 2:]) / 2 - torch.tensor([320, 340])) / (
        torch.tensor([40, 80])
    )
    factors = (sides / torch.tensor([40, 80])).log()
    for values, std in ((shifts, 0.1), (factors, 0.2)):
        assert values.mean(dim=0).abs().max() < 0.02
        torch.testing.assert_close(
            values.std(dim=0), torch.full((2,), std), atol=0.01, rtol=0
        )
    cut = jitter_boxes(box.expand(100, 4), (350, 330), 0.1, 0.2)
    assert cut[:, 2].max() == 330
    assert cut[:, 3].max() == 350
    assert jitter_boxes(box[None], (400, 400), 0, 0).tolist() == [box.tolist()]
    assert jitter_boxes(box[:0].view(0, 4), (9, 9), 1, 1).shape == (0, 4)
