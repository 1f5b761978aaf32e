package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 64 << 20

// remote are the flags of every command that speaks to a running gateway.
type remote struct {
	Server string `help:"Address of the gateway's admin API; else TIDEPOST_SERVER, else http.admin of the configuration." placeholder:"URL"`
	Token  string `help:"Admin token; else TIDEPOST_TOKEN, else the file admin.token in data_dir." placeholder:"TOKEN"`
	JSON   bool   `help:"Print JSON, for programs." name:"json"`
}

// client speaks to the admin API of a running gateway.
type client struct {
	server string // without a slash at its end
	token  string
	http   *http.Client
}

// connect settles where the gateway is and with what token to ask it. The
// token of the local file goes to this machine alone: another one that we were
// pointed at must not learn it.
func (r remote) connect(a *app) (*client, error) {
	cfg, err := ParseConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return nil, err
	}
	server := firstOf(r.Server, a.getenv("TIDEPOST_SERVER"), "http://"+reachable(cfg.HTTP.Admin))
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("--server %s: want a web address, as in http://127.0.0.1:8025", server)
	}
	c := &client{server: strings.TrimRight(server, "/"), token: firstOf(r.Token, a.getenv("TIDEPOST_TOKEN"))}
	c.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.token == "" && localHost(u.Hostname()) {
		text, err := os.ReadFile(filepath.Join(cfg.DataDir, "admin.token"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("cannot read the admin token: %w; set TIDEPOST_TOKEN, or run this as the user of the gateway", err)
		}
		c.token = strings.TrimSpace(string(text))
	}
	return c, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// reachable turns an address to listen on into one to connect to.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func localHost(host string) bool {
	return loopback(net.JoinHostPort(host, "0"))
}

// get asks for a path with a query and decodes the answer into out.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// do makes one request with a JSON body and decodes a JSON answer. out may be
// nil, or a *json.RawMessage for the document as it came.
func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	answer, err := c.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s stopped in the middle of its answer: %w", c.server, err)
	}
	if answer.StatusCode/100 != 2 {
		return c.problem(answer, doc)
	}
	if out == nil || len(doc) == 0 {
		return nil
	}
	if err := json.Unmarshal(doc, out); err != nil {
		return fmt.Errorf("%s did not answer as Tidepost's admin API does (%v); is --server right?", c.server, err)
	}
	return nil
}

// open makes one request and returns the answer, whatever its status.
func (c *client) open(ctx context.Context, method, path string, in any) (*http.Response, error) {
	return c.openAs(ctx, method, path, "", "application/json", in)
}

// unreachable names the remedy for a gateway that does not answer.
func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("cannot reach %s: is `tidepost serve` running? set --server", c.server)
	}
	return fmt.Errorf("cannot reach %s: %v; is `tidepost serve` running there? set --server", c.server, errors.Unwrap(err))
}

// problem reads an RFC 9457 answer.
func (c *client) problem(answer *http.Response, doc []byte) error {
	var p struct{ Title, Detail, Remedy string }
	json.Unmarshal(doc, &p) // anything else than JSON leaves them empty
	text := firstOf(p.Detail, p.Title, http.StatusText(answer.StatusCode), answer.Status)
	if !strings.Contains(text, p.Remedy) {
		text += "; " + p.Remedy
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		if c.token == "" {
			return fmt.Errorf("%s wants an admin token: set TIDEPOST_TOKEN, or --set data_dir=… to where the gateway keeps admin.token", c.server)
		}
		return fmt.Errorf("%s does not know this admin token: set TIDEPOST_TOKEN", c.server)
	case http.StatusForbidden:
		return fmt.Errorf("this admin token may not do that: %s", text)
	}
	return errors.New(text)
}

// deadline bounds a request that should be quick.
func deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 30*time.Second)
}
