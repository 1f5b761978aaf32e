package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"tidepost/gateway/content"
)

// dkimCmd makes and checks signing keys.
type dkimCmd struct {
	Keygen dkimKeygenCmd `cmd:"" help:"Make a key and print its DNS record and configuration."`
	Check  dkimCheckCmd  `cmd:"" help:"Compare the configured keys with the DNS."`
}

type dkimKeygenCmd struct {
	Domain   string `arg:"" help:"The domain to sign for."`
	Selector string `help:"The key's name in the DNS." default:"t1"`
	Type     string `help:"rsa is understood everywhere; ed25519 is small and fast." enum:"rsa,ed25519" default:"rsa"`
	Out      string `help:"File for the private key; SELECTOR.pem when left out." placeholder:"FILE"`
}

// Run writes a new private key, never over an old one, and prints the rest.
func (d *dkimKeygenCmd) Run(a *app) error {
	if !domainName(d.Domain) || !domainName(d.Selector) {
		return usagef("%s or %s is not a name, as in: tidepost dkim keygen example.com --selector t1", d.Domain, d.Selector)
	}
	out := firstOf(d.Out, d.Selector+".pem")
	key, text, err := content.GenerateKey(d.Type)
	if err != nil {
		return err
	}
	record, err := content.DNSRecord(d.Selector, d.Domain, key)
	if err != nil {
		return err
	}
	if err := writeKey(out, text); err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "; the private key is in %s; publish this record:\n%s\n\n", out, record)
	_, err = fmt.Fprintf(a.Stdout, "# then add this to the configuration:\n[[dkim]]\ndomain = %q\nselector = %q\nkey_file = %q\n", d.Domain, d.Selector, out)
	return err
}

func writeKey(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists, and a key that is published must not be lost: name another file with --out", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

type dkimCheckCmd struct {
	NoDNS bool `help:"Only read the key files and print their records." name:"no-dns"`

	lookup func(ctx context.Context, name string) ([]string, error) // nil: the machine's resolver
}

// Run checks each [[dkim]] of the configuration.
func (d *dkimCheckCmd) Run(a *app) error {
	cfg, _, err := LoadConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return err
	}
	if len(cfg.DKIM) == 0 {
		return usagef("the configuration has no [[dkim]]: nothing to check; is --config right?")
	}
	failed := false
	for _, k := range cfg.DKIM {
		if err := d.checkKey(a.Context, a.Stdout, k); err != nil {
			failed = true
			fmt.Fprintf(a.Stdout, "%s._domainkey.%s: %s\n", k.Selector, k.Domain, safe(err.Error()))
		}
	}
	if failed {
		return errQuiet
	}
	return nil
}

func (d *dkimCheckCmd) checkKey(ctx context.Context, w io.Writer, k DKIMKey) error {
	key, err := content.LoadKey(k.KeyFile)
	if err != nil {
		return err
	}
	record, err := content.DNSRecord(k.Selector, k.Domain, key)
	if err != nil {
		return err
	}
	if d.NoDNS {
		_, err := fmt.Fprintln(w, record)
		return err
	}
	name := k.Selector + "._domainkey." + k.Domain
	lookup := d.lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupTXT
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	published, err := lookup(ctx, name)
	if err != nil {
		return fmt.Errorf("cannot be looked up: %w; the record to publish is: %s", err, record)
	}
	if err := publishes(published, key); err != nil {
		return fmt.Errorf("%w; the record to publish is: %s", err, record)
	}
	_, err = fmt.Fprintf(w, "%s: the DNS has this key\n", name)
	return err
}

// publishes reports why none of the published records makes a key's
// signatures verify; nil: one does.
func publishes(published []string, key crypto.Signer) error {
	reason := errors.New("the DNS has another key")
	for _, text := range published {
		record, err := content.CheckRecord(text)
		switch {
		case err != nil:
			reason = err
		case record.Fits(key):
			return nil
		}
	}
	return reason
}
