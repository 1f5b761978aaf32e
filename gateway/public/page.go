package public

import (
	"net/http"
	"strconv"

	"tidepost/templates"
)

// page answers with a page in the reader's language.
func (s *Server) page(w http.ResponseWriter, r *http.Request, status int, p templates.Page) {
	doc, err := templates.Negotiate(r.Header.Get("Accept-Language")).Page(p)
	if err != nil { // none of our pages can fail
		s.log().Error("a page could not be made", "page", p.Kind, "error", err)
		plain(w, http.StatusInternalServerError, "This did not work.\n")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	w.Write(doc)
}

// notice answers with a page that says one thing.
func (s *Server) notice(w http.ResponseWriter, r *http.Request, status int, kind templates.Kind) {
	s.page(w, r, status, templates.Page{Kind: kind})
}

// notFound is the answer to forged links as well as to paths that never were.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.notice(w, r, http.StatusNotFound, templates.NotFound)
}
