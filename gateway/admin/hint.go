package admin

import "time"

// hint is something worth doing that no person needs to get up for.
type hint struct {
	Text string   `json:"text"`
	Ways []string `json:"ways"`
}

// quietAfter is how long bulk mail may go unanswered before there is a hint: of what is
// read at all, four fifths is read within a day (decision model 4.1).
const quietAfter = 24 * time.Hour

// hints are what the status says beside problems.
func (s *Server) hints() []hint {
	list := []hint{}
	if since := s.Gateway.Unanswered(); !since.IsZero() && s.now().Sub(since) >= quietAfter {
		list = append(list, hint{"0 signals in 24 h: three ways to connect them", []string{
			"tracking of ours: policy.tracking and http.public_url; tidepost help tracking",
			"your provider's or ESP's webhooks: [hooks.NAME]; tidepost help hooks",
			"NATS, or the API with POST /api/v1/signals; tidepost help nats",
		}})
	}
	return list
}
