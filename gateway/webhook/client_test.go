package webhook

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// receiver is a server on loopback that counts who connects.
type receiver struct {
	*httptest.Server
	accepted, asked atomic.Int64
}

func receive(t *testing.T, h http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		h(w, q)
	}))
	r.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			r.accepted.Add(1)
		}
	}
	r.Config.ErrorLog = discard
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) port() string { return r.URL[strings.LastIndexByte(r.URL, ':')+1:] }

// client reaches receivers on loopback, and names through a zone.
func client(t *testing.T, r *receiver, z *zone) *Client {
	t.Helper()
	c := &Client{AllowPrivate: true, AllowHTTP: true, Resolver: z.resolver()}
	if r != nil {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(r.Certificate())
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func do(t *testing.T, c *Client, url string) Result {
	t.Helper()
	return c.Do(t.Context(), Request{URL: url, Body: []byte("x")})
}

// TestDialRefuses is row H1 for names: the check is made at the dial, so a name
// with a public address in front of a private one, or one that changes, gets no
// connection.
func TestDialRefuses(t *testing.T) {
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	for _, a := range []string{"127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254", "10.0.0.1",
		"172.16.0.1", "192.168.0.1", "100.64.0.1", "fc00::1", "fe80::1", "2002:7f00:1::", "127.0.0.1 ::1", "224.0.0.1"} {
		z := &zone{names: map[string][]string{"hooks.example.com": {a}}}
		c := client(t, r, z)
		c.AllowPrivate, c.AllowHTTP = false, false
		got := do(t, c, "https://hooks.example.com:"+r.port()+"/secret-token")
		if got.Verdict != Again || got.Err == nil || got.Status != 0 {
			t.Errorf("%s: %+v", a, got)
			continue
		}
		if text := got.Err.Error(); strings.Contains(text, "secret-token") || !strings.Contains(text, "is ") {
			t.Errorf("%s: the error is %q", a, text)
		}
	}
	if n := r.accepted.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// A name that is public when somebody looks, and this machine when we call.
func TestNameChangesBeforeDial(t *testing.T) {
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	z := &zone{names: map[string][]string{"rebind.example.com": {"198.41.0.4", "127.0.0.1"}}}
	c := client(t, r, z)
	c.AllowPrivate = false
	url := "https://rebind.example.com:" + r.port() + "/"
	if err := CheckURL(url, false); err != nil {
		t.Fatal(err)
	}
	if seen, err := c.Resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.com"); err != nil || seen[0].String() != "198.41.0.4" {
		t.Fatal(seen, err)
	}
	if got := do(t, c, url); got.Verdict != Again || !strings.Contains(got.Err.Error(), "127.0.0.1 is this machine") {
		t.Errorf("%+v", got)
	}
	if r.accepted.Load() != 0 {
		t.Error("a connection was made")
	}
	c.AllowPrivate = true
	if got := do(t, c, "https://example.com:"+r.port()+"/"); got.Status != 0 {
		t.Errorf("a name that is not there: %+v", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	inside := receive(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{inside.URL, "http://169.254.169.254/", "gopher://x", "::not a url"} {
			r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.Header().Set("Set-Cookie", "a=b")
				w.WriteHeader(status)
			})
			got := do(t, client(t, r, &zone{}), r.URL)
			if got.Verdict != Again || got.Status != status || r.asked.Load() != 1 {
				t.Errorf("%d to %s: %+v after %d requests", status, to, got, r.asked.Load())
			}
		}
	}
	if inside.accepted.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestStatuses(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status  int
		after   string
		verdict Verdict
		wait    time.Duration
	}{
		{200, "", Done, 0}, {201, "", Done, 0}, {202, "60", Done, 0}, {204, "", Done, 0}, {299, "", Done, 0},
		{410, "60", Gone, 0},
		{400, "", Refused, 0}, {405, "", Refused, 0}, {413, "", Refused, 0}, {415, "", Refused, 0}, {422, "60", Refused, 0},
		{401, "", Again, 0}, {403, "", Again, 0}, {404, "", Again, 0}, {408, "", Again, 0}, {425, "", Again, 0}, {304, "", Again, 0},
		{500, "", Again, 0}, {502, "", Again, 0}, {599, "", Again, 0}, {999, "", Again, 0},
		{429, "", Again, 0}, {429, "120", Again, 2 * time.Minute}, {503, " 7 ", Again, 7 * time.Second},
		{429, "-5", Again, 0}, {429, "1.5", Again, 0}, {429, "soon", Again, 0}, {429, "0", Again, 0},
		{429, "999999", Again, maxRetryAfter}, {429, "99999999999999999999999", Again, maxRetryAfter},
		{503, "Sun, 01 Mar 2026 13:00:00 GMT", Again, time.Hour}, {503, "Sun, 01 Mar 2026 11:00:00 GMT", Again, 0},
		{503, "Fri, 01 Mar 2126 13:00:00 GMT", Again, maxRetryAfter},
	} {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.status)
		})
		x := client(t, r, &zone{})
		x.Now = func() time.Time { return now }
		got := do(t, x, r.URL+"/secret-token")
		if got.Verdict != c.verdict || got.Status != c.status || got.After != c.wait || (got.Err == nil) != (c.verdict == Done) {
			t.Errorf("%d, Retry-After %q: %+v, want %v after %v", c.status, c.after, got, c.verdict, c.wait)
		}
		if got.Err != nil && strings.Contains(got.Err.Error(), "token") {
			t.Errorf("%d: the error repeats the URL: %v", c.status, got.Err)
		}
	}
}

