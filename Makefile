# Every target first sets the environment up, if that was not done yet (.ci/python), and then runs `odl <target>`, which is the same on Windows.
#
#   make lab TORCH_INDEX=<address>    torch from another index, for example PyTorch's own CPU wheels, which are much smaller on Linux
#   make lab ARGS="--port=8889"       ARGS goes on to the program that the target runs

ODL = @sh .ci/python -m odl_kit.cli

help:           ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

lab:            ## open JupyterLab at lab 00 (the first time this installs what it needs: a few minutes)
	$(ODL) lab $(ARGS)

test:           ## all tests, then every lab from top to bottom
	$(ODL) test $(ARGS)

check:          ## lint and the quick tests, under a minute
	$(ODL) check $(ARGS)

labs:           ## rebuild the notebooks whose source in labs/src changed
	$(ODL) build $(ARGS)

browser:        ## open every lab in a real browser, light and dark; leaves screenshots in build/shots
	$(ODL) browser $(ARGS)

site:           ## the course as pages for reading, in build/pages
	$(ODL) site $(ARGS)

slides:         ## a deck of slides for each part, in build/slides
	$(ODL) slides $(ARGS)

bench:          ## run the benchmarks; each writes benchmarks/results/<name>.json
	$(ODL) bench $(ARGS)

size:           ## lines per module, the longest file, totals
	$(ODL) size

doctor:         ## is this computer ready for the labs?
	$(ODL) doctor

clean:          ## remove what can be made again; the ledger and .venv stay
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -print | xargs rm -rf

.PHONY: help lab test check labs browser site slides bench size doctor clean
