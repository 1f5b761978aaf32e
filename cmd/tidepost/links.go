package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"tidepost/gateway/content"
	"tidepost/gateway/token"
)

// linkKeys is the file in the data directory with the secrets that links in mail
// are sealed with: one a line, the newest first, as in
//
//	2026-11-22 BASE64
const linkKeys = "link.keys"

// overlap is for how long an old secret must go on opening links.
const overlap = 3 * 366 * 24 * time.Hour // what links are sealed for

type linksCmd struct {
	Rotate linksRotateCmd `cmd:"" help:"Seal new links with a new key. The old ones go on opening what they sealed, until its time is over."`
}

type linksRotateCmd struct {
	DataDir string `help:"The gateway's data directory; default: the configuration's." placeholder:"DIR"`
}

// Run puts a new secret in front and takes out those that nothing needs any more.
func (l *linksRotateCmd) Run(a *app) error {
	dir := l.DataDir
	if dir == "" {
		cfg, _, err := LoadConfig(a.Config, a.Sets, a.Env)
		if err != nil {
			return err
		}
		dir = cfg.DataDir
	}
	secrets, err := readSecrets(dir)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s has no %s: `tidepost serve` makes it at its first start", dir, linkKeys)
	}
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	kept := []linkSecret{newSecret(now)}
	for i, s := range secrets {
		// What replaced it has sealed all links since.
		if i == 0 || now.Sub(secrets[i-1].made) < overlap {
			kept = append(kept, s)
		}
	}
	if err := writeSecrets(dir, kept); err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "%s in %s has %s; send the gateway SIGHUP to use the new one\n", linkKeys, dir, count(int64(len(kept)), "key", "keys"))
	return nil
}

// linkSecret is one line of the file.
type linkSecret struct {
	made   time.Time
	secret []byte
}

func newSecret(now time.Time) linkSecret {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails (crypto/rand)
	return linkSecret{now, secret}
}

func readSecrets(dir string) ([]linkSecret, error) {
	text, err := os.ReadFile(filepath.Join(dir, linkKeys))
	if err != nil {
		return nil, err
	}
	var secrets []linkSecret
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		date, encoded, _ := strings.Cut(line, " ")
		made, err := time.Parse(time.DateOnly, date)
		secret, err2 := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil || err2 != nil || len(secret) < 32 {
			return nil, fmt.Errorf("%s: line %d is no key: want a date and 32 bytes in base64; a backup has the file as it was", linkKeys, n)
		}
		secrets = append(secrets, linkSecret{made, secret})
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%s has no key: links in mail already sent would lead nowhere; put the file of a backup back, or remove it if no mail with links has left", linkKeys)
	}
	return secrets, nil
}

// writeSecrets replaces the file in one step.
func writeSecrets(dir string, secrets []linkSecret) error {
	var b bytes.Buffer
	for _, s := range secrets {
		fmt.Fprintf(&b, "%s %s\n", s.made.Format(time.DateOnly), base64.StdEncoding.EncodeToString(s.secret))
	}
	f, err := os.CreateTemp(dir, linkKeys+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b.Bytes())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, linkKeys))
}

// links are the keys in force.
type links struct{ keys atomic.Pointer[token.Keys] }

// openLinks reads the keys, or makes the first one.
func (s *server) openLinks(context.Context) error {
	dir := s.config.Load().DataDir
	_, err := os.Stat(filepath.Join(dir, linkKeys))
	if errors.Is(err, os.ErrNotExist) {
		err = writeSecrets(dir, []linkSecret{newSecret(time.Now().UTC())})
	}
	if err != nil {
		return err
	}
	return s.links.load(dir)
}

func (l *links) load(dir string) error {
	secrets, err := readSecrets(dir)
	if err != nil {
		return err
	}
	var raw [][]byte
	for _, s := range secrets {
		raw = append(raw, s.secret)
	}
	keys, err := token.NewKeys(raw...)
	if err != nil {
		return err
	}
	l.keys.Store(keys)
	return nil
}

// of is what the composer puts links into mail with; nil where there is no address
// that readers could reach.
func (l *links) of(c *Config) *content.Links {
	if c.HTTP.PublicURL == "" {
		return nil
	}
	return &content.Links{URL: strings.TrimSuffix(c.HTTP.PublicURL, "/"), Keys: l.keys.Load}
}
