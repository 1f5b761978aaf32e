package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tidepost/gateway/feedback"
	"tidepost/gateway/public"
)

// signedWith is the key in which a hook of the format has what its reports are signed
// with, and which of the two keys is not for it.
func signedWith(f *feedback.Format) (key, other string) {
	if f.PublicKey {
		return "public_key", "secret"
	}
	return "secret", "public_key"
}

// hookFormat is the format of a hook that names none: its own name where it is one.
func hookFormat(name string) string {
	if _, ok := feedback.Lookup(name); ok {
		return name
	}
	return "standard"
}

// material is the text of that key, and its file.
func (h *Hook) material(key string) (text, file string) {
	if key == "public_key" {
		return h.PublicKey, h.PublicKeyFile
	}
	return h.Secret, h.SecretFile
}

func (k *checker) checkHooks() {
	for _, name := range slices.Sorted(maps.Keys(k.Hooks)) {
		h, key := k.Hooks[name], joinKey([]string{"hooks", name})
		if !bareKey.MatchString(name) {
			k.failf(key, "is part of a URL: name it with letters, digits, - and _")
		}
		k.oneOf(key+".format", h.Format, feedback.Formats()...)
		f, ok := feedback.Lookup(h.Format)
		if !ok {
			continue
		}
		mine, other := signedWith(&f)
		text, file := h.material(mine)
		if t, path := h.material(other); t != "" || path != "" {
			k.failf(key+"."+other, "is not what reports of format %s are signed with: set %s", h.Format, mine)
		} else if text == "" && file == "" {
			k.failf(key+"."+mine, "is missing: nobody could tell who sends; %s", f.Secret)
		} else if _, err := hookSecrets(&f, text); text != "" && err != nil {
			k.failf(key+"."+mine, "%v; %s", err, f.Secret)
		}
	}
}

// checkHookFiles checks what the files hold that were named instead.
func (c *Config) checkHookFiles() error {
	e := &ConfigError{}
	for _, name := range slices.Sorted(maps.Keys(c.Hooks)) {
		h := c.Hooks[name]
		f, _ := feedback.Lookup(h.Format)
		mine, _ := signedWith(&f)
		text, file := h.material(mine)
		if _, err := hookSecrets(&f, text); file != "" && err != nil {
			e.Problems = append(e.Problems, c.at(joinKey([]string{"hooks", name})+"."+mine+"_file")+err.Error()+"; "+f.Secret)
		}
	}
	if len(e.Problems) > 0 {
		return e
	}
	return nil
}

// hookSecrets reads the secrets of a hook, separated by white space: two while the
// provider changes from one to the other. Public keys may be PEM, too.
func hookSecrets(f *feedback.Format, text string) ([][]byte, error) {
	words := strings.Fields(text)
	if strings.Contains(text, "-----BEGIN") {
		words = nil
		for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
			words = append(words, string(pem.EncodeToMemory(block)))
		}
	}
	var secrets [][]byte
	for _, word := range words {
		secret, err := f.CheckSecret(word)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, errors.New("is empty")
	}
	return secrets, nil
}

// public is the hook as the public server knows it.
func (h *Hook) public() (public.Hook, error) {
	f, ok := feedback.Lookup(h.Format)
	if !ok {
		return public.Hook{}, fmt.Errorf("format %q is unknown", h.Format)
	}
	mine, _ := signedWith(&f)
	text, _ := h.material(mine)
	secrets, err := hookSecrets(&f, text)
	return public.Hook{Format: h.Format, Secrets: secrets, Tenant: h.Tenant}, err
}
