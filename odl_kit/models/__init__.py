"""nets, flat (model <-> one vector w), layers (the one tracer) and fold (BatchNorm into the convolution before it);
quantize (a float net becomes integers), quant (integer arithmetic), quantnet (integer layers), calibrate (ranges, scales), qat;
chain (a net cut into units);
two_component (a word model whose vocabulary is a table);
prune (zeros), channels (whole channels leave), share (code books), separable (depthwise against plain);
classical (incremental learners), speed (a stopwatch)."""
