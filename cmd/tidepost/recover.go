package main

import (
	"fmt"
	"log/slog"
)

type recoverCmd struct {
	JSON bool `help:"Print JSON, for programs." name:"json"`
}

// Run rebuilds the index of data_dir from its logs, while no gateway runs on
// it. Everything is held afterwards until it is confirmed.
func (r *recoverCmd) Run(a *app) error {
	cfg, err := ParseConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return err
	}
	summary, err := recoverData(a.Context, cfg.DataDir, slog.New(slog.NewTextHandler(a.Stderr, nil)))
	if err != nil {
		return err
	}
	return a.print(r.JSON, map[string]string{"data_dir": cfg.DataDir, "summary": summary},
		fmt.Sprintf("recovered %s: %s; start the gateway, look at `tidepost queue list`, then `tidepost restore --confirm` and `tidepost queue resume --held --all` let mail leave", cfg.DataDir, summary))
}
