# Rival: train on the annotated rectangles alone, label the rest once with that
# model, and train again on everything. Run it by tools/self_train.py. Configs
# name the labeller, which is that of `crop` on the same data.
self_training = dict(
    # Both stages together see the pixels that every other method sees alone:
    # the schedule of either config is all of them, and of it the labeller
    # takes this share and the second stage the rest.
    labeller_share=1 / 3,
    # Of a well-trained labeller's boxes outside the rectangles, 19 in 20 of
    # this score have the right place and type.
    score_thr=0.85,
    iou_thr=0.5,
)
