package main

import (
	"strings"
	"testing"
)

// Each row: a configuration that stops the start, and what is said.
func TestConfigErrors(t *testing.T) {
	loopbackRoute := "[route]\nmode = 'smarthost'\n"
	for _, row := range []struct{ text, want string }{
		{"[smtp]\n\nlisen = []", "tidepost.toml:3: smtp.lisen: no such key; did you mean smtp.listen?"},
		{"[smpt]\nlisten = []", "tidepost.toml:1: smpt: no such key; did you mean smtp?"},
		{"listen = []", "tidepost.toml:1: listen: no such key; did you mean smtp.listen or nats.listen?"},
		{"x = 1\nyyyyyyy = 2", "tidepost.toml:1: x: no such key\ntidepost.toml:2: yyyyyyy: no such key"},
		{"[destination.'gmail.com']\nrates = '5/s'", `tidepost.toml:2: destination."gmail.com".rates: no such key; did you mean destination."gmail.com".rate?`},
		{"[[credential]]\nnme = 'x'", "tidepost.toml:2: credential.nme: no such key; did you mean credential.name?"},
		{"[smtp\n", "tidepost.toml:1: "},
		{"[smtp]\nmax_recipients = 'many'", "tidepost.toml:2: smtp.max_recipients: want a whole number"},
		{"[smtp]\nmax_recipients = 1.5", "tidepost.toml:2: smtp.max_recipients: want a whole number"},
		{"[smtp]\nmax_recipients = 0", "tidepost.toml:2: smtp.max_recipients: 0 is out of range: want 1 to 100000"},
		{"[smtp]\nmax_message_bytes = -1", "tidepost.toml:2: smtp.max_message_bytes: -1 is out of range"},
		{"[smtp]\nlisten = 'x'", "tidepost.toml:2: smtp.listen: want a list like"},
		{"[smtp]\nlisten = ['x']", `tidepost.toml:2: smtp.listen: "x" is not host:port`},
		{"[smtp]\nlisten = []", "tidepost.toml:2: smtp.listen: is empty"},
		{"[smtp]\nlisten = ['0.0.0.0:25']", "tidepost.toml:2: smtp.listen: 0.0.0.0:25 takes mail from other machines, so say what becomes of it: set route.mode"},
		{"[smtp]\nlisten = [':25']", "smtp.listen: :25 takes mail from other machines"},
		{"[smtp]\ncertificate = 'c'", "tidepost.toml:2: smtp.certificate: and smtp.key go together"},
		{"[smtp]\nlisten_tls = ['127.0.0.1:465']", "smtp.listen_tls: needs smtp.certificate"},
		{"[smtp]\nbare_newline = 'rejcet'", `smtp.bare_newline: "rejcet" is not one of reject, normalize; did you mean reject?`},
		{"[smtp]\ntrusted_networks = ['10.0.0.1/8']", "tidepost.toml:2: smtp.trusted_networks: \"10.0.0.1/8\" has bits outside of its mask: did you mean 10.0.0.0/8?"},
		{"[[credential]]\nname = 'a'", "tidepost.toml:1: credential: \"a\" has neither password_hash nor networks"},
		{"[[credential]]\nname = 'a'\nnetworks = ['::1']\n[[credential]]\nname = 'a'\nnetworks = ['::1']", `tidepost.toml:5: credential.name: "a" is used twice`},
		{"[[credential]]\nname = 'a'\npassword_hash = 'secret'", "tidepost.toml:3: credential.password_hash: is no argon2id hash"},
		{"[[credential]]\nname = 'a'\nclasses = ['spam']", `tidepost.toml:3: credential.classes: class "spam": want transactional`},
		{"[[credential]]\nname = 'a'\nnetworks = ['::1']\nbulk_class = 'transactional'", "tidepost.toml:4: credential.bulk_class: "},
		{"[[tenant]]\nname = 'a'\nmax_held = -5", "tidepost.toml:3: tenant.max_held: -5 is out of range"},
		{"[[tenant]]\nmax_held = 5", "tidepost.toml:1: tenant.name: is missing"},
		{"[route]\nmode = 'smarthost'", "tidepost.toml:2: route.mode: is smarthost, so set route.smarthost"},
		{loopbackRoute + "smarthost = 'mail.example.com'", `tidepost.toml:3: route.smarthost: "mail.example.com" is not host:port`},
		{loopbackRoute + "smarthost = 'm.example.com:25'\nusername = 'u'\npassword = 'p'\ntls = 'none'", "tidepost.toml:6: route.tls: is none, which would send the password in clear"},
		{loopbackRoute + "smarthost = '127.0.0.1:25'\nusername = 'u'", "tidepost.toml:4: route.username: and route.password go together"},
		{"[route]\npassword = 'a'\npassword_file = 'b'\nusername = 'u'", "tidepost.toml:3: route.password_file: contradicts route.password: leave one of the two out"},
		{"[route]\nretry = ['soon']", `tidepost.toml:2: route.retry: "soon" is not a length of time`},
		{"[route]\ngive_up = { bulk = 5 }", "tidepost.toml:2: route.give_up.bulk: want text in quotes"},
		{"[destination.default]\nrate = '5'", `tidepost.toml:2: destination.default.rate: rate "5": write messages per second`},
		{"[destination.'example.com']\nrate_max = '1/s'", `tidepost.toml:1: destination."example.com": rate, 5/s, is more than rate_max, 1/s`},
		{"[destination.'Example.com']\n", `tidepost.toml:1: destination."Example.com": "Example.com" is neither default nor a domain in lower case`},
		{"[[dkim]]\ndomain = 'example.com'\nselector = 't1'", "tidepost.toml:1: dkim.key_file: is missing"},
		{"[http]\npublic = '127.0.0.1:8025'", "tidepost.toml:2: http.public: is the same as http.admin"},
		{"[http]\npublic_url = 'ftp://x'", "tidepost.toml:2: http.public_url: "},
		{"[[admin_token]]\nname = 'ops'\nhash_file = 'x'\nrole = 'root'", `tidepost.toml:4: admin_token.role: "root" is not one of viewer, operator, admin`},
		{"[nats]\nlisten = '0.0.0.0:4222'", "tidepost.toml:2: nats.listen: 0.0.0.0:4222 is open to other machines and so needs accounts"},
		{"[nats]\nlisten = '127.0.0.1:4222'\nurl = 'nats://x'", "tidepost.toml:2: nats.listen: is for the embedded server"},
		{"[nats]\nca_file = 'x'", "tidepost.toml:2: nats.ca_file: is for a server elsewhere: set nats.url too"},
		{"[[webhook]]\nurl = 'x'", "tidepost.toml:2: webhook.url: "},
		{"[[webhook]]\nurl = 'https://127.0.0.1/'", "tidepost.toml:2: webhook.url: is refused: 127.0.0.1 is this machine: use a public one, or set allow_private"},
		{"[[webhook]]\nurl = 'https://a.example.com/'\nsecret = 'short'", "tidepost.toml:3: webhook.secret: is not whsec_ and base64"},
		{"[[webhook]]\nurl = 'https://a.example.com/'", "tidepost.toml:1: webhook.secret: is missing"},
		{"[[webhook]]\nurl = 'https://a.example.com/'\nformat = 'listmonk'\nsecret = 'u:p'\nkinds = ['dropped']", `tidepost.toml:5: webhook.kinds: have "dropped", for which listmonk has no word`},
		{"[[webhook]]\nname = 'a b'\nurl = 'https://a.example.com/'", "tidepost.toml:2: webhook.name: is part of commands and paths"},
		{"[feedback]\nreturn_path_listen = ['127.0.0.1:26']", "tidepost.toml:2: feedback.return_path_listen: takes mail for feedback.return_path_domain"},
		{"[retention]\nsettled_bytes = -1", "tidepost.toml:2: retention.settled_bytes: -1 is out of range"},
		{"[policy]\nquiet_hours = '21:00-08:00'", "tidepost.toml:2: policy.quiet_hours: needs time_zone"},
		{"[policy.tenants.a]\nquiet_hours = '21:00-08:00'", "tidepost.toml:2: policy.tenants.a.quiet_hours: needs time_zone"},
		{"[policy]\nquiet_hours = 'night'", "tidepost.toml:2: policy.quiet_hours: quiet hours \"night\""},
		{"[policy]\ntime_zone = 'Berlin'", `tidepost.toml:2: policy.time_zone: "Berlin" is not a time zone`},
		{"[policy]\nweekly_cap = 33", "tidepost.toml:2: policy.weekly_cap: 33 is out of range: want 0 to 32"},
		{"[policy]\nmax_hold = '101h'", "tidepost.toml:2: policy.max_hold: 101h0m0s is out of range"},
		{"[policy]\nmin_gap = '-1h'", `tidepost.toml:2: policy.min_gap: "-1h" is negative`},
		{"[policy]\ndrop = ['triggered']", "tidepost.toml:2: policy.drop: triggered mail is never dropped"},
		{"[http]\npublic_url = 'https://localhost'\n[policy]\ntracking = 'click'", "tidepost.toml:2: http.public_url: is this machine's own address"},
		{"[hooks.shop]\ntenant = 'acme'", "hooks.shop.secret: is missing"},
		{"[hooks.shop]\nsecret = 'whsec_short'", "hooks.shop.secret: "},
		{"[hooks.ses]\nsecret = 'bounces'", "hooks.ses.secret: is no topic ARN, as in arn:aws:sns:eu-west-1:123456789012:bounces; "},
		{"[hooks.sendgrid]\nsecret = 'x'", "hooks.sendgrid.secret: is not what reports of format sendgrid are signed with: set public_key"},
		{"[hooks.sendgrid]\npublic_key = 'AAAA'", "hooks.sendgrid.public_key: is no public key of ECDSA on P-256; "},
		{"[hooks.a]\nformat = 'sendgrid'", "hooks.a.public_key: is missing: nobody could tell who sends; copy it from Mail Settings"},
		{"[hooks.postmark]\nsecret = 'user:short'", "hooks.postmark.secret: has a password of 5 bytes, want 12 or more; "},
		{"[hooks.a]\nformat = 'sendmail'", "hooks.a.format: \"sendmail\" is not one of listmonk, mailgun, "},
		{"[hooks.'a/b']\nsecret = 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='", "is part of a URL"},
		{"[list_id.'news.example.com']\nevidence = 'some'", "evidence: \"some\" is not one of none, day, click, full"},
		{"[policy]\ntracking = 'click'", "tidepost.toml:2: policy.tracking: puts links into mail, which need http.public_url"},
		{"[policy]\narms = { control = 50, model = 40 }", "tidepost.toml:2: policy.arms: add up to 90 percent"},
		{"[policy]\narms = { control = 0, model = 95, random = 5 }", "tidepost.toml:2: policy.arms: arms random and none need a named experiment, with an owner, an end, a size and a stop rule: write an [[experiment]]"},
		{"[policy.tenants.a]\narms = { control = 0, model = 95, none = 5 }", "tidepost.toml:2: policy.tenants.a.arms: arms random and none need a named experiment"},
	} {
		_, _, err := load(t, row.text, nil)
		if err == nil {
			t.Errorf("%q: no error, want %s", row.text, row.want)
		} else if !strings.Contains("\n"+err.Error(), "\n"+row.want) && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q:\n got %v\nwant %s", row.text, err, row.want)
		}
	}
}

