"""nets, flat (model <-> one vector w), layers (the one tracer) and fold (BatchNorm into the convolution before it);
chain (a net cut into units);
two_component (a word model whose vocabulary is a table)."""
