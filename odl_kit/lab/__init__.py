"""What a notebook shows a student: `lab.start`, then predict -> run -> reveal -> explore -> check -> quiz. This file re-exports them.

start        start                                the lab's card, seeds, one thread
predict      predict, skip                        an answer before the experiment, locked          forms    answer
reveal       reveal                               prediction and measurement side by side
check        check, solution                      an exercise judged on the spot                   judging, values
quiz         quiz                                 a question, a reason for every option
explore      explore                              sliders around a function
budget_bar   budget_bar                           does it fit on this board?
course       course_map, recorded                 the labs there are; figures a benchmark left
show         claim                                what the lab says about its own numbers; cards and widgets, or plain text
ledger, session                                   what is kept in labs/ledger, and what this kernel knows
"""
from odl_kit.lab.budget_bar import budget_bar
from odl_kit.lab.check import check, solution
from odl_kit.lab.course import course_map, recorded
from odl_kit.lab.explore import explore
from odl_kit.lab.forms import answer
from odl_kit.lab.predict import predict, skip
from odl_kit.lab.quiz import quiz
from odl_kit.lab.reveal import reveal
from odl_kit.lab.show import claim
from odl_kit.lab.start import start

__all__ = ["answer", "budget_bar", "check", "claim", "course_map", "explore", "predict", "quiz", "recorded", "reveal", "skip", "solution",
           "start"]
