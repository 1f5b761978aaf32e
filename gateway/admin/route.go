package admin

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// call is one request on its way through the API.
type call struct {
	*http.Request
	w   http.ResponseWriter
	who *Token
}

// route is one thing that can be asked. What do returns is written as JSON; nil
// is 204; something created is 201; a body writes itself.
type route struct {
	method, path string
	role         Role
	do           func(c *call) (any, error)
}

// body is an answer that is not JSON.
type body func(w http.ResponseWriter) error

// created is an answer that tells of something new.
type created struct{ any }

func (s *Server) routes() []route {
	return []route{
		{"GET", "/api/v1/status", Viewer, s.getStatus},
		{"GET", "/api/v1/deliveries", Viewer, s.listDeliveries},
		{"GET", "/api/v1/deliveries/{id}", Viewer, s.getDelivery},
		{"POST", "/api/v1/deliveries/actions", Operator, s.actOnDeliveries},
		{"POST", "/api/v1/queue/pause", Operator, s.pause},
		{"POST", "/api/v1/queue/resume", Operator, s.resume},
		{"GET", "/api/v1/messages/{id}", Viewer, s.getMessage},
		{"GET", "/api/v1/messages/{id}/content", Operator, s.getContent},
		{"GET", "/api/v1/campaigns", Viewer, s.listCampaigns},
		{"GET", "/api/v1/campaigns/{tenant}/{name...}", Viewer, s.getCampaign},
		{"GET", "/api/v1/suppressions", Viewer, s.listSuppressions},
		{"POST", "/api/v1/suppressions", Operator, s.addSuppression},
		{"DELETE", "/api/v1/suppressions", Operator, s.removeSuppression},
		{"POST", "/api/v1/suppressions/import", Operator, s.importList},
		{"GET", "/api/v1/suppressions/export", Operator, s.exportEntries},
		{"POST", "/api/v1/suppressions/remove", Operator, s.removeEntries},
		{"GET", "/api/v1/suppressions/stats", Viewer, s.suppressionStats},
		{"GET", "/api/v1/suppressions/lists", Viewer, s.listLists},
		{"POST", "/api/v1/suppressions/lists/{name}/discard", Admin, s.discardList},
		{"GET", "/api/v1/rules", Viewer, s.getRules},
		{"PUT", "/api/v1/rules", Operator, s.putRules},
		{"GET", "/api/v1/rules/history", Viewer, s.listRuleHistory},
		{"GET", "/api/v1/rules/history/{version}", Viewer, s.getRuleVersion},
		{"POST", "/api/v1/rules/rollback", Operator, s.rollbackRules},
		{"GET", "/api/v1/rules/variables", Viewer, s.listVariables},
		{"POST", "/api/v1/rules/backtest", Operator, s.backtest},
		{"GET", "/api/v1/audit", Viewer, s.listAudit},
		{"GET", "/api/v1/explain/{subject...}", Viewer, s.explain},
		{"GET", "/api/v1/mailboxes/{address}", Viewer, s.getMailbox},
		{"GET", "/api/v1/mailboxes/{address}/export", Operator, s.exportMailbox},
		{"POST", "/api/v1/mailboxes/{address}/erase", Admin, s.eraseMailbox},
		{"GET", "/api/v1/destinations", Viewer, s.listDestinations},
		{"GET", "/api/v1/report", Viewer, s.report},
		{"GET", "/api/v1/experiments", Viewer, s.experiments},
		{"GET", "/api/v1/mode", Viewer, s.getMode},
		{"POST", "/api/v1/mode", Operator, s.setMode},
		{"POST", "/api/v1/signals", Operator, s.takeSignals},
		{"POST", "/api/v1/signals/import", Operator, s.importHistory},
		{"POST", "/api/v1/signals/resume", Admin, s.resumeSignals},
		{"POST", "/api/v1/returns", Operator, s.takeReturned},
		{"GET", "/api/v1/returns/unmatched", Operator, s.listKept},
		{"GET", "/api/v1/returns/unmatched/{id}", Operator, s.getKept},
		{"DELETE", "/api/v1/returns/unmatched/{id}", Operator, s.dropKept},
		{"GET", "/api/v1/webhooks", Viewer, s.listWebhooks},
		{"POST", "/api/v1/webhooks/{name}/redeliver", Operator, s.redeliverWebhook},
		{"POST", "/api/v1/webhooks/{name}/test", Operator, s.testWebhook},
		{"POST", "/api/v1/webhooks/{name}/enable", Operator, s.enableWebhook},
		{"POST", "/api/v1/backup", Admin, s.backup},
		{"POST", "/api/v1/compact", Admin, s.compact},
		{"POST", "/api/v1/confirm", Admin, s.confirm},
	}
}