func TestErrorsOutsideOfTheFile(t *testing.T) {
	for _, row := range []struct{ set, env, want string }{
		{set: "route.mod=mx", want: "--set: route.mod: no such key; did you mean route.mode?"},
		{set: "route.mode", want: "--set route.mode: want key=value"},
		{set: "=x", want: `--set =x: "" is not a key`},
		{set: "credential.name=x", want: "--set: credential.name: credential is a list of tables: give it whole"},
		{set: "smtp.max_recipients=many", want: "--set: smtp.max_recipients: want a whole number"},
		{set: "smtp.max_recipients=", want: "--set: smtp.max_recipients: want a whole number"},
		{set: "smtp.max_recipients=1\nsmtp.hostname='x'", want: "--set: smtp.max_recipients: want a whole number"},
		{set: "smtp.listen=[", want: "--set: smtp.listen: want a list"},
		{set: "policy.momentum=yes", want: "--set: policy.momentum: want true or false"},
		{set: "policy.weekly_cap=33", want: "--set: policy.weekly_cap: 33 is out of range"},
		{set: "destination.default=5", want: "--set: destination.default: want a table"},
		{env: "TIDEPOST_SMPT_LISTEN=x", want: "TIDEPOST_SMPT_LISTEN: no such variable; did you mean TIDEPOST_SMTP_LISTEN?"},
		{env: "TIDEPOST_SMTP_MAX_RECIPIENTS=x", want: "TIDEPOST_SMTP_MAX_RECIPIENTS: smtp.max_recipients: want a whole number"},
		{env: "TIDEPOST_CREDENTIAL_NAME=x", want: "TIDEPOST_CREDENTIAL_NAME: no such variable"},
	} {
		var sets, env []string
		if row.set != "" {
			sets = []string{row.set}
		}
		if row.env != "" {
			env = []string{row.env}
		}
		_, _, err := LoadConfig("", sets, env)
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("set %q env %q:\n got %v\nwant %s", row.set, row.env, err, row.want)
		}
	}
}

