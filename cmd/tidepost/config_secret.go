package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
)

// maxSecret is the size in bytes above which a file is no secret but a slip.
const maxSecret = 64 << 10

// secrets calls f for every key that may be given as *_file, with its value,
// the path and the key's name.
func (c *Config) secrets(f func(value reflect.Value, path, key string)) {
	c.tables(func(table reflect.Value, key string) {
		for i := range table.NumField() {
			field := table.Type().Field(i)
			if field.Tag.Get("secret") != "" {
				f(table.Field(i), table.FieldByName(field.Name+"File").String(), below(key, field.Tag.Get("toml")))
			}
		}
	})
}

// readSecrets replaces every *_file by what the file holds.
func (c *Config) readSecrets() error {
	e := &ConfigError{}
	c.secrets(func(value reflect.Value, path, key string) {
		if path == "" {
			return
		}
		secret, err := readSecret(path)
		if err != nil {
			e.Problems = append(e.Problems, c.at(key+"_file")+err.Error())
			return
		}
		value.SetString(secret)
	})
	if len(e.Problems) > 0 {
		return e
	}
	return nil
}

// readSecret returns a file's text without the newline at its end.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecret {
		return "", fmt.Errorf("%s has %d bytes, which is no secret", path, info.Size())
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return "", fmt.Errorf("cannot read %s: %v", path, pathErr.Err)
	}
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}
