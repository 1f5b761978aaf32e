package main

import (
	"fmt"
	"net/http"
)

type restoreCmd struct {
	remote
	Backup  string `arg:"" optional:"" help:"The folder that tidepost backup made." placeholder:"DIR"`
	Confirm bool   `help:"Let the mail of a restored gateway leave."`
}

// Run puts a backup into an empty data_dir while no gateway runs on it, or
// confirms one that was put back. Mail of a backup may have left since it was
// made, so that somebody has to look before it leaves again.
func (r *restoreCmd) Run(a *app) error {
	switch {
	case r.Confirm && r.Backup != "" || !r.Confirm && r.Backup == "":
		return usagef("say either which folder to restore, or --confirm")
	case r.Confirm:
		return r.confirm(a)
	}
	cfg, err := ParseConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return err
	}
	if err := restoreData(a.Context, r.Backup, cfg.DataDir); err != nil {
		return err
	}
	return a.print(r.JSON, map[string]string{"data_dir": cfg.DataDir},
		fmt.Sprintf("restored into %s; start the gateway, look at `tidepost queue list`, then `tidepost restore --confirm` lets mail leave", cfg.DataDir))
}

func (r *restoreCmd) confirm(a *app) error {
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	if err := c.do(a.Context, http.MethodPost, "/api/v1/confirm", struct{}{}, nil); err != nil {
		return err
	}
	return a.print(r.JSON, map[string]bool{"confirmed": true}, "confirmed: mail leaves again")
}
