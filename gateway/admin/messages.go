package admin

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"tidepost/gateway"
)

// messageDoc is a message as it is sent, without its content.
type messageDoc struct {
	ID          string    `json:"id"`
	Received    time.Time `json:"received"`
	From        string    `json:"from"` // envelope sender; "": the null one
	Subject     string    `json:"subject,omitempty"`
	MessageID   string    `json:"message_id,omitempty"`
	Tenant      string    `json:"tenant"`
	Audience    string    `json:"audience,omitempty"`
	Credential  string    `json:"credential,omitempty"`
	Client      string    `json:"client,omitempty"`
	Helo        string    `json:"helo,omitempty"`
	Protocol    string    `json:"protocol,omitempty"`
	TLS         string    `json:"tls,omitempty"`
	Class       string    `json:"class"`
	ClassReason string    `json:"class_reason,omitempty"`
	Campaign    string    `json:"campaign,omitempty"`
	List        string    `json:"list,omitempty"`
	Tags        []string  `json:"tags,omitempty"`
	Variant     string    `json:"variant,omitempty"`
	NotBefore   time.Time `json:"not_before,omitzero"`
	Deadline    time.Time `json:"deadline,omitzero"`
	Window      float64   `json:"window_seconds,omitempty"`
	Notes       []string  `json:"notes,omitempty"`
	Duplicate   string    `json:"duplicate,omitempty"` // the message that this one repeats
	Size        int64     `json:"size"`
	Recipients  []string  `json:"recipients"` // addresses; the n-th is delivery ID.n, from 0
	Mode        string    `json:"mode,omitempty"`
	Warning     string    `json:"warning,omitempty"`
}

func newMessageDoc(m *gateway.Message) messageDoc {
	doc := messageDoc{
		ID: m.ID.String(), Received: utc(m.Received), From: m.From, Subject: m.Subject, MessageID: m.MessageID,
		Tenant: m.Tenant, Audience: m.Audience, Credential: m.Credential, Client: m.Client, Helo: m.Helo,
		Protocol: m.Protocol, TLS: m.TLSVersion, Class: m.Class.String(), ClassReason: m.ClassReason,
		Campaign: m.Campaign, List: m.List, Tags: m.Tags, Variant: m.Variant, NotBefore: utc(m.NotBefore),
		Deadline: utc(m.Deadline), Window: m.Window.Seconds(), Notes: m.Notes, Size: m.Size,
		Recipients: make([]string, len(m.Recipients)),
	}
	if !m.Duplicate.IsZero() {
		doc.Duplicate = m.Duplicate.String()
	}
	for i, r := range m.Recipients {
		doc.Recipients[i] = r.Address
	}
	return doc
}

// message finds the message of a path.
func (s *Server) message(c *call) (*gateway.Message, gateway.Ref, error) {
	b, err := s.browser()
	if err != nil {
		return nil, gateway.Ref{}, err
	}
	id, err := gateway.ParseID(c.PathValue("id"))
	if err != nil {
		return nil, gateway.Ref{}, notFound(err.Error())
	}
	c.unhurried()
	m, ref, err := b.Message(c.Context(), id)
	return m, ref, missing(err, "message "+id.String())
}

// getMessage answers GET /api/v1/messages/{id}.
func (s *Server) getMessage(c *call) (any, error) {
	m, _, err := s.message(c)
	if err != nil {
		return nil, err
	}
	doc := newMessageDoc(m)
	doc.Mode = s.info().Mode
	doc.Warning = warning(doc.Mode)
	return doc, nil
}

// contentTimeout is how long the content of a message may take to be fetched.
const contentTimeout = 10 * time.Minute

// getContent answers GET /api/v1/messages/{id}/content with the message as it
// was accepted, as text that no browser interprets.
func (s *Server) getContent(c *call) (any, error) {
	m, ref, err := s.message(c)
	if err != nil {
		return nil, err
	}
	stored, err := s.Store.Body(c.Context(), ref)
	if err != nil {
		return nil, missing(err, "the content of message "+m.ID.String())
	}
	return body(func(w http.ResponseWriter) error {
		defer stored.Close()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(contentTimeout)) // where there are deadlines
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="`+m.ID.String()+`.eml"`)
		h.Set("Content-Length", strconv.FormatInt(stored.Size, 10))
		if c.Method == http.MethodHead {
			return nil
		}
		_, err := io.Copy(w, io.NewSectionReader(stored, 0, stored.Size))
		return err
	}), nil
}
