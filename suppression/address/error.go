package address

import "unicode/utf8"

// Error says what is wrong with an address, in words for the person who wrote it.
// It never contains the address, so it is safe in a reply and in a log.
type Error string

// What Parse refuses. ErrUTF8 is not among it: whether SMTPUTF8 was asked for is
// known to the caller, who returns it for an Address with UTF8 set.
const (
	ErrEmpty         Error = "the address is empty"
	ErrNoDomain      Error = "the address has no domain: write name@domain"
	ErrSourceRoute   Error = "source routes are not supported: write only the mailbox itself"
	ErrLiteral       Error = "address literals and numbers in place of a domain are not supported: write a domain name"
	ErrLocalTooLong  Error = "the part before the @ is longer than 64 bytes"
	ErrDomainTooLong Error = "the domain is longer than 255 bytes or a label of it longer than 63"
	ErrDots          Error = "a dot stands at an edge or beside another dot"
	ErrQuote         Error = "the quoted part before the @ is broken"
	ErrCharacter     Error = "a character is not allowed here without quotes"
	ErrControl       Error = "there is a control character or an invisible one"
	ErrInvalidUTF8   Error = "the bytes are not valid UTF-8"
	ErrDomain        Error = "the domain is not a valid host name"
	ErrUTF8          Error = "the address is not ASCII and SMTPUTF8 was not asked for"
)

// Error returns the sentence.
func (e Error) Error() string { return string(e) }

func badByte(c byte) Error {
	if c < ' ' || c == 0x7f || c >= utf8.RuneSelf {
		return ErrControl
	}
	return ErrCharacter
}
