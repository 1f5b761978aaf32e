package history

import (
	"bytes"
	"strings"

	"tidepost/gateway"
	"tidepost/suppression/lists"
)

// column is what a column of a table is for.
type column uint8

const (
	colTime column = iota
	colEvent
	colEmail
	colMessage
	colCampaign
	colList
	colClass
	colLink
	colAgent
	colIP
	colHard
	colSent
	colRead
	colFailed
	columns
)

// columnNames says which names, folded, mean which column; of two in one header the
// first here counts.
var columnNames = [columns][]string{
	colTime:     {"time", "timestamp", "at", "date", "datetime", "eventtime", "occurredat", "createdat", "dateadded", "datehit"},
	colEvent:    {"event", "eventtype", "kind", "type", "action"},
	colEmail:    {"email", "emailaddress", "mailbox", "recipient", "subscriber", "to", "address"},
	colMessage:  {"message", "messageid", "msgid"},
	colCampaign: {"campaign", "campaignid", "campaignuuid", "emailid"},
	colList:     {"list", "listid"},
	colClass:    {"class"},
	colLink:     {"url", "link", "linkurl"},
	colAgent:    {"useragent", "agent", "ua"},
	colIP:       {"ip", "ipaddress", "remoteip", "clientip"},
	colHard:     {"hard", "ishard", "permanent", "bouncetype"},
	colSent:     {"datesent", "sentat"},
	colRead:     {"dateread", "readat"},
	colFailed:   {"isfailed", "failed"},
}

// word is what an event means.
type word struct {
	kind      gateway.SignalKind
	delivered bool
	hard      bool
	skipped   string
}

// words are the names of events, folded.
var words = func() map[string]word {
	all := map[string]word{}
	for _, w := range []struct {
		word
		names string
	}{
		{word{kind: gateway.PastSent}, "sent send processed accepted"},
		{word{kind: gateway.PastSent, delivered: true}, "delivered delivery"},
		{word{kind: gateway.SignalOpened}, "opened open opens view viewed read"},
		{word{kind: gateway.SignalClicked}, "clicked click clicks"},
		{word{kind: gateway.SignalUnsubscribed}, "unsubscribed unsubscribe optout optedout groupunsubscribe blocklisted"},
		{word{kind: gateway.SignalComplained}, "complained complaint spam spamreport abuse"},
		{word{kind: gateway.SignalBounced}, "bounced bounce"},
		{word{kind: gateway.SignalBounced, hard: true}, "hardbounce hardbounced hard"},
		{word{kind: gateway.SignalBounced}, "softbounce softbounced soft"},
		{word{skipped: "not delivered"}, "dropped drop deferred failed rejected reject blocked"},
	} {
		for name := range strings.FieldsSeq(w.names) {
			all[name] = w.word
		}
	}
	return all
}()

// table reads a file of columns.
func (d *reader) table(f *lists.File) *lists.Error {
	t := lists.NewTable(f)
	names, err := t.Header()
	if err != nil {
		return err.(*lists.Error)
	}
	c := &cells{table: t, header: names}
	if bad := c.find(names); bad != nil {
		return bad
	}
	for !d.stopped {
		fields, line, more, err := t.Next()
		if !more && err == nil {
			return nil
		}
		d.line = line
		if err == nil {
			c.fields = fields
			if bad := d.record(c); bad != nil {
				err = bad
			}
		}
		if err != nil && !d.fault(err.(*lists.Error)) {
			return nil
		}
	}
	return nil
}

// cells are the fields of one record by column.
type cells struct {
	table  *lists.Table
	header []string
	at     [columns]int // index of the field; -1: there is none
	fields [][]byte
}

// find maps the header to columns.
func (c *cells) find(names []string) *lists.Error {
	folded := map[string]int{}
	for i, name := range names {
		if _, twice := folded[lists.Fold(name)]; !twice {
			folded[lists.Fold(name)] = i
		}
	}
	for col := range c.at {
		c.at[col] = -1
		for _, name := range columnNames[col] {
			if i, ok := folded[name]; ok {
				c.at[col] = i
				break
			}
		}
	}
	switch stats := c.at[colSent] >= 0; {
	case c.at[colEmail] < 0:
		return &lists.Error{Line: 1, Problem: "no column has the address", Remedy: "the first line must name the columns: time,event,email and, where there are, message,campaign,list,url,user_agent,ip"}
	case !stats && (c.at[colTime] < 0 || c.at[colEvent] < 0):
		return &lists.Error{Line: 1, Problem: "the columns time and event are needed", Remedy: "name them in the first line; `tidepost help history` has the queries that do"}
	}
	return nil
}

