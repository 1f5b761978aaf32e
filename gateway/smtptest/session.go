package smtptest

import (
	"io"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is go-smtp's view of one connection in normal mode.
type session struct {
	s       *Server
	conn    *smtp.Conn
	message Message
}

func (s *Server) session(c *smtp.Conn) (smtp.Session, error) {
	return &session{s: s, conn: c}, nil
}

func (b *session) Reset()        { b.message = Message{} }
func (b *session) Logout() error { return nil }

func (b *session) Mail(from string, o *smtp.MailOptions) error {
	_, encrypted := b.conn.TLSConnectionState()
	b.message = Message{From: from, Options: o, TLS: encrypted}
	return nil
}

func (b *session) Rcpt(to string, o *smtp.RcptOptions) error {
	b.message.To = append(b.message.To, to)
	b.message.RcptOptions = append(b.message.RcptOptions, o)
	return nil
}

func (b *session) Data(r io.Reader) (err error) {
	if b.s.Discard {
		_, err = io.Copy(io.Discard, r)
	} else {
		b.message.Data, err = io.ReadAll(r)
	}
	if err == nil {
		b.s.take(b.message)
	}
	return err
}

// AuthMechanisms offers PLAIN where there are users.
func (b *session) AuthMechanisms() []string {
	if b.s.Users == nil {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth checks a name and password.
func (b *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if want, ok := b.s.Users[user]; !ok || want != password {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}
