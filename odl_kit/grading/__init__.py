"""One source of a lab -> student notebook, executed twin, key and grading reference; and what every lab is held to.

build            the command `odl build`
convert          notebooks from a source, without running       execute    their run       needs    what a lab rests on
rules            what a lab's source keeps to
stubs, answers   a stub is part of its solution; answers judged on exercise cells alone
nbval            every lab from top to bottom, and what it costs
syllabus, links  labs/syllabus.toml and its table; Binder and Colab addresses
"""
