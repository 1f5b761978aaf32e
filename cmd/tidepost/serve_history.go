package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"tidepost/gateway/admin"
	"tidepost/gateway/history"
)

// openHistory wires the import of history, and removes what one left that was killed.
func (s *server) openHistory() admin.History {
	im := &history.Importer{Gateway: s.gateway, Dir: filepath.Join(s.config.Load().DataDir, "import")}
	if err := im.Clean(); err != nil {
		s.log.Warn("what an import of history left cannot be removed", "error", err)
	}
	return func(ctx context.Context, in io.Reader, a admin.HistoryAsk, tell func(any)) (any, error) {
		ask := history.Ask{Options: history.Options{Format: history.Format(a.Format), Class: a.Class, List: a.List},
			Tenant: a.Tenant, DryRun: a.DryRun, SkipBad: a.SkipBad, By: a.By}
		report, err := im.Run(ctx, in, ask, func(p history.Progress) { tell(p) })
		var refused *history.Refused
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			err = &admin.Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a file may have %d bytes", large.Limit), Remedy: "pack it with gzip, or cut it in two by time"}
		case errors.As(err, &refused):
			err = &admin.Problem{Status: http.StatusBadRequest, Detail: refused.Problem, Remedy: refused.Remedy}
		}
		if report == nil {
			return nil, err
		}
		return report, err
	}
}
