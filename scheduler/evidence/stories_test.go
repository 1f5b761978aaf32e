package evidence

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A story is told to a classifier that knows nothing yet. Each of its lines is
//
//	TIME ACTION [key=value or word …]   VERDICT WEIGHT [reason …] [retract]
//
// with at least two spaces before what is expected and TIME since delivery, which is at
// start. "later TIME" moves start. What is not said is that of a person: GET,
// Firefox, an address of their own, one link not further known. A mailbox (box)
// has one delivery unless another is given.

var start = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0"

var userAgents = map[string]string{
	"none":        "",
	"blank":       " \t",
	"apple":       "Mozilla/5.0",
	"gmail":       "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
	"yahoo":       "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
	"iphone":      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
	"outlook":     "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.18429; Pro)",
	"thunderbird": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.8.0",
	"samsung":     "Dalvik/2.1.0 (Linux; U; Android 14; SM-G991B Build/UP1A.231005.007)",
	"cubot":       "Mozilla/5.0 (Linux; Android 11; CUBOT_NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Mobile Safari/537.36",
	"javafx":      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/613.1 (KHTML, like Gecko) JavaFX/20 Java Safari/613.1",
	"curl":        "curl/8.5.0",
	"python":      "python-requests/2.32.3",
	"go":          "Go-http-client/2.0",
	"java":        "Java/1.8.0_151",
	"headless":    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
	"slack":       "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
	"barracuda":   "Barracuda Sentinel (EE)",
	"proofpoint":  "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	told := make(map[string]bool)
	for _, file := range files {
		for name, lines := range stories(t, file) {
			if told[name] {
				t.Errorf("two stories are called %q", name)
			}
			told[name] = true
			t.Run(name, func(t *testing.T) { tell(t, lines) })
		}
	}
	if len(told) < 25 {
		t.Errorf("%d stories, want 25 or more", len(told))
	}
	everyReason(t)
}

// used are the reasons that occurred in the stories.
var used = make(map[string]bool)

func everyReason(t *testing.T) {
	for _, word := range words {
		if !used[word] {
			t.Errorf("no story has the reason %s", word)
		}
	}
}

func stories(t *testing.T, file string) map[string][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, name := make(map[string][]string), ""
	for in := bufio.NewScanner(f); in.Scan(); {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if title, ok := strings.CutPrefix(line, "story "); ok {
			name = title
			continue
		}
		all[name] = append(all[name], line)
	}
	return all
}

func tell(t *testing.T, lines []string) {
	var c Classifier
	begin := start
	for _, line := range lines {
		if wait, ok := strings.CutPrefix(line, "later "); ok {
			d, err := time.ParseDuration(wait)
			if err != nil {
				t.Fatal(err)
			}
			begin = begin.Add(d)
			continue
		}
		fields := strings.Fields(line)
		i := slices.IndexFunc(fields, func(s string) bool { return s == "human" || s == "doubtful" || s == "machine" })
		if i < 2 {
			t.Fatalf("%s: not understood", line)
		}
		r, err := request(begin, fields[:i])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		j := c.Judge(r)
		for _, reason := range j.Reasons {
			used[reason] = true
		}
		if got, want := describe(j), strings.Join(fields[i:], " "); got != want {
			t.Errorf("%s\n\t got %s\n\twant %s", strings.Join(fields[:i], " "), got, want)
		}
	}
}

func describe(j Judgement) string {
	s := []string{j.Verdict.String(), strings.TrimPrefix(fmt.Sprint(j.Weight), "0.")}
	if w := j.Weight; w > 0 && w < 1 {
		s[1] = "." + s[1]
	}
	s = append(s, j.Reasons...)
	if j.Retract {
		s = append(s, "retract")
	}
	return strings.Join(s, " ")
}

// person is an unsuspicious request.
func person(begin time.Time, after time.Duration, box string) Request {
	return Request{
		At: begin.Add(after), Method: "GET", UserAgent: firefox, Known: true,
		Addr: netip.MustParseAddr("203.0.113.7"), Tenant: "acme", Mailbox: mailbox(box),
		Delivery: hash(box), Delivered: begin,
	}
}

func request(begin time.Time, fields []string) (r Request, err error) {
	after, err := time.ParseDuration(fields[0])
	r = person(begin, after, "ann")
	if fields[1] == "click" {
		r.Action = Click
	}
	for _, field := range fields[2:] {
		key, value, _ := strings.Cut(field, "=")
		if fail := say(&r, key, value); fail != nil {
			err = fail
		}
	}
	return r, err
}

func say(r *Request, key, value string) (err error) {
	switch key {
	case "box":
		r.Mailbox, r.Delivery = mailbox(value), hash(value)
	case "delivery":
		r.Delivery, err = strconv.ParseUint(value, 10, 64)
	case "tenant":
		r.Tenant = value
	case "domain":
		r.Domain = value
	case "method":
		r.Method = value
	case "ua":
		ua, ok := userAgents[value]
		if !ok {
			return fmt.Errorf("no agent %s", value)
		}
		r.UserAgent = ua
	case "ip":
		r.Addr = netip.Addr{}
		if value != "" {
			r.Addr, err = netip.ParseAddr(value)
		}
	case "link":
		r.Link, err = strconv.ParseUint(value, 10, 64)
	case "links":
		r.Links, err = strconv.Atoi(value)
	case "hidden":
		r.Hidden = true
	case "confirmed":
		r.Confirmed = true
	case "sending":
		r.Sending, r.Delivered = true, time.Time{}
	case "undelivered":
		r.Delivered = time.Time{}
	case "unknown":
		r.Known, r.UserAgent, r.Addr = false, "", netip.Addr{}
	default:
		return fmt.Errorf("no key %s", key)
	}
	return err
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func mailbox(name string) (m [16]byte) {
	h := fnv.New128a()
	h.Write([]byte(name))
	h.Sum(m[:0])
	return m
}
