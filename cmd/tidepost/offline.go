package main

import (
	"context"
	"fmt"
	"log/slog"

	"tidepost/gateway/local"
)

// restoreData puts a backup into an empty data directory, held.
func restoreData(_ context.Context, backup, dataDir string) error {
	if err := local.Restore(backup, dataDir); err != nil {
		return err
	}
	return copyKeys(backup, dataDir)
}

// recoverData rebuilds a data directory's index from its logs, held, and says
// in words what it found.
func recoverData(_ context.Context, dataDir string, log *slog.Logger) (summary string, err error) {
	opt := local.Options{Dir: dataDir, Log: log}
	if err := local.Recover(opt); err != nil {
		return "", err
	}
	store, err := local.Open(opt)
	if err != nil {
		return "", fmt.Errorf("the rebuilt index: %w", err)
	}
	defer store.Close()
	_, tenants := store.Totals()
	var waiting int64
	for _, t := range tenants {
		waiting += t.Waiting + t.Sending
	}
	if waiting == 1 {
		return "1 delivery waits and is held", nil
	}
	return fmt.Sprintf("%d deliveries wait and are held", waiting), nil
}
