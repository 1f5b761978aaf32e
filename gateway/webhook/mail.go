package webhook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/gateway"
)

// mail is what is repeated of an original mail.
type mail struct {
	fields    map[string]string // by the name that the endpoint gave them
	messageID string            // without brackets
	from      string            // envelope sender
	subject   string
	to        []gateway.Recipient
}

const (
	rememberMails = 512      // of an endpoint
	maxHeader     = 64 << 10 // bytes of a header that are looked at
	maxField      = 1000     // bytes of a field that are repeated
)

// archive finds what is to be repeated of mails for one endpoint.
type archive struct {
	store Store
	names []string
	known *lru.Cache[gateway.ID, *mail] // nil in it: forgotten
}

func newArchive(store Store, names []string) *archive {
	known, _ := lru.New[gateway.ID, *mail](rememberMails) // fails only for a size below 1
	return &archive{store: store, names: names, known: known}
}

// resolve finds out what of a notice is not in its event. The error says that the
// store could not be asked now.
func (a *archive) resolve(ctx context.Context, n *notice) error {
	if len(a.names) > 0 && !n.delivery.Message.IsZero() {
		n.mail = a.find(ctx, n)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if !n.signal {
		return nil
	}
	var key gateway.Key
	if k, err := hex.DecodeString(n.detail.Mailbox); err != nil || copy(key[:], k) != len(key) {
		return nil
	}
	box, err := a.store.Mailbox(ctx, key)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("mailbox: %w", err)
	}
	n.address = box.Address // "": it was erased
	if i := int(n.delivery.Ordinal); n.address != "" && n.mail != nil && i < len(n.mail.to) && n.mail.to[i].Mailbox == key {
		n.address = n.mail.to[i].Address // as the sender wrote it, and knows it
	}
	return nil
}

// find returns the mail that a notice is about, nil where it is forgotten or cannot
// be read.
func (a *archive) find(ctx context.Context, n *notice) *mail {
	id := n.delivery.Message
	if m, known := a.known.Get(id); known {
		return m
	}
	var m *mail
	if n.Delivery != nil {
		m = a.read(ctx, id, n.Delivery.Ref)
	}
	if m == nil { // a compaction may have moved it
		if _, ref, err := a.store.Message(ctx, id); err == nil {
			m = a.read(ctx, id, ref)
		}
	}
	if ctx.Err() == nil {
		a.known.Add(id, m)
	}
	return m
}

func (a *archive) read(ctx context.Context, id gateway.ID, ref gateway.Ref) *mail {
	stored, err := a.store.Body(ctx, ref)
	if err != nil {
		return nil
	}
	defer stored.Close()
	if stored.Message.ID != id {
		return nil
	}
	text := make([]byte, min(stored.Message.Header, stored.Size, maxHeader))
	n, _ := stored.ReadAt(text, 0) // what was read is looked at
	s := stored.Message
	return &mail{fields: fields(text[:n], a.names), messageID: s.MessageID, from: s.From, subject: s.Subject, to: s.Recipients}
}

// fields returns the fields of those names, the first of each, unfolded.
func fields(header []byte, names []string) map[string]string {
	// Also a header that cannot be read to its end has a beginning.
	all, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(header))).ReadMIMEHeader()
	found := map[string]string{}
	for _, name := range names {
		if value := all.Get(name); value != "" {
			found[name] = cut(strings.ToValidUTF8(value, "\uFFFD"), maxField)
		}
	}
	return found
}