// What is sent is what was given, and nothing that we did not mean.
func TestRequest(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1/")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1/")
	r := receive(t, func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		w.Header().Set("Set-Cookie", "session=1; Path=/")
		fmt.Fprintf(w, "%s %s %s %d %v %s", q.Method, q.URL, q.Proto, q.ContentLength, q.Header, body)
	})
	c := client(t, r, &zone{})
	for range 2 {
		got := c.Do(t.Context(), Request{URL: r.URL + "/a?b=c#d", Header: oneClickHeader, Body: oneClick})
		want := "POST /a?b=c HTTP/1.1 26 map[Content-Length:[26] Content-Type:[application/x-www-form-urlencoded] User-Agent:[Tidepost]] List-Unsubscribe=One-Click"
		if got.Excerpt != want {
			t.Errorf("sent\n%q\nwant\n%q", got.Excerpt, want)
		}
	}
	if n := r.accepted.Load(); n != 1 {
		t.Errorf("%d connections for two calls", n)
	}
	if len(oneClickHeader) != 1 {
		t.Error("the caller's header was changed")
	}
}

// TestEvilAnswers is row H2: whatever the receiver does, a call is short and small.
func TestEvilAnswers(t *testing.T) {
	var sent atomic.Int64
	bomb := gzipBomb(t)
	chunk := bytes.Repeat([]byte("a"), 1<<20)
	for _, c := range []struct {
		name    string
		serve   http.HandlerFunc
		verdict Verdict
		sent    int64 // at most, in bytes: what the receiver got rid of, buffers included
	}{
		{"10 GB", func(w http.ResponseWriter, _ *http.Request) {
			for range 10_000 {
				n, err := w.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}, Done, 64 << 20},
		{"gzip bomb", func(w http.ResponseWriter, q *http.Request) {
			if e := q.Header.Get("Accept-Encoding"); e != "" {
				t.Errorf("asked for %s", e)
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		}, Done, 0},
		{"endless header", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 3000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("a", 100))
			}
		}, Again, 0},
		{"no HTTP", hijacked("220 mail.example.com ESMTP\r\n"), Again, 0},
		{"a line without end", hijacked("HTTP/1.1 " + strings.Repeat("a", 1<<20)), Again, 0},
		{"cut off", hijacked(""), Again, 0},
		{"101", hijacked("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), Again, 0},
		{"many 100", hijacked(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10_000)), Again, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent.Store(0)
			r := receive(t, c.serve)
			x, begun := client(t, r, &zone{}), time.Now()
			got := do(t, x, r.URL)
			if got.Verdict != c.verdict || len(got.Excerpt) > maxExcerpt || time.Since(begun) > 5*time.Second {
				t.Errorf("%+v after %v", got, time.Since(begun))
			}
			if got.Err != nil && len(got.Err.Error()) > maxError+len("…") {
				t.Errorf("an error of %d bytes", len(got.Err.Error()))
			}
			x.CloseIdle()
			r.Close()
			if n := sent.Load(); n > c.sent {
				t.Errorf("the receiver wrote %d bytes", n)
			}
		})
	}
}