func (c *cells) text(col column) string {
	i := c.at[col]
	if i < 0 || i >= len(c.fields) {
		return ""
	}
	text := string(bytes.TrimSpace(c.fields[i]))
	if text == "NULL" || text == `\N` { // as MySQL writes nothing
		return ""
	}
	return text
}

func (c *cells) wrong(col column, problem, remedy string) *lists.Error {
	return c.table.Wrong(c.at[col], problem, remedy)
}

// repeated reports the header once more, as files have it that were put together.
func (c *cells) repeated() bool {
	for i, name := range c.header {
		if i >= len(c.fields) || string(bytes.TrimSpace(c.fields[i])) != name {
			return false
		}
	}
	return true
}

// record reads one line.
func (d *reader) record(c *cells) *lists.Error {
	event := c.text(colEvent)
	if event == "" && c.at[colSent] >= 0 {
		return d.stats(c)
	}
	w, ok := words[lists.Fold(event)]
	switch {
	case !ok && c.repeated():
		return d.skip("a header again")
	case !ok:
		return c.wrong(colEvent, lists.Show(event)+" is no event", "write sent, delivered, opened, clicked, unsubscribed, complained, hard_bounce or soft_bounce")
	case w.skipped != "":
		return d.skip(w.skipped)
	}
	row := Row{Kind: w.kind, Delivered: w.delivered, Hard: w.hard, Rough: d.opt.Format == Listmonk && w.kind == gateway.PastSent,
		Link: c.text(colLink), UserAgent: c.text(colAgent), IP: c.text(colIP), List: c.text(colList)}
	if row.Message = c.text(colMessage); row.Message == "" {
		row.Message = c.text(colCampaign)
	}
	switch strings.ToLower(c.text(colHard)) {
	case "1", "true", "t", "yes", "hard", "permanent":
		row.Hard = true
	}
	var bad *lists.Error
	if row.Class, bad = c.class(); bad != nil {
		return bad
	}
	when := colTime
	if c.at[colTime] < 0 {
		when = colSent
	}
	if row.At, ok = d.clock.Read([]byte(c.text(when))); !ok {
		return c.wrong(when, lists.Show(c.text(when))+" is no time", lists.WhenRemedy)
	}
	return d.give(row, c.text(colEmail))
}

func (c *cells) class() (gateway.Class, *lists.Error) {
	text := c.text(colClass)
	if text == "" {
		return classUnknown, nil
	}
	class, err := gateway.ParseClass(strings.ToLower(text))
	if err != nil {
		return 0, c.wrong(colClass, lists.Show(text)+" is no class", "write transactional, triggered, newsletter or promotional, or nothing")
	}
	return class, nil
}

// stats reads a line of Mautic's email_stats: one mail, and when it was read first.
func (d *reader) stats(c *cells) *lists.Error {
	switch strings.ToLower(c.text(colFailed)) {
	case "1", "true", "t", "yes":
		return d.skip("not delivered")
	}
	row := Row{Kind: gateway.PastSent, Message: c.text(colCampaign), List: c.text(colList), Class: classUnknown}
	var ok bool
	if row.At, ok = d.clock.Read([]byte(c.text(colSent))); !ok {
		return c.wrong(colSent, lists.Show(c.text(colSent))+" is no time", lists.WhenRemedy)
	}
	if bad := d.give(row, c.text(colEmail)); bad != nil {
		return bad
	}
	text := c.text(colRead)
	if d.stopped || text == "" {
		return nil
	}
	if row.At, ok = d.clock.Read([]byte(text)); !ok {
		return c.wrong(colRead, lists.Show(text)+" is no time", lists.WhenRemedy)
	}
	row.Kind = gateway.SignalOpened
	return d.give(row, c.text(colEmail))
}
