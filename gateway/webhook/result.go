package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Verdict is what an answer means for what was to be said.
type Verdict uint8

// The verdicts.
const (
	Done    Verdict = 1 + iota // 2xx: it was taken
	Gone                       // 410: nobody wants to hear of it any more
	Again                      // not now: no answer, 5xx, 429, and what a person over there can put right
	Refused                    // never: the request itself is what is wrong, or the URL
)

func (v Verdict) String() string {
	switch v {
	case Done:
		return "done"
	case Gone:
		return "gone"
	case Again:
		return "again"
	case Refused:
		return "refused"
	}
	return "Verdict(" + strconv.Itoa(int(v)) + ")"
}

// maxRetryAfter is the longest wait that a receiver may ask for. A few of them
// still fit in the time that we go on trying.
const maxRetryAfter = 12 * time.Hour

// Result is what became of a call.
type Result struct {
	Verdict Verdict
	Status  int           // 0: there was no answer
	After   time.Duration // Again: how long the receiver wants to be left alone (Retry-After), ≤ 12 h; 0: it did not say
	Err     error         // why; nil when Done. It names no more of the URL than its host
	Excerpt string        // the beginning of the answer's body, for people
}

// forGood are the statuses that would be the same next time: what we wrote is
// not what this URL takes. Other 4xx are tried again. A wrong secret, a firewall
// and a deployment that took the route away (401, 403, 404) look like them, are
// put right by a person after hours, and the price of an opt-out that is lost
// is higher than that of a dozen calls.
var forGood = map[int]bool{
	http.StatusBadRequest: true, http.StatusMethodNotAllowed: true, http.StatusNotAcceptable: true, http.StatusLengthRequired: true,
	http.StatusRequestEntityTooLarge: true, http.StatusRequestURITooLong: true, http.StatusUnsupportedMediaType: true,
	http.StatusExpectationFailed: true, http.StatusUnprocessableEntity: true, http.StatusRequestHeaderFieldsTooLarge: true,
	http.StatusUnavailableForLegalReasons: true,
}

// judge says what an answer means. A redirect is not followed, and is tried again:
// RFC 8058 §3.1 forbids it to one-click URLs, and most are a login page or a
// maintenance page that goes away.
func judge(p *http.Response, now time.Time, excerpt string) Result {
	r := Result{Verdict: Again, Status: p.StatusCode, Excerpt: excerpt}
	switch {
	case p.StatusCode >= 200 && p.StatusCode < 300:
		r.Verdict = Done
		return r
	case p.StatusCode == http.StatusGone:
		r.Verdict = Gone
	case forGood[p.StatusCode]:
		r.Verdict = Refused
	default:
		r.After = retryAfter(p.Header.Get("Retry-After"), now)
	}
	r.Err = fmt.Errorf("%s answered %d %s", p.Request.URL.Host, p.StatusCode, http.StatusText(p.StatusCode))
	return r
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	wait := time.Duration(0)
	if text != "" && strings.Trim(text, "0123456789") == "" {
		wait = maxRetryAfter
		if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
			wait = time.Duration(seconds) * time.Second
		}
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
