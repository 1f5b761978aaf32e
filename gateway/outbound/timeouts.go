package outbound

import "time"

// Timeouts bounds every phase of a session; zero means the default, which is
// RFC 5321 §4.5.3.2's minimum where that has one. A reply must be whole, and a
// write must be done, within its time: a byte now and then does not extend it.
type Timeouts struct {
	Connect  time.Duration // of one address; 30 s
	Greeting time.Duration // 220; 5 min
	Hello    time.Duration // EHLO and HELO; 5 min
	StartTLS time.Duration // the command, and again the handshake; 2 min
	Auth     time.Duration // each step; 2 min
	Mail     time.Duration // 5 min
	Rcpt     time.Duration // each; 5 min
	Data     time.Duration // 354; 2 min
	Block    time.Duration // writing at most 64 KiB of content; 3 min
	Done     time.Duration // the reply to the final dot; 10 min
	Quit     time.Duration // 2 s: nothing depends on it

	Open        time.Duration // dialling and greeting all hosts tried; 10 min
	Transaction time.Duration // from MAIL to the last reply; 1 h
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		d    *time.Duration
		want time.Duration
	}{
		{&t.Connect, 30 * time.Second},
		{&t.Greeting, 5 * time.Minute},
		{&t.Hello, 5 * time.Minute},
		{&t.StartTLS, 2 * time.Minute},
		{&t.Auth, 2 * time.Minute},
		{&t.Mail, 5 * time.Minute},
		{&t.Rcpt, 5 * time.Minute},
		{&t.Data, 2 * time.Minute},
		{&t.Block, 3 * time.Minute},
		{&t.Done, 10 * time.Minute},
		{&t.Quit, 2 * time.Second},
		{&t.Open, 10 * time.Minute},
		{&t.Transaction, time.Hour},
	} {
		if *f.d <= 0 {
			*f.d = f.want
		}
	}
	return t
}
