package main

import (
	"context"
	"errors"
)

// restoreData puts a backup into an empty data directory, held.
func restoreData(ctx context.Context, backup, dataDir string) error {
	return errors.New("restore is not wired to the store yet")
}

// recoverData rebuilds a data directory's index from its logs, held, and says
// in words what it found.
func recoverData(ctx context.Context, dataDir string) (summary string, err error) {
	return "", errors.New("recover is not wired to the store yet")
}
