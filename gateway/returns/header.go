package returns

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

// maxHops is how many hops a mail may have behind it (RFC 5321 §6.3): one that is passed
// on may be sent back here by whoever has it then.
const maxHops = 100

// hops counts the Received fields of a mail's own header.
func hops(content []byte) (n int) {
	const field = "received:"
	for line := range bytes.Lines(content) {
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if len(line) >= len(field) && strings.EqualFold(string(line[:len(field)]), field) {
			n++
		}
	}
	return n
}

// identity is the same when the same mail is brought again: whoever does so may have
// added trace fields, but not to what the mail says.
func identity(content []byte, mail *bounce.Mail) string {
	text := content
	if mail.MessageID != "" {
		text = []byte(mail.MessageID)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// ownID finds the id that our own Received field carries: the only one of 26
// characters in that alphabet.
func ownID(received []string) (id gateway.ID) {
	for _, field := range received {
		words := strings.Fields(field)
		for i, word := range words {
			if word != "id" || i+1 == len(words) {
				continue
			}
			if id, err := gateway.ParseID(strings.TrimSuffix(words[i+1], ";")); err == nil {
				return id
			}
		}
	}
	return id
}
