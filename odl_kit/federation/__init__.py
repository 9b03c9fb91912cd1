"""Many devices make one model together: select -> train -> stages -> aggregate -> server.

local                what a client does, plain and fast          rounds       the loop and its history
selection, fleet     who takes part; devices that differ         stages       metadata as weights, clients' own momentum
aggregators          many updates into one                       servers      what the server does with it
compression, online  fewer bytes up; a compressed model down     split        the lower part here, the upper part on the server
privacy              noise and clipping as stages, DP-SGD        accounting, pld      the epsilon that they promise
secagg, masking      the server learns the sum only              evaluation, metrics  the model travels, only metrics come back
verification         is it you? prototypes and secret codes      flower, loopback     the same federation as real processes
design, scorecard    choices of a whole product, scored       leaderboard          files of many teams, computed again
"""
