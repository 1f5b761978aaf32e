package public

import (
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidepost/templates"
)

// route is one path with what answers its methods; HEAD is answered as GET.
type route struct {
	path  string
	get   http.HandlerFunc // nil: cannot be used
	post  http.HandlerFunc
	limit bool // by address, since it may change something
}

func (s *Server) routes() []route {
	return []route{
		{path: "/o/{token}", get: s.pixel},
		{path: "/c/{token}", get: s.click},
		{path: "/u/{token}", get: s.confirm, post: s.unsubscribe, limit: true},
		{path: "/p/{token}", get: s.preferences, post: s.choose, limit: true},
		{path: "/hooks/{source}", post: s.hook},
		{path: "/healthz", get: text("ok\n")},
		{path: "/robots.txt", get: text("User-agent: *\nDisallow: /\n")},
		{path: "/{$}", get: text("Links in mail lead here. There is nothing to see without one.\n")},
	}
}

// Handler answers everything under the public address.
func (s *Server) Handler() http.Handler {
	s.start()
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.path, s.methods(r))
	}
	mux.HandleFunc("/", s.notFound)
	return s.harden(mux)
}

// harden is what holds for every answer: it is not kept, not framed, not taken for
// something else, tells nobody where its reader came from, and sets no cookie.
func (s *Server) harden(next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src " + templates.StyleSource() + "; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // the token is in our addresses
		h.Set("Cache-Control", "no-store")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		if !whole(r.URL.EscapedPath()) {
			s.notFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// whole reports whether a path means what it says: no dots and doubled slashes that
// a redirect would have to resolve, and no escapes, which no path of ours has.
func whole(escaped string) bool {
	return escaped == "/" || strings.HasPrefix(escaped, "/") && path.Clean(escaped) == escaped && !strings.Contains(escaped, "%")
}

// methods answers one path.
func (s *Server) methods(rt route) http.HandlerFunc {
	by := map[string]http.HandlerFunc{}
	var allowed []string
	if rt.get != nil {
		by[http.MethodGet], by[http.MethodHead] = rt.get, rt.get
		allowed = append(allowed, http.MethodGet, http.MethodHead)
	}
	if rt.post != nil {
		by[http.MethodPost] = rt.post
		allowed = append(allowed, http.MethodPost)
	}
	slices.Sort(allowed)
	return func(w http.ResponseWriter, r *http.Request) {
		do := by[r.Method]
		if do == nil {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			plain(w, http.StatusMethodNotAllowed, "Use "+strings.Join(allowed, " or ")+".\n")
			return
		}
		if rt.limit {
			if wait := s.acts.take(s.now(), s.peer(r)); wait > 0 {
				s.tooMany(w, wait)
				return
			}
		}
		do(w, r)
	}
}

// tooMany answers who asks too fast.
func (s *Server) tooMany(w http.ResponseWriter, wait time.Duration) {
	s.Metrics.Limited.Add(1)
	again(w, wait)
	plain(w, http.StatusTooManyRequests, "Too many requests. Please try again later.\n")
}

// again says when to come back.
func again(w http.ResponseWriter, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)+1))
}

func text(words string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { plain(w, http.StatusOK, words) }
}

func plain(w http.ResponseWriter, status int, words string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(words)))
	w.WriteHeader(status)
	w.Write([]byte(words))
}
