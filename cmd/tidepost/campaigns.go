package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"time"
)

// campaignsCmd lists campaigns, or shows one.
type campaignsCmd struct {
	List campaignsListCmd `cmd:"" default:"withargs" help:"List campaigns, newest first."`
	Show campaignsShowCmd `cmd:"" help:"Show one campaign."`
}

// campaign is a campaign as the API shows it. Accepted is always the sum of
// the others.
type campaign struct {
	Tenant, Name string

	Accepted, Waiting, Sending, Delivered, Bounced, Captured int64

	Dropped     map[string]int64 // by reason
	First, Last time.Time        // of acceptance
}

func (c *campaign) dropped() (sum int64) {
	for _, n := range c.Dropped {
		sum += n
	}
	return sum
}

type campaignsListCmd struct {
	remote
	Tenant string `help:"Only this tenant's." placeholder:"NAME"`
	Limit  int    `help:"How many to list; 0 for all." default:"100"`
}

// Run lists campaigns with their sums.
func (q *campaignsListCmd) Run(a *app) error {
	c, err := q.connect(a)
	if err != nil {
		return err
	}
	query := url.Values{}
	if q.Tenant != "" {
		query.Set("tenant", q.Tenant)
	}
	p, more, err := c.list(a.Context, "/api/v1/campaigns", query, q.Limit)
	if err != nil {
		return err
	}
	a.warnCapture(p.Mode, q.JSON)
	if q.JSON {
		return printItems(a.Stdout, p.Items)
	}
	if err := printCampaigns(a.Stdout, p.Items); err != nil {
		return err
	}
	if more {
		fmt.Fprintln(a.Stderr, "there are more: --limit 0 lists all")
	}
	return nil
}

func printCampaigns(w io.Writer, items []json.RawMessage) error {
	campaigns, err := decodeAll[campaign](items)
	if err != nil {
		return err
	}
	if len(campaigns) == 0 {
		_, err := fmt.Fprintln(w, "no campaigns yet")
		return err
	}
	t := newTable(w, "TENANT", "CAMPAIGN", "ACCEPTED", "DELIVERED", "WAITING", "SENDING", "DROPPED", "BOUNCED", "CAPTURED", "LAST")
	for i := range campaigns {
		c := &campaigns[i]
		t.row(c.Tenant, cut(c.Name, 40), c.Accepted, c.Delivered, c.Waiting, c.Sending, c.dropped(), c.Bounced, c.Captured, c.Last)
	}
	return t.flush()
}

type campaignsShowCmd struct {
	remote
	Tenant string `arg:"" help:"Whose campaign."`
	Name   string `arg:"" help:"Its name."`
}

// Run shows one campaign with its drops by reason.
func (q *campaignsShowCmd) Run(a *app) error {
	c, err := q.connect(a)
	if err != nil {
		return err
	}
	var doc json.RawMessage
	path := "/api/v1/campaigns/" + url.PathEscape(q.Tenant) + "/" + url.PathEscape(q.Name)
	if err := c.get(a.Context, path, nil, &doc); err != nil {
		return err
	}
	if q.JSON {
		return printJSON(a.Stdout, doc)
	}
	items, err := decodeAll[campaign]([]json.RawMessage{doc})
	if err != nil {
		return err
	}
	return printCampaign(a.Stdout, &items[0])
}

func printCampaign(w io.Writer, c *campaign) error {
	t := newTable(w)
	t.row("tenant", c.Tenant)
	t.row("campaign", c.Name)
	t.row("accepted", c.Accepted)
	t.row("= delivered", c.Delivered)
	t.row("+ waiting", c.Waiting)
	t.row("+ sending", c.Sending)
	t.row("+ bounced", c.Bounced)
	t.row("+ captured", c.Captured)
	for _, reason := range slices.Sorted(maps.Keys(c.Dropped)) {
		t.row("+ dropped, "+reason, c.Dropped[reason])
	}
	t.row("first accepted", c.First)
	t.row("last accepted", c.Last)
	return t.flush()
}
