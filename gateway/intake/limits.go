package intake

import "time"

// Limits bounds what clients may do. A zero field means its default, a negative
// count means no limit.
type Limits struct {
	MaxMessageBytes int64 // content, without dot-stuffing; default 25 MiB
	MaxRecipients   int   // in one transaction; default 1000
	MaxConnections  int   // open at once; default 2000
	MaxPerAddress   int   // open at once from one address that is neither trusted nor a credential; default 50
	MaxLine         int   // bytes of a line of text, without its CRLF; default 65536
	MaxCommandLine  int   // bytes of a command, with its CRLF; default 2048
	MaxAuthLine     int   // bytes of an AUTH command or answer (RFC 4954 §4); default 12288

	SoftErrors int // errors in a session after which each reply is delayed; default 10
	HardErrors int // errors after which the session is closed; default 20
	MaxJunk    int // NOOP, RSET, VRFY, HELP, EHLO between two messages; default 100

	MaxAuth        int           // failed AUTH in a session; default 3
	AuthPerAddress int           // failed AUTH from one address within AuthWindow; default 20
	AuthPerAccount int           // failed AUTH for one account within AuthWindow; default 100
	AuthWindow     time.Duration // default 10 minutes
	AuthDelay      time.Duration // before the first failed AUTH is answered, doubled for each further one; default 1 s

	HandshakeTimeout time.Duration // TLS handshake and PROXY header; default 30 s
	CommandTimeout   time.Duration // RFC 5321 §4.5.3.2.7; default 5 minutes
	DataTimeout      time.Duration // head start of a client over MinDataRate; default 3 minutes
	WriteTimeout     time.Duration // until a reply is taken; default 2 minutes
	StressTimeout    time.Duration // in place of the above when three quarters of MaxConnections are open; default 10 s
	ErrorDelay       time.Duration // default 1 s
	DrainTimeout     time.Duration // for transactions in flight at shutdown; default 30 s
	BudgetTimeout    time.Duration // how long a message may wait for memory; default 1 minute
	MinDataRate      int           // bytes per second of message content; default 500
}

// withDefaults returns the limits with nothing left zero.
func (l Limits) withDefaults() Limits {
	set(&l.MaxMessageBytes, 25<<20)
	set(&l.MaxRecipients, 1000)
	set(&l.MaxConnections, 2000)
	set(&l.MaxPerAddress, 50)
	set(&l.MaxLine, 65536)
	set(&l.MaxCommandLine, 2048)
	set(&l.MaxAuthLine, 12288)
	set(&l.SoftErrors, 10)
	set(&l.HardErrors, 20)
	set(&l.MaxJunk, 100)
	set(&l.MaxAuth, 3)
	set(&l.AuthPerAddress, 20)
	set(&l.AuthPerAccount, 100)
	set(&l.AuthWindow, 10*time.Minute)
	set(&l.AuthDelay, time.Second)
	set(&l.HandshakeTimeout, 30*time.Second)
	set(&l.CommandTimeout, 5*time.Minute)
	set(&l.DataTimeout, 3*time.Minute)
	set(&l.WriteTimeout, 2*time.Minute)
	set(&l.StressTimeout, 10*time.Second)
	set(&l.ErrorDelay, time.Second)
	set(&l.DrainTimeout, 30*time.Second)
	set(&l.BudgetTimeout, time.Minute)
	set(&l.MinDataRate, 500)
	return l
}

// set gives a zero value its default.
func set[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// over reports whether n passes a limit; a negative limit is never passed.
func over[T int | int64](n, limit T) bool { return limit >= 0 && n > limit }
