package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

type healthcheckCmd struct{ remote }

// Run fails unless the gateway can accept mail durably. It needs no token.
func (h *healthcheckCmd) Run(a *app) error {
	c, err := h.connect(a)
	if err != nil {
		return err
	}
	c.token = ""
	ctx, cancel := deadline(a.Context)
	defer cancel()
	answer, err := c.open(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", firstOf(strings.TrimSpace(string(text)), answer.Status))
	}
	return a.print(h.JSON, map[string]bool{"ready": true}, "ready")
}
