package main

import (
	"fmt"
	"net/http"
)

type compactCmd struct{ remote }

// Run has the gateway give back the space of settled mail now, not by and by.
func (b *compactCmd) Run(a *app) error {
	c, err := b.connect(a)
	if err != nil {
		return err
	}
	var answer struct {
		Before int64 `json:"before_bytes"`
		After  int64 `json:"after_bytes"`
	}
	if err := c.do(a.Context, http.MethodPost, "/api/v1/compact", struct{}{}, &answer); err != nil {
		return err
	}
	return a.print(b.JSON, answer, fmt.Sprintf("compacted: %s before, %s now", size(answer.Before), size(answer.After)))
}
