"""Transfer learning: every stage starts from pretrained weights and is fine-tuned on the domain's own data.

`run` is what `rejoinder adapt` does; `synthetic` makes speech where there are no recordings; `asr`, `nlu`, `reader` and
`voice` fine-tune one stage each with the loop in `trainer`; `gate` decides whether a result is promoted.
"""
