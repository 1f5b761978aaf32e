package main

import (
	"time"

	"tidepost/gateway"
)

// Config is everything that the operator may say, with defaults filled in and
// every value read into the type it is used as. The toml tags are the contract:
// docs/config.md documents each key and a test holds the two together.
type Config struct {
	DataDir      string                 `toml:"data_dir"`
	SMTP         SMTPConfig             `toml:"smtp"`
	Credentials  []Credential           `toml:"credential"`
	Tenants      []Tenant               `toml:"tenant"`
	Route        RouteConfig            `toml:"route"`
	Destinations map[string]Destination `toml:"destination"`
	DKIM         []DKIMKey              `toml:"dkim"`
	HTTP         HTTPConfig             `toml:"http"`
	AdminTokens  []AdminToken           `toml:"admin_token"`
	NATS         NATSConfig             `toml:"nats"`
	Webhooks     []Webhook              `toml:"webhook"`
	Hooks        map[string]Hook        `toml:"hooks"`
	Lists        map[string]List        `toml:"list_id"`
	Feedback     FeedbackConfig         `toml:"feedback"`
	Retention    RetentionConfig        `toml:"retention"`
	Policy       PolicyConfig           `toml:"policy"`
	Experiments  []Experiment           `toml:"experiment"`

	origin origins  // where each written key was written
	path   string   // of the file; "" when there is none
	sets   []string // what LoadConfig was given, for Reload
	env    []string
}

// SMTPConfig is the intake's part of the configuration.
type SMTPConfig struct {
	Listen            []string  `toml:"listen"`
	ListenTLS         []string  `toml:"listen_tls"`
	Hostname          string    `toml:"hostname"` // "": the machine's
	Certificate       string    `toml:"certificate" path:"yes"`
	Key               string    `toml:"key" path:"yes"`
	MaxMessageBytes   Bytes     `toml:"max_message_bytes"`
	MaxRecipients     int       `toml:"max_recipients"`
	MaxConnections    int       `toml:"max_connections"`
	MaxPerAddress     int       `toml:"max_per_address"`
	MaxLine           Bytes     `toml:"max_line"`
	BareNewline       string    `toml:"bare_newline"` // reject or normalize
	TrustedNetworks   []Network `toml:"trusted_networks"`
	ProxyProtocolFrom []Network `toml:"proxy_protocol_from"`
}

// Credential is one [[credential]]: who may submit.
type Credential struct {
	Name             string    `toml:"name"`
	PasswordHash     string    `toml:"password_hash" secret:"yes"`
	PasswordHashFile string    `toml:"password_hash_file" path:"yes"`
	Tenant           string    `toml:"tenant"`
	BulkClass        Class     `toml:"bulk_class"`
	Classes          []Class   `toml:"classes"`
	Senders          []string  `toml:"senders"`
	Networks         []Network `toml:"networks"`
}

// Gateway returns the credential as the gateway and its intake know it.
func (c *Credential) Gateway() gateway.Credential {
	g := gateway.Credential{
		Name:         c.Name,
		PasswordHash: c.PasswordHash,
		Tenant:       c.Tenant,
		BulkClass:    c.BulkClass.Class,
		Senders:      c.Senders,
		Networks:     Prefixes(c.Networks),
	}
	for _, class := range c.Classes {
		g.Classes = append(g.Classes, class.Class)
	}
	return g
}

// Tenant is one [[tenant]]. A tenant that only a credential names has the
// defaults; Config.Tenant returns either.
type Tenant struct {
	Name     string `toml:"name"`
	MaxHeld  int64  `toml:"max_held"` // deliveries
	Audience string `toml:"audience"`
	Display  string `toml:"display_name"` // before its readers
}

// RouteConfig says where mail goes.
type RouteConfig struct {
	Mode         string     `toml:"mode"` // capture, smarthost or mx
	Smarthost    string     `toml:"smarthost"`
	Username     string     `toml:"username"`
	Password     string     `toml:"password" secret:"yes"`
	PasswordFile string     `toml:"password_file" path:"yes"`
	TLS          string     `toml:"tls"` // never "" after loading
	Retry        []Duration `toml:"retry"`
	GiveUp       GiveUp     `toml:"give_up"`
}

// GiveUp says for how long mail is tried.
type GiveUp struct {
	Transactional Duration `toml:"transactional"`
	Bulk          Duration `toml:"bulk"`
}

// Destination is one [destination.NAME]: how fast it may be written to.
// Config.Destination fills in what a table leaves out.
type Destination struct {
	Connections           int  `toml:"connections"`
	MessagesPerConnection int  `toml:"messages_per_connection"`
	Rate                  Rate `toml:"rate"`
	RateMax               Rate `toml:"rate_max"`
}

// DKIMKey is one [[dkim]]: a domain whose mail is signed here.
type DKIMKey struct {
	Domain   string `toml:"domain"`
	Selector string `toml:"selector"`
	KeyFile  string `toml:"key_file" path:"yes"`
}

// HTTPConfig is where the two HTTP servers listen.
type HTTPConfig struct {
	Admin          string    `toml:"admin"`
	Public         string    `toml:"public"`
	PublicURL      string    `toml:"public_url"`
	TrustedProxies []Network `toml:"trusted_proxies"`
}

// AdminToken is one [[admin_token]]: a bearer token beside the first one.
type AdminToken struct {
	Name     string `toml:"name"`
	Hash     string `toml:"hash" secret:"yes"`
	HashFile string `toml:"hash_file" path:"yes"`
	Role     string `toml:"role"` // viewer, operator or admin
}

