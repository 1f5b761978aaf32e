package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker collects what is wrong with a configuration.
type checker struct {
	*Config
	problems []string
}

// check applies every rule that one value's own type cannot know.
func (c *Config) check() error {
	k := &checker{Config: c}
	if c.DataDir == "" {
		k.failf("data_dir", "is empty: name a folder for the gateway's state")
	}
	k.checkSecrets()
	k.checkSMTP()
	k.checkCredentials()
	k.checkTenants()
	k.checkRoute()
	k.checkDestinations()
	k.checkDKIM()
	k.checkHTTP()
	k.checkNATS()
	k.checkWebhooks()
	k.checkHooks()
	k.checkLists()
	k.checkFeedback()
	k.checkPolicies()
	k.checkExperiments()
	if len(k.problems) > 0 {
		return &ConfigError{Problems: k.problems}
	}
	return nil
}

// at is the place and name of a key, as an error begins. A key that was not
// written has the place of the table it is in, or of what is in it.
func (c *Config) at(key string) string {
	shown := listIndex.ReplaceAllString(key, "") + ": "
	for k := key; k != ""; k = k[:max(0, strings.LastIndexAny(k, ".["))] {
		if o, ok := c.origin[k]; ok {
			return o.String() + ": " + shown
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.origin)) {
		if strings.HasPrefix(k, key+".") {
			return c.origin[k].String() + ": " + shown
		}
	}
	if c.path != "" {
		return c.path + ": " + shown
	}
	return shown
}

func (k *checker) failf(key, format string, args ...any) {
	k.problems = append(k.problems, k.at(key)+fmt.Sprintf(format, args...))
}

// oneOf checks a word against the ones that are known.
func (k *checker) oneOf(key, value string, known ...string) {
	if !slices.Contains(known, value) {
		k.failf(key, "%q is not one of %s%s", value, strings.Join(known, ", "), didYouMean(value, known, " "))
	}
}

// within checks a number against both of its ends.
func within[T int | int64 | Bytes | float64](k *checker, key string, value, low, high T) {
	if !(value >= low && value <= high) { // also for NaN
		k.failf(key, "%v is out of range: want %v to %v", value, low, high)
	}
}

// upTo checks a length of time.
func (k *checker) upTo(key string, d Duration, low, high time.Duration) {
	if d.Duration < low || d.Duration > high {
		k.failf(key, "%v is out of range: want %v to %v", d, Duration{low}, Duration{high})
	}
}

// address checks host:port, where the host may be empty for every interface.
func (k *checker) address(key, value string, needHost bool) {
	host, port, err := net.SplitHostPort(value)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || needHost && (host == "" || n == 0) || strings.ContainsAny(host, " \t/@") {
		k.failf(key, "%q is not host:port, as in 127.0.0.1:2525", value)
	}
}

// loopback reports whether an address is reached from this machine alone.
func loopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (k *checker) checkSecrets() {
	k.secrets(func(value reflect.Value, path, key string) {
		if value.String() != "" && path != "" {
			k.failf(key+"_file", "contradicts %s: leave one of the two out", listIndex.ReplaceAllString(key, ""))
		}
	})
}

func (k *checker) checkSMTP() {
	s := &k.SMTP
	if len(s.Listen)+len(s.ListenTLS) == 0 {
		k.failf("smtp.listen", "is empty, and so is smtp.listen_tls: no mail could come in")
	}
	k.checkListen("smtp.listen", s.Listen)
	k.checkListen("smtp.listen_tls", s.ListenTLS)
	if (s.Certificate == "") != (s.Key == "") {
		k.failf("smtp.certificate", "and smtp.key go together: set both or none")
	}
	if len(s.ListenTLS) > 0 && s.Certificate == "" {
		k.failf("smtp.listen_tls", "needs smtp.certificate and smtp.key")
	}
	if s.Hostname != "" && !domainName(s.Hostname) {
		k.failf("smtp.hostname", "%q is not a host name, as in mail.example.com", s.Hostname)
	}
	within(k, "smtp.max_message_bytes", s.MaxMessageBytes, 1024, 1<<30)
	within(k, "smtp.max_recipients", s.MaxRecipients, 1, 100_000)
	within(k, "smtp.max_connections", s.MaxConnections, 1, 1_000_000)
	within(k, "smtp.max_per_address", s.MaxPerAddress, 1, 1_000_000)
	within(k, "smtp.max_line", s.MaxLine, 1000, 16<<20) // RFC 5321 §4.5.3.1.6
	k.oneOf("smtp.bare_newline", s.BareNewline, "reject", "normalize")
}

func (k *checker) checkListen(key string, addresses []string) {
	for _, a := range addresses {
		k.address(key, a, false)
		if !loopback(a) && !k.isSet("route.mode") {
			k.failf(key, "%s takes mail from other machines, so say what becomes of it: set route.mode to capture, smarthost or mx", a)
		}
	}
}

func (k *checker) checkCredentials() {
	seen := map[string]bool{}
	for i, c := range k.Credentials {
		key := element("credential", i)
		if c.Name == "" {
			k.failf(key+".name", "is missing")
		}
		if seen[c.Name] {
			k.failf(key+".name", "%q is used twice: a credential needs a name of its own", c.Name)
		}
		seen[c.Name] = true
		if c.PasswordHash == "" && c.PasswordHashFile == "" && len(c.Networks) == 0 {
			k.failf(key, "%q has neither password_hash nor networks, so nobody could use it", c.Name)
		}
		if c.PasswordHash != "" && !passwordHash(c.PasswordHash) {
			k.failf(key+".password_hash", "is no argon2id hash: paste what `tidepost hash-password` prints")
		}
		if !c.BulkClass.Bulk() {
			k.failf(key+".bulk_class", "%q is not bulk: want newsletter or promotional", c.BulkClass)
		}
		for _, s := range c.Senders {
			if !domainName(s) {
				k.failf(key+".senders", "%q is not a domain, as in example.com", s)
			}
		}
	}
}

// passwordHash reports whether s has the form of an argon2id hash (PHC).
func passwordHash(s string) bool {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return false
	}
	var m, t, p uint32
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &t, &p); n != 3 || err != nil || m == 0 || t == 0 || p == 0 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	sum, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	return err1 == nil && err2 == nil && len(salt) >= 8 && len(sum) >= 16
}

// domainName reports whether s can be a host's name or a domain. Letters of
// any script are let through: IDNA is applied where names are compared.
func domainName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		bad := func(r rune) bool {
			return r <= ' ' || r == 0x7f || r < 0x80 && strings.ContainsRune(`!"#$%&'()*+,/:;<=>?@[\]^{|}~`+"`", r)
		}
		if label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, bad) {
			return false
		}
	}
	return true
}

func (k *checker) checkTenants() {
	seen := map[string]bool{}
	for i, t := range k.Tenants {
		key := element("tenant", i)
		if t.Name == "" {
			k.failf(key+".name", "is missing")
		}
		if seen[t.Name] {
			k.failf(key+".name", "%q is used twice", t.Name)
		}
		seen[t.Name] = true
		within(k, key+".max_held", t.MaxHeld, 1, 1_000_000_000)
	}
}
