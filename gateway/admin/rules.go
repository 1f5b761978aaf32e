package admin

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"tidepost/gateway"
	"tidepost/suppression/rules"
)

// maxRules is how many bytes rules may have: the event of a change carries them twice,
// and must fit into a message of NATS.
const maxRules = 256 << 10

// rulesFile is what the rules of a request are called where their mistakes are told.
const rulesFile = "rules.toml"

// RuleFiles are the files that rules come from, where they do.
type RuleFiles struct {
	Dir     string
	Problem string // why what the files say is not in force; "": it is
}

// getRules answers GET /api/v1/rules.
func (s *Server) getRules(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	book := s.Gateway.Rulebook()
	c.tag(book)
	return s.newRulesDoc(book), nil
}

// tag says with the answer which version it shows (RFC 9110 §8.8.3).
func (c *call) tag(b *gateway.Rulebook) { c.w.Header().Set("ETag", `"`+strconv.Itoa(b.Version)+`"`) }

// rulesRequest is the body of PUT /api/v1/rules as JSON.
type rulesRequest struct {
	Text string `json:"text"`
	Note string `json:"note"`
}

// putRules answers PUT /api/v1/rules: the rules are replaced whole, or not at all.
func (s *Server) putRules(c *call) (any, error) {
	q, err := c.query("dry_run", "note")
	if err != nil {
		return nil, err
	}
	doc, err := c.readRules()
	if err != nil {
		return nil, err
	}
	if doc.Note == "" {
		doc.Note = q.Get("note")
	}
	if q.Get("dry_run") == "true" {
		return s.tryRules(c, doc.Text)
	}
	return s.setRules(c, doc.Text, doc.Note)
}

// readRules reads a body that is rules, or JSON with rules in it.
func (c *call) readRules() (doc rulesRequest, err error) {
	kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
		err = c.decode(&doc)
	case err == nil && (kind == "text/plain" || kind == "application/toml"):
		doc.Text, err = c.text()
	default:
		err = &Problem{Status: http.StatusUnsupportedMediaType, Detail: "the body is said to be neither text nor JSON",
			Field: "Content-Type", Remedy: "send the rules as text/plain, or as JSON {\"text\",\"note\"} with application/json"}
	}
	if err == nil && len(doc.Text) > maxRules {
		err = &Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("rules may have %d bytes", maxRules), Field: "text", Remedy: "merge some of them"}
	}
	return doc, err
}

// text reads a body of plain text.
func (c *call) text() (string, error) {
	doc, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxRules))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return "", &Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("rules may have %d bytes", maxRules), Remedy: "merge some of them"}
	}
	if err != nil {
		return "", invalid("body", "cannot be read: "+err.Error(), "send it again")
	}
	if !utf8.Valid(doc) {
		return "", invalid("body", "is no UTF-8", "save the file as UTF-8")
	}
	return string(doc), nil
}

// rollbackRequest is the body of POST /api/v1/rules/rollback.
type rollbackRequest struct {
	Version *int   `json:"version"`
	Note    string `json:"note"`
}

// rollbackRules answers POST /api/v1/rules/rollback: the rules of an earlier version
// become the next one. Version 0 is no rules at all.
func (s *Server) rollbackRules(c *call) (any, error) {
	var doc rollbackRequest
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	if doc.Version == nil || *doc.Version < 0 {
		return nil, invalid("version", "is missing", "say which: `tidepost rules history` lists them; 0 is no rules at all")
	}
	text := ""
	if *doc.Version > 0 {
		b, err := s.ruleVersion(*doc.Version)
		if err != nil {
			return nil, err
		}
		text = b.Text
	}
	if doc.Note == "" {
		doc.Note = "back to version " + strconv.Itoa(*doc.Version)
	}
	return s.setRules(c, text, doc.Note)
}

// setRules puts rules into force for whoever asks.
func (s *Server) setRules(c *call, text, note string) (any, error) {
	if s.RuleFiles != nil {
		if files := s.RuleFiles(); files != nil {
			return nil, &Problem{Status: http.StatusConflict, Detail: "the rules come from the files in " + files.Dir,
				Remedy: "change them there and send the gateway SIGHUP, or start it without --rules"}
		}
	}
	expect, any, err := c.expected()
	if err != nil {
		return nil, err
	}
	if _, _, err := s.Gateway.CompileRules(rulesFile, text); err != nil {
		return refuseRules(err)
	}
	for try := 0; ; try++ {
		was := s.Gateway.Rulebook()
		if any {
			expect = was.Version
		}
		b, err := s.Gateway.SetRules(c.Context(), text, expect, c.who.Name, note)
		switch {
		case errors.Is(err, gateway.ErrRulesChanged) && any && try < 10:
			continue
		case errors.Is(err, gateway.ErrRulesChanged):
			now := s.Gateway.Rulebook()
			return nil, &Problem{Status: http.StatusPreconditionFailed, Field: "If-Match",
				Detail: fmt.Sprintf("the rules are of version %d, changed by %s at %s", now.Version, now.By, at(now.At)),
				Remedy: "look at them and apply your change to these, or send If-Match: *"}
		case errors.Is(err, gateway.ErrSameRules):
			b, was = s.Gateway.Rulebook(), s.Gateway.Rulebook()
		case err != nil:
			return nil, err
		}
		c.tag(b)
		return changedRulesDoc{rulesDoc: s.newRulesDoc(b), Changed: b.Version != was.Version, Changes: compareRules(was, b.Set())}, nil
	}
}

