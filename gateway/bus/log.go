package bus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// serverLog hands the embedded server's lines to slog. The server reports
// that it cannot start only through Fatalf, so the first of those is kept.
type serverLog struct {
	to *slog.Logger

	mu    sync.Mutex
	fatal string // guarded by mu
}

// Noticef takes what the server tells of itself, mostly while starting.
func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Warnf takes what an operator should know.
func (l *serverLog) Warnf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Errorf takes what went wrong.
func (l *serverLog) Errorf(format string, v ...any) { l.write(slog.LevelError, format, v) }

// Debugf takes details of the server's inside.
func (l *serverLog) Debugf(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Tracef takes single protocol lines, which could hold what people wrote: they
// are dropped.
func (l *serverLog) Tracef(string, ...any) {}

// Fatalf takes why the server cannot start. Unlike the server's own logger it
// leaves the process alone.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.write(slog.LevelError, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, "nats: "+fmt.Sprintf(format, v...))
	}
}

// failure returns why the server could not start, or "".
func (l *serverLog) failure() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
