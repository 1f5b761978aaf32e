package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/term"
)

// The cost of a password check: OWASP's first choice for argon2id, 19 MiB and
// two passes on one lane, about 20 ms. An SMTP server hashes once for every
// session that logs in, so the costlier profiles of RFC 9106 §4 (64 MiB, 2 GiB)
// would let a few clients with wrong passwords take the machine.
const (
	argonMemory = 19456 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltBytes   = 16
	hashBytes   = 32
)

type hashPasswordCmd struct{}

// Run reads a password, without echo from a terminal or as the first line of
// standard input, and prints its hash in PHC form.
func (hashPasswordCmd) Run(a *app) error {
	password, err := readPassword(a)
	if err != nil {
		return err
	}
	if password == "" {
		return usagef("the password is empty")
	}
	_, err = fmt.Fprintln(a.Stdout, hashPassword(password))
	return err
}

func readPassword(a *app) (string, error) {
	f, ok := a.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(a.Stdin, maxSecret)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(a.Stderr, prompt)
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.Stderr)
		return string(text), err
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	second, err := ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// hashPassword returns the argon2id hash of a password with a fresh salt.
func hashPassword(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, hashBytes)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonTime, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(sum))
}
