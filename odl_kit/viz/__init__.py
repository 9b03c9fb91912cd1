"""Figures for notebooks and pages: `viz.curve(...)` and its like return a Figure. This file re-exports them, as `lab` does.

charts     curve, bars, spread                     numbers
grid       grid                                    which of many things is in which state at which step
program    program                                 the arena of a training step over time, pass by pass
pictures   label_histograms, images, source        what is in the data, and in the kit
sound      sounds                                  recordings, with a player each
page       Figure, frame, number                   title, picture for light and dark pages, alt text, the numbers one click away
style      STYLE                                   the style sheet of figures and cards
"""
from odl_kit.viz.charts import bars, curve, spread
from odl_kit.viz.grid import grid
from odl_kit.viz.page import Figure, frame, number
from odl_kit.viz.pictures import images, label_histograms, source
from odl_kit.viz.program import program
from odl_kit.viz.sound import sounds
from odl_kit.viz.style import STYLE

__all__ = ["STYLE", "Figure", "bars", "curve", "frame", "grid", "images", "label_histograms", "number", "program", "sounds", "source",
           "spread"]
