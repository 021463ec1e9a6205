# Two commands do everything: `make demo` and `make test`. Both create .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test thorough torch-range coq verified differential flagship bench float32 pace frontier study interpret finetune search interop figures docs lint mutants size clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[prover,test,lint]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/prover demo certificates/models/max-of-4.safetensors -o demo-out
	$(BIN)/prover demo certificates/transformers/addition-10.safetensors -o demo-out/addition-10
	$(BIN)/prover demo certificates/transformers/running-sum-20.safetensors --strategy potentials -o demo-out/running-sum-20
	$(BIN)/prover demo certificates/transformers/in-context-copying-26.safetensors --strategy pair-tables -o demo-out/in-context-copying-26
	$(BIN)/prover demo certificates/transformers/balanced-brackets-32.safetensors -o demo-out/balanced-brackets-32

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

thorough: $(STAMP)
	THOROUGH=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

COQ_PACKAGES := coq libcoq-coquelicot libcoq-flocq ocaml-nox ocaml-findlib libzarith-ocaml-dev
coq:
	@if ! command -v ocamlfind >/dev/null || ! [ -d "$$(coqc -where 2>/dev/null)/user-contrib/Flocq" ]; then \
	    [ "$$(id -u)" = 0 ] || { echo "as root: apt-get install $(COQ_PACKAGES)" >&2; exit 1; }; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(COQ_PACKAGES) >/dev/null; fi

verified: $(STAMP) coq
	checker/verified/build.sh
	$(BIN)/python -m pytest tests/verified

# Both checkers on more than 20,000 mutated certificates (of some kinds there are fewer than asked for): some minutes.
differential: $(STAMP) coq
	checker/verified/build.sh >/dev/null
	MUTANTS=23000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/verified -k mutants

FLAGSHIP := checker/verified/build/Flagship
flagship: $(STAMP) coq
	checker/verified/build.sh >/dev/null
	$(BIN)/prover prove certificates/models/max-of-4-seed123.safetensors --strategy thresholds -o $(FLAGSHIP).cert
	$(BIN)/python tests/verified/make_flagship.py certificates/models/max-of-4-seed123.safetensors $(FLAGSHIP).cert $(FLAGSHIP).v
	cd checker/verified/build && coqc -w none -Q ../proofs CompactProofs Flagship.v
	cd checker/verified && coqchk -silent -o -Q proofs CompactProofs CompactProofs.Counts

bench: $(STAMP)
	$(BIN)/python tests/core/primitive_pace.py
	$(BIN)/prover bench -o bench-out
	$(BIN)/python tests/verified/relative_times.py

DEPLOYED := addition-10 balanced-brackets-32
float32: $(STAMP)
	$(BIN)/prover deployed $(wildcard certificates/models/*.safetensors) -o float32-out
	$(BIN)/prover deployed $(DEPLOYED:%=certificates/transformers/%.safetensors) --inputs 100000 -o float32-out/transformers

pace: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m timed tests/core/test_pace.py
	PYTHONPATH=.:tests:tests/oracles:tests/golden:tests/mutation:tests/core:tests/attention $(BIN)/python tests/core/pace_search.py

frontier: $(STAMP)
	$(BIN)/prover frontier certificates/models/max-of-4-seed123.safetensors -o frontier-out/max-of-4-seed123 --jobs 2
	$(BIN)/prover frontier certificates/models/max-of-10-seed1.safetensors -o frontier-out/max-of-10-seed1 --jobs 2

# A night on two cores; interrupted, it goes on where it stopped.
study: $(STAMP)
	$(BIN)/prover study docs/studies/max-of-4.toml -o study-out/max-of-4 --jobs 2
	$(BIN)/prover study docs/studies/symmetric-5.toml -o study-out/symmetric-5 --jobs 2

interpret: $(STAMP)
	$(BIN)/python docs/interpretation_runs.py -o interpret-out

# Hours, both; interrupted, they go on where they stopped.
finetune: $(STAMP)
	$(BIN)/python docs/finetuning_runs.py -o finetune-out

SEARCH := $(BIN)/prover search --jobs 2
search: $(STAMP)
	$(SEARCH) certificates/models/modular-addition-59.safetensors --family sparse-dictionary -o search-out/dictionaries-modular-addition-59
	$(SEARCH) certificates/models/symmetric-5.safetensors --family low-rank -o search-out/low-rank-symmetric-5
	$(SEARCH) certificates/models/max-of-4-seed123.safetensors --family low-rank -o search-out/low-rank-max-of-4-seed123
	$(SEARCH) certificates/models/symmetric-5.safetensors --family crosscoder -o search-out/crosscoders-symmetric-5
	$(SEARCH) certificates/models/modular-addition-59.safetensors --family crosscoder -o search-out/crosscoders-modular-addition-59

# The real TransformerLens and SAELens, which cannot be installed together: an environment for each version (a few GB, minutes).
interop:
	for lens in 2 3 4; do \
	    $(PYTHON) -m venv interop-out/lens$$lens && \
	    interop-out/lens$$lens/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	        "transformer-lens==$$lens.*" $$([ $$lens = 2 ] && echo 'pyarrow<18') --editable '.[prover]' && \
	    interop-out/lens$$lens/bin/python tests/interop/lens.py || exit 1; done
	$(PYTHON) -m venv interop-out/saes
	interop-out/saes/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt sae-lens --editable '.[prover]'
	interop-out/saes/bin/python tests/interop/saes.py

# The oldest PyTorch that pyproject.toml takes and the newest that there is, an environment for each (minutes; CPU builds, if pip
# reaches them): the self-test, and the tests that train models and run them. constraints.txt says what came out.
CPU_BUILDS := https://download.pytorch.org/whl/cpu
torch-range:
	for torch in 'torch==2.6.*' torch; do \
	    $(PYTHON) -m venv --clear torch-out && \
	    torch-out/bin/python -m pip install --quiet --disable-pip-version-check --extra-index-url $(CPU_BUILDS) "$$torch" \
	        --editable '.[prover,test]' && \
	    torch-out/bin/prover doctor && \
	    OMP_NUM_THREADS=1 torch-out/bin/python -m pytest -n 2 tests/training tests/layers/test_group_search.py \
	        $(patsubst %,tests/transformer/test_%.py,forward importing layouts) || exit 1; done

figures: demo frontier
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python docs/make_pages.py --take

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --strict --site-dir docs-out

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutants: $(STAMP)
	$(BIN)/python tests/mutation/mutants.py

size: $(STAMP)
	$(BIN)/python tests/trusted_size.py --write

clean:
	rm -rf $(VENV) demo-out bench-out float32-out frontier-out study-out interpret-out finetune-out search-out interop-out torch-out mutants-out docs-out docs/frontier-out .cache build *.egg-info
