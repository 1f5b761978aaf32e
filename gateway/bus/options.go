package bus

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// nats checks the options and makes nats.go's of them.
func (o *Options) nats() ([]nats.Option, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	wait := o.wait()
	opts := []nats.Option{
		nats.Name("tidepost"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(wait),
		nats.ReconnectJitter(wait, wait),
		nats.IgnoreAuthErrorAbort(), // a password may be put right at the other end
		// Nothing is kept for a connection to come: the journal keeps it better.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.FlusherTimeout(writeTimeout),
		nats.Timeout(dialTimeout),
	}
	if o.Embedded != nil {
		opts = append(opts, nats.InProcessServer(o.Embedded))
	}
	if o.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredentialsFile))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile))
	}
	return opts, nil
}

func (o *Options) wait() time.Duration {
	if o.ReconnectWait > 0 {
		return o.ReconnectWait
	}
	return reconnectWait
}

func (o *Options) check() error {
	switch {
	case o.URL == "" && o.Embedded == nil:
		return errors.New("nats.url: is empty and there is no embedded server: set it to nats://host:4222")
	case o.URL != "" && o.Embedded != nil:
		return errors.New("nats.url: asks for a server elsewhere beside the embedded one: leave nats.url or nats.listen out")
	case o.Embedded != nil && o.CredentialsFile != "":
		return errors.New("nats.credentials_file: is for a server elsewhere: set nats.url too")
	case o.Embedded != nil && o.CAFile != "":
		return errors.New("nats.ca_file: is for a server elsewhere: set nats.url too")
	case o.Embedded != nil:
		return nil
	}
	for u := range strings.SplitSeq(o.URL, ",") {
		if err := checkURL(strings.TrimSpace(u)); err != nil {
			return err
		}
	}
	if err := checkCredentials(o.CredentialsFile); err != nil {
		return err
	}
	return checkCA(o.CAFile)
}

// checkURL never repeats what it refuses: a URL may hold a password.
func checkURL(s string) error {
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return errors.New("nats.url: is not an address: write nats://host:4222, or several separated by commas")
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
		return nil
	}
	return fmt.Errorf("nats.url: %q is not how NATS is spoken: write nats://host:4222, or tls://host:4222", u.Scheme+"://")
}

func checkCredentials(file string) error {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("nats.credentials_file: %w: name a file that tidepost may read", err)
	}
	if !strings.Contains(string(b), "BEGIN NATS USER JWT") || !strings.Contains(string(b), "BEGIN USER NKEY SEED") {
		return fmt.Errorf("nats.credentials_file: %s is no NATS credentials file: name the .creds file that `nsc generate creds` writes", file)
	}
	return nil
}

func checkCA(file string) error {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("nats.ca_file: %w: name a file that tidepost may read", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return fmt.Errorf("nats.ca_file: %s holds no certificate: name the PEM file of the authority that signed the server's", file)
	}
	return nil
}
