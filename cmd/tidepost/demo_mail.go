package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/smtp"
	"strings"
	"sync"
	"time"

	sink "github.com/emersion/go-smtp"

	"tidepost/scheduler/simulate"
)

// demoClient is a sender's connection to the gateway.
type demoClient struct {
	*smtp.Client
	address, tenant string
	used            time.Time // on the wall
}

// dialDemo connects to the gateway as one of the senders; their passwords are their
// names.
func dialDemo(address, tenant string) (*demoClient, error) {
	c, err := smtp.Dial(address)
	if err != nil {
		return nil, err
	}
	if err := c.Auth(smtp.PlainAuth("", tenant, tenant, "127.0.0.1")); err != nil {
		c.Close()
		return nil, err
	}
	return &demoClient{c, address, tenant, time.Now()}, nil
}

// fresh connects anew where the gateway may have closed a connection that was idle
// for long.
func (c *demoClient) fresh() error {
	if time.Since(c.used) < time.Minute {
		return nil
	}
	c.Close()
	again, err := dialDemo(c.address, c.tenant)
	if err == nil {
		*c = *again
	}
	return err
}

// send hands in one letter; when it returns nil the gateway has said 250.
func (c *demoClient) send(l *simulate.Letter, date time.Time) error {
	if err := c.fresh(); err != nil {
		return err
	}
	c.used = time.Now()
	if err := c.Mail("news@" + c.tenant + ".example"); err != nil {
		return err
	}
	if err := c.Rcpt(demoAddress(l.Person, l.Domain)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, demoLetter(l, date)); err != nil {
		return err
	}
	return w.Close()
}

func (c *demoClient) close() {
	if c != nil {
		c.Close()
	}
}

// demoLetter is a mail as a sender's program writes it.
func demoLetter(l *simulate.Letter, date time.Time) string {
	campaign, name := demoCampaign(l), demoName(l.Person)
	var h strings.Builder
	field := func(key, value string) { fmt.Fprintf(&h, "%s: %s\r\n", key, value) }
	field("From", l.Tenant+" <news@"+l.Tenant+".example>")
	field("To", name+" <"+demoAddress(l.Person, l.Domain)+">")
	field("Subject", campaign)
	field("Date", date.Format(time.RFC1123Z))
	field("Message-ID", fmt.Sprintf("<%d@%s.example>", l.ID, l.Tenant))
	field("List-Id", "<"+l.List+">")
	field("X-Tidepost-Class", l.Class)
	field("X-Tidepost-Campaign", campaign)
	field("X-Tidepost-Window", l.Window.String())
	field("X-Tidepost-Value", fmt.Sprint(l.Value))
	if l.HalfLife > 0 {
		field("X-Tidepost-Half-Life", l.HalfLife.String())
	}
	if l.Zone != nil {
		profile, _ := json.Marshal(map[string]string{"timezone": l.Zone.String()})
		field("X-Tidepost-Profile", string(profile))
	}
	field("MIME-Version", "1.0")
	field("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(&h, "\r\nDear %s,\r\n\r\nthis is %s. Nobody wrote it and nobody will read it.\r\n", name, campaign)
	return h.String()
}

// demoCampaign names a campaign: "offers 12 of shop".
func demoCampaign(l *simulate.Letter) string {
	list, _, _ := strings.Cut(l.List, ".")
	return fmt.Sprintf("%s %d", list, l.Campaign+1)
}

var (
	demoFirst = [...]string{"Ada", "Ben", "Cleo", "Dario", "Edda", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kaja", "Liam", "Mara", "Nils", "Olga", "Paul", "Quirin", "Rosa", "Sami", "Tilda", "Uwe", "Vera", "Wanda", "Xaver", "Yara"}
	demoLast  = [...]string{"Abel", "Brandt", "Costa", "Dahl", "Ekberg", "Falk", "Grant", "Holm", "Ivers", "Jansen", "Keller", "Lopez", "Moreau", "Novak", "Olsen", "Petri", "Quist", "Rossi", "Stern"}
)

// demoName is a person's name; with few people no two have the same.
func demoName(person int) string {
	return demoFirst[person%len(demoFirst)] + " " + demoLast[person%len(demoLast)]
}

func demoAddress(person, domain int) string {
	local := strings.ReplaceAll(strings.ToLower(demoName(person)), " ", ".")
	return fmt.Sprintf("%s.%d@mail%d.example", local, person, domain+1)
}

// demoSink is the mail server behind the gateway. It takes everything and keeps
// which letter came when.
type demoSink struct {
	address string
	server  *sink.Server
	now     func() time.Time

	mu   sync.Mutex
	came []simulate.Departure // guarded by mu
}

func openDemoSink(now func() time.Time) (*demoSink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &demoSink{address: l.Addr().String(), now: now}
	s.server = sink.NewServer(s)
	s.server.Domain = "sink.demo.example"
	go s.server.Serve(l)
	return s, nil
}

// NewSession is called for each connection of the gateway.
func (s *demoSink) NewSession(*sink.Conn) (sink.Session, error) { return &demoSession{s}, nil }

func (s *demoSink) close() { s.server.Close() }

// take returns what came since it was last called.
func (s *demoSink) take() []simulate.Departure {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := s.came
	s.came = nil
	return came
}

type demoSession struct{ sink *demoSink }

func (s *demoSession) Reset()                               {}
func (s *demoSession) Logout() error                        { return nil }
func (s *demoSession) Mail(string, *sink.MailOptions) error { return nil }
func (s *demoSession) Rcpt(string, *sink.RcptOptions) error { return nil }

// Data takes a letter.
func (s *demoSession) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	var letter int
	if _, err := fmt.Sscanf(m.Header.Get("Message-ID"), "<%d@", &letter); err != nil {
		return fmt.Errorf("a message that the demo did not write: %w", err)
	}
	if _, err := io.Copy(io.Discard, m.Body); err != nil {
		return err
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.came = append(s.sink.came, simulate.Departure{Letter: letter, At: s.sink.now()})
	return nil
}
