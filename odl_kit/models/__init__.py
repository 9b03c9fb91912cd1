"""nets, flat (model <-> one vector w) and layers (the one tracer)."""
