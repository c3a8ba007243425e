PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUN := runs/quickstart
CAMVID ?= data/camvid

.PHONY: quickstart quickstart-cells test lint bench

quickstart: .venv/installed
	$(BIN)/segnext-pafpn train --config quickstart --overwrite true
	$(BIN)/segnext-pafpn samples --data streets --split test --count 4 -o $(RUN)/samples
	$(BIN)/segnext-pafpn predict --checkpoint $(RUN) -i $(RUN)/samples/images -o $(RUN)/masks --color true --overlay true --overwrite true
	@echo "Look at $(RUN)/predictions.png and $(RUN)/masks/overlay/"

quickstart-cells: .venv/installed
	$(BIN)/segnext-pafpn train --config quickstart-cells --overwrite true
	$(BIN)/segnext-pafpn val --checkpoint runs/quickstart-cells --metrics medical segments
	$(BIN)/segnext-pafpn samples --data cells --split test --count 4 -o runs/quickstart-cells/samples
	$(BIN)/segnext-pafpn predict --checkpoint runs/quickstart-cells -i runs/quickstart-cells/samples/images -o runs/quickstart-cells/masks --overlay true --overwrite true
	@echo "Look at runs/quickstart-cells/predictions.png and metrics_val.html"

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

bench: .venv/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[benchmark]"
	$(BIN)/python benchmarks/quickstart.py
	$(BIN)/python benchmarks/floor.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/metric.py
	$(BIN)/python benchmarks/metric_share.py
	$(BIN)/python benchmarks/volumes.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/check.py --root $(CAMVID)
	$(BIN)/python benchmarks/loader.py --root $(CAMVID)
	$(BIN)/python benchmarks/fed.py --root $(CAMVID) --crop 224 160 --steps 3 --rounds 3
	$(BIN)/python benchmarks/predict.py --root $(CAMVID)
	$(BIN)/python benchmarks/stability.py --root $(CAMVID)
	$(BIN)/python benchmarks/tables.py

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	touch $@
