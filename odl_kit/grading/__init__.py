"""One source of a lab -> student notebook, executed twin, key and grading reference; what every lab is held to; a class graded.

build            the command `odl build`
convert          notebooks from a source, without running       execute    their run       needs    what a lab rests on
rules            what a lab's source keeps to
stubs, answers   a stub is part of its solution; answers judged on exercise cells alone
nbval            every lab from top to bottom, and what it costs
syllabus, links  labs/syllabus.toml and its table; Binder and Colab addresses

release, course  `odl release`: what students get; what an instructor's course.toml changes
grade, batch     `odl grade`; every submission once, again after Ctrl-C
collect, archive, graft                                 files of a class -> one notebook each -> its answers in our notebook
judge, inside, copied                                   answers run in one kernel, are judged in another; plain values between them
run, warm        nbval on a kernel that is a fork; the process that forks, and watches
jail, landlock, namespaces                              what a student's code cannot do
grades, manual, gradebook, tables                       points, lateness, points by hand, CSV for learning platforms
feedback, report, alike, pages                          a page a student, a page for the class, answers that are alike
"""
