package main

import (
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// listIndex is the [0] of a list's element, which people are not shown: the
// line in front says which one is meant.
var listIndex = regexp.MustCompile(`\[\d+\]`)

// fastHash is the other form of a token's hash, for tokens that are random.
var fastHash = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

const day = 24 * time.Hour

func (k *checker) checkRoute() {
	r := &k.Route
	k.oneOf("route.mode", r.Mode, "capture", "smarthost", "mx")
	k.oneOf("route.tls", r.TLS, "opportunistic", "required", "none")
	switch {
	case r.Smarthost != "":
		k.address("route.smarthost", r.Smarthost, true)
	case r.Mode == "smarthost":
		k.failf("route.mode", "is smarthost, so set route.smarthost to the host:port that takes the mail")
	}
	if (r.Username == "") != !r.hasPassword() {
		k.failf("route.username", "and route.password go together: set both or none")
	}
	if r.hasPassword() && r.TLS == "none" && !loopback(r.Smarthost) {
		k.failf("route.tls", "is none, which would send the password in clear: set it to required")
	}
	if len(r.Retry) == 0 {
		k.failf("route.retry", `is empty: want waits like ["5m", "1h"]`)
	}
	for _, d := range r.Retry {
		k.upTo("route.retry", d, time.Second, 7*day)
	}
	k.upTo("route.give_up.transactional", r.GiveUp.Transactional, time.Minute, 30*day)
	k.upTo("route.give_up.bulk", r.GiveUp.Bulk, time.Minute, 30*day)
}

func (k *checker) checkDestinations() {
	for _, name := range slices.Sorted(maps.Keys(k.Destinations)) {
		key := joinKey([]string{"destination", name})
		if !domainName(name) || name != strings.ToLower(name) {
			k.failf(key, "%q is neither default nor a domain in lower case", name)
		}
		d := k.Destination(name)
		within(k, key+".connections", d.Connections, 1, 10_000)
		within(k, key+".messages_per_connection", d.MessagesPerConnection, 1, 1_000_000)
		if d.RateMax.PerSecond > 0 && d.Rate.PerSecond > d.RateMax.PerSecond {
			k.failf(key, "rate, %v, is more than rate_max, %v: raise rate_max too", d.Rate, d.RateMax)
		}
	}
}

func (k *checker) checkDKIM() {
	seen := map[string]bool{}
	for i, d := range k.DKIM {
		key := element("dkim", i)
		if !domainName(d.Domain) {
			k.failf(key+".domain", "%q is not a domain, as in example.com", d.Domain)
		}
		if !domainName(d.Selector) {
			k.failf(key+".selector", "%q is not a selector, as in t1", d.Selector)
		}
		if d.KeyFile == "" {
			k.failf(key+".key_file", "is missing: make one with `tidepost dkim keygen`")
		}
		name := strings.ToLower(d.Selector + "._domainkey." + d.Domain)
		if seen[name] {
			k.failf(key+".selector", "%s is given twice", name)
		}
		seen[name] = true
	}
}

func (k *checker) checkHTTP() {
	h := &k.HTTP
	k.address("http.admin", h.Admin, false)
	k.address("http.public", h.Public, false)
	if h.Admin == h.Public && !strings.HasSuffix(h.Admin, ":0") {
		k.failf("http.public", "is the same as http.admin: give each a port of its own")
	}
	if u, err := url.Parse(h.PublicURL); h.PublicURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil) {
		k.failf("http.public_url", "%q is not a web address, as in https://mail.example.com", h.PublicURL)
	}
	seen := map[string]bool{}
	for i, t := range k.AdminTokens {
		key := element("admin_token", i)
		if t.Name == "" || seen[t.Name] {
			k.failf(key+".name", "%q: a token needs a name of its own, for the audit log", t.Name)
		}
		seen[t.Name] = true
		if t.HashFile == "" && !passwordHash(t.Hash) && !fastHash.MatchString(t.Hash) {
			k.failf(key+".hash", "is no argon2id hash: paste what `tidepost hash-password` prints for the token")
		}
		k.oneOf(key+".role", t.Role, "viewer", "operator", "admin")
	}
}

func (k *checker) checkNATS() {
	n := &k.NATS
	if n.URL != "" && n.Listen != "" {
		k.failf("nats.listen", "is for the embedded server, and nats.url asks for another one: leave one of the two out")
	}
	if n.URL == "" && n.CredentialsFile != "" {
		k.failf("nats.credentials_file", "is for a server elsewhere: set nats.url too")
	}
	if n.URL == "" && n.CAFile != "" {
		k.failf("nats.ca_file", "is for a server elsewhere: set nats.url too")
	}
	if n.Listen == "" {
		return
	}
	k.address("nats.listen", n.Listen, false)
	if !loopback(n.Listen) {
		k.failf("nats.listen", "%s is open to other machines and so needs accounts, which the embedded server does not have: listen on 127.0.0.1, or run a NATS server and set nats.url", n.Listen)
	}
}

