package public

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"tidepost/gateway/token"
	"tidepost/templates"
)

// confirm answers GET /u/{token}: it asks, and changes nothing, since scanners follow
// every link in a mail.
func (s *Server) confirm(w http.ResponseWriter, r *http.Request) {
	if a, ok := s.ask(w, r, token.Unsubscribe); ok {
		s.page(w, r, http.StatusOK, a.fill(templates.Confirm))
	}
}

// unsubscribe answers POST /u/{token}: of a mail provider, whose body says
// List-Unsubscribe=One-Click (RFC 8058 §3.2), or of our own pages, which then ask
// people why, and are told here too. The answer to
// either is no redirect, asks for no cookie and no login (§3.1), and is 200 only when
// the opt-out is durable. Neither says which list it is about but by the token: all of
// the sender's bulk where the mail was of no list.
func (s *Server) unsubscribe(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	a, ok := s.ask(w, r, token.Unsubscribe)
	if !ok {
		return
	}
	c := templates.Choice(form["choice"])
	switch {
	case err == nil && strings.EqualFold(form["List-Unsubscribe"], "One-Click"):
		s.obey(w, r, a, templates.StopList, false)
	case err == nil && (c == templates.StopList || c == templates.StopAll) && !elsewhere(r):
		s.obey(w, r, a, c, true)
	case err == nil && c == templates.Tell && !elsewhere(r):
		s.hear(w, r, a, form)
	default:
		s.badForm(w, r, err)
	}
}

// preferences answers GET /p/{token}.
func (s *Server) preferences(w http.ResponseWriter, r *http.Request) {
	if a, ok := s.ask(w, r, token.Preferences); ok {
		p := a.fill(templates.Preferences)
		p.Holds = s.holds(r, &a)
		s.page(w, r, http.StatusOK, p)
	}
}

// choose answers POST /p/{token}.
func (s *Server) choose(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	a, ok := s.ask(w, r, token.Preferences)
	c := templates.Choice(form["choice"])
	switch {
	case !ok:
	case err != nil || elsewhere(r):
		s.badForm(w, r, err)
	case c == templates.Tell:
		s.hear(w, r, a, form)
	default:
		s.obey(w, r, a, c, true)
	}
}

// badForm answers a post that is none of those that we know.
func (s *Server) badForm(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadRequest
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		status = http.StatusRequestEntityTooLarge
	case err == nil && elsewhere(r):
		status = http.StatusForbidden
	}
	s.notice(w, r, status, templates.Refused)
}

// elsewhere reports whether a browser says that a form was sent from a page that is
// not ours. Only Sec-Fetch-Site is asked: with Referrer-Policy no-referrer, browsers
// send Origin: null with our own forms too, so that Origin tells nothing.
func elsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// maxForm is the longest form, in bytes.
const maxForm = 16 << 10

// readForm reads the fields of a form's body, either encoding of RFC 8058 §3.2. What
// stands in the address counts for nothing: a link must not be able to say it.
func readForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // some post it without
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	err := r.ParseForm()
	values := r.PostForm // the body's fields alone
	if kind == "multipart/form-data" && err == nil {
		if err = r.ParseMultipartForm(maxForm); err == nil { // no more than the body, hence never in a file
			values = r.MultipartForm.Value
		}
	}
	form := map[string]string{}
	for name, v := range values {
		if len(v) == 1 {
			form[name] = strings.TrimSpace(v[0])
		}
	}
	return form, err
}