// expected reads which version of the rules a change was made from.
func (c *call) expected() (version int, any bool, err error) {
	text := strings.TrimSpace(c.Header.Get("If-Match"))
	switch text {
	case "":
		return 0, false, &Problem{Status: http.StatusPreconditionRequired, Detail: "the request does not say which rules it replaces", Field: "If-Match",
			Remedy: `send the ETag of GET /api/v1/rules, as in If-Match: "7", or * for whatever they are`}
	case "*":
		return 0, true, nil
	}
	version, err = strconv.Atoi(strings.Trim(text, `"`))
	if err != nil || version < 0 {
		return 0, false, invalid("If-Match", "is no version of the rules", `send the ETag of GET /api/v1/rules, as in If-Match: "7", or *`)
	}
	return version, false, nil
}

// faultDoc is one thing wrong with rules.
type faultDoc struct {
	File       string `json:"file,omitempty"`
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Rule       string `json:"rule,omitempty"`
	Message    string `json:"message"`
	DidYouMean string `json:"did_you_mean,omitempty"`
}

// rulesProblem is a refusal that names everything that is wrong.
type rulesProblem struct {
	problemDoc
	Errors []faultDoc `json:"errors"`
}

// refuseRules answers 400 with all that is wrong with rules.
func refuseRules(err error) (any, error) {
	var all rules.Errors
	if !errors.As(err, &all) {
		return nil, err
	}
	doc := rulesProblem{problemDoc: problemDoc{Type: "about:blank", Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest,
		Detail: mark(shorten(plural(int64(len(all)), "mistake", "mistakes")+" in the rules: "+all.Error(), 4000)), Field: "text"}}
	for _, e := range all {
		doc.Errors = append(doc.Errors, newFaultDoc(e))
	}
	return body(func(w http.ResponseWriter) error {
		writeJSON(w, doc.Status, "application/problem+json", doc)
		return nil
	}), nil
}

func newFaultDoc(e *rules.Error) faultDoc {
	doc := faultDoc{File: e.File, Line: e.Line, Column: e.Column, Rule: e.Rule, Message: e.Message}
	if _, rest, ok := strings.Cut(e.Message, "(did you mean '"); ok {
		doc.DidYouMean, _, _ = strings.Cut(rest, "'")
	}
	return doc
}

// ruleVersion finds a version that is kept.
func (s *Server) ruleVersion(n int) (*gateway.Rulebook, error) {
	for _, b := range s.Gateway.RuleHistory() {
		if b.Version == n {
			return &b, nil
		}
	}
	return nil, &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("version %d of the rules is not kept", n), Field: "version",
		Remedy: "`tidepost rules history` lists those that are"}
}

// versionDoc is a version of the rules in their history.
type versionDoc struct {
	bookDoc
	Rules int  `json:"rules"` // how many
	Force bool `json:"in_force"`
}

// listRuleHistory answers GET /api/v1/rules/history, the newest first.
func (s *Server) listRuleHistory(c *call) (any, error) {
	if _, err := c.query("limit", "cursor"); err != nil {
		return nil, err
	}
	docs, now := []versionDoc{}, s.Gateway.Rulebook().Version
	for _, b := range s.Gateway.RuleHistory() {
		list, _ := rules.Parse("", []byte(b.Text)) // what cannot be read any more counts as none
		docs = append(docs, versionDoc{bookDoc: newBookDoc(&b), Rules: len(list), Force: b.Version == now})
	}
	return s.page(docs, ""), nil
}

// getRuleVersion answers GET /api/v1/rules/history/{version}.
func (s *Server) getRuleVersion(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(c.PathValue("version"))
	if err != nil {
		return nil, notFound(strconv.Quote(shorten(c.PathValue("version"), 20)) + " is no version")
	}
	b, err := s.ruleVersion(n)
	if err != nil {
		return nil, err
	}
	return textDoc{newBookDoc(b), b.Text}, nil
}

// variableDoc documents one name that rules may use.
type variableDoc struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Doc  string `json:"doc"`
}

// listVariables answers GET /api/v1/rules/variables.
func (s *Server) listVariables(c *call) (any, error) {
	if _, err := c.query("limit", "cursor"); err != nil {
		return nil, err
	}
	docs := []variableDoc{}
	for _, v := range rules.Variables() {
		docs = append(docs, variableDoc(v))
	}
	return s.page(docs, ""), nil
}
