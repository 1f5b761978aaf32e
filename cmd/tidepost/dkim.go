package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
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
	key, err := newSigningKey(d.Type)
	if err != nil {
		return err
	}
	record, err := dkimRecord(key)
	if err != nil {
		return err
	}
	if err := writeKey(out, key); err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "; the private key is in %s; publish this record:\n", out)
	fmt.Fprintf(a.Stdout, "%s._domainkey.%s. IN TXT %s\n\n", d.Selector, d.Domain, zoneText(record))
	_, err = fmt.Fprintf(a.Stdout, "# then add this to the configuration:\n[[dkim]]\ndomain = %q\nselector = %q\nkey_file = %q\n", d.Domain, d.Selector, out)
	return err
}

// newSigningKey makes an RSA key of 2048 bits, the least that signers should
// use (RFC 8301 §3.2), or an Ed25519 key (RFC 8463).
func newSigningKey(kind string) (crypto.Signer, error) {
	if kind == "ed25519" {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists, and a key that is published must not be lost: name another file with --out", path)
	}
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return errors.Join(err, f.Close())
}

// dkimRecord is the TXT record of a key (RFC 6376 §3.6.1, RFC 8463 §4.2).
func dkimRecord(key crypto.Signer) (string, error) {
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), err
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	}
	return "", fmt.Errorf("%T keys do not sign mail: want RSA or Ed25519", key)
}

// zoneText writes a record as a zone file wants it: strings of at most 255
// bytes (RFC 1035 §3.3).
func zoneText(record string) string {
	var parts []string
	for len(record) > 255 {
		parts, record = append(parts, `"`+record[:255]+`"`), record[255:]
	}
	return strings.Join(append(parts, `"`+record+`"`), " ")
}

// readSigningKey reads a private key in PEM, PKCS #8 or #1.
func readSigningKey(path string) (crypto.Signer, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text + "\n"))
	if block == nil {
		return nil, fmt.Errorf("%s is not a key in PEM: make one with `tidepost dkim keygen`", path)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T: want RSA or Ed25519", path, key)
	}
	return signer, nil
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
	key, err := readSigningKey(k.KeyFile)
	if err != nil {
		return err
	}
	record, err := dkimRecord(key)
	if err != nil {
		return err
	}
	name := k.Selector + "._domainkey." + k.Domain
	if d.NoDNS {
		_, err := fmt.Fprintf(w, "%s. IN TXT %s\n", name, zoneText(record))
		return err
	}
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
	for _, p := range published {
		if dkimTag(p, "p") == dkimTag(record, "p") {
			_, err := fmt.Fprintf(w, "%s: the DNS has this key\n", name)
			return err
		}
	}
	return fmt.Errorf("the DNS has another key; the record to publish is: %s", record)
}

// dkimTag returns the value of a tag of a record, without white space
// (RFC 6376 §3.2).
func dkimTag(record, tag string) string {
	for part := range strings.SplitSeq(record, ";") {
		name, value, _ := strings.Cut(part, "=")
		if strings.TrimSpace(name) == tag {
			return strings.Join(strings.Fields(value), "")
		}
	}
	return ""
}