// FuzzConfig: no text makes loading panic, and what loads loads again to the
// same.
func FuzzConfig(f *testing.F) {
	f.Add(exampleConfig, "smtp.listen=127.0.0.1:25", "TIDEPOST_ROUTE_MODE=mx")
	f.Add("[smtp]\nlisten = [", "a.\"b c\".d={x=1}", "TIDEPOST_DESTINATION_A_RATE=5/s")
	f.Add("[[credential]]\nname='a'\n[credential.x]\ny=1", "credential=[{name='x'}]", "TIDEPOST_POLICY_ARMS={model=100}")
	f.Fuzz(func(t *testing.T, text, set, env string) {
		parse := func() (*Config, error) {
			c := DefaultConfig()
			if err := c.applyDocument([]byte(text), func(line int) origin { return origin{"fuzz.toml", line} }); err != nil {
				return nil, err
			}
			if err := c.applyEnv([]string{env}); err != nil {
				return nil, err
			}
			if err := c.applySet(set); err != nil {
				return nil, err
			}
			c.fillIn()
			return c, c.check()
		}
		c, err := parse()
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		c.warnings()
		again, err := parse()
		if err != nil {
			t.Fatalf("loads once, but not twice: %v", err)
		}
		if diff := c.Diff(again); len(diff) > 0 {
			t.Errorf("loads to two different configurations: %v", diff)
		}
	})
}
