package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/intake"
)

// load writes text as tidepost.toml and loads it.
func load(t *testing.T, text string, sets []string, env ...string) (*Config, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tidepost.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := LoadConfig(path, sets, env)
	if err != nil {
		return nil, nil, &ConfigError{strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""), "\n")}
	}
	return c, warnings, nil
}

func mustLoad(t *testing.T, text string, sets []string, env ...string) *Config {
	t.Helper()
	c, _, err := load(t, text, sets, env...)
	if err != nil {
		t.Fatalf("LoadConfig: %v", err)
	}
	return c
}

func TestDefaultsLoadWithoutWarnings(t *testing.T) {
	c, warnings, err := LoadConfig("", nil, nil)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("LoadConfig = %v, warnings %q", err, warnings)
	}
	if c.SMTP.Listen[0] != "127.0.0.1:2525" || c.Route.Mode != "capture" || c.HTTP.Admin != "127.0.0.1:8025" {
		t.Errorf("defaults: %+v", c)
	}
	if c.Route.TLS != "opportunistic" {
		t.Errorf("route.tls = %q without a password", c.Route.TLS)
	}
}

// The example of the design, every key of it.
const exampleConfig = `
data_dir = "state"
[smtp]
listen = ["127.0.0.1:2525"]
listen_tls = ["127.0.0.1:4650"]
hostname = "mail.example.com"
certificate = "cert.pem"
key = "key.pem"
max_message_bytes = 26214400
max_recipients = 1000
max_connections = 2000
max_per_address = 50
max_line = 65536
bare_newline = "normalize"
trusted_networks = ["127.0.0.0/8", "::1/128", "192.0.2.7"]
proxy_protocol_from = ["10.0.0.0/8"]
[[credential]]
name = "newsletter"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qdMZrPGLQFsc8G9xSAVnJgqdMZrPGLQFsc8G9xSAVnI"
tenant = "acme"
bulk_class = "promotional"
classes = ["newsletter", "promotional"]
senders = ["example.com"]
networks = ["10.1.0.0/16"]
[[credential]]
name = "erp"
networks = ["192.0.2.0/24"]
[[tenant]]
name = "acme"
audience = "group"
display_name = "Acme & Sons"
[route]
mode = "smarthost"
smarthost = "mail.example.com:587"
username = "u"
password = "p"
retry = ["5m", "1d12h"]
give_up = { transactional = "1d", bulk = "3d" }
[destination."default"]
connections = 2
rate = "5/s"
rate_max = "6000/m"
[destination."example.org"]
connections = 4
[[dkim]]
domain = "example.com"
selector = "t1"
key_file = "t1.pem"
[http]
admin = "127.0.0.1:8025"
public = "127.0.0.1:8026"
public_url = "https://mail.example.com"
trusted_proxies = ["10.0.0.1"]
[[admin_token]]
name = "ops"
hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qdMZrPGLQFsc8G9xSAVnJgqdMZrPGLQFsc8G9xSAVnI"
role = "operator"
[nats]
url = "nats://127.0.0.1:4222"
credentials_file = "nats.creds"
ca_file = "ca.pem"
[[webhook]]
name = "listmonk"
tenant = "acme"
url = "https://listmonk.example.com/webhooks/bounce"
format = "listmonk"
secret = "gateway:token"
kinds = ["bounced", "complained"]
headers = ["X-EMAIL-ID"]
allow_private = false
[hooks.sendgrid]
public_key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEjkznTm7niOQVW7izw/k2uLn1hrRyWayBqp+M8xDQLPs7ZT/xrOEYOEfwaxCYEx5FY0R7RmQcWrSF2SnmaUk1Rw=="
[hooks.shop]
format = "standard"
tenant = "acme"
secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
[list_id."news.example.com"]
evidence = "day"
[feedback]
return_path_domain = "bounce.example.com"
return_path_listen = ["127.0.0.1:2526"]
[retention]
settled = "14d"
settled_bytes = "2GiB"
history = "30d"
history_bytes = 1000000
[policy]
mode = "live"
time_zone = "Europe/Berlin"
max_hold = "24h"
quiet_hours = "21:00-08:00"
min_gap = "16h"
weekly_cap = 5
at_limit = "drop"
drop = ["promotional"]
max_drop = 0.05
tracking = "click"
honeypot = true
bounces = "ignore"
suppressed = "reject"
evidence = "day"
sensitive = ["health.example.com"]
momentum = true
in_doubt = "hold"
explore = 0.02
arms = { control = 10, model = 90 }
[policy.tenants.acme]
weekly_cap = 0
quiet_hours = ""
[[experiment]]
name = "hours"
owner = "ops@example.com"
tenant = "acme"
starts = "2026-09-01"
ends = "2026-11-01T08:00:00+02:00"
size = 20
arms = { control = 25, model = 50, random = 25 }
stop = { outcome = "unsubscribes", excess = 0.2 }
[[experiment]]
name = "pace"
owner = "ops@example.com"
starts = "2026-09-01"
ends = "2026-11-01"
size = 10
arms = { control = 20, model = 80 }
caps = true
stop = { outcome = "complaints" }
`

