package public

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tidepost/gateway"
	"tidepost/gateway/token"
	"tidepost/scheduler/evidence"
)

// pixelGIF is one transparent point.
const pixelGIF = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// pixel answers GET /o/{token}: always with the same image, whatever becomes of what
// it tells.
func (s *Server) pixel(w http.ResponseWriter, r *http.Request) {
	t, err := s.open(token.Open, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if s.witness(r, t, gateway.SignalOpened) {
		s.Metrics.Opens.Add(1)
	} else {
		s.Metrics.Untaught.Add(1)
	}
	h := w.Header()
	h.Set("Content-Type", "image/gif")
	h.Set("Content-Length", strconv.Itoa(len(pixelGIF)))
	h.Set("Cache-Control", "no-store, no-cache, must-revalidate, private, max-age=0") // each opening asks again, as far as proxies obey
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
	w.Write([]byte(pixelGIF))
}

// click answers GET /c/{token} with the way to where the link leads. 302 and not 301
// or 308, which are kept and would hide the next click (RFC 9110 §15.4.2); not 303 or
// 307, which differ only for methods that are not answered here. The target learns
// nothing of us: Referrer-Policy holds for where a redirect leads too.
func (s *Server) click(w http.ResponseWriter, r *http.Request) {
	t, err := s.open(token.Click, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	to, ok := location(t.Target)
	if !ok { // sealed by us, hence a mistake of ours
		s.log().Error("a link that was sealed leads nowhere", "delivery", gateway.DeliveryID{Message: t.Message, Ordinal: t.Ordinal}.String())
		s.notFound(w, r)
		return
	}
	if s.witness(r, t, gateway.SignalClicked) {
		s.Metrics.Clicks.Add(1)
	} else {
		s.Metrics.Untaught.Add(1)
	}
	w.Header().Set("Location", to)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
}

// location is a target as it may stand in a Location field: http or https with a
// host, and characters outside ASCII, which a URI does not have (RFC 3986 §2), as a
// browser would write them.
func location(target string) (string, bool) {
	if strings.ContainsFunc(target, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return "", false
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(target); i++ {
		if c := target[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String(), true
}

// maxAgent is how much of a User-Agent is looked at, in bytes.
const maxAgent = 512

// witness tells what was seen of an open or a click. Who it was is judged elsewhere.
// It reports whether that is stored.
func (s *Server) witness(r *http.Request, t *token.Token, kind gateway.SignalKind) bool {
	now, from := s.now(), s.peer(r)
	if s.seen.take(now, from) > 0 {
		return false
	}
	// A request that is broken off was still made.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), seenTimeout)
	defer cancel()
	rd, err := s.reader(ctx, t)
	if err != nil || s.Tenants != nil && !s.Tenants(rd.tenant) {
		return false
	}
	agent := r.Header.Get("User-Agent")
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "")
	seen := &evidence.Request{At: now, Action: evidence.Open, Method: r.Method, UserAgent: agent, Known: true, Addr: from}
	sig := rd.signal(kind, "pixel")
	if kind == gateway.SignalClicked {
		seen.Action, seen.Link, seen.Links, seen.Hidden = evidence.Click, uint64(t.Link), int(t.Links), t.Hidden
		sig.Source, sig.Link = "click", strconv.Itoa(int(t.Link))
	}
	sig.At, sig.Seen, sig.List = now, seen, rd.list
	if _, err := s.Gateway.Learn(ctx, sig); err != nil {
		s.log().Warn("what a reader did could not be stored", "kind", kind, "delivery", sig.Message, "error", err)
		return false
	}
	return true
}
