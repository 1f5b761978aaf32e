package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Fetch gets a document of at most 64 KiB over https, under the rules of Do: no
// redirect, no cookie, no proxy, and no address that Do would refuse. Anything but a
// 200 is an error. No error repeats the URL.
func (c *Client) Fetch(ctx context.Context, url string) ([]byte, error) {
	u, err := c.parse(url)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" {
		return nil, refuse("the scheme is http, and anybody on the way could answer", "use https")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, refuse("the URL cannot be called", "write it as https://host/path")
	}
	q.Header.Set("User-Agent", c.userAgent())
	p, err := c.roundTripper().RoundTrip(q)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, bounded(err)
	}
	defer p.Body.Close()
	if p.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d %s", u.Host, p.StatusCode, http.StatusText(p.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(p.Body, maxBody+1))
	if err != nil {
		return nil, bounded(err)
	}
	if len(body) > maxBody {
		return nil, errors.New("the document is longer than 64 KiB")
	}
	return body, nil
}
