package main

import (
	"fmt"
	"io"
	"net/http"
)

// modeFlags are those of live and observe.
type modeFlags struct {
	remote
	Tenant string `help:"Only this tenant's mail." placeholder:"NAME"`
	Class  string `help:"Only newsletter, or only promotional mail." placeholder:"CLASS"`
	List   string `help:"Only this List-Id." placeholder:"LIST-ID"`
	Yes    bool   `help:"Do not ask." short:"y"`
	DryRun bool   `help:"Only print what would change."`
}

type (
	liveCmd    struct{ modeFlags }
	observeCmd struct{ modeFlags }
)

// modeRequest is the body of POST /api/v1/mode.
type modeRequest struct {
	Mode   string `json:"mode"`
	Tenant string `json:"tenant,omitempty"`
	Class  string `json:"class,omitempty"`
	List   string `json:"list,omitempty"`
	DryRun bool   `json:"dry_run"`
}

// modeAnswer is its answer.
type modeAnswer struct {
	Mode      string `json:"mode"`
	Waiting   int64  `json:"waiting"`
	WouldHold int64  `json:"would_hold"`
	WouldDrop int64  `json:"would_drop"`
	Held      int64  `json:"held"`
	Changed   bool   `json:"changed"`
}

// Run lets the model decide.
func (c *liveCmd) Run(a *app) error { return c.set(a, "live") }

// Run lets the model only watch: the panic switch.
func (c *observeCmd) Run(a *app) error { return c.set(a, "observe") }

// set prints what the switch would change, asks, and switches.
func (m *modeFlags) set(a *app, mode string) error {
	c, err := m.connect(a)
	if err != nil {
		return err
	}
	request := modeRequest{Mode: mode, Tenant: m.Tenant, Class: m.Class, List: m.List, DryRun: true}
	var answer modeAnswer
	if err := c.do(a.Context, http.MethodPost, "/api/v1/mode", request, &answer); err != nil {
		return err
	}
	out := a.Stdout
	if m.JSON {
		out = a.Stderr
	}
	answer.foretell(out)
	if m.DryRun {
		return a.print(m.JSON, answer, "nothing changed")
	}
	if !m.Yes && !a.confirm("Switch to "+mode+"?") {
		return fmt.Errorf("not confirmed, nothing changed: answer y, or say --yes")
	}
	request.DryRun = false
	if err := c.do(a.Context, http.MethodPost, "/api/v1/mode", request, &answer); err != nil {
		return err
	}
	return a.print(m.JSON, answer, mode+"; what waits is planned anew in the background, `tidepost status` shows the switch")
}

// foretell says what a switch changes.
func (m *modeAnswer) foretell(w io.Writer) {
	fmt.Fprintf(w, "%s of bulk mail wait.\n", count(m.Waiting, "delivery", "deliveries"))
	if m.Mode == "live" {
		fmt.Fprintf(w, "Of them the model holds %d for a better hour and would drop %d, where policy.drop allows it.\n", m.WouldHold, m.WouldDrop)
		fmt.Fprintln(w, "Mail that comes from now on may be held up to policy.max_hold; the control arm is not. `tidepost report` shows what live would have done lately.")
		return
	}
	fmt.Fprintf(w, "Of them %d, which the model holds, leave one after another, at the destinations' pace and past the gates alone.\n", m.Held)
}