// hijacked writes text where an answer should be, and closes.
func hijacked(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(c, text)
			c.Close()
		}
	}
}

func gzipBomb(t *testing.T) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.CopyN(z, zeros{}, 100<<20); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// The time limit is on the whole call, and ends with the caller's.
func TestSlowAnswers(t *testing.T) {
	for name, serve := range map[string]func(http.ResponseWriter, *http.Request){
		"never": func(_ http.ResponseWriter, q *http.Request) {
			<-q.Context().Done()
			panic(http.ErrAbortHandler) // a return would be a 200, which may reach a client that is just hanging up
		},
		"a byte a second":      drip(t.Context(), false),
		"a body byte a second": drip(t.Context(), true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, serve)
			ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
			defer cancel()
			begun := time.Now()
			got := client(t, r, &zone{}).Do(ctx, Request{URL: r.URL})
			want := Again
			if name == "a body byte a second" { // its status came: the call was taken
				want = Done
			}
			if d := time.Since(begun); got.Verdict != want || d > 2*time.Second || d < time.Second {
				t.Errorf("%+v after %v", got, d)
			}
		})
	}
	t.Run("15 s", func(t *testing.T) {
		t.Parallel()
		if testing.Short() {
			t.Skip("takes 15 s")
		}
		r := receive(t, drip(t.Context(), false))
		begun := time.Now()
		got := do(t, client(t, r, &zone{}), r.URL)
		if d := time.Since(begun); got.Verdict != Again || got.Err != errTimeout || d < callTimeout || d > callTimeout+2*time.Second {
			t.Errorf("%+v after %v", got, d)
		}
	})
}

// drip answers a byte a second, from the status line on or from the body on.
func drip(ctx context.Context, body bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		text := "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"
		if body {
			io.WriteString(c, text)
		}
		for _, b := range []byte(text) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	}
}

// TestCertificates: an answer from somebody else is no answer.
func TestCertificates(t *testing.T) {
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	z := &zone{names: map[string][]string{"example.com": {"127.0.0.1"}, "other.test": {"127.0.0.1"}}}
	strange := client(t, nil, z)
	if got := do(t, strange, r.URL); got.Verdict != Again || !strings.Contains(fmt.Sprint(got.Err), "certificate") {
		t.Errorf("a certificate that nobody signed: %+v", got)
	}
	known := client(t, r, z)
	if got := do(t, known, "https://other.test:"+r.port()); got.Verdict != Again || !strings.Contains(fmt.Sprint(got.Err), "certificate") {
		t.Errorf("another name's certificate: %+v", got)
	}
	if got := do(t, known, "https://example.com:"+r.port()); got.Verdict != Done {
		t.Errorf("a good certificate: %+v", got)
	}
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = discard
	old.StartTLS()
	defer old.Close()
	known.RootCAs.AddCert(old.Certificate())
	if got := do(t, known, old.URL); got.Verdict != Again || !strings.Contains(fmt.Sprint(got.Err), "version") {
		t.Errorf("TLS 1.1: %+v", got)
	}
	if r.asked.Load() != 1 {
		t.Errorf("%d requests came through", r.asked.Load())
	}
}

func TestPlainHTTP(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	c := client(t, nil, &zone{})
	if got := do(t, c, plain.URL); got.Verdict != Done {
		t.Errorf("%+v", got)
	}
	if got := do(t, &Client{AllowPrivate: true}, plain.URL); got.Verdict != Refused {
		t.Errorf("http is taken where it is not allowed: %+v", got)
	}
	if got := do(t, c, "https://127.0.0.1:1/"); got.Verdict != Refused {
		t.Errorf("port 1: %+v", got)
	}
	if got := do(t, c, "https://127.0.0.1:"+unused(t)); got.Verdict != Again || got.Status != 0 {
		t.Errorf("nobody there: %+v", got)
	}
}

func unused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestVerdictsHaveNames(t *testing.T) {
	if got := fmt.Sprint(Done, Gone, Again, Refused, Verdict(9)); got != "done gone again refused Verdict(9)" {
		t.Error(got)
	}
}
