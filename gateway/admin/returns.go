package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// Returns takes mail that came back, and shows what could not be matched. Documents
// are written as they are.
type Returns interface {
	Take(ctx context.Context, mail []byte) (doc any, err error)
	Kept() (doc any, err error)
	Mail(id string) ([]byte, error) // gateway.ErrNotFound, wrapped, where there is none
	Remove(id string) error         // the same
}

// maxReturned is the longest mail that is taken, in bytes: what intake takes of them.
const maxReturned = 10 << 20

// takeReturned answers POST /api/v1/returns: one mail that came back, as an ESP's
// mailbox for bounces has it.
func (s *Server) takeReturned(c *call) (any, error) {
	r, err := s.returns()
	if err != nil {
		return nil, err
	}
	mail, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxReturned))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &Problem{Status: http.StatusRequestEntityTooLarge, Detail: "the mail has more than 10 MiB", Remedy: "a report is shorter: send its first part"}
	case err != nil:
		return nil, &Problem{Status: http.StatusBadRequest, Detail: "the mail broke off", Remedy: "send it again"}
	case len(mail) == 0:
		return nil, &Problem{Status: http.StatusBadRequest, Detail: "there is no mail", Remedy: "send it as the body, header and all"}
	}
	return r.Take(c.Context(), mail)
}

// listKept answers GET /api/v1/returns/unmatched.
func (s *Server) listKept(*call) (any, error) {
	r, err := s.returns()
	if err != nil {
		return nil, err
	}
	return r.Kept()
}

// getKept answers GET /api/v1/returns/unmatched/{id}: the mail as it came.
func (s *Server) getKept(c *call) (any, error) {
	r, err := s.returns()
	if err != nil {
		return nil, err
	}
	mail, err := r.Mail(c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return body(func(w http.ResponseWriter) error {
		w.Header().Set("Content-Type", "message/rfc822")
		w.Header().Set("Content-Disposition", "attachment")
		_, err := w.Write(mail)
		return err
	}), nil
}

// dropKept answers DELETE /api/v1/returns/unmatched/{id}.
func (s *Server) dropKept(c *call) (any, error) {
	r, err := s.returns()
	if err != nil {
		return nil, err
	}
	return nil, r.Remove(c.PathValue("id"))
}

func (s *Server) returns() (Returns, error) {
	if s.Returns == nil {
		return nil, cannot("mail that came back is not taken here")
	}
	return s.Returns, nil
}
