package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"tidepost/gateway/admin"
	"tidepost/gateway/webhook"
)

type webhooksCmd struct {
	List      webhooksListCmd      `cmd:"" help:"How far each webhook is, and what it answered last."`
	Redeliver webhooksRedeliverCmd `cmd:"" help:"Tell a webhook of past events again, under the same ids."`
	Test      webhooksTestCmd      `cmd:"" help:"Send a test event and print the answer."`
	Enable    webhooksEnableCmd    `cmd:"" help:"Call a webhook again that said that it is gone, or that takes nothing."`
	Keygen    webhooksKeygenCmd    `cmd:"" help:"Make a key for the format sendgrid: a private one for secret_file, a public one for the receiver."`
}

type webhooksListCmd struct{ remote }

type webhooksRedeliverCmd struct {
	remote
	Name  string    `arg:"" help:"The webhook, as list prints it." placeholder:"NAME"`
	Since time.Time `help:"From when on, as 2026-11-20T10:00:00Z." placeholder:"TIME"`
	Until time.Time `help:"Up to when; else now." placeholder:"TIME"`
	Kind  string    `help:"Only events of this kind, as bounced." placeholder:"KIND"`
	Event string    `help:"Only this one." placeholder:"ID"`
}

type webhooksTestCmd struct {
	remote
	Name string `arg:"" help:"The webhook, as list prints it." placeholder:"NAME"`
}

type webhooksEnableCmd struct {
	remote
	Name string `arg:"" help:"The webhook, as list prints it." placeholder:"NAME"`
}

type webhooksKeygenCmd struct {
	Out string `help:"File for the private key, which must not be there yet; else it is printed." placeholder:"FILE"`
}

// webhookPath is where the API has a webhook.
func webhookPath(name, what string) string {
	return "/api/v1/webhooks/" + url.PathEscape(name) + "/" + what
}

// Run prints how far the webhooks are.
func (l *webhooksListCmd) Run(a *app) error {
	c, err := l.connect(a)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(a.Context)
	defer cancel()
	var doc struct{ Items []json.RawMessage }
	if err := c.get(ctx, "/api/v1/webhooks", nil, &doc); err != nil {
		return err
	}
	if l.JSON {
		return printItems(a.Stdout, doc.Items)
	}
	list, err := decodeAll[webhook.Status](doc.Items)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(a.Stdout, "no webhooks; `tidepost help webhooks` says how to have some")
		return nil
	}
	t := newTable(a.Stdout, "NAME", "TENANT", "FORMAT", "HOST", "STATE", "WAITING", "OLDEST", "RETRYING", "GIVEN UP", "LAST TAKEN", "LAST ERROR")
	for i := range list {
		w := &list[i]
		t.row(w.Name, w.Tenant, w.Format, w.Host, webhookState(w), w.Events, age(w.Lag), w.Retrying, w.GivenUp, w.LastSuccess, cut(w.LastError, 100))
	}
	return t.flush()
}

// webhookState is how a webhook is, since when, and until when it is left alone.
func webhookState(w *webhook.Status) string {
	switch {
	case w.Redelivering != nil:
		return fmt.Sprintf("%s, redelivering %.0f %%", w.State, 100*w.Redelivering.Share)
	case w.State == webhook.StateDown && !w.Next.IsZero():
		return w.State + " since " + show(w.Since) + ", asked at " + show(w.Next)
	case w.State != webhook.StateOK:
		return w.State + " since " + show(w.Since)
	}
	return w.State
}

// age is a number of seconds for people; "" for none.
func age(seconds float64) string {
	if seconds <= 0 {
		return ""
	}
	return (time.Duration(seconds) * time.Second).String()
}

// Run tells a webhook again, and shows on a terminal how far it is.
func (r *webhooksRedeliverCmd) Run(a *app) error {
	if r.Since.IsZero() && r.Event == "" {
		return usagef("redeliver: say --since TIME, or --event ID")
	}
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	stop := func() {}
	if isTerminal(a.Stderr) {
		stop = c.watch(a, r.Name)
	}
	var doc json.RawMessage
	err = c.do(a.Context, http.MethodPost, webhookPath(r.Name, "redeliver"), admin.Redelivery{Since: r.Since, Until: r.Until, Kind: r.Kind, Event: r.Event}, &doc)
	stop()
	if err != nil {
		return err
	}
	var p webhook.Progress
	if err := decodeAnswer(doc, &p); err != nil {
		return err
	}
	text := count(int64(p.Sent), "event was", "events were") + " told again"
	if p.Refused > 0 {
		text += fmt.Sprintf("; %d were refused, the first is %s: %s", p.Refused, p.First, p.Answer)
	}
	if err := a.print(r.JSON, doc, text); err != nil {
		return err
	}
	if p.Refused > 0 {
		return errQuiet
	}
	return nil
}

// watch shows how far a redelivery is until it is stopped.
func (c *client) watch(a *app, name string) (stop func()) {
	ctx, cancel := context.WithCancel(a.Context)
	bar := &readBar{w: a.Stderr}
	var wg sync.WaitGroup
	wg.Go(func() {
		for pause := time.NewTicker(time.Second); ; {
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return
			}
			var doc struct{ Items []webhook.Status }
			if c.get(ctx, "/api/v1/webhooks", nil, &doc) != nil {
				continue // the next one may be answered
			}
			for i := range doc.Items {
				if w := &doc.Items[i]; w.Name == name && w.Redelivering != nil {
					bar.show(w.Redelivering.Share)
				}
			}
		}
	})
	return func() { cancel(); wg.Wait(); bar.clear() }
}

// Run sends a test event. It fails where the receiver does not take it.
func (t *webhooksTestCmd) Run(a *app) error {
	c, err := t.connect(a)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(a.Context)
	defer cancel()
	var doc json.RawMessage
	if err := c.do(ctx, http.MethodPost, webhookPath(t.Name, "test"), nil, &doc); err != nil {
		return err
	}
	var answer webhookAnswer
	if err := decodeAnswer(doc, &answer); err != nil {
		return err
	}
	text := "taken"
	if !answer.Taken {
		text = answer.Error
	}
	if answer.Status != 0 {
		text = fmt.Sprintf("%d: %s", answer.Status, text)
	}
	if answer.Answer != "" {
		text += "\n" + answer.Answer
	}
	if err := a.print(t.JSON, doc, text); err != nil {
		return err
	}
	if !answer.Taken {
		return errQuiet
	}
	return nil
}

// Run has a webhook called again.
func (e *webhooksEnableCmd) Run(a *app) error {
	c, err := e.connect(a)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(a.Context)
	defer cancel()
	if err := c.do(ctx, http.MethodPost, webhookPath(e.Name, "enable"), nil, nil); err != nil {
		return err
	}
	return a.print(e.JSON, map[string]bool{"enabled": true}, e.Name+" is called again")
}

// Run makes a key.
func (k *webhooksKeygenCmd) Run(a *app) error {
	private, public, err := webhook.NewKey()
	if err != nil {
		return err
	}
	if k.Out == "" {
		_, err = fmt.Fprintf(a.Stdout, "%s\n%s\n", private, public)
		return err
	}
	f, err := os.OpenFile(k.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(private); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout, public)
	return err
}
