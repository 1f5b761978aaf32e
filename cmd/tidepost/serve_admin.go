package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tidepost/gateway/admin"
	"tidepost/gateway/intake"
)

// openAdmin opens the admin API.
func (s *server) openAdmin(context.Context) error {
	c := s.config.Load()
	tokens, err := s.tokens(c)
	if err != nil {
		return err
	}
	started := time.Now()
	s.admin = &admin.Server{
		Gateway: s.gateway, Store: s.store, Tokens: tokens, TrustedProxies: Prefixes(c.HTTP.TrustedProxies), Log: s.log,
		Info: func() admin.Info {
			c := s.config.Load()
			return admin.Info{Version: version, Started: started, Mode: c.Route.Mode, PolicyMode: c.Policy.Mode,
				DataDir: c.DataDir, Warnings: c.warnings()}
		},
		Tenants: func() []string { return tenantNames(s.config.Load()) },
		Ready:   s.store.Ready,
		Backup:  s.backup,
		Compact: s.store.Compact,
		Confirm: func(context.Context) error { return s.store.Confirm() },
		Sources: admin.Sources{
			Bus: s.bus.lag(), Stream: s.bus.stream(), Refused: s.refused,
			Connections:  func() int64 { return s.smtp.Metrics.Open.Load() },
			AuthFailures: func() int64 { return s.smtp.Metrics.AuthFailures.Load() },
			Stopped:      s.store.Stopped,
		},
		History: s.openHistory(),
		Returns: kept{s.desk},
		Resume:  s.bus.resume(), RuleFiles: s.ruleFiles.told,
		Webhooks: webhookAdmin{s.webhooks},
		Extra:    append(append(s.forwarded(), s.returned()...), &s.public.Metrics, s.took, webhookMetrics{s.webhooks}),
	}
	return s.listen("http.admin", c.HTTP.Admin, "admin API", s.admin.Serve)
}

// tokens returns the configured admin tokens and the one that the CLI reads
// from the data directory, which the first start writes.
func (s *server) tokens(c *Config) ([]admin.Token, error) {
	local, err := localToken(filepath.Join(c.DataDir, "admin.token"))
	if err != nil {
		return nil, err
	}
	tokens := []admin.Token{{Name: "local", Hash: admin.HashToken(local), Role: admin.Admin}}
	for _, t := range c.AdminTokens {
		role, err := admin.ParseRole(t.Role)
		if err != nil {
			return nil, fmt.Errorf("admin_token %s: %w", t.Name, err)
		}
		tokens = append(tokens, admin.Token{Name: t.Name, Hash: t.Hash, Role: role})
	}
	return tokens, nil
}

// localToken reads the data directory's token, or makes it.
func localToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err == nil && len(strings.TrimSpace(string(text))) > 0 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	token := admin.NewToken()
	return token, os.WriteFile(file, []byte(token+"\n"), 0o600)
}

func tenantNames(c *Config) []string {
	names := []string{"default"}
	seen := map[string]bool{"default": true}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, t := range c.Tenants {
		add(t.Name)
	}
	for _, cred := range c.Credentials {
		add(cred.Tenant)
	}
	return names
}

// refused are the connections, commands and messages that intake refused.
func (s *server) refused() map[string]int64 {
	counts := map[string]int64{}
	for _, r := range intake.Reasons() {
		counts[r.String()] = s.smtp.Metrics.Refused(r)
	}
	return counts
}
