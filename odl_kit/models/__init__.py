"""nets, flat (model <-> one vector w), layers (the one tracer) and fold (BatchNorm into the convolution before it);
chain (a net cut into units);
two_component (a word model whose vocabulary is a table);
prune (zeros), channels (whole channels leave), share (code books), separable (depthwise against plain), classical (incremental learners)."""
