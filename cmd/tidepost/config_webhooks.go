package main

import (
	"errors"
	"strings"

	"tidepost/gateway/webhook"
)

// endpoint returns the [[webhook]] with its defaults, as what sends knows it.
func (w *Webhook) endpoint() webhook.Endpoint {
	e := webhook.Endpoint{
		Name: w.Name, Tenant: firstOf(w.Tenant, "default"), URL: w.URL, Format: firstOf(w.Format, "standard"), Secret: w.Secret,
		Kinds: w.Kinds, Headers: w.Headers, AllowPrivate: w.AllowPrivate,
	}
	if e.Name == "" {
		e.Name = webhook.EndpointName(e.Format, e.Tenant, e.URL)
	}
	return e
}

// endpoints are all of them.
func (c *Config) endpoints() []webhook.Endpoint {
	all := make([]webhook.Endpoint, len(c.Webhooks))
	for i := range c.Webhooks {
		all[i] = c.Webhooks[i].endpoint()
	}
	return all
}

func (k *checker) checkWebhooks() {
	seen := map[string]bool{}
	for i := range k.Webhooks {
		w, key := &k.Webhooks[i], element("webhook", i)
		e := w.endpoint()
		if seen[e.Name] {
			k.failf(key+".name", "%q is used twice: two webhooks need names of their own, also where they are alike", e.Name)
		}
		seen[e.Name] = true
		var bad *webhook.EndpointError
		if !errors.As(e.Check(), &bad) || bad.Field == "secret" && w.SecretFile != "" {
			continue // what a file holds is checked once it is read
		}
		k.failf(key+"."+bad.Field, "%s: %s", bad.Problem, bad.Remedy)
	}
}

// checkWebhookFiles checks the secrets that files hold.
func (c *Config) checkWebhookFiles() error {
	e := &ConfigError{}
	for i := range c.Webhooks {
		end := c.Webhooks[i].endpoint()
		var bad *webhook.EndpointError
		if errors.As(end.Check(), &bad) {
			e.Problems = append(e.Problems, c.at(element("webhook", i)+".secret_file")+strings.Join([]string{bad.Problem, bad.Remedy}, ": "))
		}
	}
	if len(e.Problems) > 0 {
		return e
	}
	return nil
}
