package webhook

import (
	"net/http"
	"strings"
	"testing"
)

func TestFetch(t *testing.T) {
	r := receive(t, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/key.pem":
			w.Write([]byte(q.Method + " " + q.Header.Get("Cookie") + q.Header.Get("User-Agent")))
		case "/limit":
			w.Write(make([]byte, maxBody))
		case "/long":
			w.Write(make([]byte, maxBody+1))
		case "/elsewhere":
			http.Redirect(w, q, "/key.pem", http.StatusFound)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("x"))
		default:
			http.NotFound(w, q)
		}
	})
	c := client(t, r, &zone{})
	for _, tt := range []struct {
		path, problem string
		want          int
	}{
		{"/key.pem", "", len("GET Tidepost")},
		{"/limit", "", maxBody},
		{"/long", "longer than 64 KiB", 0},
		{"/elsewhere", "answered 302", 0},
		{"/empty", "answered 204", 0},
		{"/missing-secret", "answered 404", 0},
		{"/cut", "EOF", 0},
	} {
		body, err := c.Fetch(t.Context(), r.URL+tt.path)
		if len(body) != tt.want || (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s: %d bytes, %v; want %d, %q", tt.path, len(body), err, tt.want, tt.problem)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the URL: %v", err)
		}
	}
	if body, err := c.Fetch(t.Context(), "http"+strings.TrimPrefix(r.URL, "https")+"/key.pem"); err == nil || !strings.Contains(err.Error(), "use https") {
		t.Errorf("over http, which Do may use: %q, %v", body, err)
	}
}

// Rows H1 for documents: nothing inside is reached.
func TestFetchRefuses(t *testing.T) {
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	c := client(t, r, &zone{names: map[string][]string{"sns.example.com": {"127.0.0.1"}}})
	c.AllowPrivate, c.AllowHTTP = false, false
	for _, url := range []string{r.URL, "https://sns.example.com:" + r.port() + "/", "https://169.254.169.254/", "file:///etc/passwd", "https://a@b.example/", ""} {
		if body, err := c.Fetch(t.Context(), url); err == nil {
			t.Errorf("%s: %q", url, body)
		}
	}
	if r.accepted.Load() != 0 {
		t.Error("a connection was made")
	}
}
