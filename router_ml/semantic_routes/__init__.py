"""Named routes by example utterances: a classifier that also says "none of them"."""