// publicIsLocal reports whether readers would be sent to themselves.
func (k *checker) publicIsLocal() bool {
	u, err := url.Parse(k.HTTP.PublicURL)
	if err != nil {
		return false // told elsewhere
	}
	return loopback(net.JoinHostPort(u.Hostname(), "443"))
}

func (k *checker) checkLists() {
	for _, name := range slices.Sorted(maps.Keys(k.Lists)) {
		k.oneOf(joinKey([]string{"list_id", name})+".evidence", k.Lists[name].Evidence, "none", "day", "click", "full")
	}
}

func (k *checker) checkFeedback() {
	f := &k.Feedback
	if f.ReturnPathDomain != "" && !domainName(f.ReturnPathDomain) {
		k.failf("feedback.return_path_domain", "%q is not a domain, as in bounce.example.com", f.ReturnPathDomain)
	}
	if f.ReturnPathDomain == "" && len(f.ReturnPathListen) > 0 {
		k.failf("feedback.return_path_listen", "takes mail for feedback.return_path_domain: set it too")
	}
	for _, a := range f.ReturnPathListen {
		k.address("feedback.return_path_listen", a, false)
	}
	r := &k.Retention
	k.upTo("retention.settled", r.Settled, time.Minute, 3660*day)
	k.upTo("retention.history", r.History, time.Minute, 3660*day)
	within(k, "retention.settled_bytes", r.SettledBytes, 0, 1<<60)
	within(k, "retention.history_bytes", r.HistoryBytes, 0, 1<<60)
}

func (k *checker) checkPolicies() {
	before := len(k.problems)
	k.checkPolicy("policy", k.Policy.PolicyKeys)
	if len(k.problems) > before {
		return // every tenant would repeat them
	}
	for _, tenant := range slices.Sorted(maps.Keys(k.Policy.Tenants)) {
		k.checkPolicy(joinKey([]string{"policy", "tenants", tenant}), k.PolicyFor(tenant))
	}
}

func (k *checker) checkPolicy(key string, p PolicyKeys) {
	k.oneOf(key+".mode", p.Mode, "observe", "live")
	k.oneOf(key+".aim", p.Aim, "soonest", "hour", "reads", "now")
	k.oneOf(key+".at_limit", p.AtLimit, "release", "drop")
	k.oneOf(key+".tracking", p.Tracking, "none", "click", "full")
	k.oneOf(key+".evidence", p.Evidence, "none", "day", "click", "full")
	k.oneOf(key+".suppressed", p.Suppressed, "drop", "reject")
	k.oneOf(key+".bounces", p.Bounces, "suppress", "ignore")
	k.oneOf(key+".in_doubt", p.InDoubt, "resend", "hold")
	if p.QuietHours.Set() && p.TimeZone.Location == nil {
		k.failf(key+".quiet_hours", "needs time_zone, for mailboxes whose own is not known: set it to a name like Europe/Berlin")
	}
	k.upTo(key+".max_hold", p.MaxHold, 0, 100*time.Hour)
	k.upTo(key+".min_gap", p.MinGap, 0, 28*day)
	within(k, key+".weekly_cap", p.WeeklyCap, 0, 32) // a mailbox remembers its last 32 sends
	within(k, key+".keep", p.Keep, 0, 1)
	within(k, key+".max_drop", p.MaxDrop, 0, 1)
	within(k, key+".explore", p.Explore, 0, 1)
	for _, class := range p.Drop {
		if !class.Bulk() {
			k.failf(key+".drop", "%v mail is never dropped: want newsletter or promotional", class)
		}
	}
	switch {
	case p.Tracking == "none":
	case k.HTTP.PublicURL == "":
		k.failf(key+".tracking", "puts links into mail, which need http.public_url: set it to the https address where readers reach http.public")
	case k.publicIsLocal():
		k.failf("http.public_url", "is this machine's own address, where no reader comes: links into mail need one that the world can reach")
	}
	k.checkArms(key+".arms", p.Arms)
}

func (k *checker) checkArms(key string, a Arms) {
	for _, share := range []float64{a.Control, a.Model, a.Random, a.None} {
		within(k, key, share, 0, 100)
	}
	if sum := a.Control + a.Model + a.Random + a.None; sum != 100 {
		k.failf(key, "add up to %v percent: want 100", sum)
	} else if err := a.shares().Check(false); err != nil {
		k.failf(key, "%v: write an [[experiment]]", err)
	}
}
