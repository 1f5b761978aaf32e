package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// chosen are the flags of commands that change deliveries.
type chosen struct {
	remote
	filter
	IDs    []string `arg:"" optional:"" help:"Deliveries, as queue list prints them." placeholder:"ID" name:"id"`
	All    bool     `help:"Everything that waits, when no filter is given."`
	Yes    bool     `help:"Do not ask." short:"y"`
	DryRun bool     `help:"Only count."`
	Reason string   `help:"Words for the audit log." placeholder:"TEXT"`
}

// actionRequest is the body of POST /api/v1/deliveries/actions.
type actionRequest struct {
	Action   string       `json:"action"`
	Filter   actionFilter `json:"filter"`
	Captured bool         `json:"captured,omitempty"`
	DryRun   bool         `json:"dry_run"`
	Reason   string       `json:"reason,omitempty"`
}

type actionFilter struct {
	filter
	IDs []string `json:"ids,omitempty"`
}

// actionAnswer is its answer.
type actionAnswer struct {
	Matched int64 `json:"matched"`
	Done    int64 `json:"done"`
}

// act counts what an action would change, asks, and does it.
func (q *chosen) act(a *app, action, verb string, captured bool) error {
	c, err := q.connect(a)
	if err != nil {
		return err
	}
	f, err := q.resolve(time.Now())
	if err != nil {
		return err
	}
	if f == (filter{}) && len(q.IDs) == 0 && !q.All {
		return usagef("say which deliveries: ids, --tenant, --campaign, --mailbox, --state, --due-before or --message; --all means every one")
	}
	request := actionRequest{Action: action, Filter: actionFilter{f, q.IDs}, Captured: captured, DryRun: true, Reason: q.Reason}
	var counted actionAnswer
	if err := c.do(a.Context, http.MethodPost, "/api/v1/deliveries/actions", request, &counted); err != nil {
		return err
	}
	deliveries := count(counted.Matched, "delivery", "deliveries")
	switch {
	case q.DryRun || counted.Matched == 0:
		return a.print(q.JSON, counted, deliveries+" matched, nothing changed")
	case !q.Yes && !a.confirm(verb+" "+deliveries+"?"):
		return fmt.Errorf("not confirmed, nothing changed: answer y, or say --yes")
	}
	request.DryRun = false
	var done actionAnswer
	if err := c.do(a.Context, http.MethodPost, "/api/v1/deliveries/actions", request, &done); err != nil {
		return err
	}
	return a.print(q.JSON, done, fmt.Sprintf("%d of %s changed", done.Done, deliveries))
}

// confirm asks a question whose answer is no unless somebody says yes.
func (a *app) confirm(question string) bool {
	fmt.Fprintf(a.Stderr, "%s [y/N] ", question)
	line, _ := bufio.NewReader(a.Stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// print writes a result as JSON or as a sentence.
func (a *app) print(asJSON bool, v any, sentence string) error {
	if asJSON {
		return printJSON(a.Stdout, v)
	}
	_, err := fmt.Fprintln(a.Stdout, safe(sentence))
	return err
}

type queueReleaseCmd struct {
	chosen
	Captured bool `help:"Send mail that capture mode kept. It goes to its real recipients."`
}

// Run releases deliveries now.
func (q *queueReleaseCmd) Run(a *app) error {
	verb := "Send now"
	if q.Captured {
		verb = "Send, to their real recipients, the captured"
	}
	return q.act(a, "release", verb, q.Captured)
}

type queueHoldCmd struct{ chosen }

// Run holds deliveries.
func (q *queueHoldCmd) Run(a *app) error { return q.act(a, "hold", "Hold", false) }

type queueDropCmd struct{ chosen }

// Run drops deliveries for good.
func (q *queueDropCmd) Run(a *app) error { return q.act(a, "drop", "Drop for good", false) }

// scope is what pause and resume stop and start.
type scope struct {
	Tenant   string `help:"Only this tenant." placeholder:"NAME" json:"tenant,omitempty"`
	Campaign string `help:"Only this campaign; needs --tenant." placeholder:"NAME" json:"campaign,omitempty"`
}

func (s scope) check() error {
	if s.Campaign != "" && s.Tenant == "" {
		return usagef("--campaign needs --tenant: two tenants may use one name")
	}
	return nil
}

func (s scope) String() string {
	switch {
	case s.Campaign != "":
		return fmt.Sprintf("campaign %s of tenant %s", s.Campaign, s.Tenant)
	case s.Tenant != "":
		return "tenant " + s.Tenant
	}
	return "everything"
}

type queuePauseCmd struct {
	remote
	scope
}

// Run stops releasing.
func (q *queuePauseCmd) Run(a *app) error {
	if err := q.check(); err != nil {
		return err
	}
	c, err := q.connect(a)
	if err != nil {
		return err
	}
	if err := c.do(a.Context, http.MethodPost, "/api/v1/queue/pause", q.scope, nil); err != nil {
		return err
	}
	return a.print(q.JSON, q.scope, "paused: "+q.scope.String()+"; mail is still accepted, and leaves after `tidepost queue resume`")
}

type queueResumeCmd struct {
	chosen
	Held bool `help:"Resume deliveries that were held, chosen by the filters, not what was paused."`
}

// Run resumes what pause stopped, or deliveries that were held.
func (q *queueResumeCmd) Run(a *app) error {
	if q.Held || len(q.IDs) > 0 || q.Mailbox != "" || q.Message != "" || q.State != "" || q.DueBefore != "" {
		return q.act(a, "resume", "Resume", false)
	}
	s := scope{Tenant: q.Tenant, Campaign: q.Campaign}
	if err := s.check(); err != nil {
		return err
	}
	c, err := q.connect(a)
	if err != nil {
		return err
	}
	if err := c.do(a.Context, http.MethodPost, "/api/v1/queue/resume", s, nil); err != nil {
		return err
	}
	return a.print(q.JSON, s, "resumed: "+s.String())
}
