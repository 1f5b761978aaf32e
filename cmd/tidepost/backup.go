package main

import (
	"fmt"
	"net/http"
	"path/filepath"
)

type backupCmd struct {
	remote
	Directory string `arg:"" help:"A new folder, on the gateway's machine."`
}

// Run has the gateway copy its state, while it goes on working.
func (b *backupCmd) Run(a *app) error {
	c, err := b.connect(a)
	if err != nil {
		return err
	}
	directory, err := filepath.Abs(b.Directory)
	if err != nil {
		return err
	}
	var answer struct {
		Directory string `json:"directory"`
		Bytes     int64  `json:"bytes"`
	}
	request := map[string]string{"directory": directory}
	if err := c.do(a.Context, http.MethodPost, "/api/v1/backup", request, &answer); err != nil {
		return err
	}
	return a.print(b.JSON, answer, fmt.Sprintf("backed up %s into %s", size(answer.Bytes), answer.Directory))
}