// Handler answers everything under the admin address.
func (s *Server) Handler() http.Handler {
	s.start()
	mux := http.NewServeMux()
	byPath := map[string]map[string]route{}
	for _, r := range s.routes() {
		if byPath[r.path] == nil {
			byPath[r.path] = map[string]route{}
		}
		byPath[r.path][r.method] = r
	}
	for p, methods := range byPath {
		mux.Handle(p, s.methods(methods))
	}
	mux.HandleFunc("/healthz", healthz)
	mux.HandleFunc("/readyz", s.readyz)
	mux.HandleFunc("/metrics", s.serveMetrics)
	mux.HandleFunc("/{$}", s.welcome)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, notFound("there is nothing at this path")) })
	return s.harden(mux)
}

// harden is what holds for every request: no caching, no interpretation of what
// came from mail, no paths that mean another one, no requests from other sites.
func (s *Server) harden(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &Problem{Status: http.StatusForbidden, Detail: "a browser sent this request from a page of another site"})
	}))
	inner := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !whole(r.URL.EscapedPath()) {
			s.fail(w, r, notFound("there is nothing at this path"))
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// whole reports whether a path means what it says, without dots and doubled
// slashes that a redirect would have to resolve.
func whole(escaped string) bool {
	return escaped == "/" || strings.HasPrefix(escaped, "/") && path.Clean(escaped) == escaped
}

// methods serves one path. Whoever may not ask does not learn what could be asked.
func (s *Server) methods(routes map[string]route) http.HandlerFunc {
	var allowed []string
	least := Admin
	for m, r := range routes {
		allowed = append(allowed, m)
		least = min(least, r.role)
	}
	slices.Sort(allowed)
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		rt, known := routes[method]
		role := least
		if known {
			role = rt.role
		}
		who, err := s.guard.check(s.now(), r, role)
		switch {
		case err != nil:
			s.fail(w, r, err)
		case !known:
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			s.fail(w, r, &Problem{Status: http.StatusMethodNotAllowed, Detail: r.Method + " cannot be used here",
				Remedy: "use " + strings.Join(allowed, " or ")})
		default:
			s.answer(rt, &call{Request: r, w: w, who: who})
		}
	}
}

func (s *Server) answer(rt route, c *call) {
	v, err := rt.do(c)
	if rt.role > Viewer {
		s.audit(rt, c, err)
	}
	if err != nil {
		s.fail(c.w, c.Request, err)
		return
	}
	switch v := v.(type) {
	case nil:
		c.w.WriteHeader(http.StatusNoContent)
	case body:
		if err := v(c.w); err != nil {
			s.log().Debug("an answer could not be written", "error", err)
		}
	case created:
		writeJSON(c.w, http.StatusCreated, "application/json", v.any)
	default:
		writeJSON(c.w, http.StatusOK, "application/json", v)
	}
}

// audit logs what more than a viewer may ask. What was changed is in the history.
func (s *Server) audit(rt route, c *call, err error) {
	log := s.log().With("by", c.who.Name, "method", rt.method, "path", shorten(c.URL.Path, 200))
	if err != nil {
		log.Info("admin request refused", "error", shorten(err.Error(), 500))
		return
	}
	log.Info("admin request")
}

// unhurried takes the deadlines off a request that may take long, because it
// searches files or does much. (A read deadline that passes would end it.)
func (c *call) unhurried() {
	rc := http.NewResponseController(c.w)
	// A server that knows no deadlines has none to take off.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Time{})
}

// welcome answers somebody who looks with a browser.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("Tidepost, admin API\n\nThe API is under /api/v1/ and wants a bearer token; `tidepost help api` describes it.\n" +
		"GET /healthz and /readyz need none. /metrics is for Prometheus.\n"))
}

func healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// readyz says whether mail can be accepted durably now. Whether the next hop can
// be reached is another question.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if why := s.notReady(); why != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(mark(shorten(why.Error(), 500)) + "\n"))
		return
	}
	w.Write([]byte("ready\n"))
}

func (s *Server) notReady() error {
	if s.Sources.Stopped != nil {
		if err := s.Sources.Stopped(); err != nil {
			return err
		}
	}
	if s.Ready != nil {
		return s.Ready()
	}
	return nil
}
