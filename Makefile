# Every target sets itself up: the first one run makes .venv and installs the package into it.

PYTHON ?= python3
TORCH ?= torch==2.13.0
PYTEST_ARGS ?=
QUICK_ARGS ?=
NOX_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WITH_DOCS := $(VENV)/.installed-docs

.PHONY: demo test coverage versions docs pages lint quick clean

demo: $(INSTALLED)
	$(BIN)/python -m benchmarks.demo

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS)

# Fails below the share that pyproject.toml asks for.
coverage: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --cov --cov-report=term-missing $(PYTEST_ARGS)

# The tests with the lowest and with the newest versions of all dependencies. On Linux both bring
# torch with gigabytes of CUDA, unless `UV_TORCH_BACKEND=cpu make versions` says otherwise.
versions: $(INSTALLED)
	$(BIN)/python -m pip install --quiet 'nox[uv]>=2025.2'
	$(BIN)/nox $(NOX_ARGS)

# Strict: a warning is an error. It needs no network; the site is docs/_build/html/index.html. From
# scratch, because Sphinx would keep the pictures of examples that run differently by now.
docs: $(WITH_DOCS)
	rm -rf docs/_build docs/gallery docs/generated
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build/html

# What the code on README and guide prints and draws, written into them.
pages: $(INSTALLED)
	$(BIN)/python tests/pages.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quick: $(INSTALLED)
	$(BIN)/python -m benchmarks.quick $(QUICK_ARGS)

# torch comes first, and as its CPU build, which is smaller by gigabytes than what `pip install
# torch` brings on Linux. On Linux only PyTorch's own index serves the "+cpu" files (or a folder
# that pip was told of); macOS and Windows have no such file and need none.
$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$(TORCH)+cpu" 2>/dev/null \
	  || $(BIN)/python -m pip install "$(TORCH)+cpu" --index-url https://download.pytorch.org/whl/cpu \
	  || $(BIN)/python -m pip install "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable '.[plot,test,pretrain]'
	touch $@

$(WITH_DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) .nox out docs/_build docs/gallery docs/generated .pytest_cache .mypy_cache .ruff_cache