// NATSConfig chooses the bus: the embedded server, or one elsewhere.
type NATSConfig struct {
	URL             string `toml:"url"`
	Listen          string `toml:"listen"`
	CredentialsFile string `toml:"credentials_file" path:"yes"`
	CAFile          string `toml:"ca_file" path:"yes"`
}

// Webhook is one [[webhook]]: events out over HTTP.
type Webhook struct {
	Name         string   `toml:"name"`
	Tenant       string   `toml:"tenant"`
	URL          string   `toml:"url"`
	Format       string   `toml:"format"`
	Secret       string   `toml:"secret" secret:"yes"`
	SecretFile   string   `toml:"secret_file" path:"yes"`
	Kinds        []string `toml:"kinds"`
	Headers      []string `toml:"headers"` // fields of the original mail to repeat
	AllowPrivate bool     `toml:"allow_private"`
}

// List is one [list_id.NAME]: what holds for one List-Id's mail.
type List struct {
	Evidence string `toml:"evidence"` // full, click, day or none
}

// Hook is one [hooks.SOURCE]: webhooks in, at /hooks/SOURCE.
type Hook struct {
	Format        string `toml:"format"` // of feedback.Formats; the default is SOURCE itself where it is one
	Tenant        string `toml:"tenant"` // whose readers it tells of
	PublicKey     string `toml:"public_key" secret:"yes"`
	PublicKeyFile string `toml:"public_key_file" path:"yes"`
	Secret        string `toml:"secret" secret:"yes"`
	SecretFile    string `toml:"secret_file" path:"yes"`
}

// FeedbackConfig is the return path for bounces and complaints.
type FeedbackConfig struct {
	ReturnPathDomain string   `toml:"return_path_domain"`
	ReturnPathListen []string `toml:"return_path_listen"`
}

// RetentionConfig says for how long, and in how many bytes, the past is kept.
type RetentionConfig struct {
	Settled      Duration `toml:"settled"`
	SettledBytes Bytes    `toml:"settled_bytes"` // 0: by time alone
	History      Duration `toml:"history"`
	HistoryBytes Bytes    `toml:"history_bytes"` // 0: by time alone
}

// PolicyConfig is [policy] with its overrides by tenant. Config.PolicyFor
// returns what holds for one tenant.
type PolicyConfig struct {
	PolicyKeys
	Tenants map[string]PolicyKeys `toml:"tenants"`
}

// PolicyKeys are the tunables of bulk mail.
type PolicyKeys struct {
	Mode       string     `toml:"mode"` // observe or live
	TimeZone   Zone       `toml:"time_zone"`
	MaxHold    Duration   `toml:"max_hold"`
	Aim        string     `toml:"aim"` // soonest, hour, reads or now
	QuietHours QuietHours `toml:"quiet_hours"`
	MinGap     Duration   `toml:"min_gap"`
	WeeklyCap  int        `toml:"weekly_cap"`
	AtLimit    string     `toml:"at_limit"` // release or drop
	Drop       []Class    `toml:"drop"`
	Keep       float64    `toml:"keep"`
	MaxDrop    float64    `toml:"max_drop"`
	Tracking   string     `toml:"tracking"`
	Honeypot   bool       `toml:"honeypot"`
	Suppressed string     `toml:"suppressed"` // drop or reject
	Bounces    string     `toml:"bounces"`    // suppress or ignore
	Evidence   string     `toml:"evidence"`
	Sensitive  []string   `toml:"sensitive"`
	Momentum   bool       `toml:"momentum"`
	InDoubt    string     `toml:"in_doubt"` // resend or hold
	Explore    float64    `toml:"explore"`
	Arms       Arms       `toml:"arms"`
}

// Arms are the shares of an experiment in percent; they add up to 100.
type Arms struct {
	Control float64 `toml:"control"`
	Model   float64 `toml:"model"`
	Random  float64 `toml:"random"`
	None    float64 `toml:"none"`
}

// DefaultConfig returns what holds where the operator said nothing.
func DefaultConfig() *Config {
	hour := func(n int) Duration { return Duration{time.Duration(n) * time.Hour} }
	return &Config{
		DataDir: "tidepost-data",
		SMTP: SMTPConfig{
			Listen:          []string{"127.0.0.1:2525"},
			MaxMessageBytes: 26214400,
			MaxRecipients:   1000,
			MaxConnections:  2000,
			MaxPerAddress:   50,
			MaxLine:         65536,
			BareNewline:     "reject",
			TrustedNetworks: []Network{mustNetwork("127.0.0.0/8"), mustNetwork("::1/128")},
		},
		Route: RouteConfig{
			Mode:   "capture",
			Retry:  []Duration{{5 * time.Minute}, {15 * time.Minute}, hour(1), hour(3), hour(6)},
			GiveUp: GiveUp{Transactional: hour(24), Bulk: hour(72)},
		},
		HTTP:      HTTPConfig{Admin: "127.0.0.1:8025", Public: "127.0.0.1:8026"},
		Retention: RetentionConfig{Settled: hour(14 * 24), History: hour(30 * 24)},
		Policy: PolicyConfig{PolicyKeys: PolicyKeys{
			Mode:       "observe",
			MaxHold:    hour(24),
			Aim:        "reads",
			Keep:       0.9,
			AtLimit:    "release",
			MaxDrop:    0.05,
			Tracking:   "none",
			Evidence:   "full",
			Bounces:    "suppress",
			Suppressed: "drop",
			InDoubt:    "resend",
			Explore:    0.02,
			Arms:       Arms{Control: 10, Model: 90},
		}},
		origin: origins{},
	}
}