func TestEveryKeyIsRead(t *testing.T) {
	c, warnings, err := load(t, exampleConfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	cred := c.Credentials[0].Gateway()
	if cred.BulkClass != gateway.Promotional || len(cred.Classes) != 2 || cred.Tenant != "acme" || len(cred.Networks) != 1 {
		t.Errorf("credential: %+v", cred)
	}
	if e := c.Credentials[1]; e.Tenant != "default" || e.BulkClass.Class != gateway.Newsletter {
		t.Errorf("a credential's defaults: %+v", e)
	}
	if a := c.Tenant("acme"); a.MaxHeld != 10_000_000 || a.Audience != "group" {
		t.Errorf("tenant acme: %+v", a)
	}
	if o := c.Tenant("other"); o.MaxHeld != 10_000_000 || o.Audience != "other" {
		t.Errorf("a tenant without a table: %+v", o)
	}
	if c.Route.TLS != "required" || c.Route.Retry[1].Duration != 36*time.Hour {
		t.Errorf("route: %+v", c.Route)
	}
	if c.Retention.SettledBytes != 2<<30 || c.Policy.MinGap.Duration != 16*time.Hour {
		t.Errorf("retention %+v, policy %+v", c.Retention, c.Policy)
	}
	if !filepath.IsAbs(c.DKIM[0].KeyFile) || filepath.Base(c.DKIM[0].KeyFile) != "t1.pem" || !filepath.IsAbs(c.DataDir) {
		t.Errorf("paths in the file are relative to it: %q, %q", c.DKIM[0].KeyFile, c.DataDir)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"[feedback]\nreturn_path_domain = 'bounce.example.com'":                                                                   "feedback.return_path_domain",
		"[feedback]\nreturn_path_domain = 'bounce.example.com'\nreturn_path_listen = ['127.0.0.1:2526']":                          "",
		"[route]\nmode = 'smarthost'\nsmarthost = 'relay.example.com:587'\nusername = 'a'\npassword = 'b'\ntls = 'opportunistic'": "route.tls",
	} {
		_, warnings, err := load(t, text, nil)
		if err != nil || len(warnings) > 1 || len(warnings) == 1 != (want != "") || want != "" && !strings.Contains(warnings[0], want) {
			t.Errorf("%s: warnings %q, %v; want one of %q", text, warnings, err, want)
		}
	}
}

func TestDestination(t *testing.T) {
	c := mustLoad(t, exampleConfig, nil)
	if d := c.Destination("example.org"); d.Connections != 4 || d.Rate.PerSecond != 5 || d.RateMax.PerSecond != 100 {
		t.Errorf("example.org inherits from default: %+v", d)
	}
	if d := mustLoad(t, "", nil).Destination("any"); d != (Destination{2, 100, Rate{5}, Rate{100}}) {
		t.Errorf("mode capture: %+v", d)
	}
	c = mustLoad(t, "", []string{"route.mode=smarthost", "route.smarthost=127.0.0.1:1025"})
	if d := c.Destination("any"); d != (Destination{20, 100, Rate{}, Rate{}}) {
		t.Errorf("mode smarthost: %+v", d)
	}
}

func TestPolicyForTenant(t *testing.T) {
	c := mustLoad(t, exampleConfig, nil)
	acme, other := c.PolicyFor("acme"), c.PolicyFor("other")
	if acme.WeeklyCap != 0 || acme.QuietHours.Set() || acme.MinGap != other.MinGap {
		t.Errorf("acme: %+v", acme)
	}
	if other.WeeklyCap != 5 || other.QuietHours.String() != "21:00-08:00" || other.TimeZone.Location == nil {
		t.Errorf("other: %+v", other)
	}
}

func TestPrecedence(t *testing.T) {
	file := "[smtp]\nmax_recipients = 10\nmax_connections = 10\nmax_per_address = 10\n"
	c := mustLoad(t, file, []string{"smtp.max_recipients=30"}, "TIDEPOST_SMTP_MAX_RECIPIENTS=20", "TIDEPOST_SMTP_MAX_CONNECTIONS=20")
	if got := [3]int{c.SMTP.MaxRecipients, c.SMTP.MaxConnections, c.SMTP.MaxPerAddress}; got != [3]int{30, 20, 10} {
		t.Errorf("flag, environment, file = %v, want 30 20 10", got)
	}
}

func TestValuesOutsideOfTheFile(t *testing.T) {
	hash := intake.HashPassword("x")
	c := mustLoad(t, `[[credential]]
name = "old"
classes = ["newsletter"]
networks = ["192.0.2.1"]`, []string{
		`smtp.hostname=123`,
		`smtp.listen=127.0.0.1:25`,
		`smtp.listen=["127.0.0.1:0", '127.0.0.1:26']`,
		`smtp.trusted_networks=`,
		`smtp.max_message_bytes=1MiB`,
		`smtp.max_line=2_000`,
		`route.retry=5m`,
		`route.give_up={bulk = "7d"}`,
		`destination.default.rate=1/s`,
		`destination."example.org".connections=9`,
		`credential=[{name="new", password_hash='` + hash + `'}]`,
		`policy.momentum=true`,
	}, "TIDEPOST_DESTINATION_EXAMPLE_COM_RATE_MAX=7/s", "TIDEPOST_POLICY_TENANTS_ACME_ARMS={control=20, model=80}",
		"TIDEPOST_SERVER=x", "TIDEPOST_TOKEN=y", "TIDEPOST_PORT=tcp://10.0.0.1:25", "TIDEPOST_PORT_2525_TCP_ADDR=10.0.0.1",
		"TIDEPOST_SMTP_SERVICE_HOST=10.0.0.1", "OTHER=1")
	if c.SMTP.Hostname != "123" || len(c.SMTP.Listen) != 2 || len(c.SMTP.TrustedNetworks) != 0 || c.SMTP.MaxMessageBytes != 1<<20 || c.SMTP.MaxLine != 2000 {
		t.Errorf("smtp: %+v", c.SMTP)
	}
	if len(c.Route.Retry) != 1 || c.Route.GiveUp.Bulk.Duration != 7*day || c.Route.GiveUp.Transactional.Duration != day {
		t.Errorf("route: %+v", c.Route)
	}
	if d := c.Destination("example.com"); d.RateMax.PerSecond != 7 || d.Rate.PerSecond != 1 {
		t.Errorf("destination from a variable: %+v", d)
	}
	if len(c.Credentials) != 1 || c.Credentials[0].Name != "new" || len(c.Credentials[0].Classes)+len(c.Credentials[0].Networks) != 0 {
		t.Errorf("a list given anew keeps nothing of the old one: %+v", c.Credentials)
	}
	if a := c.PolicyFor("acme").Arms; a.Control != 20 || a.Model != 80 {
		t.Errorf("arms of acme: %+v", a)
	}
}

func TestSecretFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	os.WriteFile(secret, []byte(" with space \r\n"), 0o600)
	sets := []string{"route.mode=smarthost", "route.smarthost=mail.example.com:587", "route.username=u", "route.password_file=" + secret}
	if c := mustLoad(t, "", sets); c.Route.Password != " with space " || c.Route.TLS != "required" {
		t.Errorf("route: %+v", c.Route)
	}
	os.WriteFile(secret, []byte("\n"), 0o600)
	if _, _, err := load(t, "", sets); err == nil || !strings.Contains(err.Error(), "--set: route.password_file: ") {
		t.Errorf("an empty secret: %v", err)
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tidepost.toml")
	write := func(text string) { os.WriteFile(path, []byte(text), 0o600) }
	write("[smtp]\nmax_recipients = 10\n")
	c, _, err := LoadConfig(path, []string{"smtp.max_line=2000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	write("[smtp]\nmax_recipients = 20\nlisten = [\"127.0.0.1:26\"]\n[policy]\nweekly_cap = 3\n")
	next, changed, restart, _, err := c.Reload()
	if err != nil || next.SMTP.MaxLine != 2000 {
		t.Fatalf("Reload: %v, the flags count again: %+v", err, next)
	}
	if got := strings.Join(changed, " "); got != "policy.weekly_cap smtp.listen smtp.max_recipients" {
		t.Errorf("changed = %s", got)
	}
	if got := strings.Join(restart, " "); got != "smtp.listen smtp.max_recipients" {
		t.Errorf("restart = %s", got)
	}
	write("[smtp]\nmax_recipients = 20\nlistne = []\n")
	if next, _, _, _, err := c.Reload(); err == nil || next != nil {
		t.Errorf("a wrong file gives no configuration at all: %v, %v", next, err)
	}
}
