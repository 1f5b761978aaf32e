package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"tidepost/gateway/intake"
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
	_, err = fmt.Fprintln(a.Stdout, intake.HashPassword(password))
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
