package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
)

const (
	callTimeout = 15 * time.Second // for the whole call, DNS and the answer's body included
	maxBody     = 64 << 10         // of an answer
	maxExcerpt  = 200              // of an answer, for people
	idleHosts   = 32               // connections kept for another call
	idlePerHost = 4                // as many as one receiver has calls at a time
	idleFor     = 30 * time.Second
)

// Client calls URLs that others chose. The zero value reaches https URLs on public
// addresses. Its fields are set before the first call.
type Client struct {
	AllowHTTP    bool           // http as well as https
	AllowPrivate bool           // loopback, RFC 1918, RFC 4193, RFC 6598: receivers inside one's own network; never metadata services
	Allow        []netip.Prefix // networks that are meant whatever they are: the finer way to allow private ones
	Refuse       []netip.Prefix // more networks to keep away from; wins over Allow
	Resolver     *net.Resolver  // nil: the system's
	RootCAs      *x509.CertPool // nil: the system's
	UserAgent    string         // "": Tidepost

	Now func() time.Time // nil: time.Now; for dates in Retry-After

	once      sync.Once
	transport http.RoundTripper
	dialling  func(netip.Addr) error // tests: told of each address that is about to be dialled
}

// Request is one POST.
type Request struct {
	URL    string
	Header http.Header // Content-Type and what else is sent; nil: none
	Body   []byte
}

// Do makes one call and says what its answer means. It follows no redirect, keeps
// no cookie and asks no proxy. An error in the result never repeats the URL.
func (c *Client) Do(ctx context.Context, r Request) Result {
	u, err := c.parse(r.URL)
	if err != nil {
		return Result{Verdict: Refused, Err: err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return Result{Verdict: Refused, Err: refuse("the URL cannot be called", "write it as https://host/path")}
	}
	if r.Header != nil {
		q.Header = r.Header.Clone()
	}
	q.Header.Set("User-Agent", c.userAgent())
	// The round trip itself, not http.Client: that one follows redirects, and fails
	// on some that it was told not to follow.
	p, err := c.roundTripper().RoundTrip(q)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return Result{Verdict: Again, Err: bounded(err)}
	}
	defer p.Body.Close()
	var body []byte
	if p.StatusCode != http.StatusSwitchingProtocols { // its body is the connection, and has no deadline
		// What the status says stands, whatever the body does.
		body, _ = io.ReadAll(io.LimitReader(p.Body, maxBody))
	}
	return judge(p, c.now(), excerpt(body))
}

// maxError is how long an error may be: some repeat what the receiver wrote.
const maxError = 300

func bounded(err error) error {
	if text := err.Error(); len(text) > maxError {
		return errors.New(strings.ToValidUTF8(text[:maxError], "") + "…")
	}
	return err
}

var errTimeout = errors.New("no answer within 15 s")

// CloseIdle closes the connections that are kept for another call.
func (c *Client) CloseIdle() {
	if t, ok := c.roundTripper().(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

func (c *Client) roundTripper() http.RoundTripper {
	c.once.Do(func() {
		if c.transport != nil {
			return
		}
		t := &http.Transport{
			DialContext:            c.dialer().DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxBody,
			MaxIdleConns:           idleHosts,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        idleFor,
			Protocols:              new(http.Protocols),
		}
		t.Protocols.SetHTTP1(true)
		c.transport = t
	})
	return c.transport
}

// dialer looks at every address in the moment before its connection is made: the
// system's answer to the name, whichever it was, has nothing between it and us.
func (c *Client) dialer() *net.Dialer {
	return &net.Dialer{Resolver: c.Resolver, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if err := c.check(to.Addr()); err != nil {
			return err
		}
		if c.dialling != nil {
			return c.dialling(to.Addr())
		}
		return nil
	}}
}

// check returns why an address is refused, or nil.
func (c *Client) check(a netip.Addr) error { return checkAddr(a, c.AllowPrivate, c.Allow, c.Refuse) }

func (c *Client) userAgent() string {
	if c.UserAgent == "" {
		return "Tidepost"
	}
	return c.UserAgent
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// excerpt is the beginning of an answer in one line that is safe to show.
func excerpt(body []byte) string {
	text := strings.ToValidUTF8(string(body[:min(len(body), maxExcerpt)]), "")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}
