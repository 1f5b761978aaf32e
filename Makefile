# Everything here needs Go and nothing else; without make, `make run` is
# `go run ./cmd/tidepost serve` and `make test` is `go test -race ./...`.

GO      ?= go
VERSION ?=

# -race needs cgo and a C compiler; without one the tests run all the same.
RACE := $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && test "$$($(GO) env CGO_ENABLED)" = 1 && echo -race)

.PHONY: run test soak bench lint build clean

# The gateway in capture mode: mail is kept and shown, nothing leaves.
run:
	$(GO) build -o tidepost ./cmd/tidepost
	exec ./tidepost serve

test:
	$(GO) test $(RACE) -shuffle=on ./...

# The long form of the tests that kill the gateway under load.
soak:
	TESTING_DAYS=30 $(GO) test -run TestSoak -v ./gateway
	TESTING_KILLS=200 TESTING_READERS=200 TESTING_SIGNALS=3000,60,1000000 TESTING_FAULTS=all TESTING_IDLE=10000 TESTING_SOURCE=10000 TESTING_HISTORY=1000000 $(GO) test -run "Kill|Faults|Idle|Source|FeedbackLoop|SignalRate|History" -timeout 2h -v ./cmd/tidepost

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Beside Postfix on this machine, with the harness of ../shared/bench.
peers:
	bash .ci/peers

# gofmt, vet and the layer test; CI adds staticcheck and govulncheck.
lint:
	@unformatted="$$(gofmt -l cmd gateway scheduler suppression templates)"; \
	if [ -n "$$unformatted" ]; then echo "gofmt -w:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) test -run 'TestLayers' ./cmd/tidepost

# One static binary.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w$(if $(VERSION), -X main.version=$(VERSION))" -o tidepost ./cmd/tidepost

clean:
	rm -f tidepost
