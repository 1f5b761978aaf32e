package content

import (
	"mime"
	"strings"
)

// entity is what the header of a message or of a part says about what follows
// it (RFC 2045 §3).
type entity struct {
	kind     entityKind
	boundary string // of a multipart
	encoding encoding
	utf8     bool // the charset is UTF-8 or ASCII
}

type entityKind uint8

const (
	opaque     entityKind = iota // nothing that we look into
	compound                     // its parts are looked at
	hypertext                    // HTML that a reader is shown
	uneditable                   // the same, in a charset or encoding that cannot be edited
	protected                    // S/MIME or PGP (RFC 1847, 8551): any change breaks it
	ambiguous                    // two fields disagree, and so would two readers
)

// encoding is a transfer encoding (RFC 2045 §6).
type encoding uint8

const (
	identity encoding = iota // 7bit, 8bit
	quotedPrintable
	base64Encoding
	unknownEncoding
)

const (
	maxType     = 2 << 10 // bytes of a Content field that is looked into
	maxBoundary = 200     // RFC 2046 §5.1.1 has 70
)

// readEntity reads the header of a message or of a part.
func readEntity(header []byte) entity {
	var contentType, transfer, disposition []byte
	twice := false
	s := scanner{b: header}
	for f, ok := s.next(); ok; f, ok = s.next() {
		if len(f.name) == 0 || toLower(f.name[0]) != 'c' {
			continue
		}
		var to *[]byte
		switch {
		case f.is("content-type"):
			to = &contentType
		case f.is("content-transfer-encoding"):
			to = &transfer
		case f.is("content-disposition"):
			to = &disposition
		default:
			continue
		}
		twice = twice || *to != nil
		*to = f.value
	}
	if twice {
		return entity{kind: ambiguous}
	}
	e := describe(contentType)
	e.encoding = readEncoding(transfer)
	switch {
	case e.kind == opaque || e.kind == protected:
	case isAttachment(disposition):
		e.kind = opaque
	case e.kind == compound && e.encoding != identity: // forbidden (RFC 2045 §6.4)
		e.kind = opaque
	case e.kind == hypertext && e.encoding == unknownEncoding:
		e.kind = uneditable
	}
	return e
}

// describe reads a Content-Type. One that cannot be read is none of ours.
func describe(value []byte) (e entity) {
	if len(value) == 0 || len(value) > maxType {
		return e
	}
	kind, params, err := mime.ParseMediaType(string(unfold(value)))
	if err != nil {
		return e
	}
	switch {
	case kind == "text/html":
		e.kind = uneditable
		if editable, utf8 := readCharset(params["charset"]); editable {
			e.kind, e.utf8 = hypertext, utf8
		}
	case kind == "multipart/signed", kind == "multipart/encrypted",
		kind == "application/pkcs7-mime", kind == "application/x-pkcs7-mime":
		e.kind = protected
	case kind == "multipart/report": // what it tells of is evidence
	case strings.HasPrefix(kind, "multipart/"):
		if e.boundary = strings.TrimRight(params["boundary"], " \t"); e.boundary != "" && len(e.boundary) <= maxBoundary {
			e.kind = compound
		}
	}
	return e
}

// isAttachment reports whether a disposition is anything but inline (RFC 2183
// §2.8: what is not known is an attachment).
func isAttachment(value []byte) bool {
	word, _, _ := strings.Cut(string(unfold(value[:min(len(value), maxType)])), ";")
	word = strings.TrimSpace(word)
	return word != "" && !strings.EqualFold(word, "inline")
}

func readEncoding(value []byte) encoding {
	if len(value) > maxType {
		return unknownEncoding
	}
	switch strings.ToLower(string(unfold(value))) {
	case "", "7bit", "8bit":
		return identity
	case "quoted-printable":
		return quotedPrintable
	case "base64":
		return base64Encoding
	}
	return unknownEncoding
}

// readCharset reports whether ASCII characters are themselves in a charset, so
// that tags can be found without decoding it; in some of these a second byte may
// be an ASCII letter, but never one that delimits a tag or a value. UTF-16,
// UTF-7, the ISO-2022 family and whatever is not known are left alone.
func readCharset(name string) (editable, utf8 bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return true, true
	case "latin1", "macintosh", "koi8-r", "koi8-u", "tis-620", "gb2312", "gbk", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr":
		return true, false
	}
	return strings.HasPrefix(name, "iso-8859-") || strings.HasPrefix(name, "windows-125") || name == "windows-874", false
}
