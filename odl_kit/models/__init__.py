"""nets, flat (model <-> one vector w), layers (the one tracer) and fold (BatchNorm into the convolution before it)."""
