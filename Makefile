PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUN := runs/quickstart
CAMVID ?= data/camvid

.PHONY: quickstart test lint bench

quickstart: .venv/installed
	$(BIN)/segnext-pafpn train --config quickstart --overwrite true
	$(BIN)/segnext-pafpn samples --data streets --split test --count 4 -o $(RUN)/samples
	$(BIN)/segnext-pafpn predict --checkpoint $(RUN) -i $(RUN)/samples/images -o $(RUN)/masks --color true --overlay true
	@echo "Look at $(RUN)/predictions.png and $(RUN)/masks/overlay/"

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: .venv/installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

bench: .venv/installed
	$(BIN)/python benchmarks/accuracy.py --root $(CAMVID)

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	touch $@
