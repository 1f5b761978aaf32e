package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/local"
	"tidepost/gateway/webhook"
)

// BenchmarkWebhooks tells a receiver on this machine of events that stand in a store's
// journal.
func BenchmarkWebhooks(b *testing.B) {
	store, err := local.Open(local.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	var got atomic.Int64
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body)
		if got.Add(1) == int64(b.N) {
			close(done)
		}
	}))
	defer server.Close()
	hooks := &webhook.Sender{Journal: store, Store: store, Log: slog.New(slog.DiscardHandler)}
	hooks.Set([]webhook.Endpoint{{Name: "own", Tenant: "acme", URL: server.URL, Format: "standard", Secret: hookSecret, AllowPrivate: true}})
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- hooks.Run(ctx) }()
	for len(store.Settings()) == 0 { // it begins with what happens from then on
		time.Sleep(time.Millisecond)
	}
	b.ResetTimer()
	var ids gateway.IDSource
	for n := 0; n < b.N; {
		change := &gateway.Change{}
		for ; n < b.N && len(change.Events) < 100; n++ {
			now := time.Now()
			change.Events = append(change.Events, gateway.Event{Kind: gateway.EventUnsubscribed, At: now, Name: ids.Next(now).String(),
				Detail: fmt.Sprintf(`{"mailbox":"%032x","tenant":"acme","human":1}`, n)})
		}
		if err := store.Commit(ctx, change); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
